//! The flow hash that chooses a ring's slot and the outer flow label, written down a second time.
//!
//! 64-bit arithmetic modulo 2^64 over little-endian words of the packet: the source address in two words (an IPv4
//! address in its v4-mapped form), then source and destination port in one.

use std::net::IpAddr;

/// Number of slots of a ring.
const SLOTS: u128 = 65_537;
const MODULUS: u128 = 1 << 64;
const GOLDEN: u128 = 0x9e37_79b9_7f4a_7c15;
const MURMUR_1: u128 = 0xff51_afd7_ed55_8ccd;
const MURMUR_2: u128 = 0xc4ce_b9fe_1a85_ec53;

/// Hash of the flow from `source`, with the given ports.
pub fn of(seed: u64, source: IpAddr, source_port: u16, destination_port: u16) -> u64 {
    let address = match source {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let ports = [source_port.to_be_bytes(), destination_port.to_be_bytes()].concat();
    let mut hash = u128::from(seed) ^ MURMUR_1;
    for word in [&address[..8], &address[8..], &ports] {
        hash = (hash ^ little_endian(word)) * GOLDEN % MODULUS;
        hash ^= hash >> 32;
    }
    for factor in [MURMUR_1, MURMUR_2] {
        hash = hash * factor % MODULUS;
        hash ^= hash >> 33;
    }
    hash as u64
}

/// The slot that a hash leads to: its lower 32 bits, scaled to the number of slots.
pub fn slot(hash: u64) -> usize {
    let low = u128::from(hash) % (1 << 32);
    (low * SLOTS / (1 << 32)) as usize
}

/// The outer flow label: the upper 20 bits.
pub fn label(hash: u64) -> u32 {
    (hash >> 44) as u32
}

/// The source port of a UDP tunnel: 14 bits above those that the slot comes from, among the ports that nobody owns.
pub fn tunnel_port(hash: u64) -> u16 {
    let bits = (hash >> 32) % 16_384;
    49_152 + u16::try_from(bits).expect("14 bits")
}

fn little_endian(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |number, byte| number * 256 + u128::from(*byte))
}
