//! Probes against real listeners on loopback.

use http_body_util::Full;
use hyper::{server::conn::http1 as server, service::service_fn};
use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Long enough for a busy machine, where the target is expected to answer.
const PATIENT: Duration = Duration::from_secs(10);

/// Short, where it is expected not to.
const IMPATIENT: Duration = Duration::from_millis(50);

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback has free ports");
    let target = listener.local_addr().expect("a bound socket has an address");
    (listener, target)
}

fn check(target: SocketAddr, kind: CheckKind, timeout: Duration) -> CheckSpec {
    CheckSpec { target, kind, interval: Duration::from_mins(1), timeout, rise: 1, fall: 1 }
}

fn http(status: StatusRange) -> CheckKind {
    CheckKind::Http { path: "/healthz?x=1".to_owned(), host: "web.example".to_owned(), status }
}

const OK: StatusRange = StatusRange { first: 200, last: 399 };

async fn failure(check: CheckSpec) -> (String, CheckResult) {
    let error = Network.probe(&check).await.expect_err("the check must not pass");
    (error.to_string(), error.result())
}

/// A server that gives one answer to every connection, whatever it is asked, and then closes.
async fn server_that_says(answer: &'static [u8]) -> SocketAddr {
    let (listener, target) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                stream.write_all(answer).await.ok();
            }
        }
    });
    target
}

/// An HTTP server that answers 200 to the request that [`http`] makes, and 500 to any other.
async fn strict_server() -> SocketAddr {
    let (listener, target) = listener().await;
    let service = service_fn(|request: Request<Incoming>| async move {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let as_wanted = request.method() == "GET"
            && request.uri() == "/healthz?x=1"
            && header(HOST) == Some("web.example")
            && header(CONNECTION) == Some("close")
            && header(USER_AGENT) == Some(AGENT);
        let status = if as_wanted { 200 } else { 500 };
        Response::builder().status(status).body(Full::<Bytes>::from(vec![b'x'; 200_000]))
    });
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(server::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    target
}

#[tokio::test]
async fn a_listener_passes_a_tcp_check() {
    let (_listener, target) = listener().await;
    Network.probe(&check(target, CheckKind::Tcp, PATIENT)).await.expect("the port is open");
}

#[tokio::test]
async fn a_tcp_check_leaves_no_port_behind() {
    let (listener, target) = listener().await;
    Network.probe(&check(target, CheckKind::Tcp, PATIENT)).await.expect("the port is open");
    let (mut stream, _) = listener.accept().await.expect("the check has connected");
    let end = stream.read(&mut [0]).await.expect_err("the connection ends with a reset");
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_closed_port_fails_with_its_reason() {
    let (listener, target) = listener().await;
    drop(listener);
    let expected = (format!("connect to {target}: connection refused"), CheckResult::Failed);
    assert_eq!(failure(check(target, CheckKind::Tcp, PATIENT)).await, expected);
    assert_eq!(failure(check(target, http(OK), PATIENT)).await, expected);
}

#[tokio::test]
async fn a_target_that_does_not_answer_the_connection_fails_in_time() {
    // A full backlog: the kernel drops further SYNs.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("loopback has free ports");
    let target = socket.local_addr().expect("a bound socket has an address");
    let _listener = socket.listen(0).expect("a bound socket can listen");
    let _in_backlog = TcpStream::connect(target).await.expect("the backlog holds one");
    let expected = (format!("connect to {target}: timed out after 50ms"), CheckResult::Failed);
    assert_eq!(failure(check(target, CheckKind::Tcp, IMPATIENT)).await, expected);
}

#[tokio::test]
async fn an_http_server_passes_when_it_is_asked_for_the_path_and_the_host() {
    let target = strict_server().await;
    Network.probe(&check(target, http(OK), PATIENT)).await.expect("the server answers 200");
}

#[rstest]
#[case::first(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]
#[case::last(b"HTTP/1.1 204 No Content\r\n\r\n")]
#[case::of_an_old_server(b"HTTP/1.0 200 OK\r\n\r\nhello")]
#[tokio::test]
async fn a_status_within_the_range_passes(#[case] answer: &'static [u8]) {
    let target = server_that_says(answer).await;
    let range = StatusRange { first: 200, last: 204 };
    Network.probe(&check(target, http(range), PATIENT)).await.expect("the status is in the range");
}

#[tokio::test]
async fn an_answer_counts_even_if_its_body_never_ends() {
    let (listener, target) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("the check connects");
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n").await.expect("the check reads");
        future::pending::<()>().await;
    });
    Network.probe(&check(target, http(OK), Duration::from_millis(300))).await.expect("the server answers 200");
}

#[tokio::test]
async fn a_status_out_of_range_fails_with_both() {
    let target = server_that_says(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let expected = (format!("HTTP status 503 from {target}, expected 200-399"), CheckResult::Failed);
    assert_eq!(failure(check(target, http(OK), PATIENT)).await, expected);
}

#[rstest]
#[case::another_protocol(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "invalid HTTP version parsed")]
#[case::nothing(b"", "connection closed before message completed")]
#[tokio::test]
async fn an_answer_that_is_not_http_fails(#[case] answer: &'static [u8], #[case] reason: &str) {
    let target = server_that_says(answer).await;
    let expected = (format!("no HTTP answer from {target}: {reason}"), CheckResult::Failed);
    assert_eq!(failure(check(target, http(OK), PATIENT)).await, expected);
}

#[tokio::test]
async fn headers_without_end_fail() {
    let (listener, target) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("the check connects");
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await.expect("the check reads");
        while stream.write_all(b"X: 0123456789012345678901234567890123456789\r\n").await.is_ok() {}
    });
    let (text, result) = failure(check(target, http(OK), PATIENT)).await;
    assert_eq!(result, CheckResult::Failed);
    assert!(text.starts_with(&format!("no HTTP answer from {target}: ")), "{text}");
}

#[tokio::test]
async fn a_server_that_accepts_and_stays_silent_fails_in_time() {
    let (_listener, target) = listener().await;
    let expected = (format!("no HTTP answer from {target}: timed out after 50ms"), CheckResult::Failed);
    assert_eq!(failure(check(target, http(OK), IMPATIENT)).await, expected);
}

#[rstest]
#[case::descriptors(libc::EMFILE, CheckResult::Inconclusive)]
#[case::ports(libc::EADDRNOTAVAIL, CheckResult::Inconclusive)]
#[case::no_route(libc::ENETUNREACH, CheckResult::Failed)]
#[case::no_neighbour(libc::EHOSTUNREACH, CheckResult::Failed)]
fn a_lack_on_this_node_says_nothing_about_the_target(#[case] code: i32, #[case] expected: CheckResult) {
    let target = SocketAddr::from(([192, 0, 2, 1], 80));
    let error = ProbeError::Connect { target, source: io::Error::from_raw_os_error(code) };
    assert_eq!(error.result(), expected);
}
