//! Checks of one pool.
//!
//! Families are no matter here: every encapsulation carries IPv4 and IPv6 whatever the backend's address, so a pool may mix
//! them and serve VIPs of both.

use std::{collections::HashMap, net::IpAddr};

use xdp_lb::model::Mode;
use xdp_lb_abi::ring;

use super::{super::schema::Backend, Checked, Document, Located, Pool, Position, Report, Vip, names_differ};

/// Members that a ring holds; its member 0 stands for none.
const MAX_MEMBERS: usize = ring::MEMBERS - 1;

pub(super) fn pools(document: &Document, pools: &[&Located<Pool>], vips: &[&Located<Vip>], report: &mut Report) {
    let vips: HashMap<IpAddr, &Located<Vip>> =
        vips.iter().filter_map(|vip| Some((vip.value.address.as_ref().ok()?.value, *vip))).collect();
    for pool in pools {
        let Ok(backends) = &pool.value.backends else { continue };
        if backends.value.len() > MAX_MEMBERS {
            let message = format!("{} backends in one pool; a ring holds {MAX_MEMBERS}", backends.value.len());
            report.error(backends.at, message, "split the pool over several VIPs");
        }
        let backends: Vec<&Backend> = backends.value.iter().flatten().map(|backend| &backend.value).collect();
        names_differ("backends of this pool", backends.iter().map(|backend| &backend.name), report);
        addresses_differ(&backends, report);
        no_backend_is_a_vip(&backends, &vips, report);
        one_backend_is_this_node(document, &pool.value, &backends, report);
    }
}

/// Several names for this node would each get a share of the connections, and the node all of them.
fn one_backend_is_this_node(document: &Document, pool: &Pool, backends: &[&Backend], report: &mut Report) {
    let stated =
        |mode: &Checked<Option<Located<Mode>>>| mode.as_ref().ok().and_then(|mode| mode.as_ref().map(|m| m.value));
    let default = stated(&pool.encapsulation).or_else(|| stated(&document.encapsulation));
    let mut first: Option<Position> = None;
    for backend in backends {
        let (Ok(address), Some(Mode::Local)) = (&backend.address, stated(&backend.encapsulation).or(default)) else {
            continue;
        };
        if let Some(first) = first {
            let message = format!("two backends of this pool are `local`, the first in line {}", first.line);
            report.error(address.at, message, "keep `local` for the one that is this node");
        }
        first.get_or_insert(address.at);
    }
}

/// A backend is known by its address on the wire: two names for one address would be one member.
fn addresses_differ(backends: &[&Backend], report: &mut Report) {
    let mut first_at: HashMap<IpAddr, Position> = HashMap::new();
    for address in backends.iter().flat_map(|backend| &backend.address) {
        if let Some(first) = first_at.get(&address.value) {
            let message = format!("two backends of this pool have {}, the first in line {}", address.value, first.line);
            report.error(address.at, message, "keep one of them; its weight sets its share");
        } else {
            first_at.insert(address.value, address.at);
        }
    }
}

fn no_backend_is_a_vip(backends: &[&Backend], vips: &HashMap<IpAddr, &Located<Vip>>, report: &mut Report) {
    for address in backends.iter().flat_map(|backend| &backend.address) {
        if let Some(vip) = vips.get(&address.value) {
            let message = format!("{} is the address of the VIP in line {}", address.value, vip.at.line);
            report.error(address.at, message, "write the backend's own address: tunnelled packets are sent to it");
        }
    }
}
