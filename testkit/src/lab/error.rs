//! What can go wrong in a lab: it cannot exist here, or a step of it failed.

use std::io;

use thiserror::Error;

/// Why a lab, or a step in it, failed.
#[derive(Debug, Error)]
pub enum LabError {
    /// This machine cannot hold a lab: not root, no namespaces, or a tool is missing.
    #[error("{0}")]
    Unavailable(String),
    /// A tool (`ip`, `nft`, …) refused; its own words are kept.
    #[error("`{tool}` failed: {said}")]
    Tool {
        /// The program that was run.
        tool: String,
        /// What it wrote to standard error, trimmed.
        said: String,
    },
    /// A system call failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What the system answered.
        source: io::Error,
    },
    /// A probe or flow that no namespace of this topology can send.
    #[error("{0}")]
    Impossible(String),
}

/// Turns a system error into a [`LabError`] that says what was being done.
pub(super) fn doing<E: Into<io::Error>>(what: &str) -> impl FnOnce(E) -> LabError + '_ {
    move |source| LabError::Io { doing: what.to_owned(), source: source.into() }
}
