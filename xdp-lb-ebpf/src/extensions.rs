//! IPv6 extension headers: the way to the transport header behind them (RFC 8200, section 4).
//!
//! What the options say is for the receiver. The order of the headers is not checked either: the backend's stack, which
//! gets the packet as it is, knows better what it accepts.

use xdp_lb_abi::Reason;

use crate::{
    bounds,
    fragment::Fragment,
    headers::{ipv6_fragment, protocol},
    packet::{Frame, Window},
};

/// Headers that are walked past. RFC 8200 recommends an order with five before the transport header, of which senders
/// use one or two; a packet with more than this many is dropped as `unsupported_protocol` if it is for a VIP.
const MOST_HEADERS: usize = 4;

/// Covers every offset that can come out: those of the longest headers behind each other.
const OFFSETS: usize = 0x3fff;

/// What all extension headers begin with: next header and length. None is shorter.
const LEAST_LEN: usize = 8;

/// A header in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper {
    /// Its protocol.
    pub protocol: u8,
    /// Where it stands, from the start of the frame.
    pub offset: usize,
    /// Which part of a packet this is.
    pub fragment: Fragment,
}

/// Moves `upper` behind the extension headers that it may stand at.
///
/// In place, because in a result it would have no value beside an error, and LLVM stores what has no value to the stack
/// all the same, which the verifier refuses.
#[inline(always)]
pub fn skip(frame: &impl Frame, upper: &mut Upper) -> Result<(), Reason> {
    for _ in 0..MOST_HEADERS {
        if !is_extension(upper.protocol) {
            break;
        }
        let header = Window::<LEAST_LEN>::at(frame, upper.offset).ok_or(Reason::Truncated)?;
        let units = header.get::<u8, 1>() as usize;
        let length = match upper.protocol {
            protocol::IPV6_FRAGMENT => {
                if header.get::<u16, { ipv6_fragment::POSITION }>() & ipv6_fragment::POSITION_MASK_BE != 0 {
                    let identification = header.get::<u32, { ipv6_fragment::IDENTIFICATION }>();
                    if header.get::<u16, { ipv6_fragment::POSITION }>() & ipv6_fragment::OFFSET_MASK_BE != 0 {
                        upper.fragment = Fragment::later(identification);
                        return Err(Reason::FragmentUnknown);
                    }
                    upper.fragment = Fragment::first(identification);
                }
                ipv6_fragment::LEN
            }
            protocol::AUTHENTICATION => (units + 2) * 4,
            _ => (units + 1) * 8,
        };
        upper.protocol = header.get::<u8, 0>();
        // Each kind of header leaves other bounds, and everything behind would be verified for every combination.
        let offset = (upper.offset + length) as u64;
        upper.offset = bounds::forget(offset, header.get::<u64, 0>()) as usize & OFFSETS;
    }
    Ok(())
}

#[inline(always)]
const fn is_extension(number: u8) -> bool {
    matches!(
        number,
        protocol::IPV6_HOP_BY_HOP
            | protocol::IPV6_ROUTING
            | protocol::IPV6_FRAGMENT
            | protocol::AUTHENTICATION
            | protocol::IPV6_DESTINATION_OPTIONS
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Buffer;

    const TCP: u8 = protocol::TCP;

    /// Walks through headers that begin the frame; `first` is the number of the first.
    fn walk(first: u8, headers: &[&[u8]]) -> Result<(u8, usize), Reason> {
        let mut upper = Upper { protocol: first, offset: 0, fragment: Fragment::WHOLE };
        skip(&Buffer::new(&headers.concat()), &mut upper).map(|()| (upper.protocol, upper.offset))
    }

    fn options(next: u8) -> [u8; 8] {
        [next, 0, 1, 4, 0, 0, 0, 0]
    }

    #[test]
    fn each_header_is_as_long_as_its_rfc_says() {
        let long = [&[TCP, 2][..], &[0; 22]].concat();
        let authentication = [&[TCP, 4][..], &[0; 22]].concat();
        let atomic = [TCP, 0xff, 0, 0, 1, 2, 3, 4];
        for (first, header, length) in [
            (0, &options(TCP)[..], 8),
            (43, &long, 24),
            (60, &long, 24),
            (51, &authentication, 24),
            (44, &atomic, 8),
            (6, &[], 0),
            (135, &options(TCP), 0),
        ] {
            let protocol = if length == 0 { first } else { TCP };
            assert_eq!(walk(first, &[header]), Ok((protocol, length)), "header {first}");
        }
    }

    #[test]
    fn four_headers_are_walked_past_and_no_more() {
        let (to_routing, to_options, to_tcp) = (options(43), options(60), options(TCP));
        let four = [&to_routing[..], &to_options, &to_options, &to_tcp];
        assert_eq!(walk(0, &four), Ok((TCP, 32)));
        let five = [&to_routing[..], &to_options, &to_options, &to_options, &to_tcp];
        assert_eq!(walk(0, &five), Ok((60, 32)));
    }

    #[test]
    fn a_fragment_other_than_the_first_ends_the_walk() {
        for (position, expected) in [
            ([0, 0], Ok((TCP, 8))),
            ([0, 0b110], Ok((TCP, 8))),
            ([0, 1], Ok((TCP, 8))),
            ([0, 8], Err(Reason::FragmentUnknown)),
            ([0x80, 0], Err(Reason::FragmentUnknown)),
        ] {
            assert_eq!(walk(44, &[&[TCP, 0, position[0], position[1], 0, 0, 0, 1]]), expected, "{position:?}");
        }
    }

    #[test]
    fn headers_that_are_not_all_there_are_told() {
        for end in 0..8 {
            assert_eq!(walk(60, &[&options(TCP)[..end]]), Err(Reason::Truncated), "{end}");
        }
        assert_eq!(walk(60, &[&[60, 255, 0, 0, 0, 0, 0, 0]]), Err(Reason::Truncated));
    }
}
