//! Next hops: what the kernel knows about the way to each tunnel address, followed as it changes.
//!
//! The program does no look-up of its own: [`watch`] asks the kernel for the route to every destination, keeps the
//! neighbours on those routes resolved, and publishes the result as [`NextHops`]. `index` is the state, without I/O and
//! without a clock; `watcher` is the task that feeds it from netlink; the other modules lie between them:
//!
//! - `facts`: what the kernel can tell us, in our words; `decode` and `request` translate from and to netlink
//! - `socket`: the two netlink sockets, one for events and one for requests
//! - `neighbours`: keeps neighbour entries alive, by the kernel where it can, else by probing
//! - `pacing`: how long to collect events before acting on them
//! - `snapshot`: from the index to what is published, and the words for what is wrong

mod decode;
mod facts;
mod index;
mod neighbours;
mod pacing;
mod request;
mod snapshot;
mod socket;
mod watcher;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use xdp_lb::model::{NextHopKey, NextHopSpec};

pub use self::{
    socket::SocketError,
    watcher::{WatchError, Watching, watch},
};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// All that is known of the ways to the destinations, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextHops {
    /// The next hop of each destination that has one, resolved or not.
    pub routes: BTreeMap<IpAddr, NextHopKey>,
    /// What is known of each next hop that `routes` names.
    pub next_hops: BTreeMap<NextHopKey, NextHopSpec>,
    /// Every interface of the node, by index.
    pub interfaces: BTreeMap<u32, InterfaceState>,
    /// Every address of the node.
    pub local_addresses: BTreeSet<IpAddr>,
    /// Why a destination cannot be reached now, and what to do about it. A destination that is listed here may have a
    /// route too: one whose neighbour is not resolved.
    pub problems: BTreeMap<IpAddr, String>,
}

impl NextHops {
    /// Whether the answer for this destination is in: it takes a moment after the destination was added.
    pub fn covers(&self, destination: IpAddr) -> bool {
        self.routes.contains_key(&destination) || self.problems.contains_key(&destination)
    }
}

/// An interface of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceState {
    /// Name.
    pub name: String,
    /// Whether it is set up and has a carrier.
    pub up: bool,
    /// Ethernet address; `None` for interfaces without Ethernet header (loopback, tun).
    pub mac: Option<Mac>,
    /// L3 MTU in bytes.
    pub mtu: u32,
}
