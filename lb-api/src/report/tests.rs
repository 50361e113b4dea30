//! Documents from hand-made maps.

use xdp_lb::{
    installed::{InstalledAddress, InstalledNextHop},
    model::{self, NextHopKey, NextHopSpec, Protocol},
};
use xdp_lb_abi::{MemberCounters, Reason, ring::Route};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address literal")
}

fn counted(bytes: u64, packets: &[(Reason, u64)]) -> ReasonCounters {
    let mut counters = ReasonCounters { bytes, ..ReasonCounters::ZERO };
    for (reason, number) in packets {
        counters.packets[*reason as usize] = *number;
    }
    counters
}

fn member(index: u16, tunnel: &str, next_hop: u16) -> (MemberKey, InstalledMember) {
    let key = MemberKey { tunnel: ip(tunnel), mode: model::Mode::Ipip };
    let route = Route { counter: u32::from(index), next_hop, encapsulation: Some(key.encapsulation()) };
    (key, InstalledMember { index, route, up: true })
}

/// A service with id 1 and two members, of which the first has a way out by interface 7, on a VIP address with id 2.
fn installed() -> Installed {
    let service = Service::new(ip("2001:db8::10"), 443, Protocol::Tcp);
    let members = [member(1, "10.0.0.11", 5), member(2, "2001:db8::b", 0)];
    let hop = NextHopKey { interface: 7, neighbour: ip("10.0.0.1"), source: ip("10.0.0.2") };
    let spec = NextHopSpec { neighbour_mac: Some([2, 0, 0, 0, 0, 0xab]), egress_mac: [2; 6], mtu: 1500 };
    Installed {
        services: [(
            service,
            InstalledService { id: 1, fingerprint: 1, members: members.into(), ..InstalledService::default() },
        )]
        .into(),
        addresses: [(service.address, InstalledAddress { id: 2, ..InstalledAddress::default() })].into(),
        next_hops: [(hop, InstalledNextHop { id: 5, spec })].into(),
    }
}

fn report() -> Stats {
    let totals = Totals::new(
        vec![
            counted(10, &[(Reason::NotVip, 1)]),
            counted(600, &[(Reason::Forwarded, 5), (Reason::TooBig, 1)]),
            counted(60, &[(Reason::NoService, 1)]),
        ],
        vec![
            MemberCounters::default(),
            MemberCounters { packets: 3, bytes: 300 },
            MemberCounters { packets: 2, bytes: 200 },
        ],
    );
    let slots = [(1, [(1, 40_000), (2, 25_537)].into())].into();
    stats(&installed(), &totals, &slots, &|index| (index == 7).then(|| "eth0".to_owned()))
}

#[test]
fn every_packet_counts_in_the_total_and_in_one_place() {
    let stats = report();
    assert_eq!(stats.total.bytes, 670);
    assert_eq!(stats.total.packets.values().sum::<u64>(), 8);
    assert_eq!(stats.other.packets, [("not_vip".to_owned(), 1)].into());
    assert_eq!(stats.addresses[0].counts.packets, [("no_service".to_owned(), 1)].into());
    assert_eq!(stats.vips[0].packets, [("forwarded".to_owned(), 5), ("too_big".to_owned(), 1)].into());
}

#[test]
fn a_member_shows_its_slots_its_counters_and_the_way_to_it() {
    let vips = report().vips;
    let [near, far] = vips[0].members.as_slice() else { panic!("two members, not {:?}", vips[0].members) };
    assert_eq!((near.slots, near.packets, near.bytes), (40_000, 3, 300));
    assert_eq!((far.slots, far.packets, far.encapsulation.as_str()), (25_537, 2, "ipip6"));
    let hop = near.next_hop.as_ref().expect("a next hop");
    assert_eq!((hop.interface.as_str(), hop.mac.as_deref()), ("eth0", Some("02:00:00:00:00:ab")));
    assert_eq!(far.next_hop, None);
}

#[test]
fn an_interface_without_a_name_shows_its_index() {
    let vips = vips(&installed(), &Totals::default(), &BTreeMap::new(), &|_| None);
    let hop = vips[0].members[0].next_hop.as_ref().expect("a next hop");
    assert_eq!(hop.interface, "#7");
}

#[test]
fn a_backend_sums_up_its_services() {
    let mut vips = report().vips;
    let mut second = vips[0].clone();
    (second.port, second.last_port) = (80, 80);
    second.members[0].name = Some("web-1".to_owned());
    vips.push(second);
    let backends = backends(&vips);
    let web = &backends[0];
    assert_eq!((web.name.as_deref(), web.address, web.packets, web.bytes), (Some("web-1"), ip("10.0.0.11"), 6, 600));
    let services: Vec<_> = web.services.iter().map(|part| part.service.as_str()).collect();
    assert_eq!(services, ["[2001:db8::10]:443/tcp", "[2001:db8::10]:80/tcp"]);
}

#[test]
fn a_backend_without_a_way_is_one_problem_as_long_as_it_should_take_traffic() {
    let mut vips = report().vips;
    vips.push(vips[0].clone());
    let expected = "packets for the backend 2001:db8::b are dropped, because there is no route to it: add one";
    assert_eq!(problems(&[], &vips), [expected]);
    for vip in &mut vips {
        vip.members[1].slots = 0;
    }
    assert_eq!(problems(&[], &vips), [""; 0]);
}

#[test]
fn a_service_that_drops_everything_is_a_problem() {
    let mut vips = report().vips;
    vips[0].members.iter_mut().for_each(|member| member.slots = 0);
    let [problem] = &problems(&[], &vips)[..] else { panic!("one problem") };
    assert!(problem.contains("has no backend that takes traffic"), "{problem}");
}

#[test]
fn an_interface_that_lost_its_program_or_runs_it_slowly_is_a_problem() {
    let attached = Interface { name: "eth0".to_owned(), index: Some(2), mode: Some(Mode::Native), program_id: Some(9) };
    let recreated = Interface { mode: None, program_id: None, ..attached.clone() };
    let gone = Interface { index: None, ..recreated.clone() };
    let slow = Interface { mode: Some(Mode::Generic), ..attached.clone() };
    let problems = problems(&[attached, recreated, gone, slow], &[]);
    let expected = ["re-created", "is gone", "generic mode"];
    assert_eq!(problems.len(), expected.len());
    assert!(problems.iter().zip(expected).all(|(problem, words)| problem.contains(words)), "{problems:?}");
}

#[test]
fn a_directory_that_is_no_bpffs_is_named() {
    let error = Report::read(&Pins::new("/proc")).expect_err("no bpffs");
    assert!(error.to_string().starts_with("/proc is not a BPF file system"), "{error}");
}

#[test]
fn the_documents_survive_json() {
    let stats = report();
    let json = serde_json::to_string(&stats).expect("plain data");
    assert_eq!(serde_json::from_str::<Stats>(&json).expect("our own document"), stats);
}
