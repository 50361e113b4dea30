//! Explicit congestion notification across a tunnel's end (RFC 6040).

use crate::{
    checksum,
    headers::{IPV4_LEN, IPV6_LEN},
    packet::Window,
};

/// The ECN field: the lower two bits of the traffic class (RFC 3168, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecn(u8);

impl Ecn {
    /// The transport does not support ECN.
    pub const NOT_ECT: Self = Self(0b00);
    /// The transport supports ECN.
    pub const ECT_0: Self = Self(0b10);
    /// The transport supports ECN; also a mild congestion signal.
    pub const ECT_1: Self = Self(0b01);
    /// Congestion experienced.
    pub const CE: Self = Self(0b11);

    /// The field of a traffic class.
    #[inline(always)]
    pub const fn of(traffic_class: u8) -> Self {
        Self(traffic_class & 0b11)
    }
}

/// The field that leaves the tunnel, or `None` if the packet must be dropped: figure 4 of RFC 6040.
///
/// A packet that was marked on the way, of a transport that would not see the mark, is dropped: the loss is the signal.
#[inline(always)]
pub fn decapsulated(outer: Ecn, inner: Ecn) -> Option<Ecn> {
    match (outer, inner) {
        (Ecn::CE, Ecn::NOT_ECT) => None,
        (_, Ecn::NOT_ECT) => Some(Ecn::NOT_ECT),
        (Ecn::CE, _) => Some(Ecn::CE),
        (Ecn::ECT_1, Ecn::ECT_0) => Some(Ecn::ECT_1),
        _ => Some(inner),
    }
}

/// Writes the field of an IPv4 header, and corrects its checksum.
#[inline(always)]
pub fn set_ipv4(header: &mut Window<'_, IPV4_LEN>, ecn: Ecn) {
    let old = header.number::<0>();
    let new = old & !0b11 | u16::from(ecn.0);
    let checksum = checksum::replace(header.get::<u16, 10>(), old.to_be(), new.to_be());
    header.set::<u16, 0>(new.to_be());
    header.set::<u16, 10>(checksum);
}

/// Writes the field of an IPv6 header.
#[inline(always)]
pub fn set_ipv6(header: &mut Window<'_, IPV6_LEN>, ecn: Ecn) {
    // The traffic class is bits 4 to 11, so the field is bits 10 and 11 of the first 16.
    let class = header.number::<0>();
    header.set::<u16, 0>((class & !0x0030 | u16::from(ecn.0) << 4).to_be());
}
