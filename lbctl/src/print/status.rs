//! `lbctl status`.

use std::io::{self, Write};

use lb_api::{Interface, Mode, Role, Status};

use super::{
    table::Table,
    text::{UNKNOWN, duration, or_unknown, reason},
};

/// The agent, what is attached, packets by reason, problems. `wide` adds what the reasons mean.
pub(crate) fn status(out: &mut dyn Write, status: &Status, wide: bool) -> io::Result<()> {
    daemon(out, status)?;
    let role = status.role.map(|role| match role {
        Role::Ingress => "ingress",
        Role::Backend => "backend",
    });
    writeln!(out, "role      {}", or_unknown(role))?;
    writeln!(out, "pins      {} (ABI {})", status.pins.display(), status.abi_version)?;
    if !status.interfaces.is_empty() {
        writeln!(out)?;
        interfaces(&status.interfaces).write(out)?;
    }
    if !status.packets.is_empty() {
        writeln!(out)?;
        if wide { described_packets(status) } else { packets(status) }.write(out)?;
    }
    writeln!(out)?;
    if status.problems.is_empty() {
        return writeln!(out, "no problems");
    }
    writeln!(out, "problems:")?;
    status.problems.iter().try_for_each(|problem| writeln!(out, "  - {problem}"))
}

fn daemon(out: &mut dyn Write, status: &Status) -> io::Result<()> {
    let Some(agent) = &status.agent else { return writeln!(out, "lb-agent  not running") };
    let ready = if agent.ready { "ready" } else { "not ready" };
    let up = duration(agent.uptime_seconds);
    writeln!(out, "lb-agent  {}, pid {}, up {up}, {ready}", status.version, agent.pid)?;
    let refused = if agent.config.error.is_some() { ", its newest version was refused" } else { "" };
    writeln!(out, "config    {}, generation {}{refused}", agent.config.file.display(), agent.config.generation)
}

fn interfaces(interfaces: &[Interface]) -> Table {
    let mut table = Table::new(&["INTERFACE", "#INDEX", "MODE", "#PROGRAM"]);
    for interface in interfaces {
        let mode = match (interface.mode, interface.program_id) {
            (Some(Mode::Native), _) => "native",
            (Some(Mode::Generic), _) => "generic",
            (None, Some(_)) => UNKNOWN,
            (None, None) => "not attached",
        };
        let (index, program) = (or_unknown(interface.index), or_unknown(interface.program_id));
        table.row([interface.name.clone(), index, mode.to_owned(), program]);
    }
    table
}

fn packets(status: &Status) -> Table {
    let mut table = Table::new(&["VERDICT", "REASON", "#PACKETS"]);
    for (name, packets) in &status.packets {
        let verdict = or_unknown(reason(name).map(|reason| reason.kind().name()));
        table.row([verdict, name.clone(), packets.to_string()]);
    }
    table
}

fn described_packets(status: &Status) -> Table {
    let mut table = Table::new(&["VERDICT", "REASON", "#PACKETS", "MEANING"]);
    for (name, packets) in &status.packets {
        let known = reason(name);
        let verdict = or_unknown(known.map(|reason| reason.kind().name()));
        let meaning = or_unknown(known.map(|reason| reason.description().trim()));
        table.row([verdict, name.clone(), packets.to_string(), meaning]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::{printed, samples};

    #[test]
    fn a_status_names_the_agent_the_interfaces_the_packets_and_the_problems() {
        let expected = "\
lb-agent  1.2.3, pid 42, up 2h1m, ready
config    /etc/lb-agent.yaml, generation 2
role      ingress
pins      /sys/fs/bpf/xdp-lb/v1 (ABI 1)

INTERFACE  INDEX  MODE          PROGRAM
eth0           2  native             77
eth1           -  not attached        -

VERDICT  REASON      PACKETS
forward  forwarded      1200
drop     no_service        3

problems:
  - the interface eth1 is gone
";
        assert_eq!(printed(|out| status(out, &samples::status(), false)), expected);
    }

    #[test]
    fn a_status_without_agent_says_so() {
        let bare = Status {
            role: None,
            agent: None,
            interfaces: Vec::new(),
            problems: Vec::new(),
            packets: [].into(),
            ..samples::status()
        };
        let expected = "\
lb-agent  not running
role      -
pins      /sys/fs/bpf/xdp-lb/v1 (ABI 1)

no problems
";
        assert_eq!(printed(|out| status(out, &bare, false)), expected);
    }

    #[test]
    fn a_wide_status_explains_the_reasons() {
        let wide = printed(|out| status(out, &samples::status(), true));
        assert!(wide.contains("forward  forwarded      1200  Sent to a backend.\n"), "{wide}");
    }
}
