//! What concerns several parts of the file: names used twice, names that lead nowhere, the room in the tables.

use std::collections::{BTreeSet, HashMap};

use super::{
    Interface,
    decode::{List, closest},
    diagnostic::{Checked, Located, Position, Report},
    schema::{Document, Pool, Vip},
};

mod limits;
mod pools;
mod services;

/// Reports what is wrong with a document whose parts are each well-formed.
pub(super) fn document(document: &Document, report: &mut Report) {
    if let Ok(interfaces) = &document.interfaces {
        interface_names_differ(interfaces, report);
    }
    let vips: Vec<_> = elements(&document.vips).collect();
    let pools: Vec<_> = elements(&document.pools).collect();
    names_differ("VIPs", vips.iter().map(|vip| &vip.value.name), report);
    names_differ("pools", pools.iter().map(|pool| &pool.value.name), report);
    pools::pools(document, &pools, &vips, report);
    services::differ(&vips, report);
    services::checks_know_their_port(&vips, &pools, report);
    limits::ranges(&vips, report);
    pools_exist(document, &vips, report);
    limits::tables(document, &vips, &pools, report);
}

/// The readable elements of a list.
fn elements<T>(list: &Checked<Option<List<T>>>) -> impl Iterator<Item = &Located<T>> {
    list.iter().flatten().flat_map(|list| list.value.iter().flatten())
}

fn interface_names_differ(interfaces: &List<Interface>, report: &mut Report) {
    let mut first_at: HashMap<&str, Position> = HashMap::new();
    for interface in interfaces.value.iter().flatten() {
        if let Some(first) = first_at.insert(&interface.value.name, interface.at) {
            let message = format!("interface `{}` is listed twice, first in line {}", interface.value.name, first.line);
            report.error(interface.at, message, "keep one of the two");
        }
    }
}

/// Reports names that two elements of one kind share.
fn names_differ<'a>(kind: &str, names: impl Iterator<Item = &'a Checked<Located<String>>>, report: &mut Report) {
    let mut first_at: HashMap<&str, Position> = HashMap::new();
    for name in names.flatten() {
        if let Some(first) = first_at.get(name.value.as_str()) {
            let message = format!("two {kind} have the name `{}`, the first in line {}", name.value, first.line);
            report.error(name.at, message, "give each its own name");
        } else {
            first_at.insert(&name.value, name.at);
        }
    }
}

/// Pools that are compared with the name of one that does not exist.
const MAX_COMPARED: usize = 100;

fn pools_exist(document: &Document, vips: &[&Located<Vip>], report: &mut Report) {
    // A pool that cannot be read may be the one that a VIP means.
    let Some(names) = pool_names(&document.pools) else { return };
    for wanted in vips.iter().flat_map(|vip| &vip.value.pool) {
        if !names.contains(wanted.value.as_str()) {
            let compared: Vec<&str> = names.iter().copied().take(MAX_COMPARED).collect();
            let remedy = match closest(&wanted.value, &compared) {
                Some(close) => format!("did you mean `{close}`?"),
                None => "add a pool of that name under `pools`".to_owned(),
            };
            report.error(wanted.at, format!("there is no pool `{}`", wanted.value), remedy);
        }
    }
}

/// The names of all pools; `None` if one of them cannot be read.
fn pool_names(pools: &Checked<Option<List<Pool>>>) -> Option<BTreeSet<&str>> {
    let Some(pools) = pools.as_ref().ok()? else { return Some(BTreeSet::new()) };
    let mut names = BTreeSet::new();
    for pool in &pools.value {
        names.insert(pool.as_ref().ok()?.value.name.as_ref().ok()?.value.as_str());
    }
    Some(names)
}
