//! Gateways on several nodes: pods whose packets are judged and marked by the agent's programs, nodes that hold gateways in
//! turn, and an outside that says which source address it saw.
//!
//! In: policies with gateways, compiled, emitted and loaded by the agent's own command. Out: source addresses of every
//! packet that arrived, while holders are moved, stopped and killed. Skipped loudly where this machine cannot hold a lab;
//! with `EGRESS_REQUIRE_LAB=1` that is a failure.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking, as tests do"
)]
#![expect(clippy::print_stderr, reason = "what is skipped is said")]

mod cluster;
mod failover;
mod server;
mod sources;
mod traffic;
mod vrrp;
