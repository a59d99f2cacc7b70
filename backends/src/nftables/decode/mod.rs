//! Reads an nftables file back: the bytes of the artifact, as `nft -f` would load them into an empty table.
//!
//! [`decode_listing`] does the same for what the kernel holds.
//!
//! In: bytes. Out: a [`Ruleset`], or the first line that is not understood. Written from nft(8), not from the
//! emitter: it knows the part of the language that egress rulesets need and refuses everything else by name, because
//! a guess would make every proof about the file worthless. Takes time linear in the text (sorting apart).

mod check;
mod commands;
mod learned;
mod lexer;
mod listing;
mod names;
mod reader;
mod rule;
mod values;

use super::model::Ruleset;
use std::fmt;

pub use listing::{Listing, decode_listing};

/// The table that judges, without its family.
pub const TABLE: &str = "egressc";
/// The table that sees to the source addresses of gateways. A file may touch no others.
pub(super) const GATEWAYS: &str = "egressc_gateways";

/// Why a file is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The line, counted from 1; 0 when it is about the file as a whole.
    pub line: u32,
    /// The text that is not understood.
    pub text: String,
    /// Why, in lower case without a full stop.
    pub reason: String,
}

impl std::error::Error for DecodeError {}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        write!(f, "{}: `{}`", self.reason, self.text)
    }
}

impl DecodeError {
    fn new(line: u32, text: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { line, text: text.into(), reason: reason.into() }
    }
}

/// Reads a file for `nft -f` as loaded into a kernel that has no `table inet egressc` yet.
///
/// # Errors
/// Everything that is not understood, that nft or the kernel would refuse (a jump to a chain that is not there, a
/// loop, overlapping elements), or that touches any other table.
pub fn decode(bytes: &[u8]) -> Result<Ruleset, DecodeError> {
    let tokens = lexer::tokens(bytes)?;
    let mut ruleset = commands::run(&mut reader::Reader::new(&tokens))?;
    check::finish(&mut ruleset)?;
    Ok(ruleset)
}
