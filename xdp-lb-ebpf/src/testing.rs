//! Frames and tables in memory, and a plain packet builder, for the tests of this crate.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::IpAddr,
};

use xdp_lb_abi::{
    Encapsulation, Family, FragmentKey, FragmentOwner, Gates, Member, NextHop, PortRanges, Reason, Slot, SourceKey,
    Vip, VipKey, VipKind,
    next_hop::Link,
    ring::{self, Route},
};

use crate::{
    packet::{Frame, NoRoom},
    tables::{NextHopEntry, RangesEntry, Ring, Tables, Tunnels},
    verdict::Verdict,
};

pub(crate) const CLIENT_4: &str = "198.51.100.7";
pub(crate) const CLIENT_6: &str = "2001:db8:c::7";
pub(crate) const VIP_4: &str = "192.0.2.10";
pub(crate) const VIP_6: &str = "2001:db8:1::10";
pub(crate) const NODE_4: &str = "10.0.0.1";
pub(crate) const NODE_6: &str = "2001:db8::1";
pub(crate) const BACKEND_4: &str = "10.0.0.11";
pub(crate) const BACKEND_6: &str = "2001:db8::11";
pub(crate) const ALL_GATES: Gates = Gates::DECREMENT_TTL
    .with(Gates::CHECK_TCP_FLAGS, true)
    .with(Gates::ECHO_REPLY, true)
    .with(Gates::TOO_BIG_REPLY, true);

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address literal")
}

/// A frame with room in front that is full of 0xff, so that a byte nobody wrote shows.
pub(crate) struct Buffer {
    memory: Vec<Cell<u8>>,
    start: usize,
    /// Bytes in buffers other than the first.
    pub(crate) beyond: u64,
}

impl Buffer {
    const HEADROOM: usize = 128;

    pub(crate) fn new(frame: &[u8]) -> Self {
        Self::with_headroom(frame, Self::HEADROOM)
    }

    pub(crate) fn with_headroom(frame: &[u8], headroom: usize) -> Self {
        let memory = core::iter::repeat_n(0xff, headroom).chain(frame.iter().copied()).map(Cell::new).collect();
        Self { memory, start: headroom, beyond: 0 }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.memory[self.start..].iter().map(Cell::get).collect()
    }
}

// SAFETY: the cells are bytes that may be written through a shared pointer, and the vector is never moved or resized
// while a window borrows the buffer.
unsafe impl Frame for Buffer {
    fn data(&self) -> usize {
        self.memory.as_ptr() as usize + self.start
    }

    fn data_end(&self) -> usize {
        self.memory.as_ptr() as usize + self.memory.len()
    }

    fn length(&self) -> u64 {
        (self.memory.len() - self.start) as u64 + self.beyond
    }

    fn grow_head(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.start = self.start.checked_sub(bytes).ok_or(NoRoom)?;
        Ok(())
    }

    fn shrink_head(&mut self, bytes: usize) -> Result<(), NoRoom> {
        if self.memory.len() - self.start < bytes + 14 {
            return Err(NoRoom);
        }
        self.start += bytes;
        Ok(())
    }

    fn shrink_tail(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let beyond = self.beyond.min(bytes as u64);
        self.beyond -= beyond;
        let end = self.memory.len().checked_sub(bytes - beyond as usize).ok_or(NoRoom)?;
        if end < self.start + 14 {
            return Err(NoRoom);
        }
        self.memory.truncate(end);
        Ok(())
    }

    fn sum<const N: usize>(&self, offset: usize) -> Option<u64> {
        let bytes: Vec<u8> = self.memory[self.start..].iter().skip(offset).take(N).map(Cell::get).collect();
        let word = |bytes: &[u8]| {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from(u32::from_ne_bytes(word))
        };
        (bytes.len() == N).then(|| bytes.chunks(4).map(word).sum())
    }

    fn ingress_interface(&self) -> u32 {
        3
    }
}

/// The maps of both programs.
pub(crate) struct Memory {
    pub(crate) vips: HashMap<VipKey, Vip>,
    pub(crate) port_ranges: HashMap<u32, PortRanges>,
    pub(crate) rings: HashMap<u32, Box<[u64; ring::WORDS]>>,
    pub(crate) next_hops: Vec<NextHop>,
    pub(crate) gates: Gates,
    pub(crate) fragments: RefCell<HashMap<FragmentKey, FragmentOwner>>,
    pub(crate) now: Cell<u64>,
    pub(crate) replies_left: Cell<u32>,
    pub(crate) counted: RefCell<Vec<(Verdict, u64)>>,
    pub(crate) members: RefCell<Vec<(u32, u64)>>,
}

