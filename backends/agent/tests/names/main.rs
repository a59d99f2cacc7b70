//! Names learned from real DNS servers, and what a kernel with rules lets pass by them.
//!
//! In: a pod, a node whose rules deny what no name allows, an outside that answers from every address; dnsmasq; the agent's
//! own command. Out: what passed and what did not. Skipped loudly where this machine cannot hold a lab; with
//! `EGRESS_REQUIRE_LAB=1` that is a failure.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod ask;
#[path = "../traffic/bpffs.rs"]
mod bpffs;
mod holding;
mod lives;
mod manual;
mod poison;
mod programs;
mod refusals;
mod scene;
mod views;
mod watching;
