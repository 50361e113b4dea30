//! IP addresses as the maps store them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Address family of a packet or a table entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    /// IPv4.
    V4 = 4,
    /// IPv6.
    V6 = 6,
}

/// An IP address: 16 bytes in network order; IPv4 takes the form `::ffff:a.b.c.d` (RFC 4291, section 2.5.5.2).
///
/// Two words, because the BPF compiler compares `[u8; 16]` byte by byte. An IPv6 packet may carry a v4-mapped address
/// too, so keys hold the family beside the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Addr {
    words: [u64; 2],
}

impl Addr {
    /// All zeros: no address.
    pub const UNSPECIFIED: Self = Self { words: [0; 2] };

    /// From the two words as they stand in memory, that is in network byte order.
    #[inline(always)]
    pub const fn from_words(words: [u64; 2]) -> Self {
        Self { words }
    }

    /// From an IPv4 address as it stands in a packet: four bytes in network order, read as a native `u32`.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        // Bytes 8..16 are 0, 0, 0xff, 0xff, a, b, c, d.
        let low = if cfg!(target_endian = "little") {
            ((word as u64) << 32) | 0xffff_0000
        } else {
            0x0000_ffff_0000_0000 | word as u64
        };
        Self { words: [0, low] }
    }

    /// The two words as they stand in memory.
    #[inline(always)]
    pub const fn words(self) -> [u64; 2] {
        self.words
    }

    /// The IPv4 address as it stands in a packet; meaningful only for the v4-mapped form.
    #[inline(always)]
    pub const fn v4_word(self) -> u32 {
        if cfg!(target_endian = "little") { (self.words[1] >> 32) as u32 } else { self.words[1] as u32 }
    }

    /// The 16 bytes in network order.
    pub const fn octets(self) -> [u8; 16] {
        let (high, low) = (self.words[0].to_ne_bytes(), self.words[1].to_ne_bytes());
        let mut octets = [0; 16];
        let mut i = 0;
        while i < 8 {
            octets[i] = high[i];
            octets[i + 8] = low[i];
            i += 1;
        }
        octets
    }

    /// The address as the standard library's type, given the family that stands beside it in the table.
    pub fn to_ip(self, family: Family) -> IpAddr {
        let octets = self.octets();
        match family {
            Family::V4 => Ipv4Addr::new(octets[12], octets[13], octets[14], octets[15]).into(),
            Family::V6 => Ipv6Addr::from(octets).into(),
        }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(v4) => Self::from_v4_word(u32::from_ne_bytes(v4.octets())),
            IpAddr::V6(v6) => {
                let mut words = [[0; 8]; 2];
                words[0].copy_from_slice(&v6.octets()[..8]);
                words[1].copy_from_slice(&v6.octets()[8..]);
                Self { words: words.map(u64::from_ne_bytes) }
            }
        }
    }
}

impl From<&IpAddr> for Family {
    fn from(ip: &IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_the_way_into_a_map_and_back() {
        for text in ["192.0.2.1", "2001:db8::7", "::ffff:192.0.2.1", "255.255.255.255", "::"] {
            let ip: IpAddr = text.parse().expect("an address literal");
            assert_eq!(Addr::from(ip).to_ip(Family::from(&ip)), ip);
        }
    }

    #[test]
    fn ipv4_is_stored_v4_mapped_in_network_order() {
        let addr = Addr::from(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(addr.octets(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
        assert_eq!(addr.v4_word().to_ne_bytes(), [192, 0, 2, 1]);
    }
}
