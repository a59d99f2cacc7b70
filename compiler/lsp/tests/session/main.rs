//! Whole sessions: what a client sends, what it sees.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what is not as expected must stop the test"
)]

#[path = "../support/mod.rs"]
mod support;

mod documents;
mod edits;
mod findings;
mod trouble;
mod hover;
