//! Packets that nobody has thought of: sound ones of every kind that the program tells apart, then damaged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use xdp_lb_tests::{
    builder::{
        Frame, Icmp, Ipv4, Ipv6, Payload, Raw, Tcp, Udp,
        ipv4::{DONT_FRAGMENT, MORE_FRAGMENTS},
        ipv6::Extension,
        transport::tcp_flag,
    },
    model::Config,
};

use crate::{
    backend::TUNNELS,
    configs::{self, pick},
};

/// The kernel refuses shorter frames.
const SHORTEST: usize = 14;
/// Frames up to this length lie in one piece in a test run.
pub(crate) const LONGEST: usize = 3400;

/// Makes frames that fit a config.
pub(crate) struct Frames {
    vips: Vec<IpAddr>,
    ports: Vec<u16>,
}

impl Frames {
    pub(crate) fn for_config(config: &Config) -> Self {
        let mut vips = configs::vips();
        // Mostly those that are VIPs.
        vips.extend(config.services.iter().map(|service| service.address));
        vips.extend(config.services.iter().map(|service| service.address));
        let around = config.services.iter().flat_map(|service| {
            let (first, last) = (service.first_port, service.last_port);
            [first, first, last, last, first.wrapping_sub(1), last.wrapping_add(1), first / 2 + last / 2]
        });
        let ports = around.chain([0, 22]).collect();
        Self { vips, ports }
    }

    /// A frame.
    pub(crate) fn random(&self, rng: &mut Rng) -> Vec<u8> {
        let mut frame = if rng.u8(..100) < 3 {
            noise(rng)
        } else {
            let packet = self.packet(rng);
            around(rng, &packet)
        };
        if rng.u8(..100) < 45 {
            for _ in 0..rng.u8(1..4) {
                damage(rng, &mut frame);
            }
        }
        frame.truncate(LONGEST);
        frame
    }

