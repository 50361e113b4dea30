//! Answers that the program gives itself, in the VIP's name: the packet becomes its answer and goes back by the
//! interface and to the MAC it came from.
//!
//! The steps before decide *that* a packet is answered: their verdict is of the kind "reply". What is left is whether
//! this sender may be answered now, and the bytes.

use xdp_lb_abi::{Addr, Family, Gates, Reason, ReasonKind};

use crate::{
    headers::ETHERNET_LEN,
    packet::{Frame, Window},
    parse::Packet,
    tables::Tables,
    verdict::Verdict,
};

mod echo;
mod error;

use error::Problem;

/// TTL or hop limit of answers.
const REPLY_TTL: u8 = 64;

/// Carries out a verdict of the kind "reply"; every other verdict is returned as it is. Fails before anything was
/// written, or not at all.
#[inline(always)]
pub fn carry_out(
    frame: &mut impl Frame,
    packet: &Packet,
    verdict: Verdict,
    bytes: u64,
    tables: &impl Tables,
) -> Verdict {
    if !matches!(verdict.reason().kind(), ReasonKind::Reply) {
        return verdict;
    }
    let instead = |reason| Verdict::new(verdict.vip(), reason);
    if verdict.reason() == Reason::EchoReply && !tables.gates().has(Gates::ECHO_REPLY) {
        return instead(Reason::UnsupportedProtocol);
    }
    if packet.ttl == 0 {
        return instead(Reason::TtlExpired);
    }
    if !is_single_host(packet) || is_group_frame(frame) {
        return instead(Reason::NoReplyAddress);
    }
    if !tables.may_reply() {
        return instead(Reason::IcmpRateLimited);
    }
    let reason = verdict.reason();
    let is_answered = if reason == Reason::EchoReply {
        echo::answer(frame, packet)
    } else {
        let problem =
            if reason == Reason::PacketTooBig { Problem::TooBig(verdict.mtu()) } else { Problem::TimeExceeded };
        error::answer(frame, packet, problem, bytes)
    };
    // An echo request needs no room.
    if is_answered.is_some() { verdict } else { instead(Reason::NoHeadroom) }
}

/// Whether the source address is one host's: an answer to any other would reach many, or nobody (RFC 1122, section
/// 3.2.1.3; RFC 4443, section 2.4).
#[inline(always)]
fn is_single_host(packet: &Packet) -> bool {
    let [high, low] = packet.source.words();
    let is_this_vip = [high, low] == packet.destination.words();
    let is_single = match packet.family {
        // 0/8 and 127/8 never come from a wire; 224/3 is multicast, reserved and broadcast.
        Family::V4 => {
            let first = packet.source.v4_word().to_ne_bytes()[0];
            first != 0 && first != 127 && first < 224
        }
        Family::V6 => high.to_ne_bytes()[0] != 0xff && packet.source.words() != Addr::UNSPECIFIED.words(),
    };
    is_single && !is_this_vip
}

/// Whether the frame went to more than one station.
#[inline(always)]
fn is_group_frame(frame: &impl Frame) -> bool {
    Window::<ETHERNET_LEN>::at(frame, 0).is_none_or(|ethernet| ethernet.get::<u8, 0>() & 1 != 0)
}

/// Sends the frame back to where it came from.
#[inline(always)]
fn swap_macs(ethernet: &mut Window<'_, ETHERNET_LEN>) {
    let destination = (ethernet.get::<u32, 0>(), ethernet.get::<u16, 4>());
    let source = (ethernet.get::<u32, 6>(), ethernet.get::<u16, 10>());
    ethernet.set::<u32, 0>(source.0);
    ethernet.set::<u16, 4>(source.1);
    ethernet.set::<u32, 6>(destination.0);
    ethernet.set::<u16, 10>(destination.1);
}
