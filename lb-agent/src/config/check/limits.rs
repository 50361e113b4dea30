//! The room in the kernel's tables.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use xdp_lb_abi::{MAX_MEMBER_COUNTERS, MAX_VIPS, port_range::RANGES};

use super::{Document, Located, Pool, Report, Vip};

/// Entries of the VIP table that a config may fill: ids begin at 1.
const MAX_ENTRIES: usize = MAX_VIPS as usize - 1;

/// Reports services and members that would find no room.
pub(super) fn tables(document: &Document, vips: &[&Located<Vip>], pools: &[&Located<Pool>], report: &mut Report) {
    let Ok(Some(section)) = &document.vips else { return };
    let ports = |vip: &Located<Vip>| vip.value.ports.as_ref().map_or(0, |ports| ports.value.len());
    let services: usize = vips.iter().map(|vip| ports(vip)).sum();
    let addresses: HashSet<_> = vips.iter().filter_map(|vip| Some(vip.value.address.as_ref().ok()?.value)).collect();
    let entries = services + addresses.len();
    if entries > MAX_ENTRIES {
        let message = format!(
            "{services} services and {} VIP addresses need {entries} entries; a node has {MAX_ENTRIES}",
            addresses.len()
        );
        report.error(section.at, message, "spread the VIPs over several groups of ingress nodes");
    }

    let sizes: HashMap<&str, usize> = pools
        .iter()
        .filter_map(|pool| {
            let name = pool.value.name.as_ref().ok()?;
            Some((name.value.as_str(), pool.value.backends.as_ref().map_or(0, |backends| backends.value.len())))
        })
        .collect();
    let size = |vip: &Located<Vip>| {
        vip.value.pool.as_ref().ok().and_then(|pool| sizes.get(pool.value.as_str())).copied().unwrap_or(0)
    };
    let members: usize = vips.iter().map(|vip| ports(vip).saturating_mul(size(vip))).fold(0, usize::saturating_add);
    if members > MAX_MEMBER_COUNTERS as usize {
        let message = format!(
            "all services together have {members} backends (one counted for each service it is in); a node has room \
             for {MAX_MEMBER_COUNTERS}"
        );
        report.error(section.at, message, "use smaller pools, or spread the VIPs over several groups of ingress nodes");
    }
}

/// Reports VIP addresses with more ranges of ports than one has room for.
pub(super) fn ranges(vips: &[&Located<Vip>], report: &mut Report) {
    let mut ranges: HashMap<IpAddr, usize> = HashMap::new();
    for vip in vips {
        let (Ok(address), Ok(ports)) = (&vip.value.address, &vip.value.ports) else { continue };
        let count = ranges.entry(address.value).or_default();
        for range in ports.value.iter().flatten().filter(|ports| ports.value.single().is_none()) {
            *count += 1;
            if *count == RANGES + 1 {
                let message = format!("{} has more than {RANGES} ranges of ports", address.value);
                report.error(range.at, message, "join ranges, or use several VIP addresses");
            }
        }
    }
}
