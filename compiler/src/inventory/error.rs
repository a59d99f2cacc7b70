//! What can be wrong with an inventory.

use crate::diagnostic::Diagnostic;
use std::fmt;

/// An object of an inventory, in so far as it is known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Subject {
    /// Its kind, such as `Pod`; empty where it has none.
    pub kind: String,
    /// Its namespace, for those that have one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: Option<String>,
}

impl Subject {
    pub(super) fn of_kind(kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..Self::default() }
    }
}

impl fmt::Display for Subject {
    /// As "Pod `shop/checkout`".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.kind.is_empty() { "an object" } else { &self.kind })?;
        match (&self.namespace, self.name.as_deref().filter(|name| !name.is_empty())) {
            (Some(namespace), Some(name)) => write!(f, " `{namespace}/{name}`"),
            (None, Some(name)) => write!(f, " `{name}`"),
            (Some(namespace), None) => write!(f, " without a name in namespace `{namespace}`"),
            (None, None) => Ok(()),
        }
    }
}

/// Why an inventory cannot be trusted.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InventoryError {
    /// Not JSON.
    #[error("the inventory is not JSON: {reason}")]
    Json {
        /// Why, with line and column.
        reason: String,
    },
    /// An object that lacks something, or holds something that cannot be.
    #[error("{subject} of the inventory is malformed{}: {reason}", at(path))]
    Malformed {
        /// The object.
        subject: Subject,
        /// The part of the document, as `items[3].status.podIPs[0].ip`; empty for the whole.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two objects of one kind, namespace and name.
    #[error("{subject} is in the inventory {count} times")]
    Duplicate {
        /// The object.
        subject: Subject,
        /// How often it was found.
        count: usize,
    },
    /// Two pods with one address.
    #[error("the address `{address}` belongs to both `{first}` and `{second}`")]
    SharedAddress {
        /// The address.
        address: std::net::IpAddr,
        /// One pod.
        first: String,
        /// Another pod.
        second: String,
    },
    /// Pods whose namespace, and so its labels, is not known.
    #[error("the namespace `{namespace}` of {pods} {} is not in the inventory", if *.pods == 1 { "pod" } else { "pods" })]
    Namespace {
        /// The namespace.
        namespace: String,
        /// How many pods are in it.
        pods: usize,
    },
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" at `{path}`") }
}

/// The reason without the position, which counts within one object and would mislead, and in the words of JSON.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    let text = text.get(..end).unwrap_or(&text);
    let text = text
        .split_once("expected struct ")
        .map_or_else(|| text.to_owned(), |(found, _)| format!("{found}expected an object"));
    let words = [
        ("type: map", "type: object"),
        ("type: sequence", "type: array"),
        ("a map", "an object"),
        ("a sequence", "an array"),
    ];
    words.iter().fold(text, |text, (serde, json)| text.replace(serde, json))
}

impl InventoryError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Json { .. } => "egress::inventory::format",
            Self::Malformed { .. } => "egress::inventory::malformed",
            Self::Duplicate { .. } | Self::SharedAddress { .. } => "egress::inventory::duplicate",
            Self::Namespace { .. } => "egress::inventory::namespace",
        }
    }

    const fn help(&self) -> &'static str {
        match self {
            Self::Json { .. } | Self::Namespace { .. } => {
                "take it whole: `kubectl get pods,namespaces,nodes,services -A -o json`"
            }
            Self::Malformed { .. } => "take the inventory again, and do not edit it by hand",
            Self::Duplicate { .. } | Self::SharedAddress { .. } => {
                "take one inventory of one cluster: documents of two moments do not fit together"
            }
        }
    }
}

impl From<InventoryError> for Diagnostic {
    fn from(error: InventoryError) -> Self {
        Self::error(error.code(), error.to_string()).help(error.help())
    }
}
