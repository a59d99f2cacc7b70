//! What every target hands back: an [`Artifact`], or the reasons why there is none.
//!
//! In: nothing. These are the words in which backends speak to the command line; they are rendered there.
//! A backend refuses what its target cannot express ([`EmitError`]) and never weakens a rule silently.

use egress_ir::OriginId;

/// The file that a backend made of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The name under which the file is usually kept, such as `egress.nft`; no folders.
    pub file_name: &'static str,
    /// The whole content; a function of the program and the options alone.
    pub bytes: Vec<u8>,
    /// What it takes where it is enforced, in a few words, such as `4864 bytes in the kernel`.
    pub size: Option<String>,
    /// What the user should know, sorted and without doubles.
    pub notices: Vec<Notice>,
}

/// Who chooses the source addresses of flows that leave through a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Routing {
    /// The artifact itself.
    #[default]
    Own,
    /// Another target of the same call, so that the artifact filters only and leaves `via` alone.
    Elsewhere,
}

/// Something that the target does in its own way, or that is about to be too much for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// How much it matters.
    pub level: Level,
    /// The stable code, `egress::target::…`.
    pub code: &'static str,
    /// The rule or block it is about, where it is about one.
    pub origin: Option<OriginId>,
    /// What there is, in lower case without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// How much a [`Notice`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something may go wrong.
    Warning,
    /// Good to know.
    Note,
}

/// Why a program has no artifact: one thing that the target cannot express.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{message}")]
pub struct EmitError {
    /// The stable code, `egress::target::…`.
    pub code: &'static str,
    /// The rule or block that asks for it; nothing when it is the whole program.
    pub origin: Option<OriginId>,
    /// What cannot be said, and why, in lower case without a full stop.
    pub message: String,
    /// The way out.
    pub help: String,
}
