//! Documents as tables. Printers take any writer and no colours, so tests and terminals see the same.

mod backends;
mod explanation;
mod stats;
mod status;
mod table;
mod text;
mod vips;

#[cfg(test)]
pub(crate) mod samples;

pub(crate) use backends::backends;
pub(crate) use explanation::{Chosen, Explanation, explanation};
pub(crate) use stats::{rates, stats};
pub(crate) use status::status;
pub(crate) use vips::{vip_details, vips};

/// What a printer writes.
#[cfg(test)]
fn printed(print: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut text = Vec::new();
    print(&mut text).expect("memory takes everything");
    String::from_utf8(text).expect("text")
}
