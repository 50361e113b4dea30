//! Checks of one pool.
//!
//! Families are no matter here: IPIP carries IPv4 and IPv6 in either, so a pool may mix them and serve VIPs of both.

use std::{collections::HashMap, net::IpAddr};

use xdp_lb_abi::ring;

use super::{super::schema::Backend, Located, Pool, Position, Report, Vip, names_differ};

/// Members that a ring holds; its member 0 stands for none.
const MAX_MEMBERS: usize = ring::MEMBERS - 1;

pub(super) fn pools(pools: &[&Located<Pool>], vips: &[&Located<Vip>], report: &mut Report) {
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
