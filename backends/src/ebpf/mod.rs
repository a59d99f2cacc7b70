//! eBPF: one snapshot (`.egb`) that holds a whole program as the kernel program reads it, and its reader.
//!
//! In: a program, an inventory and [`Options`]. Out: an artifact for `egress-agent load`. [`decode()`] reads such a file,
//! or a dump of a live kernel, and [`plane()`] says what it does with every flow; both share nothing with the emitter but
//! the format. Never touches the kernel, never touches files.

mod decode;
mod emit;
pub mod options;
mod plane;

pub use decode::{DecodeError, Decoded, decode};
pub use emit::emit;
pub use options::{Limits, Options};
pub use plane::{SnapshotPlane, plane};
