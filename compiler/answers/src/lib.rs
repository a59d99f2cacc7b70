//! Answers in words: what the prover and the evaluator say, as findings, proofs, coverage and explanations.
//!
//! In: programs, the texts they were read from, a prover, flows as people type them. Out: diagnostics, [`Proof`]s, lines
//! and objects, the same for every front end. Never touches the disk, the clock, a process or a terminal, knows no
//! target, and decides nothing: what holds is said by the verifier, what happens to a flow by the evaluator.
//!
//! [`claims`] and [`assertions`] prove and tell, [`coverage`] says who is decided by what, [`explain`] what happens to
//! one flow and why. They are written with [`blocks`] of flows, [`rules`] and [`place`]s in files.

pub mod assertions;
pub mod blocks;
pub mod claims;
pub mod coverage;
pub mod explain;
pub mod fault;
pub mod objects;
pub mod place;
pub mod proof;
pub mod rules;

pub use assertions::Asserted;
pub use explain::{Explanation, Question, Refused};
pub use proof::{Proof, ProofKind, Standing};

/// `1 error`, `2 errors`.
#[must_use]
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
