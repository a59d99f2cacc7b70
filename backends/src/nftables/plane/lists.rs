//! What packets do on one piece, as a list of a vocabulary: the one way of writing it down.
//!
//! In: what happens on which ports whatever the names, and what names change, first say first. Out: a list. Equal
//! behaviour is written equally more often where entries that agree are put together; nothing else depends on it.

use super::ports::{ANY, Algebra};
use super::walk::unclear;
use egress_ir::plane::{Entry, Guard, List, ListId};
use egress_ir::{HostPattern, Outcome, Unclear, Vocabulary};
use std::collections::{BTreeMap, BTreeSet};

/// What happens on one piece.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Done {
    /// For destinations with names of all these patterns, by their places: the first entry that holds decides.
    pub(super) named: Vec<(BTreeSet<usize>, Outcome, u32)>,
    /// For all others, by ports. On those that are not here packets are dropped.
    pub(super) unnamed: BTreeMap<Outcome, u32>,
}

/// The list.
///
/// # Errors
/// A rule asks for names of three patterns at once.
pub(super) fn list(
    algebra: &Algebra<'_>,
    hosts: &[HostPattern],
    done: &Done,
    vocabulary: &mut Vocabulary,
) -> Result<ListId, Unclear> {
    let unnamed: Vec<(Outcome, u32)> = done.unnamed.iter().map(|(outcome, ports)| (*outcome, *ports)).collect();
    let mut entries = named(algebra, hosts, done, vocabulary)?;
    let default = match unnamed.as_slice() {
        [(outcome, ANY)] => *outcome,
        _ => {
            entries.extend(unnamed.iter().map(|&(outcome, ports)| {
                let ports = vocabulary.ports(algebra.at(ports));
                Entry { guard: Guard::Always, ports, outcome }
            }));
            Outcome::Dropped
        }
    };
    Ok(vocabulary.list(&List { entries, default }))
}

fn named(
    algebra: &Algebra<'_>,
    hosts: &[HostPattern],
    done: &Done,
    vocabulary: &mut Vocabulary,
) -> Result<Vec<Entry>, Unclear> {
    let mut entries = Vec::new();
    // Neighbours that decide the same may change places, so that they are one entry for each set of ports.
    for alike in done.named.chunk_by(|one, other| one.1 == other.1) {
        let mut by_ports: BTreeMap<(usize, u32), BTreeSet<usize>> = BTreeMap::new();
        for (place, (patterns, _, ports)) in alike.iter().enumerate() {
            let own = if patterns.len() == 1 { 0 } else { place + 1 };
            by_ports.entry((own, *ports)).or_default().extend(patterns);
        }
        let Some((_, outcome, _)) = alike.first() else { continue };
        for ((own, ports), patterns) in by_ports {
            let guard = if own == 0 { any(hosts, &patterns, vocabulary) } else { all(hosts, &patterns, vocabulary)? };
            let ports = vocabulary.ports(algebra.at(ports));
            entries.extend(guard.map(|guard| Entry { guard, ports, outcome: *outcome }));
        }
    }
    Ok(entries)
}

/// The guard for names of any of the patterns; nothing where there is no such name.
fn any(hosts: &[HostPattern], patterns: &BTreeSet<usize>, vocabulary: &mut Vocabulary) -> Option<Guard> {
    vocabulary.guard(|name| patterns.iter().filter_map(|place| hosts.get(*place)).any(|host| host.matches(name)))
}

/// The guard for names of each of the patterns.
fn all(
    hosts: &[HostPattern],
    patterns: &BTreeSet<usize>,
    vocabulary: &mut Vocabulary,
) -> Result<Option<Guard>, Unclear> {
    let mut both = Guard::Always;
    for &place in patterns {
        let Some(guard) = any(hosts, &BTreeSet::from([place]), vocabulary) else { return Ok(None) };
        both = both.and(guard).ok_or_else(|| unclear("a rule asks for names of three patterns at once"))?;
    }
    Ok(Some(both))
}
