//! Sets, identities and verdicts in words.

use crate::meta::{Attachment, Attribute, Condition, Identity, Set, Test, Verdict};

/// A set of workloads.
#[must_use]
pub fn set(of: &Set) -> String {
    match of {
        Set::All => "all".to_owned(),
        Set::Pods(conditions) if conditions.is_empty() => "every pod".to_owned(),
        Set::Pods(conditions) => {
            format!("pods with {}", conditions.iter().map(condition).collect::<Vec<_>>().join(" and "))
        }
        Set::Address(prefix) => format!("address {prefix}"),
        Set::Union(sets) => format!("({})", sets.iter().map(set).collect::<Vec<_>>().join(", ")),
        Set::Except(all, out) => format!("({} except {})", set(all), set(out)),
    }
}

fn condition(of: &Condition) -> String {
    let what = match &of.of {
        Attribute::Namespace => "namespace".to_owned(),
        Attribute::NamespaceLabel(key) => format!("namespace label `{key}`"),
        Attribute::Label(key) => format!("label `{key}`"),
        Attribute::ServiceAccount => "service account".to_owned(),
    };
    match &of.is {
        Test::In(values) => format!("{what} in ({})", values.join(", ")),
        Test::NotIn(values) => format!("{what} not in ({})", values.join(", ")),
        Test::Exists => what,
        Test::DoesNotExist => format!("no {what}"),
    }
}

/// A pod: `shop/till (app=checkout)`.
#[must_use]
pub fn identity(of: &Identity) -> String {
    let name = of.name.as_deref().unwrap_or("*");
    let labels: Vec<String> = of.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let labels = if labels.is_empty() { String::new() } else { format!(" ({})", labels.join(", ")) };
    let account = if of.service_account.is_empty() { String::new() } else { format!(" as {}", of.service_account) };
    format!("{}/{name}{labels}{account}", of.namespace)
}

/// What happens, as a participle.
#[must_use]
pub fn verdict(of: Verdict) -> &'static str {
    match of {
        Verdict::Inside => "inside the cluster",
        Verdict::Ungoverned => "ungoverned",
        Verdict::Allowed => "allowed",
        Verdict::Via(_) => "allowed through a gateway",
        Verdict::Conflict => "allowed through different gateways, so denied",
        Verdict::Denied => "denied",
        Verdict::Unknown => "unknown",
    }
}

/// An attach point with who is there.
pub(super) fn attachment(of: &Attachment) -> String {
    match (&of.identity, of.row) {
        (Some(pod), Some(row)) => format!("{}: {}, row {row}", of.point, identity(pod)),
        (Some(pod), None) => format!("{}: {}, by source address", of.point, identity(pod)),
        (None, Some(row)) => format!("{}: row {row}", of.point),
        (None, None) => format!("{}: by source address", of.point),
    }
}
