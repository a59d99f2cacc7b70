//! Real packets under what the agent's kernel programs enforce: pods, a node and the outside as network namespaces, and
//! processes in cgroups.
//!
//! In: policies in the language, compiled, emitted and loaded through the agent's seam to the kernel. Out: what became of
//! the packets, held against `egress_ir::eval`, against the table in `docs/agent.md`, and against what operators are
//! promised of switches and of killed agents. Skipped loudly where this machine cannot hold a lab; with
//! `EGRESS_REQUIRE_LAB=1` that is a failure.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod cases;
mod counting;
mod hooks;
mod inbound;
mod killed;
mod pairs;
mod pieces;
mod scene;
mod switches;
mod verdicts;
