//! No two VIPs may claim the same service.

use std::collections::HashMap;

use xdp_lb::model::Service;

use super::{Located, Position, Report, Vip};

/// Reports services that are declared twice, by one VIP or by two.
pub(super) fn differ(vips: &[&Located<Vip>], report: &mut Report) {
    let mut first_at: HashMap<Service, (Position, Option<&str>)> = HashMap::new();
    for vip in vips {
        let vip = &vip.value;
        let (Ok(address), Ok(protocol), Ok(ports)) = (&vip.address, &vip.protocol, &vip.ports) else { continue };
        let name = vip.name.as_ref().ok().map(|name| name.value.as_str());
        for port in ports.value.iter().flatten() {
            let service = Service { address: address.value, port: port.value, protocol: protocol.value };
            let Some((first, owner)) = first_at.get(&service) else {
                first_at.insert(service, (port.at, name));
                continue;
            };
            let of_whom = owner.map(|owner| format!(" by VIP `{owner}`")).unwrap_or_default();
            let message = format!("service {service} is already declared in line {}{of_whom}", first.line);
            report.error(port.at, message, "keep one of the two");
        }
    }
}
