//! Real programs, servers and traffic between network namespaces.

mod beds;
mod demo;
mod failover;
mod icmp;
mod interfaces;
mod lifecycle;
mod modes;
mod operators;
mod ranges;
mod refusals;
mod reload;
mod services;
mod tools;
