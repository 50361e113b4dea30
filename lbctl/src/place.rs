//! Where documents come from: the agent, or the pinned maps when it does not answer.

use std::cell::Cell;

use anyhow::{Context, Result};
use lb_api::Report;
use serde::de::DeserializeOwned;
use xdp_lb::Pins;

use crate::{args::Global, client::Client, output::say};

/// A node's load balancer, as its two sources show it.
pub(crate) struct Place {
    client: Client,
    pins: Pins,
    told: Cell<bool>,
}

impl Place {
    /// The load balancer that the options name.
    pub(crate) fn new(global: &Global) -> Self {
        Self { client: Client::new(&global.socket), pins: Pins::new(&global.bpffs), told: Cell::new(false) }
    }

    /// The agent.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The pins.
    pub(crate) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Asks the agent for the document at `path`; if it does not answer, says so once and takes `installed` of what
    /// the pinned maps show.
    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str, installed: impl FnOnce(Report) -> T) -> Result<T> {
        let error = match self.client.get(path).await {
            Ok(document) => return Ok(document),
            Err(error) => error,
        };
        let (verb, socket) = (error.verb(), self.client.socket().display());
        let silent = format!("lb-agent {verb} {socket} ({:#})", anyhow::Error::from(error));
        let report = Report::read(&self.pins).with_context(|| silent.clone())?;
        if !self.told.replace(true) {
            say(format_args!("{silent}; showing what is installed"));
        }
        Ok(installed(report))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Format;

    #[tokio::test]
    async fn a_node_without_agent_and_without_pins_names_both() {
        let global = Global { output: Format::Table, socket: "/nonexistent/api.sock".into(), bpffs: "/proc".into() };
        let error = Place::new(&global).read("/v1/stats", |maps| maps.stats).await.expect_err("nothing is there");
        let text = format!("{error:#}");
        assert!(text.starts_with("lb-agent does not answer at /nonexistent/api.sock (cannot connect: "), "{text}");
        assert!(text.contains("): /proc is not a BPF file system: make it one"), "{text}");
    }
}
