//! `lbctl stats`.

use std::io::{self, Write};

use lb_api::{Counts, Stats, Vip};

use super::{
    table::Table,
    text::{bytes, or_unknown, reasons},
};
use crate::rates::Rates;

/// Packets by VIP and reason, and by backend. `wide` gives exact numbers of bytes.
pub(crate) fn stats(out: &mut dyn Write, stats: &Stats, wide: bool) -> io::Result<()> {
    by_vip(stats, wide).write(out)?;
    let members = by_member(&stats.vips, wide);
    if stats.vips.iter().all(|vip| vip.members.is_empty()) {
        return Ok(());
    }
    writeln!(out)?;
    members.write(out)
}

/// The same as rates.
pub(crate) fn rates(out: &mut dyn Write, rates: &Rates, wide: bool) -> io::Result<()> {
    writeln!(out, "per second, over {:.1} s", rates.seconds)?;
    stats(out, &rates.per_second, wide)
}

fn by_vip(stats: &Stats, wide: bool) -> Table {
    let mut table = Table::new(&["VIP", "NAME", "#PACKETS", "#BYTES", "REASONS"]);
    let mut row = |vip: String, name: Option<&String>, counts: Counts| {
        let packets: u64 = counts.packets.values().sum();
        table.row([vip, or_unknown(name), packets.to_string(), bytes(counts.bytes, wide), reasons(&counts.packets)]);
    };
    for vip in &stats.vips {
        row(vip.service(), vip.name.as_ref(), Counts { bytes: vip.bytes, packets: vip.packets.clone() });
    }
    for address in &stats.addresses {
        row(format!("{} (other)", address.address), None, address.counts.clone());
    }
    // A node that decapsulates has nothing but a total.
    if !stats.vips.is_empty() || !stats.addresses.is_empty() {
        row("no VIP".to_owned(), None, stats.other.clone());
    }
    row("total".to_owned(), None, stats.total.clone());
    table
}

fn by_member(vips: &[Vip], wide: bool) -> Table {
    let mut table = Table::new(&["BACKEND", "NAME", "VIP", "#PACKETS", "#BYTES"]);
    for vip in vips {
        for member in &vip.members {
            table.row([
                member.address.to_string(),
                or_unknown(member.name.as_ref()),
                vip.service(),
                member.packets.to_string(),
                bytes(member.bytes, wide),
            ]);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::print::{printed, samples};

    const TABLES: &str = "\
VIP                 NAME  PACKETS   BYTES  REASONS
192.0.2.10:80/tcp   web      1201  1.2 MB  forwarded 1200, bad_length 1
192.0.2.10 (other)  -           3   200 B  no_service 3
no VIP              -           4   400 B  not_vip 4
total               -        1208  1.2 MB  forwarded 1200, not_vip 4, no_service 3, bad_length 1

BACKEND    NAME   VIP                PACKETS   BYTES
10.0.0.11  web-1  192.0.2.10:80/tcp     1200  1.2 MB
10.0.0.12  web-2  192.0.2.10:80/tcp        0     0 B
";

    #[test]
    fn every_packet_stands_in_one_line_and_in_the_total() {
        assert_eq!(printed(|out| stats(out, &samples::stats(), false)), TABLES);
    }

    #[test]
    fn rates_say_over_what_time() {
        let sample = Rates { seconds: 2.04, per_second: samples::stats() };
        assert_eq!(printed(|out| rates(out, &sample, false)), format!("per second, over 2.0 s\n{TABLES}"));
    }

    #[test]
    fn a_node_that_decapsulates_has_only_a_total() {
        let sample = Stats { other: Counts::default(), addresses: Vec::new(), vips: Vec::new(), ..samples::stats() };
        let text = printed(|out| stats(out, &sample, true));
        assert!(text.starts_with("VIP    NAME  PACKETS    BYTES  REASONS\ntotal  -"), "{text}");
        assert_eq!(text.lines().count(), 2);
    }
}