    /// A frame with a tunnelled packet for a backend.
    pub(crate) fn tunnelled(&self, rng: &mut Rng, gue_port: u16) -> Vec<u8> {
        let mut inner = self.packet(rng);
        if rng.u8(..20) == 0 {
            inner.truncate(rng.usize(..60));
        }
        let is_v6 = inner.first().is_some_and(|byte| byte >> 4 == 6);
        let destination = match rng.u8(..20) {
            0 => pick(rng, &self.vips),
            _ => pick(rng, &TUNNELS),
        };
        let source = match (destination, rng.u8(..20)) {
            (IpAddr::V4(_), 0) => Ipv4Addr::new(10, 1, 0, 1).into(),
            (IpAddr::V4(_), _) => Ipv4Addr::new(10, 0, rng.u8(..), rng.u8(..)).into(),
            (IpAddr::V6(_), 0) => Ipv6Addr::new(0x2001, 0xdb8, 0xa, 1, 0, 0, 0, 1).into(),
            (IpAddr::V6(_), _) => Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, rng.u16(..)).into(),
        };
        let payload = match rng.u8(..20) {
            0 => self.transport(rng),
            1..9 => {
                let port = if rng.u8(..20) == 0 { 53 } else { gue_port };
                Transport::Udp(Udp { data: inner, ..Udp::between(rng.u16(..), port) })
            }
            9 => Transport::Raw(Raw { protocol: pick(rng, &[4, 41]), bytes: inner }),
            _ => Transport::Raw(Raw { protocol: if is_v6 { 41 } else { 4 }, bytes: inner }),
        };
        let outer = packet(rng, source, destination, &payload);
        let mut frame = around(rng, &outer);
        if rng.u8(..100) < 40 {
            for _ in 0..rng.u8(1..4) {
                damage(rng, &mut frame);
            }
        }
        frame.truncate(LONGEST);
        frame
    }

    fn packet(&self, rng: &mut Rng) -> Vec<u8> {
        let vip = pick(rng, &self.vips);
        let client = client(rng, vip);
        match rng.u8(..100) {
            0..10 => self.fragment(rng, vip),
            10..55 => {
                let payload = self.transport(rng);
                packet(rng, client, vip, &payload)
            }
            55..67 => {
                let (rest, body) = (word(rng), data(rng));
                let request = Icmp::echo_request(vip, rest, &body);
                packet(rng, client, vip, &request)
            }
            67..88 => {
                let error = self.error(rng, vip);
                packet(rng, client, vip, &error)
            }
            _ => {
                let is_v6 = rng.bool();
                let kind = if is_v6 { rng.u8(125..140) } else { rng.u8(..20) };
                let (code, rest, body) = (rng.u8(..2), word(rng), data(rng));
                let message = Icmp { kind, code, ..Icmp { is_v6, ..Icmp::v4(kind, code, rest, &body) } };
                packet(rng, client, vip, &message)
            }
        }
    }

    /// A fragment of one of few packets, so that later ones find the first one.
    fn fragment(&self, rng: &mut Rng, vip: IpAddr) -> Vec<u8> {
        let payload = self.transport(rng);
        let (offset, is_followed) = pick(rng, &[(0, true), (0, true), (1, true), (7, false), (0x1fff, false)]);
        let ttl = ttl(rng);
        match vip {
            IpAddr::V4(vip) => {
                let flags_and_offset = offset | if is_followed { MORE_FRAGMENTS } else { 0 };
                let header = Ipv4::between(Ipv4Addr::new(198, 51, 100, 7), vip);
                Ipv4 { flags_and_offset, ttl, ..header }.carrying(&payload)
            }
            IpAddr::V6(vip) => {
                let extensions = vec![Extension::Fragment { offset, is_followed }];
                let header = Ipv6::between(Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 7), vip);
                Ipv6 { extensions, hop_limit: ttl, ..header }.carrying(&payload)
            }
        }
    }

    fn port(&self, rng: &mut Rng) -> u16 {
        if rng.u8(..10) == 0 { rng.u16(..) } else { pick(rng, &self.ports) }
    }

    fn transport(&self, rng: &mut Rng) -> Transport {
        let (source, destination, data) = (rng.u16(..), self.port(rng), data(rng));
        match rng.u8(..20) {
            0..11 => {
                let usual = pick(rng, &[tcp_flag::ACK, tcp_flag::SYN, tcp_flag::ACK | tcp_flag::PSH]);
                let flags = if rng.u8(..4) == 0 { rng.u8(..) } else { usual };
                let options = vec![1; 4 * usize::from(rng.u8(..11))];
                Transport::Tcp(Tcp { flags, options, data, ..Tcp::between(source, destination) })
            }
            11..19 => Transport::Udp(Udp { data, ..Udp::between(source, destination) }),
            _ => Transport::Raw(Raw { protocol: rng.u8(..), bytes: data }),
        }
    }

    /// An error that quotes what `vip` sent to a client.
    fn error(&self, rng: &mut Rng, vip: IpAddr) -> Icmp {
        let client = client(rng, vip);
        let answer = match self.transport(rng) {
            Transport::Tcp(tcp) => Transport::Tcp(Tcp { source: tcp.destination, destination: tcp.source, ..tcp }),
            Transport::Udp(udp) => Transport::Udp(Udp { source: udp.destination, destination: udp.source, ..udp }),
            raw @ Transport::Raw(_) => raw,
        };
        let mut quoted = packet(rng, vip, client, &answer);
        if rng.bool() {
            let least = if vip.is_ipv4() { 28 } else { 48 };
            quoted.truncate(rng.usize(least - 10..least + 40));
        }
        if rng.u8(..5) == 0 && !quoted.is_empty() {
            let at = rng.usize(..quoted.len().min(60));
            quoted[at] = byte(rng);
        }
        let rest = word(rng);
        if vip.is_ipv4() {
            let kind = pick(rng, &[3, 3, 4, 5, 11, 12]);
            Icmp::v4(kind, rng.u8(..6), rest, &quoted)
        } else {
            Icmp::v6(rng.u8(1..=5), rng.u8(..3), rest, &quoted)
        }
    }
}

enum Transport {
    Tcp(Tcp),
    Udp(Udp),
    Raw(Raw),
}

impl Payload for Transport {
    fn protocol(&self) -> u8 {
        match self {
            Self::Tcp(tcp) => tcp.protocol(),
            Self::Udp(udp) => udp.protocol(),
            Self::Raw(raw) => raw.protocol(),
        }
    }

    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        match self {
            Self::Tcp(tcp) => tcp.bytes(source, destination),
            Self::Udp(udp) => udp.bytes(source, destination),
            Self::Raw(raw) => raw.bytes(source, destination),
        }
    }
}

/// A byte, often one at a limit.
fn byte(rng: &mut Rng) -> u8 {
    if rng.bool() {
        pick(rng, &[0, 1, 2, 5, 6, 17, 0x3f, 0x45, 0x46, 0x60, 0x7f, 0x80, 0xfe, 0xff])
    } else {
        rng.u8(..)
    }
}

fn word(rng: &mut Rng) -> [u8; 4] {
    rng.u32(..).to_be_bytes()
}

/// Mostly little data; at times as much as fits into what MTUs there are, give or take a few bytes.
fn data(rng: &mut Rng) -> Vec<u8> {
    let length = match rng.u8(..20) {
        0..12 => rng.usize(..40),
        12..15 => rng.usize(..200),
        15..19 => (pick(rng, &[576_usize, 1280, 1320, 1500, 1600]) + 4).saturating_sub(rng.usize(..120)),
        _ => rng.usize(..2500),
    };
    let filling = byte(rng);
    if rng.bool() { vec![filling; length] } else { (0..length).map(|n| filling.wrapping_add(n as u8)).collect() }
}

