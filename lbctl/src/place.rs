//! Where documents come from: the agent, or the pinned maps when it does not answer.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use lb_api::{PATH_STATUS, Report, Status};
use serde::de::DeserializeOwned;
use xdp_lb::{Pins, pins::DEFAULT_BPFFS};

use crate::{args::Global, client::Client, output::say};

/// A node's load balancer, as its two sources show it.
pub(crate) struct Place {
    client: Client,
    bpffs: Option<PathBuf>,
    told: Cell<bool>,
}

impl Place {
    /// The load balancer that the options name.
    pub(crate) fn new(global: &Global) -> Self {
        Self { client: Client::new(&global.socket), bpffs: global.bpffs.clone(), told: Cell::new(false) }
    }

    /// The agent.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The pins: where the options say, else where the agent has them, else where they are by default.
    pub(crate) async fn pins(&self) -> Pins {
        if let Some(bpffs) = &self.bpffs {
            return Pins::new(bpffs);
        }
        let status: Option<Status> = self.client.get(PATH_STATUS).await.ok();
        // The agent names the directory of its ABI version, two levels below the mount point.
        let mounted = status.and_then(|status| status.pins.ancestors().nth(2).map(Path::to_owned));
        Pins::new(mounted.unwrap_or_else(|| DEFAULT_BPFFS.into()))
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
        let pins = Pins::new(self.bpffs.as_deref().unwrap_or(Path::new(DEFAULT_BPFFS)));
        let report = Report::read(&pins).with_context(|| silent.clone())?;
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
        let global =
            Global { output: Format::Table, socket: "/nonexistent/api.sock".into(), bpffs: Some("/proc".into()) };
        let error = Place::new(&global).read("/v1/stats", |maps| maps.stats).await.expect_err("nothing is there");
        let text = format!("{error:#}");
        assert!(text.starts_with("lb-agent does not answer at /nonexistent/api.sock (cannot connect: "), "{text}");
        assert!(text.contains("): /proc is not a BPF file system: make it one"), "{text}");
    }
}
