//! Keys of the decapsulation program.

use core::net::IpAddr;

use crate::{Addr, Family};

/// Prefixes of the source table: a byte with the IP version, then the address, as the trie compares them.
///
/// The version in front keeps an IPv6 packet from a v4-mapped address from matching an IPv4 prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelSource;

impl TunnelSource {
    /// Length of the trie's key data in bytes.
    pub const LEN: usize = 17;

    /// Key data and prefix length in bits for `ip/prefix`, where `prefix` counts bits of the address itself.
    pub fn key(ip: IpAddr, prefix: u8) -> (u32, [u8; Self::LEN]) {
        let family = Family::from(&ip);
        let skipped = match family {
            Family::V4 => 8 + 96,
            Family::V6 => 8,
        };
        let mut data = [0; Self::LEN];
        data[0] = family as u8;
        data[1..].copy_from_slice(&Addr::from(ip).octets());
        (skipped + u32::from(prefix), data)
    }
}
