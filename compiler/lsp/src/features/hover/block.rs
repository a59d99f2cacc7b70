//! Policies, guardrails, rules and gateways in words.

use super::super::meant::Meant;
use super::super::{amount, contribution};
use super::{as_of, destinations, fenced, workloads};
use crate::view::View;
use egress_answers::blocks as told;
use egress_answers::counted;
use egress_compiler::Severity;
use egress_ir::{Action, BlockKind, Program, RuleId};
use egress_lang::ast::Rule;

/// How many rules are named.
const MOST: usize = 5;

/// Whom a block is about, and what it says.
pub(super) fn block(view: &View<'_>, meant: &Meant<'_>, name: &str) -> Option<String> {
    let program = meant.program;
    let block = program.blocks.at(meant.block(name)?);
    let verb = match (block.kind, block.audit) {
        (BlockKind::Policy, false) => "Governs",
        (BlockKind::Guardrail, false) => "Forbids",
        (BlockKind::Policy, true) => "Would govern (audit)",
        (BlockKind::Guardrail, true) => "Would forbid (audit)",
    };
    let mut lines = vec![format!("{verb}: {}", workloads(view, program.workloads_of(block)))];
    if let Some(owner) = &program.origins.entries.at(block.origin).owner {
        lines.push(format!("Owner: {owner}"));
    }
    for (action, [one, many]) in [(Action::Allow, ["allows", "allow"]), (Action::Deny, ["denies", "deny"])] {
        let rules: Vec<RuleId> =
            block.rules.iter().copied().filter(|id| program.rules.at(*id).action == action).collect();
        if !rules.is_empty() {
            let first: Vec<String> = rules.iter().take(MOST).map(|id| target(program, *id)).collect();
            let word = if rules.len() == 1 { one } else { many };
            let more = if rules.len() > MOST { ", …" } else { "" };
            lines.push(format!("{} {word} {}{more}", counted(rules.len(), "rule"), first.join(", ")));
        }
    }
    if block.rules.is_empty() {
        lines.push("No rules: what nothing else allows is denied".to_owned());
    }
    Some(lines.join("\n\n"))
}

/// `ledger on 5432/tcp`
fn target(program: &Program, id: RuleId) -> String {
    let rule = program.rules.at(id);
    let set = program.destination_sets.at(rule.destinations);
    let named = program.destination_names.iter().find(|(_, named)| **named == rule.destinations);
    let to = named.map_or_else(|| amount::destinations(set), |(name, _)| format!("`{name}`"));
    let ports = program.port_sets.at(rule.ports);
    if ports.is_any() { to } else { format!("{to} on {}", told::ports(ports, &set.addresses)) }
}

/// A gateway's addresses, nodes and rules.
pub(super) fn gateway(view: &View<'_>, meant: &Meant<'_>, name: &str) -> Option<String> {
    let id = meant.gateway(name)?;
    let gateway = meant.program.gateways.at(id);
    let addresses: Vec<String> = gateway.addresses.iter().map(|it| it.address.to_string()).collect();
    let mut lines = vec![format!("Others see {}", amount::listed(&addresses, addresses.len()))];
    if let (Some(selector), Some(inventory)) = (&gateway.nodes, &view.unit.inventory) {
        let nodes = inventory.nodes.iter().filter(|node| selector.matches(&node.labels));
        let names: Vec<String> = nodes.map(|node| node.name.clone()).collect();
        let first: Vec<String> = names.iter().take(MOST).cloned().collect();
        let colon = if first.is_empty() { "" } else { ": " };
        lines.push(format!(
            "{} of the inventory{colon}{}",
            counted(names.len(), "node"),
            amount::listed(&first, names.len())
        ));
    }
    let rules = meant.program.rules.iter().filter(|(_, rule)| rule.gateway == Some(id));
    let names: Vec<String> = rules.map(|(id, _)| meant.program.rule_name(id).to_owned()).collect();
    let first: Vec<String> = names.iter().take(MOST).cloned().collect();
    lines.push(if names.is_empty() {
        "No rule uses it".to_owned()
    } else {
        format!("Used by {}", amount::listed(&first, names.len()))
    });
    Some(lines.join("\n\n"))
}

