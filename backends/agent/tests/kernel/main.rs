//! The agent's kernel programs and the seam to them, in this machine's kernel. Needs root; elsewhere each test says that
//! it was skipped, and with `EGRESS_REQUIRE_LAB=1` fails.
#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot set up")]
#![expect(clippy::panic, reason = "likewise")]
#![expect(clippy::indexing_slicing, reason = "what a model lacks must stop its test")]

mod attaching;
mod connect;
mod generations;
mod objects;
mod packets;
mod support;
mod tables;
