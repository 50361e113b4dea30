//! The sections about the node itself: `node`, `interfaces`, `forwarding`, `icmp`, `log`.

use tracing::Level;

use super::super::{
    Forwarding, Icmp, Interface, Log, LogFormat, ModeChoice, Node,
    decode::Fields,
    diagnostic::{Checked, Report},
    scalar, yaml,
};

const MODES: [(&str, ModeChoice); 3] = [
    ("native", ModeChoice::Native),
    ("generic", ModeChoice::Generic),
    ("native-or-generic", ModeChoice::NativeOrGeneric),
];

const TOO_BIG: [(&str, bool); 2] = [("reply", true), ("drop", false)];

/// Most answers per second and CPU: beyond this the interval between two is no whole number of nanoseconds any more.
const MAX_ICMP_RATE: u32 = 1_000_000;

const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

const LEVELS: [(&str, Level); 5] = [
    ("error", Level::ERROR),
    ("warn", Level::WARN),
    ("info", Level::INFO),
    ("debug", Level::DEBUG),
    ("trace", Level::TRACE),
];

/// `node`.
pub(super) fn node(node: &yaml::Node, report: &mut Report) -> Checked<Node> {
    let default = Node::default();
    let mut fields = Fields::of(node, "`node`", report)?;
    let bpffs = fields.or("bpffs", default.bpffs, scalar::path);
    let api_socket = fields.or("api_socket", default.api_socket, scalar::socket_path);
    let metrics = fields.or("metrics", default.metrics, scalar::socket_address);
    fields.finish();
    Ok(Node { bpffs: bpffs?, api_socket: api_socket?, metrics: metrics? })
}

/// One of `interfaces`.
pub(super) fn interface(node: &yaml::Node, report: &mut Report) -> Checked<Interface> {
    let mut fields = Fields::of(node, "an interface", report)?;
    let name = fields.required("name", scalar::interface_name);
    let mode = fields.or("mode", ModeChoice::default(), |node, report| scalar::choice(node, "a mode", &MODES, report));
    fields.finish();
    Ok(Interface { name: name?.value, mode: mode?, line: node.at.line })
}

/// `forwarding`.
pub(super) fn forwarding(node: &yaml::Node, report: &mut Report) -> Checked<Forwarding> {
    let default = Forwarding::default();
    let mut fields = Fields::of(node, "`forwarding`", report)?;
    let hash_seed = fields.or("hash_seed", default.hash_seed, scalar::seed);
    let decrement_ttl = fields.or("decrement_ttl", default.decrement_ttl, scalar::boolean);
    let check_tcp_flags = fields.or("check_tcp_flags", default.check_tcp_flags, scalar::boolean);
    let gue_port = fields.or("gue_port", default.gue_port, scalar::port);
    fields.finish();
    Ok(Forwarding {
        hash_seed: hash_seed?,
        decrement_ttl: decrement_ttl?,
        check_tcp_flags: check_tcp_flags?,
        gue_port: gue_port?,
    })
}

/// `icmp`.
pub(super) fn icmp(node: &yaml::Node, report: &mut Report) -> Checked<Icmp> {
    let default = Icmp::default();
    let mut fields = Fields::of(node, "`icmp`", report)?;
    let echo_reply = fields.or("echo_reply", default.echo_reply, scalar::boolean);
    let choice = |node: &yaml::Node, report: &mut Report| scalar::choice(node, "a choice", &TOO_BIG, report);
    let too_big = fields.or("too_big", default.too_big_reply, choice);
    let rate = |node: &yaml::Node, report: &mut Report| scalar::number(node, "a rate", 1..=MAX_ICMP_RATE, report);
    let rate = fields.or("rate", default.rate, rate);
    fields.finish();
    Ok(Icmp { echo_reply: echo_reply?, too_big_reply: too_big?, rate: rate? })
}

/// `log`.
pub(super) fn log(node: &yaml::Node, report: &mut Report) -> Checked<Log> {
    let default = Log::default();
    let mut fields = Fields::of(node, "`log`", report)?;
    let format =
        fields.or("format", default.format, |node, report| scalar::choice(node, "a log format", &FORMATS, report));
    let level = fields.or("level", default.level, |node, report| scalar::choice(node, "a log level", &LEVELS, report));
    fields.finish();
    Ok(Log { format: format?, level: level? })
}