/// A rule: its name, what it matches, and what it contributes.
pub(super) fn rule(view: &View<'_>, meant: Option<&Meant<'_>>, name: &str, rule: &Rule) -> String {
    let mut parts = vec![format!("**{name}**"), fenced(rule.span.text(view.text()))];
    parts.extend(rule.doc.as_ref().map(|doc| doc.text.clone()));
    let Some((meant, id)) = meant.and_then(|meant| Some((meant, meant.rule(view, rule.span)?))) else {
        parts.push("_What it means is not known yet._".to_owned());
        return parts.join("\n\n");
    };
    let program = meant.program;
    let known = program.rules.at(id);
    let (set, ports) = (program.destination_sets.at(known.destinations), program.port_sets.at(known.ports));
    parts.push(format!("Matches on {}: {}", told::ports(ports, &set.addresses), destinations(set)));
    parts.push(finding(meant, id).unwrap_or_else(|| contributed(program, id)));
    parts.push(as_of(meant).trim().to_owned());
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// What the checker found of a rule that does nothing.
fn finding(meant: &Meant<'_>, id: RuleId) -> Option<String> {
    let origin = meant.program.origins.entries.at(meant.program.rules.at(id).origin);
    let nothing = ["egress::rule::dead", "egress::rule::redundant"];
    let mut found = meant.meaning.compiled.diagnostics.iter().filter(|finding| {
        let label = finding.primary_label();
        let here = label.is_some_and(|label| label.source == origin.source && label.span.start == origin.start);
        here && nothing.contains(&finding.code) && finding.severity <= Severity::Warning
    });
    let finding = found.next()?;
    let places: Vec<_> = finding.labels.iter().skip(1).map(|label| (label.source, label.span.start)).collect();
    let by = meant.program.rules.iter().filter(|(_, rule)| {
        let origin = meant.program.origins.entries.at(rule.origin);
        places.contains(&(origin.source, origin.start))
    });
    let by: Vec<String> = by.map(|(id, _)| meant.program.rule_name(id).to_owned()).collect();
    let covered =
        if by.is_empty() { finding.message.clone() } else { format!("covered by {}", amount::listed(&by, by.len())) };
    Some(format!("Contributes nothing: {covered}"))
}

/// What no other rule of its verdict decides for at least the same workloads.
fn contributed(program: &Program, id: RuleId) -> String {
    let left = contribution::of(program, id);
    let names = |rules: &[RuleId]| {
        let first: Vec<String> = rules.iter().take(MOST).map(|id| program.rule_name(*id).to_owned()).collect();
        amount::listed(&first, rules.len())
    };
    let mut lines = Vec::new();
    if left.is_nothing() && left.covers.is_empty() && left.denies.is_empty() {
        lines.push("Contributes nothing: it matches no flow that leaves the cluster".to_owned());
    } else if left.is_nothing() {
        lines.push(format!(
            "Contributes nothing: covered by {}",
            names(&[left.covers.as_slice(), &left.denies].concat())
        ));
    } else {
        let boxes = left.boxes.iter().take(MOST).map(|(addresses, ports)| {
            format!("{} on {}", told::addresses(addresses, &[program]), told::ports(ports, addresses))
        });
        let hosts = left.hosts.iter().take(MOST).map(|host| format!("host {host}"));
        let parts: Vec<String> = boxes.chain(hosts).collect();
        let more = left.boxes.len().max(MOST) - MOST + left.hosts.len().max(MOST) - MOST;
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        lines.push(format!("Contributes {}{more}", parts.join("; ")));
        if !left.covers.is_empty() {
            lines.push(format!("Partly covered by {}", names(&left.covers)));
        }
    }
    if !left.denies.is_empty() {
        lines.push(format!("Denied in part by {}", names(&left.denies)));
    }
    if left.is_cut_short {
        lines.push("_There are many rules: not all of them were looked at, so it may be less._".to_owned());
    }
    lines.join("\n\n")
}
