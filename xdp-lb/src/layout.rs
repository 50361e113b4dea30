//! Where things are inside mapped arrays, and how they read as the model's types.

use std::net::IpAddr;

use xdp_lb_abi::{
    Addr, Family, HashInput, Member, NextHop, PortRange, VipKey,
    next_hop::Link,
    ring::{MEMBERS_OFFSET, SLOTS_OFFSET},
};

use crate::model::{NextHopKey, NextHopSpec, Ports, Protocol, Service};

/// Words of a next hop.
pub(crate) const HOP_WORDS: usize = size_of::<NextHop>() / size_of::<u64>();
/// Words of a member.
const MEMBER_WORDS: usize = size_of::<Member>() / size_of::<u64>();
/// Word of a next hop that tells whether it is used.
const FAMILIES: usize = 7;

/// Position of a slot, in half words.
pub(crate) const fn slot(index: usize) -> usize {
    SLOTS_OFFSET / size_of::<u16>() + index
}

/// Positions of a member's words: tunnel address (two), route, state.
pub(crate) const fn member(index: u16) -> [usize; MEMBER_WORDS] {
    let first = MEMBERS_OFFSET / size_of::<u64>() + index as usize * MEMBER_WORDS;
    [first, first + 1, first + 2, first + 3]
}

/// Reads a member word by word.
pub(crate) fn read_member(index: u16, load: impl Fn(usize) -> u64) -> Member {
    let [high, low, route, state] = member(index).map(load);
    Member { tunnel: Addr::from_words([high, low]), route, state }
}

/// Reads a next hop word by word; `None` if the entry is unused.
pub(crate) fn read_next_hop(id: u16, load: impl Fn(usize) -> u64) -> Option<NextHop> {
    let word = |position| load(usize::from(id) * HOP_WORDS + position);
    // Most of the table is unused: one load tells.
    let families = word(FAMILIES);
    (families != 0).then(|| NextHop {
        link: word(0),
        egress: word(1),
        interface: word(2),
        source: Addr::from_words([word(3), word(4)]),
        neighbour: Addr::from_words([word(5), word(6)]),
        families,
    })
}

/// The words of a next hop with their positions, in the order in which they must be stored: a reader that finds a
/// link (MAC and MTU) finds everything else there already.
pub(crate) fn next_hop_stores(id: u16, hop: &NextHop) -> [(usize, u64); HOP_WORDS] {
    let [source, neighbour] = [hop.source.words(), hop.neighbour.words()];
    let words = [
        (1, hop.egress),
        (2, hop.interface),
        (3, source[0]),
        (4, source[1]),
        (5, neighbour[0]),
        (6, neighbour[1]),
        (FAMILIES, hop.families),
        (0, hop.link),
    ];
    words.map(|(position, word)| (usize::from(id) * HOP_WORDS + position, word))
}

/// A next hop as the table holds it.
pub(crate) fn encode_next_hop(key: &NextHopKey, spec: &NextHopSpec) -> NextHop {
    let families = Family::from(&key.neighbour) as u64 | (Family::from(&key.source) as u64) << 8;
    let link = spec.neighbour_mac.map_or(0, |mac| Link { mac, mtu: spec.mtu }.encode());
    NextHop {
        link,
        egress: Link { mac: spec.egress_mac, mtu: 0 }.encode(),
        interface: key.interface.into(),
        source: key.source.into(),
        neighbour: key.neighbour.into(),
        families,
    }
}

/// What the table says of a next hop. The MTU of an unresolved one is not stored.
pub(crate) fn decode_next_hop(hop: &NextHop) -> Option<(NextHopKey, NextHopSpec)> {
    let family = |byte: u64| match byte & 0xff {
        4 => Some(Family::V4),
        6 => Some(Family::V6),
        _ => None,
    };
    let key = NextHopKey {
        interface: u32::try_from(hop.interface).ok()?,
        neighbour: hop.neighbour.to_ip(family(hop.families)?),
        source: hop.source.to_ip(family(hop.families >> 8)?),
    };
    let link = Link::decode(hop.link);
    let spec = NextHopSpec {
        neighbour_mac: (hop.link != 0).then_some(link.mac),
        egress_mac: Link::decode(hop.egress).mac,
        mtu: link.mtu,
    };
    Some((key, spec))
}

/// Key of a service in the VIP table; `None` for a range of ports, which stands beside the address's own entry.
pub(crate) fn service_key(service: &Service) -> Option<VipKey> {
    let port = service.ports.single()?;
    Some(VipKey::of_service(service.address, port, service.protocol.number()))
}

/// The range of a service, for the word beside its address's own entry.
pub(crate) fn port_range(service: &Service, id: u32, hash: HashInput) -> PortRange {
    let Service { ports, protocol, .. } = service;
    let id = u16::try_from(id).expect("VIP ids are below MAX_VIPS");
    PortRange { first: ports.first(), last: ports.last(), protocol: protocol.number(), hash, id }
}

/// The service that a range is of; `None` if this version does not know such ranges.
pub(crate) fn service_of(address: IpAddr, range: PortRange) -> Option<Service> {
    let ports = Ports::new(range.first..=range.last)?;
    Some(Service { address, ports, protocol: Protocol::from_number(range.protocol)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_hop_survives_the_way_into_the_table_and_back() {
        let key =
            NextHopKey { interface: 3, neighbour: [0xfe80, 0, 0, 0, 0, 0, 0, 1].into(), source: [10, 0, 0, 1].into() };
        let spec = NextHopSpec { neighbour_mac: Some([1, 2, 3, 4, 5, 6]), egress_mac: [7; 6], mtu: 1600 };
        let mut table = vec![0; 64];
        for (position, word) in next_hop_stores(5, &encode_next_hop(&key, &spec)) {
            table[position] = word;
        }
        let hop = read_next_hop(5, |word| table[word]).expect("a used entry");
        assert_eq!(decode_next_hop(&hop), Some((key, spec)));
        assert_eq!(read_next_hop(4, |word| table[word]), None);
    }
}
