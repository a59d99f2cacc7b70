//! Whole sessions: what a client sends, what it sees.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what is not as expected must stop the test"
)]

#[path = "../support/mod.rs"]
mod support;

mod actions;
mod completion;
mod documents;
mod edits;
mod everywhere;
mod findings;
mod hover;
mod shape;

mod trouble;
