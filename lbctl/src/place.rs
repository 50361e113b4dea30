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
            Err(error) => anyhow::Error::from(error),
        };
        let silent = format!("lb-agent does not answer at {} ({error:#})", self.client.socket().display());
        let report = Report::read(&self.pins).with_context(|| silent.clone())?;
        if !self.told.replace(true) {
            say(format_args!("{silent}; showing what is installed"));
        }
        Ok(installed(report))
    }
}
