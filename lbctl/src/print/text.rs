//! Single values as text.

use std::{collections::BTreeMap, net::IpAddr};

use xdp_lb_abi::{Reason, ReasonKind};

/// Stands where nothing is known.
pub(super) const UNKNOWN: &str = "-";

/// What is known, or the sign for nothing.
pub(super) fn or_unknown(value: Option<impl ToString>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| value.to_string())
}

/// `yes` or `no`.
pub(super) fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// A number of bytes in the largest decimal unit that leaves a digit before the point; exact if `wide`.
pub(super) fn bytes(number: u64, wide: bool) -> String {
    const UNITS: [(u64, &str); 6] = [
        (1_000_000_000_000_000_000, "EB"),
        (1_000_000_000_000_000, "PB"),
        (1_000_000_000_000, "TB"),
        (1_000_000_000, "GB"),
        (1_000_000, "MB"),
        (1_000, "kB"),
    ];
    if wide {
        return number.to_string();
    }
    match UNITS.into_iter().find(|(size, _)| number >= *size) {
        Some((size, unit)) => format!("{}.{} {unit}", number / size, number % size / (size / 10)),
        None => format!("{number} B"),
    }
}

/// Seconds in the two largest units.
pub(super) fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, ..) => format!("{hours}h{}m", minutes % 60),
        _ => format!("{days}d{}h", hours % 24),
    }
}

/// Reasons with their packets, most packets first.
pub(super) fn reasons(packets: &BTreeMap<String, u64>) -> String {
    let mut reasons: Vec<_> = packets.iter().collect();
    reasons.sort_by_key(|(name, packets)| (std::cmp::Reverse(**packets), *name));
    let reasons: Vec<_> = reasons.iter().map(|(name, packets)| format!("{name} {packets}")).collect();
    if reasons.is_empty() { UNKNOWN.to_owned() } else { reasons.join(", ") }
}

/// The reason of this name; none if the agent's release knows more reasons than this one.
pub(super) fn reason(name: &str) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| reason.name() == name)
}

/// Packets whose reason is of this kind.
pub(super) fn packets_of(kind: ReasonKind, packets: &BTreeMap<String, u64>) -> u64 {
    packets.iter().filter(|(name, _)| reason(name).is_some_and(|reason| reason.kind() == kind)).map(|(_, n)| n).sum()
}

/// `name (address)`, or the address alone.
pub(super) fn backend(name: Option<&str>, address: IpAddr) -> String {
    name.map_or_else(|| address.to_string(), |name| format!("{name} ({address})"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0 B")]
    #[case(999, "999 B")]
    #[case(1_000, "1.0 kB")]
    #[case(1_299_999, "1.2 MB")]
    #[case(u64::MAX, "18.4 EB")]
    fn bytes_are_short_unless_asked_for(#[case] number: u64, #[case] short: &str) {
        assert_eq!(bytes(number, false), short);
        assert_eq!(bytes(number, true), number.to_string());
    }

    #[rstest]
    #[case(59, "59s")]
    #[case(61, "1m1s")]
    #[case(7_300, "2h1m")]
    #[case(100_000, "1d3h")]
    fn a_duration_has_two_units(#[case] seconds: u64, #[case] expected: &str) {
        assert_eq!(duration(seconds), expected);
    }

    #[test]
    fn the_most_frequent_reason_stands_first() {
        let packets = [("forwarded".to_owned(), 9), ("bad_length".to_owned(), 1), ("too_big".to_owned(), 10)];
        assert_eq!(reasons(&packets.into()), "too_big 10, forwarded 9, bad_length 1");
    }

    #[test]
    fn a_reason_of_a_later_release_is_of_no_kind() {
        let packets = [("too_big".to_owned(), 2), ("not_yet_known".to_owned(), 5)].into();
        assert_eq!(packets_of(ReasonKind::Drop, &packets), 2);
    }
}
