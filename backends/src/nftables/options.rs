//! What the user can choose about the emitted file.

use super::model::Hook;
use crate::target::Routing;
use egress_snapshot::gateway;

/// Choices for [`super::emit()`]; the default fits a node of a cluster, and a plain host where none is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where packets are judged; nothing chosen: prerouting, and output too where no cluster is declared.
    pub hooks: Vec<Hook>,
    /// Judge at prerouting only what arrives by these interfaces; a final `*` stands for any ending. Empty: by any.
    pub interfaces: Vec<String>,
    /// Where logs go.
    pub log: LogTarget,
    /// How many log lines a second each place may write; at least 1.
    pub log_rate: u32,
    /// Accept flows that carry this policy epoch in their connection's mark; nothing: judge every packet.
    pub epoch: Option<u32>,
    /// The bits of the connection mark that hold the epoch: adjacent ones.
    pub ct_mark_mask: u32,
    /// Who chooses the source addresses of flows that leave through a gateway.
    pub routing: Routing,
    /// The bits of the packet mark that hold the number of a gateway: adjacent ones.
    pub gateway_mask: u32,
    /// The number of this file among those for one host, shown in its header and in the table's comment.
    pub generation: u64,
    /// The digest of the source, such as `sha256:9f2c…`, shown likewise.
    pub source_digest: Option<String>,
}

/// Where logs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// To the listener on an nflog group, such as ulogd.
    Group(u16),
    /// To the kernel's own log.
    Kernel,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hooks: Vec::new(),
            interfaces: Vec::new(),
            log: LogTarget::Group(5),
            log_rate: 10,
            epoch: None,
            ct_mark_mask: 0x00ff_0000,
            routing: Routing::default(),
            gateway_mask: gateway::MASK,
            generation: 1,
            source_digest: None,
        }
    }
}
