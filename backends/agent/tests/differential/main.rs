//! The kernel program itself, held against `egress_ir::eval`: random programs are written as snapshots, loaded, and asked
//! about packets by the kernel's test run and on a real interface. Needs root; elsewhere each test says that it was
//! skipped, and with `EGRESS_REQUIRE_LAB=1` fails.
#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot set up")]
#![expect(clippy::panic, reason = "likewise")]
#![expect(clippy::indexing_slicing, reason = "what is not there must stop its test")]

mod case;
mod frames;
mod judge;
mod node;
mod people;
mod places;
mod random;
mod rounds;
mod shapes;
mod wrong;
