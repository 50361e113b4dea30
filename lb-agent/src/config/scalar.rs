//! Single values: numbers, durations, addresses, names. Each function reads one kind and says what is wrong with it.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;
use xdp_lb::model::Ports;

use super::{
    decode::{bare, suggestion, text},
    diagnostic::{Checked, Report, quoted},
    yaml::Node,
};

/// Longest name of a VIP, pool or backend: names become metric labels and table columns.
const MAX_NAME: usize = 63;

/// Longest interface name (`IFNAMSIZ` without its final zero).
const MAX_INTERFACE_NAME: usize = 15;

/// `true` or `false`.
pub(super) fn boolean(node: &Node, report: &mut Report) -> Checked<bool> {
    match bare(node, "true or false", report)? {
        "true" => Ok(true),
        "false" => Ok(false),
        other => {
            let message = format!("{} is neither true nor false", quoted(other));
            Err(report.error(node.at, message, "write true or false"))
        }
    }
}

/// A whole number within a range.
pub(super) fn number<T>(node: &Node, what: &str, range: RangeInclusive<T>, report: &mut Report) -> Checked<T>
where
    T: TryFrom<u64> + PartialOrd + std::fmt::Display,
{
    let (first, last) = (range.start(), range.end());
    let text = bare(node, "a number", report)?;
    let remedy = format!("write a whole number from {first} to {last}");
    // In other places a leading zero makes a number octal; better to ask than to guess.
    let octal = text.len() > 1 && text.starts_with('0');
    if text.is_empty() || octal || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(report.error(node.at, format!("{} is not {what}", quoted(text)), remedy));
    }
    match text.parse().ok().and_then(|number: u64| T::try_from(number).ok()).filter(|number| range.contains(number)) {
        Some(number) => Ok(number),
        None => Err(report.error(node.at, format!("{what} of {text:.20} is out of range"), remedy)),
    }
}

/// A port other than 0.
pub(super) fn port(node: &Node, report: &mut Report) -> Checked<u16> {
    number(node, "a port", 1..=u16::MAX, report)
}

/// A port, or the first and the last of a range.
pub(super) fn ports(node: &Node, report: &mut Report) -> Checked<Ports> {
    let text = bare(node, "a number", report)?;
    let Some((first, last)) = text.split_once('-') else {
        return port(node, report).map(|port| Ports::new(port..=port).expect("`port` refuses 0"));
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let range = (is_number(first) && is_number(last)).then(|| Some(first.parse().ok()?..=last.parse().ok()?));
    range.flatten().and_then(Ports::new).ok_or_else(|| {
        let message = format!("{} is not a range of ports", quoted(text));
        report.error(
            node.at,
            message,
            "write FIRST-LAST without spaces, from 1 to 65535, the lower first; or `ports: any`",
        )
    })
}

/// A 64-bit number, decimal or hexadecimal.
pub(super) fn seed(node: &Node, report: &mut Report) -> Checked<u64> {
    let text = bare(node, "a number", report)?;
    let (digits, radix) = text.strip_prefix("0x").map_or((text, 10), |digits| (digits, 16));
    // `from_str_radix` alone would accept a sign.
    let number = digits.chars().all(|digit| digit.is_digit(radix)).then(|| u64::from_str_radix(digits, radix));
    number.and_then(Result::ok).ok_or_else(|| {
        let message = format!("{} is not a 64-bit number", quoted(text));
        report.error(node.at, message, "write decimal digits, or 0x and up to 16 hexadecimal digits")
    })
}

/// A duration with its unit, within a range.
pub(super) fn duration(node: &Node, range: RangeInclusive<Duration>, report: &mut Report) -> Checked<Duration> {
    let text = text(node, report)?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_mins(1),
        "" if digits > 0 => {
            let message = format!("duration {} has no unit", quoted(text));
            return Err(report.error(
                node.at,
                message,
                format!("add one: {count:.20}ms, {count:.20}s or {count:.20}m"),
            ));
        }
        _ => {
            let message = format!("{} is not a duration", quoted(text));
            return Err(report.error(node.at, message, "write a whole number and a unit: 500ms, 2s or 1m"));
        }
    };
    let duration = count.parse().ok().and_then(|count: u32| unit.checked_mul(count));
    duration.filter(|duration| range.contains(duration)).ok_or_else(|| {
        let message = format!("duration {} is out of range", quoted(text));
        report.error(node.at, message, format!("write {:?} to {:?}", range.start(), range.end()))
    })
}

/// One of a few words.
pub(super) fn choice<T: Copy>(node: &Node, what: &str, choices: &[(&str, T)], report: &mut Report) -> Checked<T> {
    let text = text(node, report)?;
    choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice).ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
        report.error(node.at, format!("{} is not {what}", quoted(text)), suggestion(text, &words))
    })
}

/// Name of a VIP, pool or backend.
pub(super) fn name(node: &Node, report: &mut Report) -> Checked<String> {
    let name = text(node, report)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(allowed) {
        return Ok(name.to_owned());
    }
    let remedy = format!("write 1 to {MAX_NAME} letters, digits, `-`, `_` or `.`");
    Err(report.error(node.at, format!("{} is not a name", quoted(name)), remedy))
}

