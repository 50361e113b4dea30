//! The client against a small server on a socket of its own.

use std::{convert::Infallible, env, fs, process};

use http_body_util::Full;
use hyper::{Response, server, service::service_fn};
use tokio::net::UnixListener;

use super::*;

/// A path for a socket, removed in the end.
struct Socket(PathBuf);

impl Socket {
    fn new(name: &str) -> Self {
        Self(env::temp_dir().join(format!("lbctl-{}-{name}.sock", process::id())))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Answers requests for one path with this body, and all others with 404.
fn serve(socket: &Socket, path: &'static str, body: &'static str) {
    let listener = UnixListener::bind(&socket.0).expect("a socket in the temporary directory");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request: Request<hyper::body::Incoming>| async move {
                let known = request.uri().path() == path;
                let body = if known { body } else { "no such document\n" };
                let status = if known { StatusCode::OK } else { StatusCode::NOT_FOUND };
                Ok::<_, Infallible>(
                    Response::builder().status(status).body(Full::<Bytes>::from(body)).expect("a valid response"),
                )
            });
            tokio::spawn(server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

#[tokio::test]
async fn a_document_is_read() {
    let socket = Socket::new("document");
    serve(&socket, "/v1/list", "[1, 2]");
    let client = Client::new(&socket.0);
    assert!(client.is_alive().await);
    assert_eq!(client.get::<Vec<u32>>("/v1/list").await.expect("a document"), [1, 2]);
}

#[tokio::test]
async fn a_document_that_the_agent_does_not_know_is_named() {
    let socket = Socket::new("unknown");
    serve(&socket, "/v1/list", "[]");
    let error = Client::new(&socket.0).get::<Vec<u32>>("/v1/other").await.expect_err("404");
    assert_eq!(error.to_string(), "it answers 404 Not Found to GET /v1/other: no such document");
}

#[tokio::test]
async fn a_document_of_another_shape_is_refused() {
    let socket = Socket::new("shape");
    serve(&socket, "/v1/list", "{}");
    let error = Client::new(&socket.0).get::<Vec<u32>>("/v1/list").await.expect_err("another shape");
    assert!(matches!(error, ClientError::Document { .. }), "{error}");
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_no_agent() {
    let socket = Socket::new("nobody");
    let client = Client::new(&socket.0);
    assert!(!client.is_alive().await);
    let error = client.get::<Vec<u32>>("/v1/list").await.expect_err("nobody listens");
    assert!(matches!(error, ClientError::Connect(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_hangs_is_given_up() {
    let socket = Socket::new("hangs");
    let _listener = UnixListener::bind(&socket.0).expect("a socket in the temporary directory");
    let error = Client::new(&socket.0).get::<Vec<u32>>("/v1/list").await.expect_err("no answer");
    assert!(matches!(error, ClientError::Timeout), "{error}");
}
