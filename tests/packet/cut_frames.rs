//! Frames that end too early, at every length: each is counted under the reason of the header it ends in.

use std::net::IpAddr;

use xdp_lb::model::Protocol;
use xdp_lb_abi::Reason;
use xdp_lb_tests::builder::{
    Payload, Tcp, Udp,
    frame::{self, frame},
};

use crate::{
    balancer::{
        Balancer,
        CountedAt::{Address, Nowhere},
        Expected::Unchanged,
    },
    forwarding::{COMBINATIONS, packet_to},
    world::{CLIENT_PORT, DNS, HTTP, World},
};

/// Shortest input of a test run: the kernel refuses less than an Ethernet header, as drivers do.
const SHORTEST: usize = frame::HEADER;

#[test]
fn a_frame_cut_at_any_length_is_counted_and_unchanged() {
    let mut balancer = Balancer::new(&World::all_combinations());
    for (name, vip, _) in COMBINATIONS {
        let segment = Tcp { options: vec![1; 12], ..Tcp::between(CLIENT_PORT, HTTP) };
        cut(&mut balancer, &format!("{name}, TCP"), vip, &segment, 20);
        cut(&mut balancer, &format!("{name}, UDP"), vip, &Udp::between(CLIENT_PORT, DNS), 8);
    }
}

/// Cuts a packet everywhere; `transport` is the length of its transport header without options.
fn cut(balancer: &mut Balancer, name: &str, vip: IpAddr, payload: &impl Payload, transport: usize) {
    let whole = frame(&packet_to(vip, payload));
    let ip_end = frame::HEADER + if vip.is_ipv4() { 20 } else { 40 };
    let options = if payload.protocol() == Protocol::Tcp.number() { 12 } else { 0 };
    for length in SHORTEST..whole.len() {
        let expected = if length < ip_end {
            Unchanged(Reason::NotIp, Nowhere)
        } else if length < ip_end + transport + options {
            Unchanged(Reason::Truncated, Address(vip))
        } else {
            Unchanged(Reason::BadLength, Address(vip))
        };
        balancer.check(&format!("{name}, cut to {length} bytes"), &whole[..length], &expected);
    }
}
