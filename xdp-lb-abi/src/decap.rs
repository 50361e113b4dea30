//! Keys of the decapsulation program.

use core::net::IpAddr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Addr, Family};

/// Prefixes of the source table: four bytes with the IP version, then the address, as the trie compares them.
///
/// The version in front keeps an IPv6 packet from a v4-mapped address from matching an IPv4 prefix. It takes a whole
/// word because the verifier refuses unaligned access to the stack, where the program puts the key together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelSource;

impl TunnelSource {
    /// Length of the trie's key data in bytes.
    pub const LEN: usize = size_of::<SourceKey>() - size_of::<u32>();

    /// Key data and prefix length in bits for `ip/prefix`, where `prefix` counts bits of the address itself.
    pub fn key(ip: IpAddr, prefix: u8) -> (u32, [u8; Self::LEN]) {
        let family = Family::from(&ip);
        let skipped = match family {
            Family::V4 => 32 + 96,
            Family::V6 => 32,
        };
        let mut data = [0; Self::LEN];
        data[0] = family as u8;
        data[4..].copy_from_slice(&Addr::from(ip).octets());
        (skipped + u32::from(prefix), data)
    }
}

/// The same key as the program builds it to look up one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SourceKey {
    /// Length of the data in bits: all of it.
    bits: u32,
    /// IP version in the first byte of the word.
    version: u32,
    /// The address.
    addr: Addr,
}

impl SourceKey {
    /// Key of one source address.
    #[inline(always)]
    pub const fn of(addr: Addr, family: Family) -> Self {
        Self { bits: (TunnelSource::LEN * 8) as u32, version: (family as u32).to_le(), addr }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_put_the_same_key_together() {
        for text in ["192.0.2.1", "2001:db8::7"] {
            let ip: IpAddr = text.parse().expect("an address literal");
            let (bits, data) = TunnelSource::key(ip, if ip.is_ipv4() { 32 } else { 128 });
            let key = SourceKey::of(ip.into(), Family::from(&ip));
            assert_eq!(key.as_bytes()[..4], bits.to_ne_bytes());
            assert_eq!(key.as_bytes()[4..], data);
        }
    }
}
