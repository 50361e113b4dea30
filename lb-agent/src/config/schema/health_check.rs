//! `health_check` of a pool or a VIP.

use std::{ops::RangeInclusive, str::FromStr, time::Duration};

use hyper::http::uri::{Authority, PathAndQuery};

use super::super::{
    CheckTemplate, StatusRange, TemplateKind,
    decode::{Fields, text},
    diagnostic::{Checked, Located, Report, quoted},
    scalar,
    yaml::Node,
};

/// More often would be a load of its own; more seldom is no check.
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_hours(1);
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(1);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// Checks in a row that may be asked for.
const STREAKS: RangeInclusive<u32> = 1..=100;
const DEFAULT_RISE: u32 = 2;
const DEFAULT_FALL: u32 = 3;

/// Status codes that exist (RFC 9110, section 15).
const STATUS: RangeInclusive<u16> = 100..=599;
/// Success and redirection: the server works.
const DEFAULT_STATUS: StatusRange = StatusRange { first: 200, last: 399 };

/// Longest path and longest host: both go out with every check.
const MAX_TEXT: usize = 1024;

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    Http,
}

const KINDS: [(&str, Kind); 2] = [("tcp", Kind::Tcp), ("http", Kind::Http)];

pub(super) fn health_check(node: &Node, report: &mut Report) -> Checked<CheckTemplate> {
    let mut fields = Fields::of(node, "a health check", report)?;
    let kind = fields.required("type", |node, report| scalar::choice(node, "a type of health check", &KINDS, report));
    let kind = match kind {
        Ok(Located { value: Kind::Http, .. }) => http(&mut fields),
        Ok(Located { value: Kind::Tcp, .. }) => Ok(tcp(&mut fields)),
        // The type is missing or misspelt, and may have been meant to be http.
        Err(reported) => http(&mut fields).and(Err(reported)),
    };
    let port = fields.optional("port", scalar::port);
    let (interval, timeout) = times(&mut fields);
    let streak = |node: &Node, report: &mut Report| scalar::number(node, "a number of checks", STREAKS, report);
    let rise = fields.or("rise", DEFAULT_RISE, streak);
    let fall = fields.or("fall", DEFAULT_FALL, streak);
    fields.finish();
    let port = port?.map(|port| port.value);
    Ok(CheckTemplate { kind: kind?, port, interval: interval?, timeout: timeout?, rise: rise?, fall: fall? })
}

fn tcp(fields: &mut Fields<'_>) -> TemplateKind {
    for key in ["path", "host", "status"] {
        fields.refuse(key, "has no meaning for a check of type tcp", "remove it, or set `type: http`");
    }
    TemplateKind::Tcp
}

fn http(fields: &mut Fields<'_>) -> Checked<TemplateKind> {
    let path = fields.or("path", "/".to_owned(), path);
    let host = fields.optional("host", host);
    let status = fields.or("status", DEFAULT_STATUS, status);
    Ok(TemplateKind::Http { path: path?, host: host?.map(|host| host.value), status: status? })
}

/// Interval and timeout, the second shorter than the first.
fn times(fields: &mut Fields<'_>) -> (Checked<Duration>, Checked<Duration>) {
    let interval = fields.optional("interval", |node, report| scalar::duration(node, INTERVALS, report));
    let timeout = fields.optional("timeout", |node, report| scalar::duration(node, TIMEOUTS, report));
    if let (Ok(interval), Ok(timeout)) = (&interval, &timeout) {
        let or = |given: Option<Located<Duration>>, default| given.map_or(default, |given| given.value);
        let (i, t) = (or(*interval, DEFAULT_INTERVAL), or(*timeout, DEFAULT_TIMEOUT));
        // At least one of them is written: the defaults agree with each other.
        if let Some(Located { at, .. }) = timeout.or(*interval).filter(|_| t >= i) {
            let default = if timeout.is_none() { " (the default)" } else { "" };
            let message = format!("timeout {t:?}{default} is not shorter than the interval of {i:?}");
            let reported = fields.error(at, message, "set `timeout` below `interval`");
            return (Err(reported), Err(reported));
        }
    }
    (
        interval.map(|interval| interval.map_or(DEFAULT_INTERVAL, |located| located.value)),
        timeout.map(|timeout| timeout.map_or(DEFAULT_TIMEOUT, |located| located.value)),
    )
}

fn path(node: &Node, report: &mut Report) -> Checked<String> {
    let path = text(node, report)?;
    // What the request line cannot hold, a space or a line break above all, would change the request.
    if path.starts_with('/') && path.len() <= MAX_TEXT && !path.contains('#') && PathAndQuery::from_str(path).is_ok() {
        return Ok(path.to_owned());
    }
    let message = format!("{} is not the path of a request", quoted(path));
    Err(report.error(node.at, message, "write a path beginning with /, with spaces and the like as %20"))
}

fn host(node: &Node, report: &mut Report) -> Checked<String> {
    let host = text(node, report)?;
    if host.len() <= MAX_TEXT && !host.contains('@') && Authority::from_str(host).is_ok() {
        return Ok(host.to_owned());
    }
    let message = format!("{} is not a host name", quoted(host));
    Err(report.error(node.at, message, "write NAME or NAME:PORT, without scheme, path or spaces"))
}

fn status(node: &Node, report: &mut Report) -> Checked<StatusRange> {
    let text = text(node, report)?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let code = |digits: &str| -> Option<u16> {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|code| plain && STATUS.contains(code))
    };
    match (code(first.trim()), code(last.trim())) {
        (Some(first), Some(last)) if first <= last => Ok(StatusRange { first, last }),
        _ => {
            let message = format!("{} is neither a status code nor a range of them", quoted(text));
            let remedy =
                format!("write a code from {} to {}, or a range such as 200-399", STATUS.start(), STATUS.end());
            Err(report.error(node.at, message, remedy))
        }
    }
}
