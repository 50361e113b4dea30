//! One check over the network.

use std::{
    convert::Infallible,
    future::{self, Future},
    io,
    net::SocketAddr,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::http1,
    header::{CONNECTION, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout_at},
};

use super::{CheckKind, CheckSpec, state::CheckResult};
use crate::config::StatusRange;

/// What backends see in their logs.
const AGENT: &str = concat!("lb-agent/", env!("CARGO_PKG_VERSION"));

/// Room for the status line and the headers of an answer: the least that hyper allows.
const MAX_HEADERS: usize = 8192;

/// Bytes of an answer's body that are read so that the server can finish in peace.
const MAX_BODY: usize = 64 << 10;

/// Why a check did not pass. The text of equal failures is equal, and names the target.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No connection.
    #[error("connect to {target}: {}", reason(source))]
    Connect {
        /// Whom we asked.
        target: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// No connection in time.
    #[error("connect to {target}: timed out after {timeout:?}")]
    ConnectTimeout {
        /// Whom we asked.
        target: SocketAddr,
        /// Time that the whole check had.
        timeout: Duration,
    },
    /// The path or host cannot be sent.
    #[error("request to {target}: {source}")]
    Request {
        /// Whom we meant to ask.
        target: SocketAddr,
        /// What is wrong with the request.
        source: hyper::http::Error,
    },
    /// A connection, but no HTTP answer.
    #[error("no HTTP answer from {target}: {source}")]
    Http {
        /// Whom we asked.
        target: SocketAddr,
        /// What came instead.
        source: hyper::Error,
    },
    /// A connection, but no HTTP answer in time.
    #[error("no HTTP answer from {target}: timed out after {timeout:?}")]
    HttpTimeout {
        /// Whom we asked.
        target: SocketAddr,
        /// Time that the whole check had.
        timeout: Duration,
    },
    /// An HTTP answer with another status than wanted.
    #[error("HTTP status {status} from {target}, expected {expected}")]
    Status {
        /// Whom we asked.
        target: SocketAddr,
        /// What it answered.
        status: u16,
        /// What would have passed.
        expected: StatusRange,
    },
}

impl ProbeError {
    /// What the failure says about the target: nothing, where this node had no socket or port to ask with.
    pub fn result(&self) -> CheckResult {
        match self {
            Self::Connect { source, .. } if is_local(source) => CheckResult::Inconclusive,
            Self::Request { .. } => CheckResult::Inconclusive,
            Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Http { .. }
            | Self::HttpTimeout { .. }
            | Self::Status { .. } => CheckResult::Failed,
        }
    }
}

/// Whether the error is a lack on this node: descriptors, memory, ports.
fn is_local(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL | libc::EAGAIN)
    )
}

/// The system's error; without its number where the name says all.
fn reason(error: &io::Error) -> String {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    let kind = error.kind();
    if matches!(kind, ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable) {
        kind.to_string()
    } else {
        error.to_string()
    }
}

/// Something that makes checks.
pub trait Probe: Clone + Send + Sync + 'static {
    /// Makes one check.
    ///
    /// # Errors
    ///
    /// Why it did not pass.
    fn probe(&self, check: &CheckSpec) -> impl Future<Output = Result<(), ProbeError>> + Send;
}

/// Checks over the network, each with a connection of its own.
#[derive(Clone, Copy, Debug)]
pub struct Network;

impl Probe for Network {
    async fn probe(&self, check: &CheckSpec) -> Result<(), ProbeError> {
        let CheckSpec { target, timeout, .. } = *check;
        let deadline = Instant::now() + timeout;
        let stream = timeout_at(deadline, connect(target))
            .await
            .map_err(|_elapsed| ProbeError::ConnectTimeout { target, timeout })?
            .map_err(|source| ProbeError::Connect { target, source })?;
        match &check.kind {
            CheckKind::Tcp => Ok(()),
            CheckKind::Http { path, host, status: expected } => {
                let request = request(path, host).map_err(|source| ProbeError::Request { target, source })?;
                let answer = exchange(stream, request, deadline).await;
                match answer.map_err(|source| ProbeError::Http { target, source })? {
                    None => Err(ProbeError::HttpTimeout { target, timeout }),
                    Some(status) if expected.contains(status) => Ok(()),
                    Some(status) => Err(ProbeError::Status { target, status, expected: *expected }),
                }
            }
        }
    }
}

/// A connection that ends with a reset: ended in the usual way, each check would hold a port for a minute.
async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_zero_linger()?;
    socket.connect(target).await
}

fn request(path: &str, host: &str) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    Request::get(path).header(HOST, host).header(USER_AGENT, AGENT).header(CONNECTION, "close").body(Empty::new())
}

/// Sends the request; returns the status of the answer, or `None` if there is none at the deadline.
async fn exchange(stream: TcpStream, request: Request<Empty<Bytes>>, deadline: Instant) -> hyper::Result<Option<u16>> {
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MAX_HEADERS).handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let Ok(response) = timeout_at(deadline, sender.send_request(request)).await else { return Ok(None) };
        let response = response?;
        let status = response.status().as_u16();
        // The answer counts, however and whenever its body ends.
        timeout_at(deadline, read_body(response)).await.ok();
        Ok(Some(status))
    };
    // The exchange hears of all that happens to its connection, which only needs to be driven.
    let driver = async {
        connection.await.ok();
        future::pending::<Infallible>().await
    };
    tokio::select! {
        biased;
        outcome = exchange => outcome,
        never = driver => match never {},
    }
}

/// Reads the body to its end or to a limit: a reset in its middle would be an error in the server's log.
async fn read_body(response: Response<Incoming>) {
    let mut body = response.into_body();
    let mut read = 0;
    while let Some(Ok(frame)) = body.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read >= MAX_BODY {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
