//! The agent's netlink watcher against the real kernel.

mod neighbours;
mod node;
mod routes;
mod scale;
