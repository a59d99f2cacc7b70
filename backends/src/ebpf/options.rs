//! What the user can choose about the snapshot, and how large it may become.

use crate::target::Routing;
use egress_snapshot::gateway;
use egress_snapshot::layout;
use egress_snapshot::meta::Unknown;

/// Choices for [`super::emit()`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The number of this snapshot among those for one node.
    pub generation: u64,
    /// The digest of the whole source, such as `sha256:9f2c…`.
    pub source_digest: Option<String>,
    /// The compiler that writes the snapshot, such as `egressc 0.1.0`.
    pub compiler: String,
    /// What happens to flows of workloads that nobody knows; flows to the inside of the cluster pass in any case.
    pub unknown: Unknown,
    /// Who chooses the source addresses of flows that leave through a gateway; with [`Routing::Elsewhere`] the snapshot
    /// filters only, and says nothing of gateways.
    pub routing: Routing,
    /// The bits of a packet's mark that say through which gateway it leaves, one run of them.
    pub gateway_mask: u32,
    /// How large everything may become.
    pub limits: Limits,
}

/// How large a snapshot may become before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Combinations of workload sets that a pod can be in.
    pub combinations: usize,
    /// Classes of destinations, and what rows say of them one by one; port classes, and what profiles say of them.
    pub cells: usize,
    /// Lines of 64 bytes that the tables may take, at most [`layout::MOST_LINES`].
    pub lines: u32,
    /// Flows that are written down as test vectors.
    pub vectors: usize,
    /// Rules that are asked to decide the test vectors: one for each vector and rule about its source.
    pub questions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            combinations: 1 << 14,
            cells: 1 << 25,
            lines: layout::MOST_LINES,
            vectors: 1 << 16,
            questions: 20_000_000,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            generation: 1,
            source_digest: None,
            compiler: concat!("egressc ", env!("CARGO_PKG_VERSION")).to_owned(),
            unknown: Unknown::Deny,
            routing: Routing::Own,
            gateway_mask: gateway::MASK,
            limits: Limits::default(),
        }
    }
}
