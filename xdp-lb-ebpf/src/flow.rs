//! The flow hash: which slot of a ring, and which flow label, a packet gets.

use xdp_lb_abi::{Addr, HashInput, ring};

/// Odd constants with about half of their bits set: the golden ratio, then those of `MurmurHash3`'s finalizer.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const MURMUR_1: u64 = 0xff51_afd7_ed55_8ccd;
const MURMUR_2: u64 = 0xc4ce_b9fe_1a85_ec53;

/// The bytes of the destination port in the first word of a TCP or UDP header.
const DESTINATION_PORT: u32 = 0x0000_ffff_u32.to_be();

/// Hash of what tells the flows to one service apart.
///
/// Destination address, port and protocol have chosen the ring already, so the flows of one ring differ in source
/// address and source port only; the destination port is hashed all the same, because it comes in the same word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHash(u64);

impl FlowHash {
    /// Hash of a flow: `ports` is the first word of its TCP or UDP header as it stands in memory.
    ///
    /// The result depends on bytes of the packet and the seed only, so all nodes agree on it, whatever their byte order.
    /// Every input word enters by an operation that can be undone, so flows that differ in one word never collide
    /// before the range is reduced; two more multiplications give every output bit a share of every input bit.
    #[inline(always)]
    pub const fn of(seed: u64, source: Addr, ports: u32) -> Self {
        let [high, low] = source.words();
        let hash = stir(seed ^ MURMUR_1, u64::from_le(high));
        let hash = stir(hash, u64::from_le(low));
        let hash = stir(hash, u32::from_le(ports) as u64);
        let hash = hash.wrapping_mul(MURMUR_1);
        let hash = (hash ^ (hash >> 33)).wrapping_mul(MURMUR_2);
        Self(hash ^ (hash >> 33))
    }

    /// Hash of what the service wants its flows told apart by: the rest is zero.
    #[inline(always)]
    pub const fn of_input(seed: u64, input: HashInput, source: Addr, ports: u32) -> Self {
        let (source, ports) = match input {
            HashInput::FiveTuple => (source, ports),
            HashInput::SourceAddress => (source, 0),
            HashInput::IgnoreSourcePort => (source, ports & DESTINATION_PORT),
            HashInput::DestinationPort => (Addr::UNSPECIFIED, ports & DESTINATION_PORT),
        };
        Self::of(seed, source, ports)
    }

    /// The hash that was taken from another packet of the flow.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The hash, to be remembered.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// The flow's slot, from the hash's lower half. BPF has no 128-bit product, so 32 bits are reduced, not 64.
    #[inline(always)]
    pub const fn slot(self) -> usize {
        ((self.0 as u32 as u64 * ring::SLOTS as u64) >> 32) as usize
    }

    /// The flow's IPv6 flow label (RFC 6438): 20 bits that the slot does not depend on, so the flows to one backend
    /// still spread over the paths to it.
    #[inline(always)]
    pub const fn label(self) -> u32 {
        (self.0 >> 44) as u32
    }

    /// The flow's source port in a UDP tunnel, of the range for ports that nobody owns (RFC 6335, section 6): 14 bits
    /// that the slot does not depend on, for the same reason.
    #[inline(always)]
    pub const fn tunnel_port(self) -> u16 {
        0xc000 | (self.0 >> 32) as u16
    }
}