pub(crate) const WEB_4: u32 = 1;
pub(crate) const WEB_6: u32 = 2;
pub(crate) const DNS_4: u32 = 3;
pub(crate) const ADDRESS_4: u32 = 8;
pub(crate) const ADDRESS_6: u32 = 9;
pub(crate) const COUNTER: u32 = 77;
/// An interface that the program runs on, other than the one that packets come in by.
pub(crate) const OTHER_PORT: u32 = 4;
/// Not the default, so that the default does not pass for it.
pub(crate) const GUE_PORT: u16 = 6635;

impl Memory {
    /// Services on port 80 of both VIPs and on UDP port 53 of the first, whose only member is `backend`.
    pub(crate) fn with_backend(backend: &str) -> Self {
        let mut vips = HashMap::new();
        for (address, port, protocol, id) in [(VIP_4, 80, 6, WEB_4), (VIP_6, 80, 6, WEB_6), (VIP_4, 53, 17, DNS_4)] {
            vips.insert(VipKey::of_service(ip(address), port, protocol), Vip::new(id, VipKind::Service));
        }
        for (address, id) in [(VIP_4, ADDRESS_4), (VIP_6, ADDRESS_6)] {
            vips.insert(address_key(address), Vip::new(id, VipKind::Address));
        }
        let (encapsulation, source) = match ip(backend) {
            IpAddr::V4(_) => (Encapsulation::Ipip4, NODE_4),
            IpAddr::V6(_) => (Encapsulation::Ipip6, NODE_6),
        };
        let route = Route { counter: COUNTER, next_hop: 1, encapsulation: Some(encapsulation) };
        let member = Member { tunnel: ip(backend).into(), route: route.encode(), state: 1 };
        let next_hop = NextHop {
            link: Link { mac: [0xa; 6], mtu: 1500 }.encode(),
            egress: Link { mac: [0xb; 6], mtu: 0 }.encode(),
            interface: 3,
            source: ip(source).into(),
            ..NextHop::NONE
        };
        Self {
            vips,
            port_ranges: HashMap::new(),
            rings: [WEB_4, WEB_6, DNS_4].map(|id| (id, ring_of(&member, Slot::Member(1)))).into(),
            next_hops: vec![NextHop::NONE, next_hop],
            gates: ALL_GATES,
            fragments: RefCell::default(),
            now: Cell::new(0),
            replies_left: Cell::new(u32::MAX),
            counted: RefCell::default(),
            members: RefCell::default(),
        }
    }

    /// The one packet that was counted since the last call.
    pub(crate) fn take_counted(&self) -> (u32, Reason, u64) {
        let counted = self.counted.take();
        let [(verdict, bytes)] = counted[..] else { panic!("counted {counted:?}, not once") };
        (verdict.vip(), verdict.reason(), bytes)
    }
}

/// A ring with one member, whose slots are all the same.
pub(crate) fn ring_of(member: &Member, slot: Slot) -> Box<[u64; ring::WORDS]> {
    let mut words: Box<[u64; ring::WORDS]> =
        vec![0; ring::WORDS].into_boxed_slice().try_into().expect("a ring's length");
    let four = u64::from(slot.encode()) * 0x0001_0001_0001_0001;
    words[ring::SLOTS_OFFSET / 8..(ring::SLOTS_OFFSET + ring::SLOTS * 2) / 8].fill(four);
    // The last slot has a word to itself.
    words[(ring::SLOTS_OFFSET + ring::SLOTS * 2) / 8] = four;
    let [high, low] = member.tunnel.words();
    words[ring::MEMBERS_OFFSET / 8 + 4..][..4].copy_from_slice(&[high, low, member.route, member.state]);
    words
}

pub(crate) fn address_key(address: &str) -> VipKey {
    VipKey::of_address(ip(address).into(), Family::from(&ip(address)))
}

impl Tables for Memory {
    fn vip(&self, key: &VipKey) -> Option<Vip> {
        self.vips.get(key).copied()
    }

    fn port_ranges(&self, vip: u32) -> Option<RangesEntry> {
        // SAFETY: the map outlives the call under test, and nothing writes to it.
        self.port_ranges.get(&vip).map(|entry| unsafe { RangesEntry::new(&raw const *entry) })
    }

    fn ring(&self, vip: u32) -> Option<Ring> {
        // SAFETY: the box outlives the call under test, and nothing writes to it.
        self.rings.get(&vip).map(|words| unsafe { Ring::new(&raw const **words) })
    }

    fn next_hop(&self, index: u16) -> Option<NextHopEntry> {
        // SAFETY: as above.
        self.next_hops.get(usize::from(index)).map(|entry| unsafe { NextHopEntry::new(entry) })
    }

    fn redirect(&self, interface: u32) -> bool {
        interface == OTHER_PORT
    }

