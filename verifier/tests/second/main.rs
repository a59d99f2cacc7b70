//! A second method without z3: decisions as binary decision diagrams, held against everything that compares programs.
//!
//! In: the units of `testdata/` and random programs, each with mutants. Out: nothing, where the diagrams, the
//! decomposition and the undecomposed query agree on every pair, and the reported blocks are exactly the flows on which
//! the diagrams differ. Seed and number of random pairs: `EGRESS_SEED`, `EGRESS_CASES`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking, as tests do"
)]

mod agree;
mod cases;
mod diagrams;
mod pods;
mod random;
mod units;
