//! `lbctl vip list` and `lbctl vip show`.

use std::io::{self, Write};

use lb_api::{Member, NextHop, Vip};
use xdp_lb_abi::{ReasonKind, ring::SLOTS};

use super::{
    table::Table,
    text::{bytes, or_unknown, packets_of, reasons, yes_no},
};

/// One line per service. `wide` adds the reasons.
pub(crate) fn vips(out: &mut dyn Write, vips: &[Vip], wide: bool) -> io::Result<()> {
    let mut columns = vec!["VIP", "NAME", "#UP", "#FORWARDED", "#DROPPED", "#BYTES"];
    columns.extend(wide.then_some("REASONS"));
    let mut table = Table::new(&columns);
    for vip in vips {
        let up = vip.members.iter().filter(|member| member.up).count();
        let row = [
            vip.service(),
            or_unknown(vip.name.as_ref()),
            format!("{up}/{}", vip.members.len()),
            packets_of(ReasonKind::Forward, &vip.packets).to_string(),
            packets_of(ReasonKind::Drop, &vip.packets).to_string(),
            bytes(vip.bytes, wide),
        ];
        table.row(row.into_iter().chain(wide.then(|| reasons(&vip.packets))));
    }
    table.write(out)
}

/// Services with their backends, a paragraph each. `wide` adds the way to each backend.
pub(crate) fn vip_details(out: &mut dyn Write, vips: &[Vip], wide: bool) -> io::Result<()> {
    for (number, vip) in vips.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let name = vip.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        writeln!(out, "{}{name}", vip.service())?;
        writeln!(out, "packets  {}", reasons(&vip.packets))?;
        writeln!(out, "bytes    {}", bytes(vip.bytes, wide))?;
        writeln!(out, "hash     {}", vip.hash)?;
        if vip.members.is_empty() {
            writeln!(out, "no backends")?;
        }
        members(&vip.members, wide).write(out)?;
    }
    Ok(())
}

fn members(members: &[Member], wide: bool) -> Table {
    let mut columns = vec!["BACKEND", "NAME", "UP", "#WEIGHT", "#SHARE", "#PACKETS", "#BYTES", "NEXT HOP"];
    columns.extend(wide.then_some(["#SLOTS", "ENCAPSULATION", "MAC", "SOURCE", "#MTU"]).into_iter().flatten());
    let mut table = Table::new(&columns);
    for member in members {
        let row = [
            member.address.to_string(),
            or_unknown(member.name.as_ref()),
            yes_no(member.up),
            or_unknown(member.weight),
            share(member.slots),
            member.packets.to_string(),
            bytes(member.bytes, wide),
            way(member.next_hop.as_ref()),
        ];
        table.row(row.into_iter().chain(wide.then(|| more(member)).into_iter().flatten()));
    }
    table
}

/// The columns of a wide table.
fn more(member: &Member) -> [String; 5] {
    let hop = member.next_hop.as_ref();
    [
        member.slots.to_string(),
        member.encapsulation.clone(),
        or_unknown(hop.and_then(|hop| hop.mac.as_ref())),
        or_unknown(hop.map(|hop| hop.source)),
        // The MTU of an unresolved next hop is not stored.
        or_unknown(hop.map(|hop| hop.mtu).filter(|mtu| *mtu > 0)),
    ]
}

/// A share of the ring in per cent, with one decimal.
fn share(slots: u32) -> String {
    let permille = (slots as usize * 1000 + SLOTS / 2) / SLOTS;
    format!("{}.{}%", permille / 10, permille % 10)
}

/// Where a next hop leads.
pub(super) fn way(hop: Option<&NextHop>) -> String {
    match hop {
        Some(hop) if hop.mac.is_some() => format!("{} on {}", hop.neighbour, hop.interface),
        Some(hop) => format!("{} on {}, unresolved", hop.neighbour, hop.interface),
        None => "none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::{printed, samples};

    #[test]
    fn a_list_shows_how_many_backends_are_up_and_what_became_of_the_packets() {
        let list = [samples::vip(), samples::nameless_vip()];
        let expected = "\
VIP                     NAME   UP  FORWARDED  DROPPED   BYTES
192.0.2.10:80/tcp       web   1/2       1200        1  1.2 MB
[2001:db8::10]:443/tcp  -     1/2       1200        1  1.2 MB
";
        assert_eq!(printed(|out| vips(out, &list, false)), expected);
    }

    #[test]
    fn a_wide_list_has_the_reasons_and_exact_bytes() {
        let expected = "\
VIP                NAME   UP  FORWARDED  DROPPED    BYTES  REASONS
192.0.2.10:80/tcp  web   1/2       1200        1  1250100  forwarded 1200, bad_length 1
";
        assert_eq!(printed(|out| vips(out, &[samples::vip()], true)), expected);
    }

    #[test]
    fn a_service_shows_the_state_and_share_of_its_backends() {
        let expected = "\
192.0.2.10:80/tcp (web)
packets  forwarded 1200, bad_length 1
bytes    1.2 MB
hash     five-tuple
BACKEND    NAME   UP   WEIGHT   SHARE  PACKETS   BYTES  NEXT HOP
10.0.0.11  web-1  yes     100  100.0%     1200  1.2 MB  10.0.0.1 on eth0
10.0.0.12  web-2  no      100    0.0%        0     0 B  10.0.0.12 on eth0, unresolved
";
        assert_eq!(printed(|out| vip_details(out, &[samples::vip()], false)), expected);
    }

    #[test]
    fn wide_details_show_the_way_to_each_backend() {
        let wide = printed(|out| vip_details(out, &[samples::vip()], true));
        let expected = "10.0.0.1 on eth0               65537  ipip4          02:00:00:00:00:01  10.0.0.2  1500\n";
        assert!(wide.contains(expected), "{wide}");
    }

    #[test]
    fn services_are_a_line_apart() {
        let empty = Vip { members: Vec::new(), packets: [].into(), bytes: 0, ..samples::nameless_vip() };
        let expected = "\
[2001:db8::10]:443/tcp
packets  -
bytes    0 B
hash     five-tuple
no backends

[2001:db8::10]:443/tcp
packets  -
bytes    0 B
hash     five-tuple
no backends
";
        assert_eq!(printed(|out| vip_details(out, &[empty.clone(), empty], false)), expected);
    }
}
