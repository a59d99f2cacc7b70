//! What linters of foreign manifests say: one finding is one mistake, with the place to blame.
//!
//! In: nothing. These are the words in which backends speak to the command line; they are rendered there. A finding is
//! about objects that people wrote for a target by hand, never about a program.

use std::ops::Range;

/// A mistake that can be seen in a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The stable code, such as `KV004`.
    pub code: &'static str,
    /// How much it matters.
    pub level: Level,
    /// The bytes of the text to blame.
    pub span: Range<usize>,
    /// `Kind/namespace/name` of the object; empty where there is none.
    pub object: String,
    /// What is wrong, in lower case without a full stop, the user's text in back-ticks.
    pub message: String,
    /// What the target will really do with it.
    pub happens: String,
    /// What to write instead.
    pub fix: String,
}

/// How much a [`Finding`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It does not do what it says.
    Error,
    /// It probably does not do what was meant.
    Warning,
    /// Good to know.
    Note,
}
