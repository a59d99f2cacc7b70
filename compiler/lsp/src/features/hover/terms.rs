//! Terms of sets, and parts of selectors, in words.

use super::super::amount;
use super::super::meant::Meant;
use super::{RANGES, as_of, destinations};
use crate::syntax::{Labelled, Node};
use crate::view::View;
use egress_answers::counted;
use egress_compiler::Kind;
use egress_ir::{AddressSet, Labels, Prefix, Selector};
use egress_lang::ast::{DestinationTerm, Item, List, PSet, PortTerm, Requirement};
use egress_lang::value::{HostPattern, Wildcard};
use std::collections::BTreeSet;

/// What a term or a part of one means.
pub(super) fn term(view: &View<'_>, meant: Option<&Meant<'_>>, node: Node<'_>) -> Option<String> {
    match node {
        Node::Destination(DestinationTerm::Prefix(prefix)) => {
            let prefix = prefix.node?;
            Some(range(meant, &AddressSet::from_prefixes([Prefix::containing(prefix.addr, prefix.len)])))
        }
        Node::Destination(DestinationTerm::Range(written)) => {
            let written = written.node?;
            Some(range(meant, &AddressSet::from_ranges([(written.first, written.last)])))
        }
        Node::Range(prefix) => {
            let prefix = prefix.node?;
            Some(range(None, &AddressSet::from_prefixes([Prefix::containing(prefix.addr, prefix.len)])))
        }
        Node::Address(address) => {
            let managed = if address.managed.is_some() {
                "brought up by what enforces the policy"
            } else {
                "configured on a node by hand"
            };
            Some(format!("A source address that others see, {managed}"))
        }
        Node::Destination(DestinationTerm::Host(pattern)) => Some(host(pattern.node.as_ref()?)),
        Node::Destination(DestinationTerm::List(list)) => Some(listed(view, meant, list)),
        Node::Destination(DestinationTerm::World) => {
            let inside = meant.map(|meant| meant.program.cluster.inside.clone()).unwrap_or_default();
            Some(format!("Every address outside of the cluster: {}", amount::addresses(&inside.complement())))
        }
        Node::Key(requirement, of) | Node::Label(requirement, _, of) => required(view, requirement, of),
        Node::Namespace(name) => in_namespace(view, name),
        Node::ServiceAccount(name) => {
            let inventory = view.unit.inventory.as_ref()?;
            Some(amount::pods_that(inventory, |pod| pod.service_account == name).told())
        }
        _ => None,
    }
}

/// How many addresses, from where to where, and where that is.
fn range(meant: Option<&Meant<'_>>, set: &AddressSet) -> String {
    let mut lines = vec![amount::addresses(set)];
    if let (Some((first, _)), Some((_, last))) = (set.ranges().next(), set.ranges().last())
        && first != last
    {
        lines.push(format!("`{first}`–`{last}`"));
    }
    let inside = meant.map(|meant| &meant.program.cluster.inside).filter(|inside| inside.overlaps(set));
    let private = AddressSet::private();
    lines.push(match inside {
        Some(inside) if set.is_subset(inside) => "inside the cluster, where flows are not governed".to_owned(),
        Some(_) => "partly inside the cluster, where flows are not governed".to_owned(),
        None if set.is_subset(&private) => "private".to_owned(),
        None if set.overlaps(&private) => "partly private".to_owned(),
        None => "public".to_owned(),
    });
    lines.join(", ")
}

fn host(pattern: &HostPattern) -> String {
    let name = &pattern.name;
    match pattern.wildcard {
        Wildcard::None => format!("Destinations that were looked up as `{name}`, whatever address it resolves to"),
        Wildcard::One => {
            format!("Names with exactly one more label: `a.{name}`, but neither `{name}` nor `a.b.{name}`")
        }
        Wildcard::Many => format!("Names with one or more further labels: `a.{name}`, `a.b.{name}`, but not `{name}`"),
    }
}

fn listed(view: &View<'_>, meant: Option<&Meant<'_>>, list: &List) -> String {
    let mut lines = vec![format!("list `{}`", list.path.node)];
    let folder = crate::uri::folder(&view.file.source.path);
    let path = crate::uri::joined(folder, &list.path.node);
    let Some(meant) = meant else { return lines.concat() };
    let digest = meant.meaning.compiled.lists.iter().find(|it| crate::uri::joined(&view.unit.root, &it.path) == path);
    if let Some(digest) = digest {
        let entries = amount::number(digest.entries as u128);
        lines.push(format!("{entries} entries, SHA-256 `{}…`", digest.sha256.get(..16).unwrap_or(&digest.sha256)));
    }
    if let Some(set) = meant.selected(view, list.path.span) {
        let what = if list.filters.is_empty() { "" } else { "selected: " };
        let set = egress_ir::DestinationSet { addresses: set.clone(), hosts: BTreeSet::new() };
        lines.push(format!("{what}{}{}", destinations(&set), as_of(meant)));
    }
    lines.join("\n\n")
}

