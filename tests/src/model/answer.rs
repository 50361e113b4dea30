//! Packets that are answered.

use std::net::IpAddr;

use xdp_lb_abi::Reason;

use super::{
    Counted, Model, Outcome,
    forward::updated,
    packet::{Packet, number},
};
use crate::builder::{Frame, Icmp, Ipv4, Ipv6, frame, ipv4::DONT_FRAGMENT};

/// TTL or hop limit of answers.
const TTL: u8 = 64;
/// Longest ICMP error in IPv4 (RFC 1812) and in IPv6 (RFC 4443).
const LONGEST: [usize; 2] = [576, 1280];

/// What a sender is told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    /// How long its packets may be.
    TooBig(u16),
    /// That the TTL or hop limit has ended.
    TimeExceeded,
}

impl Model {
    /// The answer to an echo request.
    pub(super) fn answer_echo(&self, packet: &Packet<'_>, counted: Counted) -> Outcome {
        let unchanged = |reason| Outcome { reason, counted, backend: None, frame: packet.frame.to_vec() };
        if !self.config.echo_reply {
            return unchanged(Reason::UnsupportedProtocol);
        }
        if packet.ttl == 0 {
            return unchanged(Reason::TtlExpired);
        }
        let Ok(payload) = packet.payload() else { return unchanged(Reason::UnsupportedProtocol) };
        let mut ip = packet.frame[frame::HEADER..].to_vec();
        let (source, length) = if packet.is_v6 { (8, 16) } else { (12, 4) };
        for n in source..source + length {
            ip.swap(n, n + length);
        }
        let message = payload.at;
        let before = number(&ip, message);
        ip[message] = if packet.is_v6 { 129 } else { 0 };
        let sum = updated(number(&ip, message + 2), before, number(&ip, message));
        let sum = if sum == 0 && !packet.is_v6 { 0xffff } else { sum };
        ip[message + 2..message + 4].copy_from_slice(&sum.to_be_bytes());
        if packet.is_v6 {
            ip[7] = TTL;
        } else {
            let before = number(&ip, 8);
            ip[8] = TTL;
            let sum = updated(number(&ip, 10), before, number(&ip, 8));
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        self.reply(packet, Reason::EchoReply, counted, &ip)
    }

    /// An error for the sender.
    pub(super) fn tell(&self, packet: &Packet<'_>, told: Told, counted: Counted) -> Outcome {
        let (reason, rest) = match told {
            Told::TooBig(mtu) => (Reason::PacketTooBig, u32::from(mtu).to_be_bytes()),
            Told::TimeExceeded => (Reason::TimeExceeded, [0; 4]),
        };
        let headers = if packet.is_v6 { 48 } else { 28 };
        let longest = LONGEST[usize::from(packet.is_v6)] - headers;
        let quote = &packet.ip[..packet.length.min(longest).min(packet.ip.len())];
        let answer = match (packet.source, packet.destination, told) {
            (IpAddr::V4(client), IpAddr::V4(vip), _) => {
                let (kind, code) = if reason == Reason::PacketTooBig { (3, 4) } else { (11, 0) };
                let header = Ipv4::between(vip, client);
                Ipv4 { traffic_class: 0xc0, identification: 0, flags_and_offset: DONT_FRAGMENT, ttl: TTL, ..header }
                    .carrying(&Icmp::v4(kind, code, rest, quote))
            }
            (IpAddr::V6(client), IpAddr::V6(vip), _) => {
                let kind = if reason == Reason::PacketTooBig { 2 } else { 3 };
                Ipv6 { flow_label: 0, hop_limit: TTL, ..Ipv6::between(vip, client) }
                    .carrying(&Icmp::v6(kind, 0, rest, quote))
            }
            (IpAddr::V4(_), IpAddr::V6(_), _) | (IpAddr::V6(_), IpAddr::V4(_), _) => {
                panic!("the addresses of a packet are of one family")
            }
        };
        self.reply(packet, reason, counted, &answer)
    }

    /// Sends `answer` back, if there is somebody to answer and answers are left.
    fn reply(&self, packet: &Packet<'_>, reason: Reason, counted: Counted, answer: &[u8]) -> Outcome {
        let unchanged = |reason| Outcome { reason, counted, backend: None, frame: packet.frame.to_vec() };
        let is_for_many = packet.frame[0] & 1 != 0;
        if is_for_many || packet.source == packet.destination || !is_single_host(packet.source) {
            return unchanged(Reason::NoReplyAddress);
        }
        if !self.config.has_answers {
            return unchanged(Reason::IcmpRateLimited);
        }
        let mac = |at: usize| packet.frame[at..at + 6].try_into().expect("six bytes");
        let frame = Frame { destination: mac(6), source: mac(0), ..Frame::default() }.around(answer);
        Outcome { reason, counted, backend: None, frame }
    }
}

fn is_single_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !matches!(v4.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(v6) => !v6.is_unspecified() && v6.octets()[0] != 0xff,
    }
}
