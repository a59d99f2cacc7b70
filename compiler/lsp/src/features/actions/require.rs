//! Adds the assertion that a block lacks, so that what it does today must hold tomorrow.
//!
//! In: the block at a span. Out: for a policy that its workloads reach only what it allows; for a guardrail that nobody
//! reaches what it denies. As far as the texts tell it holds: whether it does is proved as soon as it stands there.

use super::tree::{as_part, asserts, is_all, is_portable, item_at, items, written, written_ports};
use super::{Draft, cut, meets};
use crate::view::View;
use egress_compiler::{Diagnostic, Parsed, Place, Severity};
use egress_lang::ast::{Assert, Claim, Item, Policy, Rule, Verdict};
use egress_lang::span::Span;

/// The assertions that the block at a span lacks.
pub(super) fn missing(view: &View<'_>, span: Span) -> Option<Draft> {
    // What an error leaves open would be open in the assertion too.
    let is_error = |finding: &Diagnostic| finding.severity == Severity::Error;
    (!view.unit.named.diagnostics.iter().any(is_error)).then_some(())?;
    let wanted = match item_at(view.file, Span::empty(span.start))? {
        Item::Policy(policy) => (policy, of_policy(view, policy)?),
        Item::Guardrail(guardrail) => (guardrail, of_guardrail(view, guardrail, span)?),
        _ => return None,
    };
    let (block, asserted) = wanted;
    let lacking: Vec<String> = asserted.into_iter().filter(|wanted| !is_there(view, wanted)).collect();
    let title = match lacking.as_slice() {
        [] => return None,
        [only] => format!("add `{only}`"),
        many => format!("add {} assertions of what `{}` denies", many.len(), block.name.text),
    };
    let (span, text) = cut::after_block(view.text(), block.span, &lacking);
    Some(Draft::one(title, Place::new(view.id, span), text))
}

/// `assert W can reach only D`, where D is what the policy allows, and what others allow that are seen to be about W too.
fn of_policy(view: &View<'_>, policy: &Policy) -> Option<Vec<String>> {
    let governed = written(&policy.workloads, view.text())?;
    let allows = |policy: &Policy| policy.rules.iter().any(is_allow);
    (policy.audit.is_none() && allows(policy)).then_some(())?;
    let mut reached = Vec::new();
    let others = items(view.unit).filter_map(|(_, file, item)| match item {
        Item::Policy(other) if other.audit.is_none() && !std::ptr::eq(other, policy) => Some((file, other)),
        _ => None,
    });
    for (file, other) in std::iter::once((view.file, policy)).chain(others) {
        let shared = is_all(&policy.workloads)
            || is_all(&other.workloads)
            || written(&other.workloads, &file.source.text).as_ref() == Some(&governed);
        if shared {
            add_reached(view.file, file, other, &mut reached)?;
        }
    }
    Some(vec![format!("assert {governed} can reach only {}", reached.join(", "))])
}

fn is_allow(rule: &Rule) -> bool {
    rule.verdict.node == Verdict::Allow
}

/// Adds what a policy allows, as parts of a set in the document.
fn add_reached(here: &Parsed, file: &Parsed, policy: &Policy, reached: &mut Vec<String>) -> Option<()> {
    for rule in policy.rules.iter().filter(|rule| is_allow(rule)) {
        is_portable(&rule.destinations, file, here).then_some(())?;
        let part = as_part(&rule.destinations, &file.source.text)?;
        if !reached.contains(&part) {
            reached.push(part);
        }
    }
    Some(())
}

/// `assert W cannot reach D on P` for each deny at the span, or for all where none is there.
fn of_guardrail(view: &View<'_>, guardrail: &Policy, span: Span) -> Option<Vec<String>> {
    let about = written(&guardrail.workloads, view.text())?;
    guardrail.audit.is_none().then_some(())?;
    let here: Vec<&Rule> = guardrail.rules.iter().filter(|rule| meets(rule.span, span)).collect();
    let rules = if here.is_empty() { guardrail.rules.iter().collect() } else { here };
    let denies = rules.into_iter().filter(|rule| rule.verdict.node == Verdict::Deny);
    let asserted = |rule: &Rule| {
        let ports = match &rule.ports {
            Some(ports) => format!(" on {}", written_ports(ports, view.text())?),
            None => String::new(),
        };
        Some(format!("assert {about} cannot reach {}{ports}", written(&rule.destinations, view.text())?))
    };
    let mut all: Vec<String> = Vec::new();
    for wanted in denies.filter_map(asserted) {
        if !all.contains(&wanted) {
            all.push(wanted);
        }
    }
    Some(all)
}

/// Whether the unit has an assertion that reads like this, whatever reason it gives.
fn is_there(view: &View<'_>, wanted: &str) -> bool {
    let says = |file: &Parsed, assert: &Assert| reading(file, assert).as_deref() == Some(wanted);
    items(view.unit).any(|(_, file, item)| asserts(item).iter().any(|assert| says(file, assert)))
}

/// An assertion in one line, without its reason; nothing for forms that are not added here.
fn reading(file: &Parsed, assert: &Assert) -> Option<String> {
    let text = &*file.source.text;
    let verb = match assert.claim {
        Claim::CannotReach => "cannot reach",
        Claim::OnlyDestinations => "can reach only",
        Claim::CanReach | Claim::OnlySources | Claim::OnlyVia(_) => return None,
    };
    let (about, reached) = (written(&assert.workloads, text)?, written(&assert.destinations, text)?);
    let ports = match &assert.ports {
        Some(ports) => format!(" on {}", written_ports(ports, text)?),
        None => String::new(),
    };
    Some(format!("assert {about} {verb} {reached}{ports}"))
}