/// Who of the inventory meets a requirement.
fn required(view: &View<'_>, requirement: &Requirement, of: Labelled) -> Option<String> {
    let inventory = view.unit.inventory.as_ref()?;
    let selector = Selector(vec![egress_compiler::lower::requirement(requirement)?]);
    let named = |all: Vec<&String>, what: &str| {
        let first: Vec<String> = all.iter().take(RANGES).map(|name| (*name).clone()).collect();
        format!("{} of the inventory: {}", counted(all.len(), what), amount::listed(&first, all.len()))
    };
    Some(match of {
        Labelled::Pods => amount::pods_that(inventory, |pod| selector.matches(&pod.labels)).told(),
        Labelled::Namespaces => {
            let matches = |(name, labels): &(&String, &Labels)| {
                let mut labels = (*labels).clone();
                labels.insert(egress_ir::NAMESPACE_NAME_LABEL.to_owned(), (*name).clone());
                selector.matches(&labels)
            };
            named(inventory.namespaces.iter().filter(matches).map(|(name, _)| name).collect(), "namespace")
        }
        Labelled::Nodes => {
            let nodes = inventory.nodes.iter().filter(|node| selector.matches(&node.labels));
            named(nodes.map(|node| &node.name).collect(), "node")
        }
    })
}

fn in_namespace(view: &View<'_>, name: &str) -> Option<String> {
    let inventory = view.unit.inventory.as_ref()?;
    let known =
        inventory.namespaces.contains_key(name) || inventory.pods.iter().any(|pod| pod.identity.namespace == name);
    if !known {
        return Some(format!("the inventory has no namespace `{name}`"));
    }
    Some(amount::pods_that(inventory, |pod| pod.namespace == name).told())
}

/// The ranges of the cluster.
pub(super) fn cluster(meant: &Meant<'_>) -> String {
    let cluster = &meant.program.cluster;
    let parts = [("pods", &cluster.pods), ("services", &cluster.services), ("nodes", &cluster.nodes)];
    let line = |(what, set): (&str, &AddressSet)| {
        let (ranges, more) = amount::ranges(set, RANGES);
        let ranges: Vec<String> = ranges.iter().map(|range| format!("`{range}`")).collect();
        format!("- {what}: {}{}", ranges.join(", "), if more { ", …" } else { "" })
    };
    let lines: Vec<String> = parts.into_iter().filter(|(_, set)| !set.is_empty()).map(line).collect();
    format!("Inside: {}\n{}", amount::addresses(&cluster.inside), lines.join("\n"))
}

/// What a declared set of ports holds, names within it looked up.
pub(super) fn declared_ports(view: &View<'_>, name: &str) -> Option<String> {
    let mut ports = BTreeSet::new();
    gather(view, name, &mut BTreeSet::new(), &mut ports);
    let ports: Vec<String> = ports.into_iter().map(|port| format!("`{port}`")).collect();
    (!ports.is_empty()).then(|| ports.join(", "))
}

fn gather(view: &View<'_>, name: &str, seen: &mut BTreeSet<String>, ports: &mut BTreeSet<String>) {
    if !seen.insert(name.to_owned()) {
        return;
    }
    let Some((set, text)) = port_set(view, name) else { return };
    for term in &set.terms {
        match &term.node {
            PortTerm::Name(name) => gather(view, &name.text, seen, ports),
            PortTerm::Error => {}
            PortTerm::Any | PortTerm::Transport { .. } | PortTerm::Icmp { .. } => {
                ports.insert(term.span.text(text).to_owned());
            }
        }
    }
}

fn port_set<'v>(view: &View<'v>, name: &str) -> Option<(&'v PSet, &'v str)> {
    let declaration = view.unit.declaration(Kind::Ports, name)?;
    let file = view.unit.file(declaration.place.source)?;
    let item = crate::syntax::touched(&file.parse.file.items, declaration.place.span.start, Item::span)?;
    match item {
        Item::Ports(it) => Some((&it.set, &file.source.text)),
        _ => None,
    }
}