/// Name of a network interface, by the kernel's rules (`dev_valid_name`).
pub(super) fn interface_name(node: &Node, report: &mut Report) -> Checked<String> {
    let name = text(node, report)?;
    let foreign = |byte: u8| byte.is_ascii_whitespace() || byte.is_ascii_control() || matches!(byte, b'/' | b':');
    if name.is_empty() || name.len() > MAX_INTERFACE_NAME || matches!(name, "." | "..") || name.bytes().any(foreign) {
        let message = format!("{} cannot be the name of an interface", quoted(name));
        let remedy = format!("write 1 to {MAX_INTERFACE_NAME} characters as `ip link` shows them");
        return Err(report.error(node.at, message, remedy));
    }
    Ok(name.to_owned())
}

/// An absolute path.
pub(super) fn path(node: &Node, report: &mut Report) -> Checked<PathBuf> {
    let path = text(node, report)?;
    if path.contains('\0') {
        return Err(report.error(node.at, format!("path {} holds a NUL", quoted(path)), "remove it"));
    }
    if !path.starts_with('/') {
        let message = format!("path {} is relative", quoted(path));
        return Err(report.error(node.at, message, "write an absolute path, beginning with /"));
    }
    Ok(PathBuf::from(path))
}

/// Longest path of a unix socket: `sun_path` of unix(7) without the NUL behind it.
const SOCKET_PATH_LEN: usize = 107;

/// An absolute path that a unix socket can have.
pub(super) fn socket_path(node: &Node, report: &mut Report) -> Checked<PathBuf> {
    let path = path(node, report)?;
    let len = path.as_os_str().len();
    if len > SOCKET_PATH_LEN {
        let message = format!("a path of {len} bytes is too long for a unix socket");
        return Err(report.error(node.at, message, format!("write one of at most {SOCKET_PATH_LEN} bytes")));
    }
    Ok(path)
}

/// Address and port to listen on.
pub(super) fn socket_address(node: &Node, report: &mut Report) -> Checked<SocketAddr> {
    let text = text(node, report)?;
    text.parse().ok().filter(|address: &SocketAddr| address.port() != 0).ok_or_else(|| {
        let message = format!("{} is not an address with a port", quoted(text));
        report.error(node.at, message, "write ADDRESS:PORT, such as 127.0.0.1:9477 or \"[::1]:9477\"")
    })
}

/// An IP address of one host: packets can be sent to it and come from it.
pub(super) fn host_address(node: &Node, report: &mut Report) -> Checked<IpAddr> {
    let text = text(node, report)?;
    let Ok(address) = text.parse() else {
        let message = format!("{} is not an IP address", quoted(text));
        return Err(report.error(node.at, message, "write one IPv4 or IPv6 address, without prefix length or port"));
    };
    match unusable(address) {
        None => Ok(address),
        Some((what, remedy)) => Err(report.error(node.at, format!("{address} is {what}"), remedy)),
    }
}

/// Why no single host can have `address`, and what to write instead.
fn unusable(address: IpAddr) -> Option<(&'static str, String)> {
    let one_host = || "write the address of one host".to_owned();
    match address {
        IpAddr::V4(v4) if v4.octets()[0] == 0 => Some(("an unspecified address", one_host())),
        IpAddr::V4(v4) if v4.is_broadcast() => Some(("the broadcast address", one_host())),
        IpAddr::V6(v6) if v6.is_unspecified() => Some(("the unspecified address", one_host())),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            Some(("a link-local address, which means nothing off its link", "write a routed address".to_owned()))
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => Some(("an IPv4 address in IPv6 notation", format!("write {v4}"))),
            None => unusable_in_both(address, one_host),
        },
        IpAddr::V4(_) => unusable_in_both(address, one_host),
    }
}

fn unusable_in_both(address: IpAddr, one_host: impl FnOnce() -> String) -> Option<(&'static str, String)> {
    if address.is_multicast() {
        Some(("a multicast address", one_host()))
    } else if address.is_loopback() {
        Some(("a loopback address, which never leaves its machine", one_host()))
    } else {
        None
    }
}

/// A network prefix that holds some hosts but not all.
pub(super) fn prefix(node: &Node, report: &mut Report) -> Checked<IpNet> {
    let text = text(node, report)?;
    if let Ok(address) = text.parse::<IpAddr>() {
        let message = format!("prefix {address} has no length");
        return Err(report.error(node.at, message, format!("write {}", IpNet::from(address))));
    }
    let Ok(prefix) = text.parse::<IpNet>() else {
        let message = format!("{} is not a prefix", quoted(text));
        return Err(report.error(node.at, message, "write ADDRESS/LENGTH, such as 10.0.0.0/24 or \"2001:db8::/64\""));
    };
    if prefix.prefix_len() == 0 {
        let message = format!("{prefix} accepts tunnelled packets from everybody");
        return Err(report.error(node.at, message, "write the prefixes of the ingress nodes"));
    }
    if prefix.trunc() != prefix {
        let message = format!("{prefix} has bits set behind its length");
        return Err(report.error(node.at, message, format!("write {}", prefix.trunc())));
    }
    if matches!(prefix, IpNet::V6(v6) if v6.network().to_ipv4_mapped().is_some()) {
        let message = format!("{prefix} is an IPv4 prefix in IPv6 notation");
        return Err(report.error(node.at, message, "write it as IPv4"));
    }
    Ok(prefix)
}
