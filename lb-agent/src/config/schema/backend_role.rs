//! `backend`: what a node of role backend takes out of tunnels.

use std::{collections::BTreeMap, fmt::Display, net::IpAddr};

use ipnet::IpNet;
use xdp_lb_abi::DEFAULT_GUE_PORT;

use super::super::{
    BackendRole,
    decode::{Fields, List, list},
    diagnostic::{Checked, Located, Position, Report},
    scalar,
    yaml::Node,
};

pub(super) fn backend_role(node: &Node, report: &mut Report) -> Checked<BackendRole> {
    let mut fields = Fields::of(node, "`backend`", report)?;
    let addresses = |node: &Node, report: &mut Report| list(node, report, scalar::host_address);
    let tunnel_addresses = fields.required("tunnel_addresses", addresses);
    let sources = fields.required("sources", |node, report| list(node, report, scalar::prefix));
    let vips = fields.required("vips", addresses);
    let gue_port = fields.or("gue_port", DEFAULT_GUE_PORT, scalar::port);
    fields.finish();

    let tunnel_addresses = tunnel_addresses.and_then(|list| distinct(list, report));
    let sources = sources.and_then(|list| distinct(list, report));
    let vips = vips.and_then(|list| distinct(list, report));
    if let (Ok(tunnels), Ok(sources)) = (&tunnel_addresses, &sources) {
        every_tunnel_has_a_source(tunnels, sources, report);
    }
    if let (Ok(tunnels), Ok(vips)) = (&tunnel_addresses, &vips) {
        no_tunnel_is_a_vip(tunnels, vips, report);
    }
    let values = |list: Vec<Located<IpAddr>>| list.into_iter().map(|located| located.value).collect();
    Ok(BackendRole {
        tunnel_addresses: values(tunnel_addresses?),
        sources: sources?.into_iter().map(|located| located.value).collect(),
        vips: values(vips?),
        gue_port: gue_port?,
    })
}

/// The elements if they are all good and all different.
fn distinct<T: Copy + Ord + Display>(list: List<T>, report: &mut Report) -> Checked<Vec<Located<T>>> {
    let mut first_at: BTreeMap<T, Position> = BTreeMap::new();
    let mut outcome = Ok(());
    for element in list.value.iter().flatten() {
        if let Some(first) = first_at.insert(element.value, element.at) {
            let message = format!("{} stands in this list twice, first in line {}", element.value, first.line);
            outcome = Err(report.error(element.at, message, "keep one of the two"));
        }
    }
    outcome?;
    list.value.into_iter().collect()
}

/// Outer source and destination are of one family, so a tunnel address without a source of its own gets nothing.
fn every_tunnel_has_a_source(tunnels: &[Located<IpAddr>], sources: &[Located<IpNet>], report: &mut Report) {
    for tunnel in tunnels {
        let family = |v4: bool| if v4 { "IPv4" } else { "IPv6" };
        let v4 = tunnel.value.is_ipv4();
        if !sources.iter().any(|source| source.value.addr().is_ipv4() == v4) {
            let message = format!("no prefix in `sources` is {}, so {} would accept nothing", family(v4), tunnel.value);
            report.error(tunnel.at, message, "add the ingress nodes' prefix of that family, or remove the address");
        }
    }
}

fn no_tunnel_is_a_vip(tunnels: &[Located<IpAddr>], vips: &[Located<IpAddr>], report: &mut Report) {
    for tunnel in tunnels {
        if let Some(vip) = vips.iter().find(|vip| vip.value == tunnel.value) {
            let message = format!("{} is in `vips` too, in line {}", tunnel.value, vip.at.line);
            report.error(tunnel.at, message, "write this node's own address: tunnelled packets are sent to it");
        }
    }
}
