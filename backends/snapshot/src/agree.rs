//! That meta and tables belong together. In: both. Out: nothing, or the first place where they say different things.
//!
//! Never changes either, and never asks what the policy meant.

use crate::layout::outcome;
use crate::meta::{Meta, Unknown, Verdict};
use crate::names::Names;
use crate::tables::{ByName, Tables};
use std::net::IpAddr;

/// What meta and tables say differently.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// The tables were made with another meta part.
    #[error("the tables name another meta part by its digest")]
    Digest,
    /// Generations differ.
    #[error("the generation is {header} in the header, {meta} in the meta part and {tables} in the tables")]
    Generation {
        /// The header's.
        header: u64,
        /// The meta part's.
        meta: u64,
        /// The tables'.
        tables: u64,
    },
    /// There are more or fewer outcomes.
    #[error("meta explains {meta} outcomes, but the tables have {tables}")]
    Outcomes {
        /// How many meta has.
        meta: usize,
        /// How many the tables have.
        tables: u32,
    },
    /// An outcome's word does something else than meta says.
    #[error("outcome {outcome} has the word {word:#x}, but meta's meaning of it is {meaning:#x}")]
    Word {
        /// The outcome.
        outcome: usize,
        /// What the tables do.
        word: u32,
        /// What meta says.
        meaning: u32,
    },
    /// There are gateways without a mask for their numbers, or a mask without gateways.
    #[error("the tables have the mask {mask:#x} for the numbers of {gateways} gateways")]
    Mask {
        /// The mask of the tables.
        mask: u32,
        /// How many gateways meta has.
        gateways: usize,
    },
    /// A gateway's number is not its place in the order of names, or the mask cannot hold it.
    #[error(
        "gateway `{name}` has the number {number}, which is not its place, or which the mask {mask:#x} cannot hold"
    )]
    Gateway {
        /// Its name.
        name: String,
        /// Its number.
        number: u32,
        /// The mask of the tables.
        mask: u32,
    },
    /// What depends on names in an outcome is another thing in meta.
    #[error("outcome {0} asks for other names in the tables than in meta, or leads to other outcomes")]
    Names(usize),
    /// A place in a list of meta that does not exist.
    #[error("{what} {place} names {named} {found}, but there are only {count}")]
    Place {
        /// What names it.
        what: &'static str,
        /// Which of them.
        place: usize,
        /// What is named.
        named: &'static str,
        /// The place that is named.
        found: u32,
        /// How many there are.
        count: usize,
    },
    /// A list that is not sorted, or has something twice.
    #[error("{0} are not sorted, or one is there twice")]
    Order(&'static str),
    /// A pod's address leads to another row.
    #[error("the tree of sources gives {address} the row {tables}, but meta says {meta}")]
    Pod {
        /// The address.
        address: IpAddr,
        /// The row of the tables.
        tables: u32,
        /// The row of meta.
        meta: u32,
    },
    /// A test vector comes out otherwise.
    #[error("vector {place} comes to outcome {tables} in the tables, but should come to {meta}")]
    Vector {
        /// Which vector.
        place: usize,
        /// The outcome of the tables.
        tables: u32,
        /// The outcome that it should have.
        meta: u32,
    },
    /// A rule whose text ends before it starts.
    #[error("rule {0} ends before it starts")]
    Span(usize),
}

/// Checks everything that meta says of the tables.
pub(crate) fn agree(meta: &Meta, tables: &Tables, generation: u64) -> Result<(), Disagreement> {
    if generation != meta.generation || generation != tables.generation() {
        let (meta, tables) = (meta.generation, tables.generation());
        return Err(Disagreement::Generation { header: generation, meta, tables });
    }
    gateways(meta, tables)?;
    outcomes(meta, tables)?;
    names(meta, tables)?;
    combinations(meta, tables)?;
    pods(meta, tables)?;
    vectors(meta, tables)?;
    let span = meta.rules.iter().position(|rule| rule.start > rule.end);
    span.map_or(Ok(()), |place| Err(Disagreement::Span(place)))?;
    for (place, attachment) in meta.attachments.iter().enumerate() {
        attachment.row.map_or(Ok(()), |row| row_exists("attachment", place, row, tables))?;
    }
    Ok(())
}

/// The word that an outcome must have.
fn meaning(of: &crate::meta::Outcome, unknown: Unknown) -> u32 {
    let passes = match of.verdict {
        Verdict::Inside | Verdict::Ungoverned | Verdict::Allowed | Verdict::Via(_) => true,
        Verdict::Denied | Verdict::Conflict => false,
        Verdict::Unknown => unknown == Unknown::Pass,
    };
    let record = of.log || of.audit.is_some();
    let verdict = if passes { outcome::PASS } else { outcome::DENY };
    let gateway = match of.verdict {
        Verdict::Via(number) => number << outcome::GATEWAY_SHIFT,
        _ => 0,
    };
    let named = if of.by_name.is_some() { outcome::NAMED } else { 0 };
    verdict | gateway | named | if record { outcome::RECORD } else { 0 }
}

