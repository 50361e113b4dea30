//! What the load balancer must make of a packet: IP in IP, or in UDP.

use std::net::IpAddr;

use super::{Frame, checksum, flow_hash, frame, ipv4, protocol};

/// TTL or hop limit of outer headers.
const OUTER_TTL: u8 = 64;

/// A tunnel to a backend, and how a node that enters packets into it was told to do so.
#[derive(Clone, Debug)]
pub struct Tunnel {
    /// Source of the outer header.
    pub source: IpAddr,
    /// Destination of the outer header: the backend.
    pub destination: IpAddr,
    /// MAC of the next hop.
    pub next_hop: [u8; 6],
    /// MAC of the node's own interface.
    pub egress: [u8; 6],
    /// Seed of the flow hash.
    pub hash_seed: u64,
    /// Whether the node lowers the packet's own TTL.
    pub lowers_ttl: bool,
    /// IP in UDP to this port, instead of IP in IP.
    pub gue_port: Option<u16>,
}

impl Tunnel {
    /// The frame that must leave for a frame that came in: a sound, untagged frame with TCP or UDP.
    pub fn wrap(&self, incoming: &[u8]) -> Vec<u8> {
        self.wrap_inner(incoming, Inner::read(&incoming[frame::HEADER..], self.hash_seed))
    }

    /// The same for a frame whose flow cannot be read off its ports.
    pub fn wrap_with_hash(&self, incoming: &[u8], flow_hash: u64) -> Vec<u8> {
        let inner = Inner::read(&incoming[frame::HEADER..], self.hash_seed);
        self.wrap_inner(incoming, Inner { flow_hash, ..inner })
    }

    fn wrap_inner(&self, incoming: &[u8], mut inner: Inner) -> Vec<u8> {
        let udp = self.gue_port.map(|port| inner.in_udp(port)).unwrap_or_default();
        let mut packet = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => inner.outer_v4(source.octets(), destination.octets()),
            (IpAddr::V6(source), IpAddr::V6(destination)) => inner.outer_v6(source.octets(), destination.octets()),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                panic!("a tunnel from {} to {} has two families", self.source, self.destination)
            }
        };
        packet.extend(udp);
        let mut original = incoming[frame::HEADER..].to_vec();
        if self.lowers_ttl {
            lower_ttl(&mut original);
        }
        packet.extend(original);
        Frame { destination: self.next_hop, source: self.egress, ..Frame::default() }.around(&packet)
    }
}

impl Tunnel {
    /// The frame that must leave without a tunnel: the same packet, from the node to the next hop.
    pub fn pass_on(&self, incoming: &[u8]) -> Vec<u8> {
        let mut outgoing = [&self.next_hop[..], &self.egress, &incoming[12..]].concat();
        if self.lowers_ttl {
            lower_ttl(&mut outgoing[frame::HEADER..]);
        }
        outgoing
    }
}

/// The frame that a backend must hand to its stack for a tunnelled frame: the outer header, of this many bytes, is gone,
/// the Ethernet addresses are as they were.
pub fn unwrap(incoming: &[u8], outer_header: usize) -> Vec<u8> {
    let header = Frame {
        destination: incoming[..6].try_into().expect("six bytes"),
        source: incoming[6..12].try_into().expect("six bytes"),
        ..Frame::default()
    };
    header.around(&incoming[frame::HEADER + outer_header..])
}

/// What an outer header takes from the packet inside.
struct Inner {
    protocol: u8,
    traffic_class: u8,
    /// Length as the header says; padding behind it does not count.
    length: u16,
    flow_hash: u64,
}

impl Inner {
    fn read(packet: &[u8], hash_seed: u64) -> Self {
        let number = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        if packet[0] >> 4 == 4 {
            let source: [u8; 4] = packet[12..16].try_into().expect("four bytes");
            let ports = usize::from(packet[0] & 0xf) * 4;
            Self {
                protocol: protocol::IPV4,
                traffic_class: packet[1],
                length: number(2),
                flow_hash: flow_hash::of(hash_seed, source.into(), number(ports), number(ports + 2)),
            }
        } else {
            let source: [u8; 16] = packet[8..24].try_into().expect("sixteen bytes");
            let ports = behind_extensions(packet);
            Self {
                protocol: protocol::IPV6,
                traffic_class: packet[0] << 4 | packet[1] >> 4,
                length: number(4) + 40,
                flow_hash: flow_hash::of(hash_seed, source.into(), number(ports), number(ports + 2)),
            }
        }
    }

    /// The UDP header in front of the packet, with no checksum, which becomes what the outer header carries
    /// (draft-ietf-intarea-gue, variant 1).
    fn in_udp(&mut self, port: u16) -> Vec<u8> {
        self.protocol = protocol::UDP;
        self.length += 8;
        [flow_hash::tunnel_port(self.flow_hash), port, self.length, 0].into_iter().flat_map(u16::to_be_bytes).collect()
    }

    /// RFC 2003, section 3.1; traffic class by RFC 6040, section 4.1; identification by RFC 6864, section 4.1.
    fn outer_v4(&self, source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
        let mut bytes = vec![0x45, self.traffic_class];
        bytes.extend((self.length + 20).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(ipv4::DONT_FRAGMENT.to_be_bytes());
        bytes.extend([OUTER_TTL, self.protocol, 0, 0]);
        bytes.extend(source);
        bytes.extend(destination);
        let checksum = checksum::of(&bytes);
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// RFC 2473, section 3; flow label by RFC 6438, section 3.
    fn outer_v6(&self, source: [u8; 16], destination: [u8; 16]) -> Vec<u8> {
        let first_word = 6 << 28 | u32::from(self.traffic_class) << 20 | flow_hash::label(self.flow_hash);
        let mut bytes = first_word.to_be_bytes().to_vec();
        bytes.extend(self.length.to_be_bytes());
        bytes.extend([self.protocol, OUTER_TTL]);
        bytes.extend(source);
        bytes.extend(destination);
        bytes
    }
}

/// Where the transport header of a sound IPv6 packet is.
fn behind_extensions(packet: &[u8]) -> usize {
    let (mut next_header, mut at) = (packet[6], 40);
    loop {
        let length = usize::from(packet[at + 1]);
        let extension = match next_header {
            protocol::IPV6_HOP_BY_HOP | protocol::IPV6_ROUTING | protocol::IPV6_OPTIONS => 8 + 8 * length,
            protocol::IPV6_FRAGMENT => 8,
            protocol::AUTHENTICATION => 8 + 4 * length,
            _ => return at,
        };
        next_header = packet[at];
        at += extension;
    }
}

/// Lowers a packet's TTL or hop limit by one; the IPv4 checksum is computed anew.
fn lower_ttl(packet: &mut [u8]) {
    if packet[0] >> 4 == 4 {
        packet[8] -= 1;
        packet[10..12].fill(0);
        let header = usize::from(packet[0] & 0xf) * 4;
        let checksum = checksum::of(&packet[..header]);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    } else {
        packet[7] -= 1;
    }
}
