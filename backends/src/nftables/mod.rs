//! nftables: one file for `nft -f` that holds a whole program, and its reader.
//!
//! In: a program, an inventory and [`Options`]. Out: an artifact that touches `table inet egressc` and nothing else.
//! [`decode()`] reads such a file back into a [`Ruleset`] that judges packets as the kernel does; it shares no code
//! with the emitter. Never runs `nft`, never touches files.

mod decode;
mod emit;
mod epoch;
pub mod judge;
pub mod model;
pub mod options;
pub mod plane;

pub use decode::{DecodeError, Listing, TABLE, decode, decode_listing};
pub use emit::emit;
pub use epoch::epoch_of;
pub use judge::{Judge, Judgement, Packet, State};
pub use model::{Hook, Ruleset};
pub use options::{LogTarget, Options};
pub use plane::{RulesetPlane, Scope};