/// Mixes a word into the hash. For a given word the map from hash to hash is one to one, and the other way round.
#[inline(always)]
const fn stir(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word).wrapping_mul(GOLDEN);
    product ^ (product >> 32)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::*;

    fn hash(seed: u64, source: impl Into<IpAddr>, source_port: u16) -> u64 {
        let [a, b] = source_port.to_be_bytes();
        FlowHash::of(seed, source.into().into(), u32::from_ne_bytes([a, b, 0x01, 0xbb])).0
    }

    /// `SplitMix64`: inputs that have nothing to do with the hash under test.
    fn noise(index: u64) -> u64 {
        let z = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[test]
    fn the_hash_of_a_flow_never_changes() {
        // All nodes must agree, whatever their version: another result here breaks connections during an upgrade.
        assert_eq!(hash(0, Ipv4Addr::new(192, 0, 2, 1), 40_000), 6_245_451_324_841_136_629);
        assert_eq!(
            hash(0x5ca1_ab1e, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7), 50_000),
            3_359_567_888_075_810_856
        );
    }

    #[test]
    fn what_is_not_hashed_does_not_matter() {
        let client = |last, source_port: u16, destination_port: u16| {
            let ([a, b], [c, d]) = (source_port.to_be_bytes(), destination_port.to_be_bytes());
            (Addr::from(IpAddr::from([192, 0, 2, last])), u32::from_ne_bytes([a, b, c, d]))
        };
        let base = client(1, 40_000, 80);
        let others = [client(1, 50_000, 80), client(1, 40_000, 81), client(2, 40_000, 80)];
        for (input, same) in [
            (HashInput::FiveTuple, [false, false, false]),
            (HashInput::SourceAddress, [true, true, false]),
            (HashInput::IgnoreSourcePort, [true, false, false]),
            (HashInput::DestinationPort, [true, false, true]),
        ] {
            let hash = |(source, ports)| FlowHash::of_input(7, input, source, ports);
            assert_eq!(others.map(|other| hash(other) == hash(base)), same, "{input:?}");
        }
    }

    #[test]
    fn every_input_bit_moves_every_output_bit_half_of_the_time() {
        const ROUNDS: u64 = 4096;
        // 128 bits of address, 16 of source port, 64 of seed.
        for bit in 0..208 {
            let mut flips = [0u64; 64];
            for round in 0..ROUNDS {
                let input = [noise(4 * round + 1), noise(4 * round + 2), noise(4 * round + 3), noise(4 * round + 4)];
                let mut other = input;
                other[bit / 64] ^= 1 << (bit % 64);
                let [before, after] = [input, other].map(|[a, b, port, seed]| {
                    // Bits 128..144 are the port, 144.. the seed's upper 48; the rest is fixed by the noise.
                    FlowHash::of(seed ^ (port >> 16), Addr::from_words([a, b]), u32::from(port as u16)).0
                });
                for (out, count) in flips.iter_mut().enumerate() {
                    *count += (before ^ after) >> out & 1;
                }
            }
            for (out, count) in flips.into_iter().enumerate() {
                // Ten standard deviations of a fair coin.
                assert!(count.abs_diff(ROUNDS / 2) < 320, "input bit {bit}, output bit {out}: {count} of {ROUNDS}");
            }
        }
    }

    /// Chi-squared of `slots` over 256 equal shares of the ring; 255 expected, standard deviation 22.6.
    fn unevenness(slots: impl Iterator<Item = usize>) -> f64 {
        let (mut shares, mut total) = ([0u32; 256], 0u32);
        for slot in slots {
            assert!(slot < ring::SLOTS);
            shares[slot * 256 / ring::SLOTS] += 1;
            total += 1;
        }
        let expected = f64::from(total) / 256.0;
        shares.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum()
    }

    #[test]
    fn similar_flows_spread_evenly_over_the_ring() {
        let slot = |seed, ip: IpAddr, port| FlowHash(hash(seed, ip, port)).slot();
        for seed in [0, 1, 0x5ca1_ab1e] {
            let ports = (1024..=u16::MAX).map(|port| slot(seed, Ipv4Addr::new(192, 0, 2, 1).into(), port));
            assert!(unevenness(ports) < 400.0, "one client, all ports, seed {seed}");
            let clients = (0..100_000).map(|i| slot(seed, Ipv4Addr::from_bits(0x0a00_0000 + i).into(), 40_000));
            assert!(unevenness(clients) < 400.0, "neighbouring IPv4 clients, seed {seed}");
            let prefixes = (0..100_000u128).map(|i| Ipv6Addr::from_bits((0x2001_0db8 << 96) + (i << 64)));
            let prefixes = prefixes.map(|ip| slot(seed, ip.into(), 40_000));
            assert!(unevenness(prefixes) < 400.0, "neighbouring IPv6 prefixes, seed {seed}");
        }
    }

    #[test]
    fn flow_labels_have_20_bits_and_differ_among_the_flows_of_one_slot() {
        let mut labels = std::collections::HashSet::new();
        for client in 0..2_000_000 {
            let hash = FlowHash(hash(7, Ipv4Addr::from_bits(client), 1));
            assert!(hash.label() < 1 << 20);
            assert!(hash.tunnel_port() >= 49152);
            if hash.slot() == 1234 {
                labels.insert(hash.label());
            }
        }
        assert!(labels.len() > 15, "about 30 flows share the slot, {} labels", labels.len());
    }
}
