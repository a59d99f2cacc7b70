//! The rest of a difference: whether what was not found to change is proved to stay.
//!
//! In: two programs that differ, and the lemmas that are proved. Out: why the rest is not known, if it is not. A
//! comparison that finds blocks says nothing about the rest, so it is asked for here.

use egress_ir::{Inventory, Program, Vocabulary};
use egress_verifier::{Cache, Limits, Prover};

/// Why nothing is known of the rest; nothing if it is proved to stay.
pub(super) fn doubt(
    (before, after): (&Program, &Program),
    inventory: Option<&Inventory>,
    limits: Limits,
    proved: &[u8],
) -> Option<String> {
    let hosts = [before, after].into_iter().flat_map(|program| program.destination_sets.values());
    let hosts = hosts.flat_map(|set| set.hosts.iter().cloned()).collect();
    // Blocks by name hide behind blocks by address with the same ports, whatever becomes of their flows.
    if !Vocabulary::new(&hosts).names().is_empty() {
        return Some("blocks by name may hide behind blocks by address".to_owned());
    }
    // The comparison requires the same lemmas again: one that is not remembered was not proved.
    let mut prover = Prover::new(limits, Cache::from_bytes(proved));
    if let Err(fault) = egress_verifier::diff(before, after, inventory, &mut prover) {
        return Some(fault.to_string());
    }
    let effort = prover.effort();
    (effort.remembered < effort.lemmas).then(|| "a proof did not finish within its limits".to_owned())
}
