//! A client of lb-agent's control API: one request per connection over its unix socket.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, time};

/// How long an answer may take. The agent reads its maps in milliseconds; beyond this it hangs.
const LIMIT: Duration = Duration::from_secs(2);

/// The agent's control API.
#[derive(Debug)]
pub(crate) struct Client {
    socket: PathBuf,
}

/// Why there is no document, for a sentence that has named the agent and its socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// No answer in time.
    #[error("no answer within {LIMIT:?}")]
    Timeout,
    /// Not HTTP, or the connection broke.
    #[error("the connection broke")]
    Http(#[from] hyper::Error),
    /// An answer without document.
    #[error("it answers {status} to GET {path}: {body}")]
    Refused {
        /// Which document.
        path: String,
        /// The answer.
        status: StatusCode,
        /// What it says.
        body: String,
    },
    /// A document of another release.
    #[error("its answer to GET {path} is not what this lbctl knows; are both of the same release?")]
    Document {
        /// Which document.
        path: String,
        /// Where it differs.
        source: serde_json::Error,
    },
}

impl ClientError {
    /// What the agent does, with its socket to follow.
    pub(crate) const fn verb(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::Timeout | Self::Http(_) => "does not answer at",
            Self::Refused { .. } | Self::Document { .. } => "gives no usable answer at",
        }
    }
}

impl Client {
    /// A client of the agent that listens on this socket. Does not connect yet.
    pub(crate) fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks for a document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let (status, body) = time::timeout(LIMIT, self.request(path)).await.map_err(|_| ClientError::Timeout)??;
        if status != StatusCode::OK {
            let body = String::from_utf8_lossy(&body).trim().to_owned();
            return Err(ClientError::Refused { path: path.to_owned(), status, body });
        }
        serde_json::from_slice(&body).map_err(|source| ClientError::Document { path: path.to_owned(), source })
    }

    /// Whether somebody listens.
    pub(crate) async fn is_alive(&self) -> bool {
        UnixStream::connect(&self.socket).await.is_ok()
    }

    async fn request(&self, path: &str) -> Result<(StatusCode, Bytes), ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(ClientError::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(path)
            .header(header::HOST, "lb-agent")
            .body(Empty::<Bytes>::new())
            .expect("paths of the API are valid");
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        // The connection makes progress only while it is polled, and the exchange only with it.
        let mut connection = std::pin::pin!(connection);
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            ended = &mut connection => {
                ended?;
                exchange.await
            }
        }
    }
}

#[cfg(test)]
mod tests;
