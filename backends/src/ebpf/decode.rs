//! Reads a snapshot, or a dump of a live kernel, for verifiers.
//!
//! In: bytes. Out: meta part and tables in which every index was checked, or what is wrong. Shares nothing with the
//! emitter but the format.

use egress_ir::{HostPattern, Port};
use egress_snapshot::layout::outcome;
use egress_snapshot::{Meta, ReadError, Tables, file, meta};
use std::net::IpAddr;

/// A snapshot that was read.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Who is who, and which rule decides.
    pub meta: Meta,
    /// What the kernel reads.
    pub tables: Tables,
}

/// Why bytes are no snapshot.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DecodeError {
    /// What is wrong.
    #[source]
    pub reason: ReadError,
}

/// Reads a snapshot.
///
/// # Errors
/// The first thing that is wrong with it; every flipped bit is an error.
pub fn decode(bytes: &[u8]) -> Result<Decoded, DecodeError> {
    let snapshot = file::read(bytes).map_err(|reason| DecodeError { reason })?;
    Ok(Decoded { meta: snapshot.meta, tables: snapshot.tables })
}

impl Decoded {
    /// What the kernel does with a flow from a row to a destination that was learned by no name: the outcome's id, and
    /// whether the flow passes.
    #[must_use]
    pub fn decide(&self, row: u32, destination: IpAddr, port: Port) -> (u32, bool) {
        let outcome = self.tables.decide(row, destination, port.protocol(), port.number(), false);
        (outcome, self.passes(outcome))
    }

    /// The patterns of the set of names that the tables know by an id; nothing where meta has none.
    #[must_use]
    pub fn hosts_of(&self, id: u64) -> Option<Vec<HostPattern>> {
        let set = (0..).take(self.meta.name_sets.len()).find(|set| self.meta.id_of(*set) == Some(id))?;
        self.meta.hosts_of(set)?.into_iter().map(|host| host.parse().ok()).collect()
    }

    /// Whether flows of an outcome pass.
    #[must_use]
    pub fn passes(&self, outcome: u32) -> bool {
        self.tables.word(outcome) & outcome::VERDICT == outcome::PASS
    }

    /// The number of the gateway in an outcome's word; 0: its packets leave by their own node.
    #[must_use]
    pub fn gateway(&self, outcome: u32) -> u32 {
        outcome::gateway(self.tables.word(outcome))
    }

    /// What people are told of an outcome.
    #[must_use]
    pub fn outcome(&self, outcome: u32) -> Option<&meta::Outcome> {
        self.meta.outcomes.get(outcome as usize)
    }
}
