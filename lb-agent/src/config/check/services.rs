//! No two VIPs may claim the same service, and every service must be checkable.

use std::{collections::HashMap, net::IpAddr};

use xdp_lb::model::{Ports, Protocol, Service};

use super::{Located, Pool, Position, Report, Vip};

/// One entry of a VIP's `ports`.
struct Claim<'a> {
    ports: Ports,
    at: Position,
    owner: Option<&'a str>,
}

/// Reports ports that are declared twice, by one VIP or by two. A single port may lie in the range of another VIP: it is
/// taken out of that.
pub(super) fn differ(vips: &[&Located<Vip>], report: &mut Report) {
    let mut claims: HashMap<(IpAddr, Protocol), Vec<Claim<'_>>> = HashMap::new();
    for vip in vips {
        let vip = &vip.value;
        let (Ok(address), Ok(protocol), Ok(ports)) = (&vip.address, &vip.protocol, &vip.ports) else { continue };
        let owner = vip.name.as_ref().ok().map(|name| name.value.as_str());
        let earlier = claims.entry((address.value, protocol.value)).or_default();
        let others = earlier.len();
        for located in ports.value.iter().flatten() {
            let claim = Claim { ports: located.value, at: located.at, owner };
            let same_vip = |number: usize| number >= others;
            let clash = earlier.iter().enumerate().find(|(number, first)| clashes(first, &claim, same_vip(*number)));
            if let Some((_, first)) = clash {
                let service = Service { address: address.value, ports: claim.ports, protocol: protocol.value };
                report_clash(&service, first, claim.at, report);
            } else {
                earlier.push(claim);
            }
        }
    }
}

fn clashes(first: &Claim<'_>, second: &Claim<'_>, same_vip: bool) -> bool {
    let both_ranges = first.ports.single().is_some() == second.ports.single().is_some();
    first.ports.overlaps(second.ports) && (both_ranges || same_vip)
}

fn report_clash(service: &Service, first: &Claim<'_>, at: Position, report: &mut Report) {
    let of_whom = first.owner.map(|owner| format!(" by VIP `{owner}`")).unwrap_or_default();
    let line = first.at.line;
    if service.ports == first.ports {
        let message = format!("service {service} is already declared in line {line}{of_whom}");
        report.error(at, message, "keep one of the two");
    } else {
        let message = format!("service {service} overlaps ports {} in line {line}{of_whom}", first.ports);
        report.error(at, message, "let every port be in one of them only");
    }
}

/// Reports services on ranges of ports whose health check does not say which port to ask.
pub(super) fn checks_know_their_port(vips: &[&Located<Vip>], pools: &[&Located<Pool>], report: &mut Report) {
    let pool_checks: HashMap<&str, _> = pools
        .iter()
        .filter_map(|pool| Some((pool.value.name.as_ref().ok()?.value.as_str(), pool.value.check.as_ref().ok()?)))
        .collect();
    for vip in vips {
        let (Ok(ports), Ok(own), Ok(pool)) = (&vip.value.ports, &vip.value.check, &vip.value.pool) else { continue };
        let pools = pool_checks.get(pool.value.as_str()).and_then(|check| check.as_ref());
        if own.as_ref().or(pools).is_none_or(|check| check.port.is_some()) {
            continue;
        }
        if let Some(range) = ports.value.iter().flatten().find(|ports| ports.value.single().is_none()) {
            let message = format!("ports {} have a health check that does not say which port to ask", range.value);
            report.error(range.at, message, "give the health check a `port`");
        }
    }
}
