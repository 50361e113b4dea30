//! What the balancer is given: services, each with a single backend unless a test is about choosing.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use xdp_lb::model::{Desired, HashInput, MemberKey, MemberSpec, Mode, NextHopKey, NextHopSpec, Protocol, Service};
use xdp_lb_abi::Gates;
use xdp_lb_tests::builder::Tunnel;

use crate::test_run::INTERFACE;

/// The client in IPv4.
pub(crate) const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// The client in IPv6.
pub(crate) const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 2);
/// Source port of clients.
pub(crate) const CLIENT_PORT: u16 = 40_000;
/// Port of TCP services.
pub(crate) const HTTP: u16 = 80;
/// Port of UDP services.
pub(crate) const DNS: u16 = 53;

/// IPv4 VIP whose backend has an IPv4 tunnel.
pub(crate) const V4_IN_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 44);
/// IPv4 VIP whose backend has an IPv6 tunnel.
pub(crate) const V4_IN_V6: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 46);
/// IPv6 VIP whose backend has an IPv4 tunnel.
pub(crate) const V6_IN_V4: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x64);
/// IPv6 VIP whose backend has an IPv6 tunnel.
pub(crate) const V6_IN_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x66);

/// The backend with an IPv4 tunnel.
pub(crate) const BACKEND_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 11));
/// The backend with an IPv6 tunnel.
pub(crate) const BACKEND_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x11));
/// The load balancer's own addresses.
const NODE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 10));
const NODE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 0x10));

/// MAC of every next hop.
const NEXT_HOP_MAC: [u8; 6] = [0x02, 0xbe, 0xef, 0, 0, 0x11];
/// MAC of the interface.
const EGRESS_MAC: [u8; 6] = [0x02, 0xbe, 0xef, 0, 0, 0x10];
/// UDP port of GUE; not the default, so that the default does not pass for it.
pub(crate) const GUE_PORT: u16 = 6635;
/// MTU on the way to backends.
pub(crate) const MTU: u16 = 1600;

/// All that a balancer is given.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) gates: Gates,
    pub(crate) hash_seed: u64,
    pub(crate) icmp_rate: u32,
    pub(crate) desired: Desired,
}

impl World {
    /// All optional features on, no services.
    pub(crate) fn empty() -> Self {
        let on = [Gates::DECREMENT_TTL, Gates::CHECK_TCP_FLAGS, Gates::ECHO_REPLY, Gates::TOO_BIG_REPLY];
        let gates = on.into_iter().fold(Gates::default(), |gates, gate| gates.with(gate, true));
        Self { gates, hash_seed: 0x5ca1_ab1e, icmp_rate: 1_000_000, desired: Desired::default() }
    }

    /// TCP and UDP on a VIP for each combination of families.
    pub(crate) fn all_combinations() -> Self {
        let vips: [(IpAddr, IpAddr); 4] = [
            (V4_IN_V4.into(), BACKEND_V4),
            (V4_IN_V6.into(), BACKEND_V6),
            (V6_IN_V4.into(), BACKEND_V4),
            (V6_IN_V6.into(), BACKEND_V6),
        ];
        vips.into_iter().fold(Self::empty(), |world, (vip, backend)| {
            world.with(vip, HTTP, Protocol::Tcp, &[Way::plain(backend)]).with(
                vip,
                DNS,
                Protocol::Udp,
                &[Way::plain(backend)],
            )
        })
    }

    /// One more service.
    pub(crate) fn with(self, vip: impl Into<IpAddr>, port: u16, protocol: Protocol, ways: &[Way]) -> Self {
        self.with_service(Service::new(vip.into(), port, protocol), ways)
    }

    /// One more service, which need not be on a single port.
    pub(crate) fn with_service(mut self, service: Service, ways: &[Way]) -> Self {
        let mut members = BTreeMap::new();
        for way in ways {
            let key = way.key();
            if let Some(key) = key {
                self.desired.next_hops.insert(key, way.hop);
            }
            let member = MemberSpec { weight: 100, up: true, next_hop: key };
            members.insert(MemberKey { tunnel: way.backend, mode: way.mode }, member);
        }
        self.desired.services.insert(service, members);
        self
    }

    /// The same, with this service's flows told apart in another way.
    pub(crate) fn hashing(mut self, service: Service, input: HashInput) -> Self {
        self.desired.hash_inputs.insert(service, input);
        self
    }

    /// The tunnel that packets for `backend` must enter.
    pub(crate) fn tunnel(&self, backend: IpAddr) -> Tunnel {
        Tunnel {
            source: source(backend),
            destination: backend,
            next_hop: NEXT_HOP_MAC,
            egress: EGRESS_MAC,
            hash_seed: self.hash_seed,
            lowers_ttl: self.gates.has(Gates::DECREMENT_TTL),
            gue_port: None,
        }
    }
}

/// A backend and the way to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) backend: IpAddr,
    pub(crate) mode: Mode,
    /// Egress interface; `None` if there is no route.
    pub(crate) interface: Option<u32>,
    pub(crate) hop: NextHopSpec,
}

impl Way {
    /// A backend on the link that packets come in by.
    pub(crate) fn plain(backend: IpAddr) -> Self {
        let hop = NextHopSpec { neighbour_mac: Some(NEXT_HOP_MAC), egress_mac: EGRESS_MAC, mtu: MTU };
        Self { backend, mode: Mode::Ipip, interface: Some(INTERFACE), hop }
    }

    fn key(&self) -> Option<NextHopKey> {
        Some(NextHopKey { interface: self.interface?, neighbour: self.backend, source: source(self.backend) })
    }
}

fn source(backend: IpAddr) -> IpAddr {
    if backend.is_ipv4() { NODE_V4 } else { NODE_V6 }
}
