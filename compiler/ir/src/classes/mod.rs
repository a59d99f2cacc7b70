//! Classes: what the rules of a program can tell apart in each dimension.
//!
//! All fast forms rest on one idea: cut each dimension where some rule begins or ends, and group the pieces by the
//! rules that contain them. [`sources`] does so for workloads, [`segments`] for addresses, [`ports`] for ports and
//! [`names`] for host names. A decision is then a table over classes. Proofs do not trust any of this.

mod formula;
mod members;
pub mod names;
pub mod ports;
pub mod segments;
pub mod sources;

pub use names::name_classes;
pub use ports::{PortCells, port_cells};
pub use segments::{Key, Keys, Segment, sweep};
pub use sources::{SourceClass, TooManyClasses, possible_sources, possible_sources_unless};
