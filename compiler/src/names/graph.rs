//! The graph of named sets: what must be made first, what is made of itself, what nothing needs.

use super::{DeclarationId, NameError, Names};
use crate::Kind;
use crate::source::Place;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use std::collections::{BTreeMap, VecDeque};

type Graph = DiGraph<DeclarationId, Place>;

/// Named sets with dependencies first, and an error for each cycle among them.
pub(super) fn order(names: &Names<'_>) -> (Vec<DeclarationId>, Vec<NameError>) {
    let graph = graph(names);
    let (mut order, mut errors) = (Vec::new(), Vec::new());
    // Kosaraju's algorithm is the one that does not recurse, and its components come dependencies first.
    for component in kosaraju_scc(&graph) {
        match component.as_slice() {
            [only] if !graph.contains_edge(*only, *only) => order.extend(graph.node_weight(*only)),
            _ => errors.extend(cycle(names, &graph, component)),
        }
    }
    (order, errors)
}

/// An edge leads from a set to each set that its definition names.
fn graph(names: &Names<'_>) -> Graph {
    let mut graph = Graph::new();
    let nodes: Vec<NodeIndex> = (0..names.declared.len()).map(|id| graph.add_node(id)).collect();
    for (used, declared) in nodes.iter().zip(&names.declared) {
        for reference in &declared.references {
            if let Some(user) = reference.within.and_then(|id| nodes.get(id)) {
                graph.add_edge(*user, *used, reference.place);
            }
        }
    }
    graph.retain_nodes(|graph, node| {
        let kind = graph.node_weight(node).and_then(|&id| names.declared.get(id)).map(|declared| declared.kind);
        matches!(kind, Some(Kind::Workloads | Kind::Destinations | Kind::Ports))
    });
    graph
}

/// The shortest way from the component's first set back to itself.
fn cycle(names: &Names<'_>, graph: &Graph, component: Vec<NodeIndex>) -> Option<NameError> {
    let start = component.into_iter().min_by_key(|&node| graph.node_weight(node).copied())?;
    let mut came: BTreeMap<NodeIndex, (NodeIndex, Place)> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let mut edges: Vec<_> = graph.edges(node).map(|edge| (*edge.weight(), edge.target())).collect();
        edges.sort_unstable();
        for (place, next) in edges {
            if let std::collections::btree_map::Entry::Vacant(entry) = came.entry(next) {
                entry.insert((node, place));
                queue.push_back(next);
            }
        }
        if came.contains_key(&start) {
            break;
        }
    }
    let mut uses = Vec::new();
    let mut at = start;
    loop {
        let &(from, place) = came.get(&at)?;
        let used = graph.node_weight(at).and_then(|&id| names.declared.get(id))?;
        uses.push((used.name.to_owned(), place));
        at = from;
        if at == start {
            break;
        }
    }
    uses.reverse();
    let first = graph.node_weight(start).and_then(|&id| names.declared.get(id))?;
    Some(NameError::Cycle { kind: first.kind, name: first.name.to_owned(), place: first.place, uses })
}

/// Sets and gateways that no block, assertion or cluster needs, directly or through other sets.
pub(super) fn unused(names: &Names<'_>) -> Vec<NameError> {
    let mut uses: Vec<Vec<DeclarationId>> = vec![Vec::new(); names.declared.len()];
    let mut needed = vec![false; names.declared.len()];
    let mut queue = Vec::new();
    for (id, declared) in names.declared.iter().enumerate() {
        for reference in &declared.references {
            match reference.within.and_then(|user| uses.get_mut(user)) {
                Some(used) => used.push(id),
                None => queue.push(id),
            }
        }
    }
    while let Some(id) = queue.pop() {
        if let Some(seen) = needed.get_mut(id)
            && !std::mem::replace(seen, true)
        {
            queue.extend(uses.get(id).into_iter().flatten());
        }
    }
    let unneeded = names.declared.iter().zip(needed).filter(|(_, needed)| !needed).map(|(declared, _)| declared);
    let named =
        unneeded.filter(|d| matches!(d.kind, Kind::Workloads | Kind::Destinations | Kind::Ports | Kind::Gateway));
    let user = |id: Option<DeclarationId>| id.and_then(|id| names.declared.get(id)).map(|it| it.name.to_owned());
    named
        .filter(|declared| names.find(declared.kind, declared.name).is_some_and(|id| is(names, id, declared.place)))
        .map(|declared| NameError::Unused {
            kind: declared.kind,
            name: declared.name.to_owned(),
            place: declared.place,
            user: declared.references.first().and_then(|reference| user(reference.within)),
        })
        .collect()
}

/// Whether a declaration is the one at `place`: duplicates, which have been reported, are not also unused.
fn is(names: &Names<'_>, id: DeclarationId, place: Place) -> bool {
    names.declared.get(id).is_some_and(|declared| declared.place == place)
}
