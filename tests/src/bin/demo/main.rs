//! The demo: real HTTP through a real load balancer, while things die.
//!
//! A client, a router, a load balancer and three backends are built of network namespaces. The daemons are the real
//! ones, the servers are nginx, and every request is a fresh connection. On the way the load balancer's agent is killed
//! (which costs nothing: forwarding is in the kernel), then a backend's server dies, and comes back.

mod interrupt;
mod report;
mod script;
mod stage;
mod tally;
mod view;

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Parser;
use xdp_lb_tests::traffic::Traffic;

use self::{report::Report, script::Script, stage::Stage, tally::Tally, view::View};

/// Show real traffic going through the load balancer while an agent and a backend die.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// How long the traffic flows.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(8..=3600))]
    seconds: u16,
    /// Print one JSON object on standard output, and everything else on standard error.
    #[arg(long)]
    json: bool,
}

/// Time between two requests.
///
/// Selection keeps no state: a connection that is open at the very moment when its slot changes hands is reset. That may
/// happen when a backend comes back, and would be a failure after the failover. Nothing here hides it, but requests are
/// spread evenly, and sent at a fraction of the rate that the bed could take, so that it is rare.
const PAUSE: Duration = Duration::from_millis(15);
/// How often agents are looked after, and the longest time until the script goes on.
const TICK: Duration = Duration::from_millis(50);
/// Exit code of a program that a signal ended early, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match interrupt::listen().and_then(|()| run(&arguments)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    eprintln!("demo: building a client, a router, a load balancer and three backends, and starting the daemons");
    let bed = stage::build()?;
    let mut stage = Stage::set(&bed)?;
    let mut view = View::new(bed.backends.iter().map(|host| host.name().to_owned()));
    let length = Duration::from_secs(arguments.seconds.into());
    let (tally, is_finished) = play(&mut stage, &mut view, length)?;
    view.end();
    if !is_finished {
        eprintln!("demo: interrupted");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let report = Report::new(&tally, stage.backend_names(), stage.verdicts()?);
    if arguments.json {
        println!("{}", serde_json::to_string(&report).context("write the report")?);
    } else {
        println!("{report}");
    }
    let findings = report.findings(&tally);
    for finding in &findings {
        eprintln!("demo: {finding}");
    }
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Lets traffic flow for `length` while the script runs; what came of it, and whether it ran to its end.
fn play(stage: &mut Stage, view: &mut View, length: Duration) -> Result<(Tally, bool)> {
    let start = Instant::now();
    let mut tally = Tally::new(start, stage::CHECK.failover_limit());
    let mut script = Script::new(length);
    let client = stage.client();
    thread::scope(|scope| {
        let traffic = Traffic::start(scope, client, PAUSE);
        while start.elapsed() < length && !interrupt::requested() {
            // An error here is a pause without outcomes.
            if let Ok(outcome) = traffic.outcomes().recv_timeout(TICK) {
                tally.add(outcome);
            }
            stage.restart_the_dead()?;
            script.advance(start.elapsed(), stage, &mut tally, view)?;
            view.refresh(&tally, || stage.health());
        }
        let is_finished = !interrupt::requested();
        traffic.finish().for_each(|outcome| tally.add(outcome));
        Ok((tally, is_finished))
    })
}
