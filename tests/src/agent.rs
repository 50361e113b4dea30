//! The real daemon and the real command line on a host of a bed.

pub mod config;

use std::{
    env,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;

use crate::{
    bed::{Host, Process},
    http::{self, Response},
    poll,
};

/// How long an agent may take to become ready: it loads programs, and its first health checks must answer.
const READY_LIMIT: Duration = Duration::from_secs(15);
/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9477);
const CONFIG: &str = "agent.yaml";
const SOCKET: &str = "api.sock";

/// A running `lb-agent`; killed on drop, which leaves forwarding in place.
#[derive(Debug)]
pub struct Agent<'h> {
    host: &'h Host,
    process: Process,
}

impl<'h> Agent<'h> {
    /// Writes the config, starts the agent and waits until it is ready. `config` lacks the `node` section, which is
    /// added: each host has its own.
    pub fn start(host: &'h Host, config: &str) -> Result<Self> {
        configure(host, config)?;
        let mut agent = Self::launch(host)?;
        agent.wait_until_ready()?;
        Ok(agent)
    }

    /// Starts the agent with the config that the host has, and does not wait.
    pub fn launch(host: &'h Host) -> Result<Self> {
        let words = command_line(host)?;
        let arguments: Vec<_> = words[1..].iter().map(String::as_str).collect();
        let process = host.spawn("lb-agent", &words[0], &arguments)?;
        Ok(Self { host, process })
    }

    /// Waits until `/readyz` answers 200.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let what = format!("lb-agent on {} to become ready", self.host.name());
        let ready = poll::until(&what, READY_LIMIT, || match self.process.exit_status() {
            Ok(None) => self.get("/readyz").ok().filter(|response| response.status == 200).map(|_| Ok(())),
            Ok(Some(status)) => Some(Err(anyhow::anyhow!("lb-agent on {} ended: {status}", self.host.name()))),
            Err(error) => Some(Err(error)),
        });
        ready.and_then(|ended| ended).with_context(|| format!("it wrote\n{}", self.process.log()))
    }

    /// Writes another config and tells the agent to read it.
    pub fn reload(&self, config: &str) -> Result<()> {
        configure(self.host, config)?;
        self.process.signal(Signal::SIGHUP)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it with SIGKILL.
    pub fn kill(self) -> Result<()> {
        self.process.kill()
    }

    /// Ends it with SIGTERM.
    pub fn stop(self) -> Result<ExitStatus> {
        self.process.stop()
    }

    /// `GET path` on the listener for metrics and health.
    pub fn get(&self, path: &str) -> Result<Response> {
        self.host.namespace().on_thread(|| {
            let mut stream = TcpStream::connect_timeout(&METRICS, ANSWER_LIMIT).context("connect to the agent")?;
            stream.set_read_timeout(Some(ANSWER_LIMIT)).context("set a time limit")?;
            http::get(&mut stream, "localhost", path)
        })
    }

    /// A document of the control API.
    pub fn api<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        document(self.host, path)
    }
}

/// A document of the control API of the agent on this host.
pub fn document<T: DeserializeOwned>(host: &Host, path: &str) -> Result<T> {
    let socket = host.path(SOCKET);
    let mut stream = UnixStream::connect(&socket).with_context(|| format!("connect to {}", socket.display()))?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).context("set a time limit")?;
    let response = http::get(&mut stream, "localhost", path)?;
    if response.status != 200 {
        bail!("GET {path} on {}: {}: {}", host.name(), response.status, response.body);
    }
    serde_json::from_str(&response.body).with_context(|| format!("GET {path} on {}: {}", host.name(), response.body))
}

/// Writes the agent's config, completed by the host's `node` section.
pub fn configure(host: &Host, config: &str) -> Result<PathBuf> {
    let (bpffs, socket) = (host.bpffs().display(), host.path(SOCKET));
    let node = format!("node:\n  bpffs: {bpffs}\n  api_socket: {}\n  metrics: {METRICS}\n", socket.display());
    host.write(CONFIG, &format!("{node}{config}"))
}

/// Program and arguments that run the agent on a host, with the config that the host has.
pub fn command_line(host: &Host) -> Result<Vec<String>> {
    let (program, config) = (binary("lb-agent")?, host.path(CONFIG));
    Ok(vec![text(&program)?.to_owned(), "run".to_owned(), "--config".to_owned(), text(&config)?.to_owned()])
}

/// Runs `lbctl` on a host to its end, whatever its exit code.
pub fn lbctl(host: &Host, arguments: &[&str]) -> Result<Output> {
    let mut command = host.namespace().command(binary("lbctl")?)?;
    command.arg("--socket").arg(host.path(SOCKET)).arg("--bpffs").arg(host.bpffs()).args(arguments);
    command.stdin(Stdio::null()).output().context("run lbctl")
}

/// One of the workspace's programs, which cargo puts beside the demo and above the tests.
fn binary(name: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("find the running program")?;
    let beside = own.ancestors().skip(1).take(2).map(|directory| directory.join(name)).find(|path| path.is_file());
    beside.with_context(|| format!("{name} is not built: run `cargo xtask test` or `cargo xtask demo`, which build it"))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not text", path.display()))
}
