//! The packet path of both XDP programs.
//!
//! ```text
//! balance:      parse -> look up the service -> check -> select a backend -> resolve its next hop -> encapsulate
//!                     -> or reply
//! decapsulate:  parse -> is it a tunnel's? -> is the source ours? -> is the inner packet for a VIP? -> unwrap
//! ```
//!
//! [`pipeline`] and [`mod@decapsulate`] know the order; every step is a function in a module of its own. Nothing here knows
//! of BPF: a packet is a [`Frame`], the maps are [`Tables`], so the same code runs in tests and models on the host.
//! `program` binds both to the kernel, `src/bin/` holds the maps and one entry per program.
//!
//! All functions are `#[inline(always)]`: a program is one function. A call in BPF passes at most five words and would
//! make LLVM pass packet pointers as 32-bit values, which the verifier refuses.
#![cfg_attr(not(test), no_std)]

pub mod bounds;
pub mod checksum;
pub mod decapsulate;
pub mod ecn;
pub mod encapsulate;
pub mod extensions;
pub mod flow;
pub mod fragment;
pub mod headers;
pub mod lookup;
pub mod next_hop;
pub mod pacing;
pub mod packet;
pub mod parse;
pub mod pipeline;
#[cfg(feature = "program")]
pub mod program;
pub mod quote;
pub mod reply;
pub mod select;
pub mod tables;
#[cfg(test)]
mod testing;
pub mod verdict;

pub use decapsulate::decapsulate;
pub use packet::{Frame, NoRoom, Window};
pub use pipeline::balance;
pub use tables::{Tables, Tunnels};
pub use verdict::{Step, Verdict};
