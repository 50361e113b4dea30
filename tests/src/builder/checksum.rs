//! The Internet checksum (RFC 1071).

use std::net::IpAddr;

/// One's complement of the one's complement sum of all 16-bit words; an odd byte at the end is the upper half of one.
pub fn of(bytes: &[u8]) -> u16 {
    let mut sum: u64 = 0;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u64::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Checksum of TCP, UDP and `ICMPv6`: over a pseudo header and the segment, whose own checksum field must be zero
/// (RFC 9293, section 3.1; RFC 8200, section 8.1).
pub fn of_segment(source: IpAddr, destination: IpAddr, protocol: u8, segment: &[u8]) -> u16 {
    let length = u32::try_from(segment.len()).expect("a segment fits into an IP packet");
    let mut bytes = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            panic!("{source} and {destination} are of different families")
        }
    }
    bytes.extend(length.to_be_bytes());
    // The two families lay the rest out differently, but to the same sum.
    bytes.extend([0, 0, 0, protocol]);
    bytes.extend(segment);
    of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_sums_up() {
        // Section 3: the sum of these bytes is 0xddf2.
        assert_eq!(of(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }
}
