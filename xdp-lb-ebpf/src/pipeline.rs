//! The load balancer's packet path, top to bottom. Only this file knows the order of its steps.

use core::ops::ControlFlow::{Break, Continue};

use xdp_lb_abi::{Gates, Mode, Reason};

use crate::{
    encapsulate::encapsulate,
    flow::FlowHash,
    fragment,
    headers::{protocol, tcp_flag},
    lookup::{self, Service},
    next_hop::resolve,
    packet::Frame,
    parse::{Packet, parse},
    reply,
    select::{Backend, select},
    tables::Tables,
    verdict::{Step, Verdict},
};

/// Gives a packet its verdict, counts it once, and rewrites it if it is to be forwarded or answered.
#[inline(always)]
pub fn balance(frame: &mut impl Frame, tables: &impl Tables) -> Verdict {
    let bytes = frame.length();
    let (Continue(verdict) | Break(verdict)) = judge(frame, bytes, tables);
    tables.count(verdict, bytes);
    verdict
}

#[inline(always)]
fn judge(frame: &mut impl Frame, bytes: u64, tables: &impl Tables) -> Step<Verdict> {
    let packet = parse(frame, bytes)?;
    let (Continue(verdict) | Break(verdict)) = forward(frame, &packet, bytes, tables);
    Continue(reply::carry_out(frame, &packet, verdict, bytes, tables))
}

#[inline(always)]
fn forward(frame: &mut impl Frame, packet: &Packet, bytes: u64, tables: &impl Tables) -> Step<Verdict> {
    let service = lookup::service(frame, packet, tables)?;
    let gates = tables.gates();
    check_tcp_flags(packet, &service, gates)?;
    let flow = if service.member == 0 {
        FlowHash::of_input(tables.hash_seed(), service.hash, service.client, service.transport.ports)
    } else {
        FlowHash::from_word(service.remembered_flow)
    };
    let backend = select(service.vip, flow, service.member, tables)?;
    if packet.fragment.is_first() {
        fragment::remember(service.vip, packet, flow, &backend, tables);
    }
    deliver_locally(packet, &service, &backend, bytes, tables)?;
    check_ttl(packet, &service, gates)?;
    let egress = resolve(service.vip, frame, packet, &backend, tables)?;
    encapsulate(service.vip, frame, packet, flow, &backend, &egress, tables)?;
    tables.count_member(backend.counter, bytes);
    let reason = match packet.protocol {
        _ if egress.redirected => Reason::Redirected,
        protocol::ICMP | protocol::ICMPV6 => Reason::ForwardedIcmpError,
        _ if packet.fragment.is_first() => Reason::FirstFragment,
        _ if packet.fragment.is_later() => Reason::LaterFragment,
        _ => Reason::Forwarded,
    };
    Continue(Verdict::new(service.vip, reason))
}

/// Stops TCP flags that no sender sets together but scanners do: SYN with FIN or RST, and none of SYN, RST and ACK (null,
/// FIN and "Xmas" scans).
///
/// Every segment but the first SYN and some resets carries ACK, and receivers drop what does not (RFC 9293, sections 3.1
/// and 3.10.7.4). T/TCP, which ended connections with their first segment, is historic (RFC 6247). FIN with RST is let
/// through, as some stacks do send it (Linux's connection tracking refuses it: `tcp_valid_flags` in
/// `nf_conntrack_proto_tcp.c`). Reserved bits and the flags of ECN do not matter.
#[inline(always)]
fn check_tcp_flags(packet: &Packet, service: &Service, gates: Gates) -> Step<()> {
    let flags = service.transport.flags;
    let opens_and_closes = flags & tcp_flag::SYN != 0 && flags & (tcp_flag::FIN | tcp_flag::RST) != 0;
    let does_nothing = flags & (tcp_flag::SYN | tcp_flag::RST | tcp_flag::ACK) == 0;
    if gates.has(Gates::CHECK_TCP_FLAGS)
        && packet.protocol == protocol::TCP
        && !packet.fragment.is_later()
        && (opens_and_closes || does_nothing)
    {
        return Break(Verdict::new(service.vip, Reason::BadTcpFlags));
    }
    Continue(())
}

/// Hands packets for a backend on this node to its stack, as they are. This is where they end, so a TTL of 1 will do.
#[inline(always)]
fn deliver_locally(
    packet: &Packet,
    service: &Service,
    backend: &Backend,
    bytes: u64,
    tables: &impl Tables,
) -> Step<()> {
    if backend.encapsulation.mode() != Mode::Local {
        return Continue(());
    }
    if packet.ttl == 0 {
        return Break(Verdict::new(service.vip, Reason::TtlExpired));
    }
    tables.count_member(backend.counter, bytes);
    Break(Verdict::new(service.vip, Reason::LocalBackend))
}

/// Stops packets whose TTL or hop limit ends here: at 0 always, at 1 if this node lowers it. Then it is a router, which
/// tells the sender, unless the packet is an ICMP error itself.
#[inline(always)]
fn check_ttl(packet: &Packet, service: &Service, gates: Gates) -> Step<()> {
    let least = if gates.has(Gates::DECREMENT_TTL) { 2 } else { 1 };
    if packet.ttl >= least {
        return Continue(());
    }
    let is_error = matches!(packet.protocol, protocol::ICMP | protocol::ICMPV6);
    let reason = if packet.ttl == 0 || is_error || packet.fragment.is_later() {
        Reason::TtlExpired
    } else {
        Reason::TimeExceeded
    };
    Break(Verdict::new(service.vip, reason))
}

#[cfg(test)]
mod tests;
