//! Real packets through the files that `emit` writes: pods, a node and the outside as network namespaces.
//!
//! In: programs, emitted and loaded with `nft -f` into the node. Out: what the kernel does to probes, conversations and
//! floods, held against `egress_ir::eval` and against what operators are promised. Skipped loudly where no network
//! namespaces can be made; with `EGRESS_REQUIRE_LAB=1` that is a failure.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking, as tests do"
)]
#![expect(clippy::print_stdout, reason = "how much was sent is said where the test's output is asked for")]

mod conversations;
mod draft;
mod gateways;
mod kube_vip;
mod listing;
mod log_listener;
mod names;
mod observed;
mod replacement;
mod verdicts;
