//! Mutants: what is broken on purpose must be seen, and what is not broken must be proved.
//!
//! In: programs and artifacts with one thing changed. Out: nothing, where every mutant that means anything else is
//! refuted by a flow that the evaluators confirm, and every other one is proved. Which is which comes from methods that
//! share nothing with the verifier: decision diagrams for programs, and every distinguishable flow, one by one, for
//! artifacts. Artifacts that are no longer understood are refused, counted apart, and never proved.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking, as tests do"
)]
#![expect(clippy::print_stdout, reason = "how much was checked is said where the test's output is asked for")]

#[path = "../second/agree.rs"]
mod agree;
mod borders;
mod cilium;
#[path = "../second/diagrams.rs"]
mod diagrams;
mod judged;
mod nftables;
mod packets;
#[path = "../second/pods.rs"]
mod pods;
mod programs;
mod tally;
#[path = "../second/units.rs"]
mod units;
