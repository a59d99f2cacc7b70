//! The nftables target: against the meaning, against the kernel, and against itself.

mod common;
mod decoder;
mod differential;
mod kernel;
mod snapshots;