    fn count(&self, verdict: Verdict, bytes: u64) {
        self.counted.borrow_mut().push((verdict, bytes));
    }

    fn count_member(&self, counter: u32, bytes: u64) {
        self.members.borrow_mut().push((counter, bytes));
    }

    fn fragment(&self, key: &FragmentKey) -> Option<FragmentOwner> {
        self.fragments.borrow().get(key).copied()
    }

    fn remember_fragment(&self, key: &FragmentKey, owner: &FragmentOwner) {
        self.fragments.borrow_mut().insert(*key, *owner);
    }

    fn now(&self) -> u64 {
        self.now.get()
    }

    fn may_reply(&self) -> bool {
        let left = self.replies_left.get();
        self.replies_left.set(left.saturating_sub(1));
        left > 0
    }

    fn hash_seed(&self) -> u64 {
        0x5ca1_ab1e
    }

    fn gates(&self) -> Gates {
        self.gates
    }

    fn gue_port(&self) -> u16 {
        GUE_PORT
    }
}

impl Tunnels for Memory {
    fn is_tunnel(&self, key: &VipKey) -> bool {
        [BACKEND_4, BACKEND_6].map(address_key).contains(key)
    }

    fn is_source(&self, key: &SourceKey) -> bool {
        [NODE_4, NODE_6].map(|source| SourceKey::of(ip(source).into(), Family::from(&ip(source)))).contains(key)
    }

    fn is_vip(&self, key: &VipKey) -> bool {
        self.vips.contains_key(key)
    }

    fn gue_port(&self) -> u16 {
        GUE_PORT
    }

    fn count(&self, verdict: Verdict, bytes: u64) {
        self.counted.borrow_mut().push((verdict, bytes));
    }
}

/// An IP packet in the making. Fields are what the header will say; `None` means the truth.
#[derive(Clone)]
pub(crate) struct Ip {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: u8,
    pub(crate) ttl: u8,
    pub(crate) traffic_class: u8,
    /// IPv4: flags and fragment offset.
    pub(crate) fragment: u16,
    /// IPv4: a multiple of four bytes.
    pub(crate) options: Vec<u8>,
    /// IPv4: total length; IPv6: payload length.
    pub(crate) length: Option<u16>,
    pub(crate) payload: Vec<u8>,
}

impl Ip {
    pub(crate) fn new(source: &str, destination: &str, protocol: u8, payload: Vec<u8>) -> Self {
        let (source, destination) = (ip(source), ip(destination));
        let (ttl, traffic_class, fragment) = (64, 0, 0x4000);
        Self { source, destination, protocol, ttl, traffic_class, fragment, options: vec![], length: None, payload }
    }

    pub(crate) fn packet(&self) -> Vec<u8> {
        let class = self.traffic_class;
        let mut header = match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header_len = 20 + self.options.len();
                let [l0, l1] = self.length.unwrap_or((header_len + self.payload.len()) as u16).to_be_bytes();
                let [f0, f1] = self.fragment.to_be_bytes();
                let version = 0x40 | (header_len / 4) as u8;
                let mut header = vec![version, class, l0, l1, 0xca, 0xfe, f0, f1, self.ttl, self.protocol, 0, 0];
                header.extend(source.octets());
                header.extend(destination.octets());
                header.extend(&self.options);
                let sum = header_checksum(&header).to_be_bytes();
                header[10..12].copy_from_slice(&sum);
                header
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let [l0, l1] = self.length.unwrap_or(self.payload.len() as u16).to_be_bytes();
                let mut header = vec![0x60 | class >> 4, class << 4, 0, 0, l0, l1, self.protocol, self.ttl];
                header.extend(source.octets());
                header.extend(destination.octets());
                header
            }
            _ => panic!("one family"),
        };
        header.extend(&self.payload);
        header
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        let ether_type = if self.source.is_ipv4() { 0x0800 } else { 0x86dd };
        ethernet(ether_type, &self.packet())
    }
}

/// RFC 1071 by the letter; 0 if the header carries its checksum and is right.
pub(crate) fn header_checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

pub(crate) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(ether_type.to_be_bytes());
    frame.extend(payload);
    frame
}

pub(crate) fn tcp(destination_port: u16, flags: u8) -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40];
    segment.extend(destination_port.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, flags, 0xff, 0xff, 0x12, 0x34, 0, 0]);
    segment.extend(b"GET /");
    segment
}

pub(crate) fn udp(destination_port: u16) -> Vec<u8> {
    let mut datagram = vec![0x9c, 0x40];
    datagram.extend(destination_port.to_be_bytes());
    datagram.extend([0, 13, 0x12, 0x34]);
    datagram.extend(b"query");
    datagram
}
