//! Why a packet got its verdict: one list that feeds counters, metric labels, `lbctl` columns and `docs/reasons.md`.

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReasonKind {
    /// Sent on to a backend.
    Forward,
    /// For this node: handed to its stack, taken out of its tunnel where it was in one.
    Deliver,
    /// Answered by the program itself: a packet goes back to where this one came from.
    Reply,
    /// None of our business: handed to the node's stack untouched.
    Pass,
    /// Dropped.
    Drop,
}

impl ReasonKind {
    /// Name in metrics, tables and docs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Deliver => "deliver",
            Self::Reply => "reply",
            Self::Pass => "pass",
            Self::Drop => "drop",
        }
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $kind:ident;)+) => {
        /// Why a packet got its verdict. The number is the index of its counter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of its counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Name in metrics, tables and docs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// What became of the packet.
            #[inline(always)]
            pub const fn kind(self) -> ReasonKind {
                match self { $(Self::$variant => ReasonKind::$kind,)+ }
            }

            /// One sentence for operators.
            pub const fn description(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

reasons! {
    /// Sent to a backend.
    Forwarded = "forwarded", Forward;
    /// The first fragment of a packet for a service: sent to a backend, and remembered for the others.
    FirstFragment = "first_fragment", Forward;
    /// Another fragment of such a packet: sent to the same backend.
    LaterFragment = "later_fragment", Forward;
    /// An ICMP error about a flow to a service: sent to the backend of that flow.
    ForwardedIcmpError = "forwarded_icmp_error", Forward;
    /// An echo request (ping) to a VIP address, answered.
    EchoReply = "echo_reply", Reply;
    /// With its encapsulation the packet is longer than the MTU on the way to the backend, and its sender was told.
    PacketTooBig = "packet_too_big", Reply;
    /// The TTL or hop limit ends here, and the sender was told.
    TimeExceeded = "time_exceeded", Reply;
    /// Sent to a backend by another interface than the one the packet came in by.
    Redirected = "redirected", Forward;
    /// Not IPv4 or IPv6 (ARP, VLAN-tagged and other frames), or too short to tell.
    NotIp = "not_ip", Pass;
    /// The destination is not a VIP address.
    NotVip = "not_vip", Pass;
    /// For a VIP address that is bound on this node, and for none of its services.
    LocalAddress = "local_address", Pass;
    /// IPv6 neighbour discovery for a VIP address (RFC 4861), which the node's own stack answers.
    NeighbourDiscovery = "neighbour_discovery", Pass;
    /// For a VIP address, but it has no service on that port and protocol.
    NoService = "no_service", Drop;
    /// The service has no usable backend.
    NoBackend = "no_backend", Drop;
    /// The backend's next hop has no MAC address (no route, or the neighbour does not answer).
    NextHopUnresolved = "next_hop_unresolved", Drop;
    /// The way to the backend leaves by an interface that the program does not run on.
    OtherInterface = "other_interface", Drop;
    /// With its encapsulation the packet is longer than the MTU on the way to the backend, and its sender is not told: it
    /// is an ICMP error itself, or may be fragmented and `icmp.too_big` is `drop`.
    TooBig = "too_big", Drop;
    /// A fragment for a VIP address whose packet's first fragment has not come by here in the last 30 seconds, or whose
    /// backend is gone.
    FragmentUnknown = "fragment_unknown", Drop;
    /// For a VIP address: a fragment of something else than TCP and UDP, or of a tunnelled packet.
    Fragment = "fragment", Drop;
    /// For a VIP address, with a protocol other than TCP and UDP, or behind too many IPv6 extension headers.
    UnsupportedProtocol = "unsupported_protocol", Drop;
    /// For a VIP address, and the frame ends inside its headers.
    Truncated = "truncated", Drop;
    /// For a VIP address, and a length field contradicts another or the frame.
    BadLength = "bad_length", Drop;
    /// For a VIP address, and the TCP flags are a combination that no sender sets.
    BadTcpFlags = "bad_tcp_flags", Drop;
    /// For a VIP address, and the TTL or hop limit ends here, but it is 0 or an ICMP error's.
    TtlExpired = "ttl_expired", Drop;
    /// An ICMP error that quotes no flow to a service of this VIP address.
    IcmpErrorUnmatched = "icmp_error_unmatched", Drop;
    /// An answer was due, and this CPU sends no more of them per second (`icmp.rate`).
    IcmpRateLimited = "icmp_rate_limited", Drop;
    /// An answer was due, but not to this sender: its address is no single host's, or its frame went to many (RFC 1122,
    /// section 3.2.2).
    NoReplyAddress = "no_reply_address", Drop;
    /// The driver left no room in front of the packet for the outer header.
    NoHeadroom = "no_headroom", Drop;
    /// A table holds a value that this version of the program does not know.
    CorruptTable = "corrupt_table", Drop;
    /// Taken out of its tunnel and handed to this backend's stack.
    Decapsulated = "decapsulated", Deliver;
    /// The selected backend is this node itself: handed to its stack.
    LocalBackend = "local_backend", Deliver;
    /// Not a tunnelled packet for one of this backend's tunnel addresses.
    NotTunnel = "not_tunnel", Pass;
    /// Tunnelled, but not from one of the configured sources.
    SourceRefused = "source_refused", Drop;
    /// Tunnelled, but the inner destination is not one of this backend's VIPs.
    InnerNotVip = "inner_not_vip", Drop;
    /// Tunnelled, and the inner packet is truncated, or not of the family that the outer header names.
    InnerMalformed = "inner_malformed", Drop;
    /// Tunnelled and marked as congested on the way, but the inner packet cannot carry the mark (RFC 6040, section 4.2).
    EcnRefused = "ecn_refused", Drop;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_index_of_its_counter() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }
}
