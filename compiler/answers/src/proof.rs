//! Proofs: what was to be proved, and what became of it.
//!
//! In: answers. Out: one shape for all of them, which serialises as `docs/json.md` describes.

use egress_ir::{AssertionId, RuleId};
use std::fmt;

/// Something that was to be proved.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Proof {
    /// What it is about.
    pub kind: ProofKind,
    /// Which assertion of the program it is, if it is one: `program.assertions.at(id).origin` says where it stands.
    #[serde(skip)]
    pub assertion: Option<AssertionId>,
    /// What is claimed, such as an assertion as it was written.
    pub statement: String,
    /// The control that asks for it.
    pub control: Option<String>,
    /// Whether it holds.
    pub answer: Standing,
    /// Why it is unknown, or what the proof is about, a few words each.
    pub notes: Vec<String>,
    /// The flows that refute it, the widest block first, see `docs/json.md`.
    pub blocks: Vec<serde_json::Value>,
    /// The fewest rules of the program without which it holds, where that is proved; empty otherwise.
    #[serde(skip)]
    pub remedy: Vec<RuleId>,
}

/// What a proof is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProofKind {
    /// What the checker says about rules.
    Findings,
    /// An assertion of the policy.
    Assertion,
    /// An artifact and its source.
    Artifact,
}

/// What became of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It holds for every flow.
    Proved,
    /// Nobody knows.
    Unknown,
    /// It does not hold.
    Refuted,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proved => "proved",
            Self::Unknown => "unknown",
            Self::Refuted => "refuted",
        })
    }
}
