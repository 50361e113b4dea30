//! `lbctl explain`.

use std::{
    io::{self, Write},
    net::{IpAddr, SocketAddr},
};

use lb_api::NextHop;
use serde::Serialize;
use xdp_lb_abi::{Encapsulation, Reason};

use super::{text, vips::way};

/// What the program does with a flow's first packet.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) protocol: String,
    /// Where the packet comes in.
    pub(crate) interface: String,
    pub(crate) verdict: String,
    pub(crate) reason: String,
    /// What the reason means.
    pub(crate) description: String,
    pub(crate) backend: Option<Chosen>,
    /// Whether the attached program is the one that answered.
    pub(crate) same_program: bool,
}

/// The backend that gets the flow.
#[derive(Debug, Serialize)]
pub(crate) struct Chosen {
    pub(crate) name: Option<String>,
    pub(crate) address: IpAddr,
    pub(crate) encapsulation: String,
    pub(crate) next_hop: Option<NextHop>,
}

/// What the program does with the flow, why, and where it sends it. `wide` adds the details of the next hop.
pub(crate) fn explanation(out: &mut dyn Write, explanation: &Explanation, wide: bool) -> io::Result<()> {
    let Explanation { from, to, protocol, interface, .. } = explanation;
    writeln!(out, "flow      {from} -> {to}/{protocol} on {interface}")?;
    writeln!(out, "verdict   {}", explanation.verdict)?;
    writeln!(out, "reason    {}: {}", explanation.reason, explanation.description)?;
    let Some(backend) = &explanation.backend else {
        // Of an address that is no VIP there is nothing to see.
        let is_vip = explanation.reason != Reason::NotVip.name();
        return if is_vip { writeln!(out, "see       lbctl vip show {}", to.ip()) } else { Ok(()) };
    };
    let name = text::backend(backend.name.as_deref(), backend.address);
    writeln!(out, "backend   {name}, {}", backend.encapsulation)?;
    if backend.encapsulation == Encapsulation::LocalV4.name() {
        return Ok(());
    }
    writeln!(out, "next hop  {}", way(backend.next_hop.as_ref()))?;
    match &backend.next_hop {
        Some(hop) if wide => {
            let mac = text::or_unknown(hop.mac.as_ref());
            writeln!(out, "          MAC {mac}, source {}, MTU {}", hop.source, hop.mtu)
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::{printed, samples};

    fn forwarded() -> Explanation {
        let member = samples::vip().members.swap_remove(0);
        Explanation {
            from: "198.51.100.7:40000".parse().expect("an address"),
            to: "192.0.2.10:80".parse().expect("an address"),
            protocol: "tcp".to_owned(),
            interface: "eth0".to_owned(),
            verdict: "forward".to_owned(),
            reason: "forwarded".to_owned(),
            description: "Sent to a backend.".to_owned(),
            backend: Some(Chosen {
                name: member.name,
                address: member.address,
                encapsulation: member.encapsulation,
                next_hop: member.next_hop,
            }),
            same_program: true,
        }
    }

    #[test]
    fn a_forwarded_flow_names_its_backend_and_the_way_there() {
        let expected = "\
flow      198.51.100.7:40000 -> 192.0.2.10:80/tcp on eth0
verdict   forward
reason    forwarded: Sent to a backend.
backend   web-1 (10.0.0.11), ipip4
next hop  10.0.0.1 on eth0
          MAC 02:00:00:00:00:01, source 10.0.0.2, MTU 1500
";
        assert_eq!(printed(|out| explanation(out, &forwarded(), true)), expected);
    }

    #[test]
    fn a_flow_that_stays_on_this_node_has_no_next_hop() {
        let mut local = forwarded();
        local.backend.as_mut().expect("a backend").encapsulation = "local".to_owned();
        let text = printed(|out| explanation(out, &local, true));
        assert!(text.ends_with("backend   web-1 (10.0.0.11), local\n"), "{text}");
    }

    #[test]
    fn a_dropped_flow_has_no_backend_and_names_where_to_look() {
        let dropped = Explanation {
            verdict: "drop".to_owned(),
            reason: "no_service".to_owned(),
            description: "No such service.".to_owned(),
            backend: None,
            ..forwarded()
        };
        let text = printed(|out| explanation(out, &dropped, false));
        let expected = "verdict   drop\nreason    no_service: No such service.\nsee       lbctl vip show 192.0.2.10\n";
        assert!(text.ends_with(expected), "{text}");
    }
}
