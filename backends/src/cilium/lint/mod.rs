//! Mistakes in egress gateway policies that people wrote by hand.
//!
//! In: YAML, of which objects of other kinds are left alone, and an inventory if there is one. Out: [`Finding`]s in the order of
//! the text, one for each mistake that can be seen, with what Cilium really does. Nothing is concluded about verdicts.

mod alone;
mod nodes;
mod pairs;
#[cfg(test)]
mod tests;

use std::ops::Range;

use egress_ir::{Inventory, Unclear, WorkloadSet};

use super::decode;
use super::model::GatewayPolicy;
use super::plane::pods_of;
use crate::lint::{Finding, Level};

/// A policy with the pods that it may select.
struct Known<'p> {
    policy: &'p GatewayPolicy,
    /// The pods, or why these cannot be told from labels.
    pods: Result<WorkloadSet, Unclear>,
}

/// Looks for mistakes in the objects of kind `CiliumEgressGatewayPolicy` of a text.
///
/// ```
/// let text = "
/// apiVersion: cilium.io/v2
/// kind: CiliumEgressGatewayPolicy
/// metadata: {name: eu}
/// spec:
///   selectors: [{podSelector: {}}]
///   destinationCIDRs: [10.0.0.0/8]
///   excludedCIDRs: [10.0.0.0/8]
///   egressGateway: {nodeSelector: {}, egressIP: 203.0.113.10}
/// ";
/// let found = egress_backends::cilium::lint(text, None);
/// assert_eq!(found.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["CG001"]);
/// ```
#[must_use]
pub fn lint(text: &str, inventory: Option<&Inventory>) -> Vec<Finding> {
    let (policies, problems) = decode::gateways(text.as_bytes());
    let mut found: Vec<Finding> = problems.iter().map(|problem| unread(text, problem)).collect();
    let known: Vec<Known<'_>> = policies.iter().map(|policy| Known { policy, pods: pods_of(policy) }).collect();
    for known in &known {
        alone::look(known, &mut found);
        if let Some(inventory) = inventory {
            nodes::look(known.policy, inventory, &mut found);
        }
    }
    for (place, one) in known.iter().enumerate() {
        for other in known.iter().skip(place) {
            pairs::look(one, other, &mut found);
        }
    }
    found.sort_by(|one, other| {
        (one.span.start, one.code, &one.message).cmp(&(other.span.start, other.code, &other.message))
    });
    found.dedup();
    found
}

/// Says what is wrong with an object that cannot be read.
fn unread(text: &str, problem: &decode::Problem) -> Finding {
    let happens = match problem.stage {
        decode::Stage::Agent => {
            "the API server takes the object and the agents ignore it: nothing goes through a gateway"
        }
        decode::Stage::Unsupported => "it is not known: the object is not looked at any further",
        _ => "the API server refuses the object",
    };
    let path = if problem.path.is_empty() { String::new() } else { format!("{}: ", problem.path) };
    Finding {
        code: "CG000",
        level: Level::Error,
        span: line(text, problem.line),
        object: problem.object.clone(),
        message: format!("{path}{}", problem.message),
        happens: happens.to_owned(),
        fix: "correct the field".to_owned(),
    }
}

/// The bytes of a line, counted from 1, without the blanks around it.
fn line(text: &str, number: usize) -> Range<usize> {
    let mut start = 0;
    for (place, line) in text.split_inclusive('\n').enumerate() {
        if place + 1 == number {
            let inner = line.trim();
            let before = line.len() - line.trim_start().len();
            return start + before..start + before + inner.len();
        }
        start += line.len();
    }
    start..start
}

/// A finding about one policy.
fn finding(
    policy: &GatewayPolicy,
    (code, level): (&'static str, Level),
    span: &Range<usize>,
    [message, happens, fix]: [String; 3],
) -> Finding {
    Finding { code, level, span: span.clone(), object: policy.object.to_string(), message, happens, fix }
}