fn client(rng: &mut Rng, vip: IpAddr) -> IpAddr {
    match (vip, rng.u8(..12)) {
        (vip, 0) => vip,
        (IpAddr::V4(_), 1) => {
            let octets = word(rng);
            Ipv4Addr::from([pick(rng, &[0, 127, 223, 224, 240, 255]), octets[1], octets[2], octets[3]]).into()
        }
        (IpAddr::V4(_), 2..6) => Ipv4Addr::new(198, 51, 100, 7).into(),
        (IpAddr::V4(_), _) => Ipv4Addr::from([198, 51, 100, rng.u8(..)]).into(),
        (IpAddr::V6(_), 2..6) => Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 7).into(),
        (IpAddr::V6(_), 1) => Ipv6Addr::from(pick(rng, &[0_u128, 1, 0xff02 << 112 | 1, 0xfe80 << 112 | 1])).into(),
        (IpAddr::V6(_), _) => Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, rng.u16(..)).into(),
    }
}

fn ttl(rng: &mut Rng) -> u8 {
    match rng.u8(..20) {
        0 => 0,
        1 => 1,
        2 => 2,
        3..6 => 255,
        _ => rng.u8(..),
    }
}

fn packet(rng: &mut Rng, source: IpAddr, destination: IpAddr, payload: &impl Payload) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let options = if rng.u8(..5) == 0 { vec![1; 4 * usize::from(rng.u8(1..=10))] } else { Vec::new() };
            let flags_and_offset = match rng.u8(..20) {
                0 => MORE_FRAGMENTS,
                1 => rng.u16(..),
                2 => MORE_FRAGMENTS | 3,
                3 => 7,
                4..9 => 0,
                _ => DONT_FRAGMENT,
            };
            // Few identifications, so that fragments find each other.
            let (traffic_class, identification, ttl) = (rng.u8(..), rng.u16(..4), ttl(rng));
            let checksum = if rng.u8(..20) == 0 { Some(rng.u16(..)) } else { None };
            let header = Ipv4::between(source, destination);
            Ipv4 { options, flags_and_offset, traffic_class, identification, ttl, checksum, ..header }.carrying(payload)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let extensions = if rng.u8(..4) == 0 { extensions(rng) } else { Vec::new() };
            let (traffic_class, flow_label, hop_limit) = (rng.u8(..), rng.u32(..1 << 20), ttl(rng));
            let header = Ipv6::between(source, destination);
            Ipv6 { extensions, traffic_class, flow_label, hop_limit, ..header }.carrying(payload)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => panic!("two families"),
    }
}

fn extensions(rng: &mut Rng) -> Vec<Extension> {
    let count = rng.u8(1..=6);
    let extension = |rng: &mut Rng| match rng.u8(..12) {
        0..3 => Extension::HopByHop(rng.u8(1..4)),
        3..6 => Extension::DestinationOptions(rng.u8(1..40)),
        6..8 => Extension::Routing(rng.u8(..5)),
        8..10 => Extension::Authentication(rng.u8(..5)),
        10 => Extension::Fragment { offset: 0, is_followed: false },
        _ => match rng.u8(..4) {
            0 | 3 => Extension::Fragment { offset: rng.u16(..0x2000), is_followed: rng.bool() },
            1 => Extension::Fragment { offset: 0, is_followed: true },
            _ => Extension::Other(pick(rng, &[50, 59, 135, 139, 140, 253]), vec![0; 7]),
        },
    };
    (0..count).map(|_| extension(rng)).collect()
}

fn around(rng: &mut Rng, packet: &[u8]) -> Vec<u8> {
    let mut header = Frame::default();
    match rng.u8(..60) {
        0 => header.vlans = vec![7],
        1 => header.ether_type = Some(pick(rng, &[0x0800, 0x86dd, 0x0806, 0x88a8, 0x9000])),
        2..4 => header.destination[0] = pick(rng, &[1, 0x33, 0xff]),
        _ => {}
    }
    if rng.bool() {
        header.padded_to = 60;
    }
    header.around(packet)
}

fn noise(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![0; rng.usize(SHORTEST..300)];
    rng.fill(&mut bytes);
    bytes
}

/// Damages a frame in one place, mostly among its headers.
fn damage(rng: &mut Rng, frame: &mut Vec<u8>) {
    let headers = frame.len().min(if rng.bool() { 54 } else { 140 });
    // Seldom the ether type, for what is not IP is soon told.
    let first = if rng.u8(..10) == 0 { 12 } else { 14 };
    let at = rng.usize(first.min(headers - 1)..headers);
    match rng.u8(..10) {
        0..4 => frame[at] = byte(rng),
        4..6 => frame[at] ^= 1 << rng.u8(..8),
        6 => frame[at] = frame[at].wrapping_add(pick(rng, &[1, 2, 0xff, 0xfe])),
        7 => frame.truncate(rng.usize(SHORTEST..=frame.len())),
        8 => frame.truncate(rng.usize(SHORTEST..=headers.max(SHORTEST))),
        _ => frame.extend(vec![byte(rng); rng.usize(1..60)]),
    }
}
