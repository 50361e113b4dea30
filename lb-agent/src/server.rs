//! The two HTTP servers: health and metrics on TCP, the read-only control API on a unix socket.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lb_api::{PATH_BACKENDS, PATH_STATS, PATH_STATUS, PATH_VIPS, report::ReportError};
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, UnixStream},
    task::spawn_blocking,
    time::{Duration, sleep},
};
use tracing::{debug, warn};

use crate::{
    health,
    metrics::{self, AgentMetrics},
    report,
    status::{self, Status},
};

/// A client that sends no request for so long is dropped.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The reconcile loop comes round every few seconds; when it has not for so long, the agent should be restarted.
const STUCK: Duration = Duration::from_mins(1);

/// Rest after an accept that failed, which happens when file descriptors run out.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What the servers answer from.
#[derive(Clone)]
pub struct Answers {
    /// The agent's state.
    pub status: status::Receiver,
    /// The agent's counters.
    pub metrics: AgentMetrics,
    /// The health checks' counters.
    pub checks: Arc<health::Counters>,
}

type Answer = Response<Full<Bytes>>;

/// Serves `/metrics`, `/livez` and `/readyz`.
pub async fn serve_metrics(listener: TcpListener, answers: Answers) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => serve(stream, answers.clone(), metrics_answer),
            Err(error) => accept_failed(&error).await,
        }
    }
}

/// Serves the control API to root and to the agent's own user.
pub async fn serve_api(listener: ApiListener, answers: Answers) {
    loop {
        match listener.listener.accept().await {
            Ok((stream, _)) if may_ask(&stream) => serve(stream, answers.clone(), api_answer),
            Ok(_) => warn!("a user other than root and the agent's own asked the control API: refused"),
            Err(error) => accept_failed(&error).await,
        }
    }
}

async fn accept_failed(error: &io::Error) {
    warn!("cannot accept a connection: {error}");
    sleep(ACCEPT_REST).await;
}

/// The socket is closed to others by its mode already; this holds where somebody changed that.
fn may_ask(stream: &UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

fn serve<S>(stream: S, answers: Answers, answer: fn(&Method, &str, &Answers) -> Answer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answers = answers.clone();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        // Reading maps is a row of system calls: not on a thread that also runs health checks.
        async move { spawn_blocking(move || answer(&method, &path, &answers)).await }
    });
    tokio::spawn(async move {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            debug!("connection ended: {error}");
        }
    });
}

fn metrics_answer(method: &Method, path: &str, answers: &Answers) -> Answer {
    if let Some(refusal) = refuse_unless_read(method) {
        return refusal;
    }
    let status = answers.status.borrow().clone();
    match path {
        "/metrics" => match metrics::scrape(&answers.metrics, &answers.checks, &status) {
            Ok(text) => answer(StatusCode::OK, prometheus::TEXT_FORMAT, text),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}\n")),
        },
        "/livez" if status.last_beat.elapsed() < STUCK => plain(StatusCode::OK, "ok\n"),
        "/livez" => plain(StatusCode::SERVICE_UNAVAILABLE, "the reconcile loop is stuck\n"),
        "/readyz" if status.is_serving() => plain(StatusCode::OK, "ok\n"),
        "/readyz" => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: desired state is not installed, or the program is not on every interface\n",
        ),
        _ => plain(StatusCode::NOT_FOUND, "not found: this listener serves /metrics, /livez and /readyz\n"),
    }
}

fn api_answer(method: &Method, path: &str, answers: &Answers) -> Answer {
    if let Some(refusal) = refuse_unless_read(method) {
        return refusal;
    }
    let status: Status = answers.status.borrow().clone();
    match path {
        PATH_STATUS => json(Ok(report::status(&status))),
        PATH_VIPS => json(report::vips(&status)),
        PATH_BACKENDS => json(report::backends(&status)),
        PATH_STATS => json(report::stats(&status)),
        _ => {
            let known = [PATH_STATUS, PATH_VIPS, PATH_BACKENDS, PATH_STATS].join(", ");
            plain(StatusCode::NOT_FOUND, &format!("not found: the API serves {known}\n"))
        }
    }
}

fn refuse_unless_read(method: &Method) -> Option<Answer> {
    if [Method::GET, Method::HEAD].contains(method) {
        return None;
    }
    let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD: this interface is read-only\n");
    refusal.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    Some(refusal)
}

fn json<T: Serialize>(document: Result<T, ReportError>) -> Answer {
    let body = document.map_err(anyhow::Error::from).and_then(|document| Ok(serde_json::to_string(&document)?));
    match body {
        Ok(body) => answer(StatusCode::OK, "application/json", body),
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error:#}\n")),
    }
}

fn plain(code: StatusCode, text: &str) -> Answer {
    answer(code, "text/plain; charset=utf-8", text.to_owned())
}

fn answer(code: StatusCode, content_type: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = code;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    answer
}

/// The control API's socket; removed when dropped.
pub struct ApiListener {
    listener: UnixListener,
    path: PathBuf,
}

impl ApiListener {
    /// Listens, readable by the agent's own user and root only. A socket that nobody listens on is replaced.
    pub fn bind(path: &Path) -> Result<Self> {
        let what = || format!("cannot listen on {}", path.display());
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).with_context(what)?;
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            bail!("another process listens on {}: stop it, or set `node.api_socket`", path.display());
        }
        if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
            bail!("{} exists and is not a socket: move it away, or set `node.api_socket`", path.display());
        }
        // Bound under another name, so that at no instant the socket is there with a wider mode.
        let new = path.with_file_name(format!(".lb-agent.{}", process::id()));
        let listener = UnixListener::bind(&new).with_context(what)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).with_context(what)?;
        fs::rename(&new, path).with_context(what)?;
        Ok(Self { listener, path: path.to_owned() })
    }
}

impl Drop for ApiListener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
