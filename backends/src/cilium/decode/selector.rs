//! Label selectors and maps of labels.

use std::collections::BTreeSet;

use egress_ir::{Labels, Operator};

use super::super::labels::{LabelRequirement, LabelSelector, Source};
use super::super::yaml::Node;
use super::Stage;
use super::object::is_subdomain;
use super::reader::Reader;

/// What keys without a source mean in a selector.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// Labels of endpoints: any source unless one is named.
    Endpoints,
    /// Labels of CIDR groups.
    Groups,
    /// Labels of Kubernetes objects, which have no sources.
    Kubernetes,
}

/// A selector, with what came from `matchLabels` apart: Cilium overwrites that part.
#[derive(Default)]
pub(super) struct RawSelector {
    pub(super) labels: Vec<LabelRequirement>,
    pub(super) expressions: Vec<LabelRequirement>,
}

impl RawSelector {
    /// Asks for `key = value`, instead of whatever `matchLabels` asked of that key.
    pub(super) fn overwrite(&mut self, source: Source, key: &str, value: &str) {
        self.labels.retain(|known| !(known.source == source && known.key == key));
        let operator = Operator::In(BTreeSet::from([value.to_owned()]));
        self.labels.push(LabelRequirement { source, key: key.to_owned(), operator });
    }

    /// Both parts together.
    pub(super) fn finish(self) -> LabelSelector {
        LabelSelector { requirements: self.labels.into_iter().chain(self.expressions).collect() }
    }

    /// Whether a requirement's key satisfies `is`.
    pub(super) fn any(&self, is: impl Fn(Source, &str) -> bool) -> bool {
        self.labels.iter().chain(&self.expressions).any(|requirement| is(requirement.source, &requirement.key))
    }
}

/// A `LabelSelector`.
pub(super) fn read(reader: &mut Reader, node: &Node, keys: Keys) -> Option<RawSelector> {
    let fields = reader.map(node, &["matchLabels", "matchExpressions"])?;
    let mut selector = RawSelector::default();
    reader.field(&fields, "matchLabels", |reader, node| {
        let entries = reader.any_map(node)?;
        reader.each_field(&entries, |reader, key, node| {
            let Some(value) = label_value(reader, node) else { return };
            let operator = Operator::In(BTreeSet::from([value.to_owned()]));
            selector.labels.extend(requirement(reader, node, keys, key, operator));
        });
        Some(())
    });
    let expressions = reader.field(&fields, "matchExpressions", |reader, node| {
        reader.list(node, |reader, node| expression(reader, node, keys))
    });
    selector.expressions = expressions.unwrap_or_default();
    Some(selector)
}

/// A map of labels, as in `metadata.labels`.
pub(super) fn labels(reader: &mut Reader, node: &Node) -> Option<Labels> {
    let entries = reader.any_map(node)?;
    let mut labels = Labels::new();
    reader.each_field(&entries, |reader, key, node| {
        if !is_qualified_name(key) {
            reader.problem(Stage::Schema, node, format!("`{key}` is not a label key"));
        }
        if let Some(value) = label_value(reader, node) {
            labels.insert(key.to_owned(), value.to_owned());
        }
    });
    Some(labels)
}

fn expression(reader: &mut Reader, node: &Node, keys: Keys) -> Option<LabelRequirement> {
    let fields = reader.map(node, &["key", "operator", "values"])?;
    for required in ["key", "operator"] {
        if !fields.has(required) {
            reader.problem(Stage::Schema, node, format!("`{required}` is required"));
        }
    }
    let key = reader.field(&fields, "key", Reader::text);
    let operator = reader.field(&fields, "operator", Reader::text);
    let values = reader.field(&fields, "values", |reader, node| reader.list(node, label_value));
    let values: BTreeSet<String> = values.unwrap_or_default().into_iter().map(str::to_owned).collect();
    let (key, operator) = (key?, operator?);
    if matches!(operator, "In" | "NotIn") == values.is_empty()
        && matches!(operator, "In" | "NotIn" | "Exists" | "DoesNotExist")
    {
        let message = if values.is_empty() { "needs `values`" } else { "takes no `values`" };
        reader.problem(Stage::Agent, node, format!("the operator `{operator}` {message}"));
        return None;
    }
    let operator = match operator {
        "In" => Operator::In(values),
        "NotIn" => Operator::NotIn(values),
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        other => {
            reader.problem(Stage::Schema, node, format!("there is no operator `{other}`"));
            return None;
        }
    };
    requirement(reader, node, keys, key, operator)
}

fn requirement(
    reader: &mut Reader,
    node: &Node,
    keys: Keys,
    text: &str,
    operator: Operator,
) -> Option<LabelRequirement> {
    let (source, key) = match (keys, text.split_once(':')) {
        (Keys::Groups, None) => (Source::CidrGroup, text),
        (Keys::Kubernetes, None) => (Source::K8s, text),
        (Keys::Endpoints, None) => (Source::Any, text),
        (Keys::Endpoints, Some(("any", key))) => (Source::Any, key),
        (Keys::Endpoints, Some(("k8s", key))) => (Source::K8s, key),
        (Keys::Endpoints, Some(("reserved", key))) => (Source::Reserved, key),
        (_, Some((source, _))) => {
            reader.problem(Stage::Unsupported, node, format!("labels of the source `{source}` are not modelled"));
            return None;
        }
    };
    // The agent checks keys with the source as a prefix of the key, which takes part of the length.
    let checked = match source {
        Source::K8s if keys == Keys::Kubernetes => key.to_owned(),
        Source::Any | Source::K8s => format!("k8s.{key}"),
        Source::Reserved => format!("reserved.{key}"),
        Source::CidrGroup => format!("cidrgroup.{key}"),
    };
    if !is_qualified_name(&checked) {
        reader.problem(Stage::Agent, node, format!("`{text}` is not a label key"));
        return None;
    }
    Some(LabelRequirement { source, key: key.to_owned(), operator })
}

/// Empty, or at most 63 characters of letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
fn label_value<'n>(reader: &mut Reader, node: &'n Node) -> Option<&'n str> {
    let text = reader.text(node)?;
    if text.is_empty() || is_name_part(text) {
        return Some(text);
    }
    reader.problem(Stage::Schema, node, format!("`{text}` is not a label value"));
    None
}

fn is_qualified_name(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_name_part(name),
        None => is_name_part(key),
    }
}

/// At most 63 characters of letters, digits, `-`, `_` and `.`, with a letter or digit at both ends.
pub(super) fn is_name_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63 && text.bytes().all(inner) && edge(text.bytes().next()) && edge(text.bytes().next_back())
}
