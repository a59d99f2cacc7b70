//! Questions about programs and about what enforces them, answered for every flow with proofs.
//!
//! In: programs, decoded artifacts as [`egress_ir::Plane`]s, claims to be confirmed. Out: [`Answer`]s. Never reads
//! text, files, clocks or the network, and knows no target.
//!
//! The way of a proof: [`program`] and other planes cut each sender's destinations into pieces with one list of entries
//! each; [`lists`] decides a list natively into a table over the port line; [`prover`] has z3 refute that list and table
//! differ anywhere. Everything else reads tables. So z3 judges every port of every distinct list, a certificate that is
//! checked apart judges the pieces, and no answer rests on the classes that made it fast.

pub mod answer;
pub mod assertions;
pub mod cache;
pub mod claims;
pub mod compare;
pub mod coverage;
pub mod diff;
mod digests;
pub mod lists;
pub mod program;
pub mod prover;
pub mod solver;
pub mod whole;
pub mod witness;

pub use answer::{Answer, Limits};
pub use cache::Cache;
pub use compare::{Block, Comparison, Fault, against_source, compare};
pub use diff::{Diff, Direction, diff};
pub use prover::Prover;
