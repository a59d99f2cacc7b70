//! The `spec` of one egress gateway policy.
//!
//! In: whose flows, to where, and the way out. Out: the YAML. One entry in `selectors`, because Cilium mixes the parts of
//! several; `egressGateway` alone, because several would be chosen by a hash of the pod's UID.

use egress_ir::{Operator, Prefix, Selector};

use super::super::render::{Yaml, label_selector, map, text};
use super::super::selectors::expression;
use super::nodes::Way;

/// Most destinations of one object: with their exclusions well below what the API server takes.
pub(super) const MAX_PREFIXES: usize = 2_000;

/// Writes the `spec`.
pub(super) fn spec(source: Yaml, destinations: &[Prefix], excluded: &[Prefix], way: &Way) -> Yaml {
    let list = |prefixes: &[Prefix]| Yaml::list(prefixes.iter().map(|prefix| text(prefix.to_string())));
    let mut fields =
        vec![("selectors".to_owned(), Yaml::list([source])), ("destinationCIDRs".to_owned(), list(destinations))];
    if !excluded.is_empty() {
        fields.push(("excludedCIDRs".to_owned(), list(excluded)));
    }
    let gateway = map([("nodeSelector", nodes(&way.nodes)), ("egressIP", text(way.address.to_string()))]);
    fields.push(("egressGateway".to_owned(), gateway));
    Yaml::Map(fields)
}

/// A selector of nodes.
fn nodes(selector: &Selector) -> Yaml {
    let (mut labels, mut expressions): (Vec<(String, Yaml)>, Vec<Yaml>) = (Vec::new(), Vec::new());
    for requirement in &selector.0 {
        let key = requirement.key.as_str();
        match &requirement.operator {
            // A key can stand only once in `matchLabels`.
            Operator::In(values) if values.len() == 1 && labels.iter().all(|(known, _)| known != key) => {
                labels.extend(values.iter().map(|value| (key.to_owned(), text(value))));
            }
            Operator::In(values) => expressions.push(expression(key, "In", Some(values))),
            Operator::NotIn(values) => expressions.push(expression(key, "NotIn", Some(values))),
            Operator::Exists => expressions.push(expression(key, "Exists", None)),
            Operator::DoesNotExist => expressions.push(expression(key, "DoesNotExist", None)),
        }
    }
    label_selector(labels, expressions)
}
