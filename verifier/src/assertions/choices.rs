//! Which names to try for a destination, so that nothing is missed.
//!
//! In: the rules that match by name for some workloads, and an assertion. Out: few sets of names. They find what is
//! wrong and say which rules matter; that nothing is wrong is never concluded from them but proved over all names.
//!
//! Three names suffice. A flow that passes still does so with only the name that makes some allow match, because a name
//! less is a deny less; one that is dropped still is with the name of one deny, or those of two allows that part ways,
//! or none. What a rule's removal changes needs the rule's name and that of what decides then. One more name may be
//! needed for the flow to be one of the assertion's.

use super::meaning::Demand;
use crate::lists::TooManyNames;
use egress_ir::plane::NamesId;
use egress_ir::{Action, GatewayId, Vocabulary};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Names that a destination is tried with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The names, by their classes; sorted.
    pub(crate) classes: Vec<u32>,
    /// The same as text.
    pub(crate) names: Rc<[String]>,
    /// The guards that hold, sorted.
    pub(crate) fired: Vec<NamesId>,
}

impl Choice {
    /// Whether a guard holds.
    pub(crate) fn fires(&self, guard: NamesId) -> bool {
        self.fired.binary_search(&guard).is_ok()
    }
}

/// A rule that matches by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) guard: NamesId,
    pub(crate) action: Action,
    pub(crate) gateway: Option<GatewayId>,
}

/// All sets of names to try, those of fewer names first.
///
/// # Errors
/// [`TooManyNames`] when there are more than the limit.
pub(crate) fn choices(
    vocabulary: &Vocabulary,
    rules: &[Named],
    own: Option<NamesId>,
    demand: Demand,
    limit: usize,
) -> Result<Rc<[Choice]>, TooManyNames> {
    let singles = singles(vocabulary, rules.iter().map(|rule| rule.guard).chain(own));
    let mut extras: Vec<Vec<u32>> = vec![Vec::new()];
    extras.extend(singles.values().map(|&class| vec![class]));
    for (one, &first) in &singles {
        for (two, &second) in singles.iter().filter(|(two, _)| *two != one) {
            if matter_together(rules, one, two, demand) {
                extras.push(vec![first, second]);
            }
        }
        if extras.len() > limit {
            return Err(TooManyNames { limit });
        }
    }
    let of_class: BTreeMap<u32, &Vec<NamesId>> = singles.iter().map(|(fired, &class)| (class, fired)).collect();
    let own_classes = singles.iter().filter(|(fired, _)| own.is_some_and(|own| fired.contains(&own)));
    let with_own = own_classes.flat_map(|(_, &class)| extras.iter().map(move |extra| [&[class], &extra[..]].concat()));
    let mut found: BTreeMap<Vec<NamesId>, Vec<u32>> = BTreeMap::new();
    for mut classes in extras.iter().cloned().chain(with_own) {
        classes.sort_unstable();
        classes.dedup();
        let fired: BTreeSet<NamesId> =
            classes.iter().filter_map(|class| of_class.get(class)).copied().flatten().copied().collect();
        let best = found.entry(fired.into_iter().collect()).or_insert_with(|| classes.clone());
        if (classes.len(), &classes) < (best.len(), best) {
            *best = classes;
        }
        if found.len() > limit {
            return Err(TooManyNames { limit });
        }
    }
    let name = |&class: &u32| vocabulary.names().get(class as usize).cloned().unwrap_or_default();
    let mut choices: Vec<Choice> = found
        .into_iter()
        .map(|(fired, classes)| Choice { names: classes.iter().map(name).collect(), classes, fired })
        .collect();
    choices.sort_by(|one, two| (one.classes.len(), &one.classes).cmp(&(two.classes.len(), &two.classes)));
    Ok(choices.into())
}

/// The guards that one name satisfies, each combination with the first class of names that does.
fn singles(vocabulary: &Vocabulary, guards: impl Iterator<Item = NamesId>) -> BTreeMap<Vec<NamesId>, u32> {
    let guards: BTreeSet<NamesId> = guards.collect();
    let mut fired: BTreeMap<u32, Vec<NamesId>> = BTreeMap::new();
    for guard in guards {
        for &class in vocabulary.name_set_at(guard) {
            fired.entry(class).or_default().push(guard);
        }
    }
    let mut singles = BTreeMap::new();
    for (class, fired) in fired {
        singles.entry(fired).or_insert(class);
    }
    singles
}

/// Whether something may be true of two names together that is not true of either: a deny and an allow, or two allows
/// through different gateways. How a plain allow differs from one through a gateway matters to one demand only.
fn matter_together(rules: &[Named], one: &[NamesId], two: &[NamesId], demand: Demand) -> bool {
    let fired = |by: &[NamesId]| rules.iter().filter(|rule| by.contains(&rule.guard)).copied().collect::<Vec<Named>>();
    let (one, two) = (fired(one), fired(two));
    let parted = |a: &Named, b: &Named| match (a.gateway, b.gateway) {
        (Some(a), Some(b)) => a != b,
        (Some(_), None) => matches!(demand, Demand::Through(_)),
        (None, _) => false,
    };
    one.iter()
        .any(|a| two.iter().filter(|b| b.action == Action::Allow).any(|b| a.action == Action::Deny || parted(a, b)))
}
