//! Looks into trees: what stands where.

mod path;
pub mod words;

pub use path::{Labelled, Node, Step, path, touched};

use egress_lang::ast::{DSet, DestinationTerm, File, Item, List, Set, SetNode};

/// The terms of a set, in the order written, whatever operators join them.
pub fn terms<'a, T>(set: &'a Set<T>, visit: &mut impl FnMut(&'a Set<T>, &'a T)) {
    match &set.node {
        SetNode::Term(term) => visit(set, term),
        SetNode::Union(sets) => sets.iter().for_each(|set| terms(set, visit)),
        SetNode::Except { base, minus } => {
            terms(base, visit);
            terms(minus, visit);
        }
        SetNode::Group(set) => terms(set, visit),
        SetNode::Error => {}
    }
}

/// The destination sets written in a declaration.
#[must_use]
pub fn destination_sets(item: &Item) -> Vec<&DSet> {
    match item {
        Item::Destinations(it) => vec![&it.set],
        Item::Policy(it) | Item::Guardrail(it) => it.rules.iter().map(|rule| &rule.destinations).collect(),
        Item::Assert(it) => vec![&it.destinations],
        Item::Control(it) => it.asserts.iter().map(|assert| &assert.destinations).collect(),
        Item::Cluster(_) | Item::Workloads(_) | Item::Ports(_) | Item::Gateway(_) | Item::Error(_) => Vec::new(),
    }
}

/// The lists that a file names, in the order written.
#[must_use]
pub fn lists(file: &File) -> Vec<&List> {
    let mut lists = Vec::new();
    for set in file.items.iter().flat_map(destination_sets) {
        terms(set, &mut |_, term| {
            if let DestinationTerm::List(list) = term {
                lists.push(list);
            }
        });
    }
    lists
}
