//! The daemon put together: config, data plane, sources, reconcile loop, servers.

use std::{collections::BTreeSet, net::IpAddr, os::fd::AsFd, path::Path, sync::Arc, thread, time::Instant};

use anyhow::{Context, Result};
use lb_api::Role;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::resource::{Resource, getrlimit, setrlimit},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{info, warn};

use crate::{
    config::{self, Config},
    config_file::ConfigFile,
    data_plane::DataPlane,
    health::Checker,
    logging,
    metrics::AgentMetrics,
    next_hops::{self, NextHops, Watching},
    reconcile::{Parts, Reconciler, place},
    report::VERSION,
    server::{Answers, ApiListener, serve_api, serve_metrics},
    status::Status,
};

/// Runs the daemon until SIGTERM or SIGINT. What is installed stays installed.
pub async fn run(file: &Path) -> Result<()> {
    let config = config::load(file)?;
    let level = logging::start(config.log)?;
    info!(version = VERSION, file = %file.display(), role = ?config.role, "lb-agent starts");
    let shutdown = shutdown_signal()?;
    let config_file = ConfigFile::watch(file)?;

    raise_descriptor_limit();

    // Everything that can refuse the start comes before the first change to the data plane.
    let node = &config.node;
    let metrics_listener = TcpListener::bind(node.metrics)
        .await
        .with_context(|| format!("cannot listen on {} for metrics: set `node.metrics`", node.metrics))?;
    let api_listener = ApiListener::bind(&node.api_socket)?;
    let mut data_plane = DataPlane::start(&config).map_err(|error| place(file, &config, error))?;
    read_program_log(&mut data_plane);

    let (destinations, watched) = watch::channel(config.destinations());
    let watching = watch_next_hops(&config, watched).await?;
    let next_hops = follow(watching.as_ref());
    let checker = Checker::spawn();
    let (config, metrics) = (Arc::new(config), AgentMetrics::new()?);
    let (status, status_receiver) = watch::channel(Status {
        config: Arc::clone(&config),
        file: file.to_owned(),
        started: Instant::now(),
        generation: 1,
        config_error: None,
        last_beat: Instant::now(),
        ready: false,
        attachments: data_plane.attachments().to_vec(),
        attach_problem: None,
        health: checker.subscribe().borrow().clone(),
        next_hops: Arc::clone(&next_hops.borrow()),
        reconcile_problems: Vec::new(),
    });
    let answers = Answers { status: status_receiver, metrics: metrics.clone(), checks: checker.counters() };
    let servers = [
        tokio::spawn(serve_metrics(metrics_listener, answers.clone())),
        tokio::spawn(serve_api(api_listener, answers)),
    ];
    let file = file.to_owned();
    let parts =
        Parts { data_plane, config, file, checker, destinations, next_hops, status, level, metrics, config_file };
    let ended = Reconciler::new(parts).run(watching, shutdown).await;
    for server in servers {
        server.abort();
        // Its end is awaited because it owns the socket's path, which is removed then.
        let _ = server.await;
    }
    info!("lb-agent stops; what is installed goes on forwarding");
    ended
}

/// Every health check under way holds a descriptor.
fn raise_descriptor_limit() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        warn!("cannot raise the limit of open files: {error}");
    }
}

/// A backend has no next hops to follow.
async fn watch_next_hops(config: &Config, destinations: watch::Receiver<BTreeSet<IpAddr>>) -> Result<Option<Watching>> {
    match config.role {
        Role::Ingress => Ok(Some(next_hops::watch(destinations).await.context("cannot watch routes and neighbours")?)),
        Role::Backend => Ok(None),
    }
}

fn follow(watching: Option<&Watching>) -> watch::Receiver<Arc<NextHops>> {
    match watching {
        Some(watching) => watching.next_hops.clone(),
        None => watch::channel(Arc::default()).1,
    }
}

/// Completes on SIGTERM or SIGINT.
fn shutdown_signal() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Passes on what a program built with `debug-log` says; other programs have nothing to say.
fn read_program_log(data_plane: &mut DataPlane) {
    let object = data_plane.program().object();
    if object.map("AYA_LOGS").is_none() {
        return;
    }
    match aya_log::EbpfLogger::init(object) {
        Ok(mut log) => {
            thread::spawn(move || {
                let readable = |log: &aya_log::EbpfLogger<_>| {
                    poll(&mut [PollFd::new(log.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)
                };
                while readable(&log).is_ok() {
                    log.flush();
                }
            });
        }
        Err(error) => warn!("the program's log is not read: {error:#}"),
    }
}
