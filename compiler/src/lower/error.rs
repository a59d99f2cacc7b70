//! What shows only when sets get their meaning.

use crate::diagnostic::{Diagnostic, Label, Severity};
use crate::source::Place;

/// A set or range that cannot be, or is probably not meant.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LowerError {
    /// `except` with a host on one of its sides.
    #[error("`{text}` {} a host, {}", if text.starts_with("host ") { "is" } else { "holds" }, subtraction(*.subtracted))]
    HostExcept {
        /// The host, or the name of the set that holds one.
        text: String,
        /// Whether it stands after the `except`.
        subtracted: bool,
        /// Where.
        place: Place,
    },
    /// An `address` workload among the addresses of pods or services.
    #[error("the address workload `{text}` lies among the cluster's {part}")]
    WorkloadInside {
        /// The prefix.
        text: String,
        /// `pods` or `services`.
        part: &'static str,
        /// The prefix.
        place: Place,
    },
    /// Two parts of the cluster that overlap.
    #[error("the cluster's {} and {} overlap", .parts[0], .parts[1])]
    ClusterOverlap {
        /// Their names.
        parts: [&'static str; 2],
        /// One prefix of each.
        places: [Place; 2],
    },
}

const fn subtraction(subtracted: bool) -> &'static str {
    if subtracted { "which cannot be subtracted" } else { "from which nothing can be subtracted" }
}

impl LowerError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::HostExcept { .. } => "egress::address::host-except",
            Self::WorkloadInside { .. } => "egress::address::workload-inside",
            Self::ClusterOverlap { .. } => "egress::address::cluster-overlap",
        }
    }

    /// Overlapping cluster ranges are only noted.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::HostExcept { .. } | Self::WorkloadInside { .. } => Severity::Error,
            Self::ClusterOverlap { .. } => Severity::Note,
        }
    }

    const fn help(&self) -> &'static str {
        match self {
            Self::HostExcept { .. } => {
                "a name may resolve to any address, so their difference has no meaning: write a `deny` rule, which always wins"
            }
            Self::WorkloadInside { .. } => {
                "pods are selected with `pods(…)`; `address` is for sources outside of Kubernetes"
            }
            Self::ClusterOverlap { .. } => "everything in either range is inside the cluster",
        }
    }
}

impl From<LowerError> for Diagnostic {
    fn from(error: LowerError) -> Self {
        let labels = match &error {
            LowerError::HostExcept { place, .. } | LowerError::WorkloadInside { place, .. } => {
                vec![Label::primary(*place, "")]
            }
            LowerError::ClusterOverlap { parts: [left, right], places: [a, b] } => {
                vec![Label::primary(*b, *right), Label::context(*a, *left)]
            }
        };
        Self::new(error.code(), error.severity(), error.to_string()).labels(labels).help(error.help())
    }
}
