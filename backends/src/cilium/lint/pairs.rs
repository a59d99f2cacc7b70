//! What two policies do to each other: for one pod all of them write into one table, in which the longest prefix decides and,
//! under one prefix, the last writer.

use std::collections::BTreeSet;
use std::ops::Range;

use egress_ir::classes::possible_sources;
use egress_ir::{Prefix, Program, WorkloadSetId};

use super::super::model::{GatewayNode, GatewayPolicy, Placed};
use super::alone::holds;
use super::{Known, finding};
use crate::lint::{Finding, Level};

/// An entry of a policy: its prefix, whether it excludes, and where it stands.
struct Entry {
    prefix: Prefix,
    excluded: bool,
    place: Range<usize>,
}

/// Looks at two policies, or at one beside itself.
pub(super) fn look(one: &Known<'_>, other: &Known<'_>, found: &mut Vec<Finding>) {
    if !may_meet(one, other) {
        return;
    }
    let (own, others) = (entries(one.policy), entries(other.policy));
    let itself = std::ptr::eq(one.policy, other.policy);
    for mine in &own {
        for theirs in &others {
            rivals((one.policy, mine), (other.policy, theirs), itself, found);
            if !itself {
                across((one.policy, mine), (other.policy, theirs), found);
                across((other.policy, theirs), (one.policy, mine), found);
            }
        }
    }
}

/// Whether some pod may be selected by both; where that cannot be told, it may.
fn may_meet(one: &Known<'_>, other: &Known<'_>) -> bool {
    let (Ok(own), Ok(others)) = (&one.pods, &other.pods) else { return true };
    let mut scratch = Program::default();
    let ids: BTreeSet<WorkloadSetId> =
        [own, others].map(|set| scratch.intern_workloads(set.clone())).into_iter().collect();
    possible_sources(&scratch, &ids, 1 << 12)
        .map_or(true, |classes| classes.iter().any(|class| class.pod.is_some() && class.sets.len() == ids.len()))
}

fn entries(policy: &GatewayPolicy) -> Vec<Entry> {
    let entry = |excluded| move |placed: &Placed<Prefix>| (placed.value, excluded, placed.place.clone());
    let destinations = policy.destinations.iter().map(entry(false));
    let all = destinations.chain(policy.excluded.iter().map(entry(true)));
    all.map(|(prefix, excluded, place)| Entry { prefix, excluded, place }).collect()
}

/// Two values under one prefix.
fn rivals(
    (one, mine): (&GatewayPolicy, &Entry),
    (other, theirs): (&GatewayPolicy, &Entry),
    itself: bool,
    found: &mut Vec<Finding>,
) {
    let same_value = if mine.excluded || theirs.excluded {
        mine.excluded == theirs.excluded
    } else {
        itself || same(&one.gateways, &other.gateways)
    };
    // Beside itself, a policy is looked at once.
    let again = itself && mine.excluded;
    if mine.prefix != theirs.prefix || same_value || again {
        return;
    }
    let (message, fix) = match itself {
        true => {
            (format!("`{}` is a destination and excluded", mine.prefix), "take it out of one of the lists".to_owned())
        }
        false => (
            format!(
                "`{}` and `{}` say different things about `{}` for the same pods",
                one.object, other.object, mine.prefix
            ),
            "take the prefix, or the pods, out of one of them".to_owned(),
        ),
    };
    let happens = "both write one entry of Cilium's table; which of them holds depends on the order of a map and may change at \
                   every reconcile";
    found.push(finding(other, ("CG001", Level::Error), &theirs.place, [message, happens.to_owned(), fix]));
}

/// A longer prefix of one policy inside a destination of another.
fn across((one, inner): (&GatewayPolicy, &Entry), (other, outer): (&GatewayPolicy, &Entry), found: &mut Vec<Finding>) {
    if outer.excluded || inner.prefix.length() <= outer.prefix.length() || !holds(outer.prefix, inner.prefix) {
        return;
    }
    // What the other policy says itself about these addresses, with prefixes of its own that are as long.
    let settled =
        |placed: &Placed<Prefix>| placed.value.length() > outer.prefix.length() && holds(placed.value, inner.prefix);
    if other.destinations.iter().chain(&other.excluded).any(settled) {
        return;
    }
    if inner.excluded {
        found.push(finding(
            one,
            ("CG002", Level::Error),
            &inner.place,
            [
                format!("`{}` is excluded here and part of `{}` in `{}`", inner.prefix, outer.prefix, other.object),
                format!("pods that both select reach these addresses without the gateway of `{}`", other.object),
                "give the two policies different pods, or list the destinations of the other one without overlap"
                    .to_owned(),
            ],
        ));
    } else if !same(&one.gateways, &other.gateways) {
        found.push(finding(
            one,
            ("CG003", Level::Note),
            &inner.place,
            [
                format!("`{}` is part of `{}` in `{}`", inner.prefix, outer.prefix, other.object),
                "the longer prefix decides, so pods that both select leave through the gateway named here".to_owned(),
                "say so with disjoint prefixes, if it is meant".to_owned(),
            ],
        ));
    }
}

/// Whether two policies write the same values.
fn same(one: &[GatewayNode], other: &[GatewayNode]) -> bool {
    let equal = |(one, other): (&GatewayNode, &GatewayNode)| one.nodes == other.nodes && one.address == other.address;
    one.len() == other.len() && one.iter().zip(other).all(equal)
}
