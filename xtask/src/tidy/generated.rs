//! Docs that are generated from `xdp-lb-abi`, so that they cannot say something else than the code.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use xdp_lb_abi::{ABI_VERSION, Member, MemberCounters, NextHop, Reason, ReasonCounters, Settings, Vip, VipKey, ring};

use super::constants::constants;

const NOTICE: &str = "<!-- Generated from xdp-lb-abi by `cargo xtask tidy --write`; edit the code instead. -->\n";

/// Path from the root and content of each generated document.
pub(super) fn documents(root: &Path) -> Result<[(&'static str, String); 2]> {
    let source = root.join("xdp-lb-abi/src/lib.rs");
    let source = fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    Ok([("docs/reasons.md", reasons()), ("docs/maps.md", maps(&source)?)])
}

fn reasons() -> String {
    let mut text = format!(
        "{NOTICE}\n# Reasons\n\n\
         Every packet gets one verdict and is counted once, under one of these reasons. The number is the index of the \
         counter in the maps, the name stands in metrics and in `lbctl`.\n\n\
         | number | reason | verdict | meaning |\n| ---: | --- | --- | --- |\n"
    );
    for reason in Reason::ALL {
        row(
            &mut text,
            &[
                &(*reason as usize).to_string(),
                &format!("`{}`", reason.name()),
                reason.kind().name(),
                reason.description().trim(),
            ],
        );
    }
    text
}

fn maps(source: &str) -> Result<String> {
    let maps = constants(source, Some("map"));
    ensure!(!maps.is_empty(), "xdp-lb-abi/src/lib.rs: found no map names; tidy reads them from `pub mod map`");

    let mut text = format!(
        "{NOTICE}\n# Maps\n\n\
         The programs and user space share these maps; they are pinned under `<bpffs>/xdp-lb/v{ABI_VERSION}/maps/`. \
         Names and layouts are those of ABI version {ABI_VERSION}.\n\n\
         | map | what it holds |\n| --- | --- |\n"
    );
    for map in &maps {
        row(&mut text, &[&format!("`{}`", map.value), &map.meaning]);
    }

    text.push_str("\n## Values\n\n| type | bytes |\n| --- | ---: |\n");
    let sizes = [
        ("VipKey", size_of::<VipKey>()),
        ("Vip", size_of::<Vip>()),
        ("NextHop", size_of::<NextHop>()),
        ("ReasonCounters", size_of::<ReasonCounters>()),
        ("MemberCounters", size_of::<MemberCounters>()),
        ("Settings", size_of::<Settings>()),
        ("Member", size_of::<Member>()),
        ("ring", ring::WORDS * size_of::<u64>()),
    ];
    for (name, size) in sizes {
        row(&mut text, &[&format!("`{name}`"), &size.to_string()]);
    }

    text.push_str("\n## Limits\n\n| limit | value | of what |\n| --- | ---: | --- |\n");
    for limit in constants(source, None).iter().filter(|limit| limit.name.starts_with("MAX_")) {
        row(&mut text, &[&format!("`{}`", limit.name), &limit.value, &limit.meaning]);
    }
    let ring_limits = [
        ("ring::SLOTS", ring::SLOTS, "Slots of a ring."),
        ("ring::MEMBERS", ring::MEMBERS, "Members of a ring, member 0 (no member) included."),
        ("ring::MOVES", ring::MOVES, "Slots of a ring that can change hands at a time."),
    ];
    for (name, value, meaning) in ring_limits {
        row(&mut text, &[&format!("`{name}`"), &value.to_string(), meaning]);
    }
    Ok(text)
}

fn row(text: &mut String, cells: &[&str]) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}
