//! `vips` and `pools`.
//!
//! Fields keep their own errors: a VIP with a bad port still has a name and a pool, and a pool with a bad backend still
//! exists for the VIPs that use it.

use std::net::IpAddr;

use xdp_lb::model::{HashInput, MAX_WEIGHT, Mode, Ports, Protocol};

use super::{
    super::{
        CheckTemplate,
        decode::{Elements, Fields, List, list},
        diagnostic::{Checked, Located, Report},
        scalar,
        yaml::{Node, Value},
    },
    health_check::health_check,
};

/// Weight of a backend that states none: room to go up and down.
const DEFAULT_WEIGHT: u16 = 100;

const ENCAPSULATIONS: [(&str, Mode); 4] =
    [("ipip", Mode::Ipip), ("gue", Mode::Gue), ("l2", Mode::L2), ("local", Mode::Local)];

const PROTOCOLS: [(&str, Protocol); 2] = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp)];

/// One of `vips`.
pub(in super::super) struct Vip {
    pub(in super::super) name: Checked<Located<String>>,
    pub(in super::super) address: Checked<Located<IpAddr>>,
    pub(in super::super) ports: Checked<List<Ports>>,
    pub(in super::super) protocol: Checked<Located<Protocol>>,
    pub(in super::super) hash: Checked<HashInput>,
    /// Name of the pool.
    pub(in super::super) pool: Checked<Located<String>>,
    pub(in super::super) check: Checked<Option<CheckTemplate>>,
}

/// One of `pools`.
pub(in super::super) struct Pool {
    pub(in super::super) name: Checked<Located<String>>,
    pub(in super::super) check: Checked<Option<CheckTemplate>>,
    /// That of backends that state none.
    pub(in super::super) encapsulation: Checked<Option<Located<Mode>>>,
    pub(in super::super) backends: Checked<List<Backend>>,
}

/// One of a pool's `backends`.
pub(in super::super) struct Backend {
    pub(in super::super) name: Checked<Located<String>>,
    pub(in super::super) address: Checked<Located<IpAddr>>,
    pub(in super::super) weight: Checked<u16>,
    pub(in super::super) encapsulation: Checked<Option<Located<Mode>>>,
}

pub(super) fn vip(node: &Node, report: &mut Report) -> Checked<Vip> {
    let mut fields = Fields::of(node, "a VIP", report)?;
    let vip = Vip {
        name: fields.required("name", scalar::name),
        address: fields.required("address", scalar::host_address),
        ports: fields.required("ports", ports),
        protocol: fields.required("protocol", |node, report| scalar::choice(node, "a protocol", &PROTOCOLS, report)),
        hash: fields.or("hash", HashInput::default(), hash),
        pool: fields.required("backends", scalar::name),
        check: optional_check(&mut fields),
    };
    fields.finish();
    Ok(vip)
}

/// A list of ports and ranges, or the word that stands for all of them.
fn ports(node: &Node, report: &mut Report) -> Checked<Elements<Ports>> {
    if matches!(&node.value, Value::Plain(word) if word == "any") {
        return Ok(vec![Ok(Located { at: node.at, value: Ports::ANY })]);
    }
    list(node, report, scalar::ports)
}

fn hash(node: &Node, report: &mut Report) -> Checked<HashInput> {
    scalar::choice(node, "what flows can be told apart by", &HashInput::NAMES, report)
}

pub(super) fn pool(node: &Node, report: &mut Report) -> Checked<Pool> {
    let mut fields = Fields::of(node, "a pool", report)?;
    let pool = Pool {
        name: fields.required("name", scalar::name),
        check: optional_check(&mut fields),
        encapsulation: fields.optional("encapsulation", encapsulation),
        backends: fields.required("backends", |node, report| list(node, report, backend)),
    };
    fields.finish();
    Ok(pool)
}

fn backend(node: &Node, report: &mut Report) -> Checked<Backend> {
    let mut fields = Fields::of(node, "a backend", report)?;
    let weight = |node: &Node, report: &mut Report| scalar::number(node, "a weight", 0..=MAX_WEIGHT, report);
    let backend = Backend {
        name: fields.required("name", scalar::name),
        address: fields.required("address", scalar::host_address),
        weight: fields.or("weight", DEFAULT_WEIGHT, weight),
        encapsulation: fields.optional("encapsulation", encapsulation),
    };
    fields.finish();
    Ok(backend)
}

pub(super) fn encapsulation(node: &Node, report: &mut Report) -> Checked<Mode> {
    scalar::choice(node, "an encapsulation", &ENCAPSULATIONS, report)
}

fn optional_check(fields: &mut Fields<'_>) -> Checked<Option<CheckTemplate>> {
    Ok(fields.optional("health_check", health_check)?.map(|located| located.value))
}