/// Sets of names are what they are called, sorted and distinct, and outcomes ask for those that the tables ask for.
fn names(meta: &Meta, tables: &Tables) -> Result<(), Disagreement> {
    let none = Names::default();
    let known = meta.names.as_ref().unwrap_or(&none);
    sorted("host patterns", &known.hosts)?;
    let hosts = known.hosts.len();
    for (place, set) in meta.name_sets.iter().enumerate() {
        sorted("the patterns of a set of names", set)?;
        set.iter().try_for_each(|host| exists("name set", place, ("host pattern", *host), hosts))?;
    }
    for (place, clients) in known.clients.iter().enumerate() {
        sorted("the patterns of clients", &clients.hosts)?;
        clients.hosts.iter().try_for_each(|host| exists("clients", place, ("host pattern", *host), hosts))?;
    }
    let ids: Vec<Option<u64>> = (0..).map(|set| meta.id_of(set)).take(meta.name_sets.len()).collect();
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    sorted("the ids of sets of names", &distinct)?;
    for (place, outcome) in meta.outcomes.iter().enumerate() {
        let Some(by_name) = &outcome.by_name else { continue };
        let sets: Option<Vec<u64>> = by_name.sets.iter().map(|set| ids.get(*set as usize).copied().flatten()).collect();
        let said = sets.map(|sets| ByName { sets, outcomes: by_name.outcomes.clone() });
        let found = u32::try_from(place).ok().and_then(|id| tables.by_name(id));
        if said.is_none() || said != found {
            return Err(Disagreement::Names(place));
        }
    }
    Ok(())
}

fn outcomes(meta: &Meta, tables: &Tables) -> Result<(), Disagreement> {
    let count = tables.layout().outcome_count;
    if meta.outcomes.len() != count as usize {
        return Err(Disagreement::Outcomes { meta: meta.outcomes.len(), tables: count });
    }
    for ((place, of), id) in meta.outcomes.iter().enumerate().zip(0..) {
        let (word, meaning) = (tables.word(id), meaning(of, meta.unknown));
        if word != meaning {
            return Err(Disagreement::Word { outcome: place, word, meaning });
        }
        for verdict in [Some(of.verdict), of.audit].into_iter().flatten() {
            if let Verdict::Via(number) = verdict {
                exists("outcome", place, ("gateway", number.wrapping_sub(1)), meta.gateways.len())?;
            }
        }
        sorted("the rules of an outcome", &of.rules)?;
        for rule in &of.rules {
            exists("outcome", place, ("rule", *rule), meta.rules.len())?;
        }
    }
    Ok(())
}

/// Gateways are numbered in their order, which is that of their names, and the mask holds every number.
fn gateways(meta: &Meta, tables: &Tables) -> Result<(), Disagreement> {
    let names: Vec<&str> = meta.gateways.iter().map(|gateway| gateway.name.as_str()).collect();
    sorted("the names of gateways", &names)?;
    let mask = tables.layout().gateway_mask;
    if (mask == 0) != meta.gateways.is_empty() {
        return Err(Disagreement::Mask { mask, gateways: names.len() });
    }
    for (gateway, number) in meta.gateways.iter().zip(1..) {
        if gateway.number != number || gateway.mark(mask).is_none() {
            return Err(Disagreement::Gateway { name: gateway.name.clone(), number: gateway.number, mask });
        }
    }
    Ok(())
}

fn combinations(meta: &Meta, tables: &Tables) -> Result<(), Disagreement> {
    let sets: Vec<&Vec<u32>> = meta.combinations.iter().map(|combination| &combination.sets).collect();
    sorted("combinations", &sets)?;
    for (place, combination) in meta.combinations.iter().enumerate() {
        sorted("the sets of a combination", &combination.sets)?;
        for set in &combination.sets {
            exists("combination", place, ("set", *set), meta.sets.len())?;
        }
        row_exists("combination", place, combination.row, tables)?;
    }
    Ok(())
}

fn pods(meta: &Meta, tables: &Tables) -> Result<(), Disagreement> {
    let addresses: Vec<IpAddr> = meta.pods.iter().map(|pod| pod.address).collect();
    sorted("the addresses of pods", &addresses)?;
    for pod in &meta.pods {
        let row = tables.source(pod.address);
        if row != pod.row {
            return Err(Disagreement::Pod { address: pod.address, tables: row, meta: pod.row });
        }
    }
    Ok(())
}

fn vectors(meta: &Meta, tables: &Tables) -> Result<(), Disagreement> {
    let ids: Vec<Option<u64>> = (0..).map(|set| meta.id_of(set)).take(meta.name_sets.len()).collect();
    for (place, vector) in meta.vectors.iter().enumerate() {
        row_exists("vector", place, vector.row, tables)?;
        let of = (vector.row, vector.destination, vector.protocol, vector.number, vector.fragment);
        let named = |id| vector.name_sets.iter().any(|set| ids.get(*set as usize) == Some(&Some(id)));
        for set in &vector.name_sets {
            exists("vector", place, ("name set", *set), meta.name_sets.len())?;
        }
        let found = tables.decide_named(of, named);
        if found != vector.outcome {
            return Err(Disagreement::Vector { place, tables: found, meta: vector.outcome });
        }
    }
    Ok(())
}

fn row_exists(what: &'static str, place: usize, row: u32, tables: &Tables) -> Result<(), Disagreement> {
    exists(what, place, ("row", row), tables.layout().row_count as usize)
}

fn exists(
    what: &'static str,
    place: usize,
    (named, found): (&'static str, u32),
    count: usize,
) -> Result<(), Disagreement> {
    if (found as usize) < count { Ok(()) } else { Err(Disagreement::Place { what, place, named, found, count }) }
}

fn sorted<T: Ord>(what: &'static str, list: &[T]) -> Result<(), Disagreement> {
    if list.is_sorted_by(|one, next| one < next) { Ok(()) } else { Err(Disagreement::Order(what)) }
}
