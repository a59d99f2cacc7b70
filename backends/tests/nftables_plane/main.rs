//! Rulesets as planes: the same as the judge says flow by flow, and as programs mean.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking, as tests do"
)]

#[path = "../nftables/common.rs"]
mod common;
mod corners;
mod flows;
mod listed;
mod listing;
mod mutants;
mod support;
