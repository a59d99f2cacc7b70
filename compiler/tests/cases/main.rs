//! Cases of `testdata/`: a folder is a unit, its place is the verdict, `diagnostics.snap` and `program.snap` lie beside.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod coverage;
mod example_page;
mod inventory;
mod properties;
mod render;
mod units;
