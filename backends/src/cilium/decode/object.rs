//! One document: which object it is, its metadata, and what follows from its kind.

use egress_ir::{Labels, Prefix};

use super::super::model::{CidrGroup, Kind, Model, ObjectName, Policy};
use super::super::yaml::{Node, Value};
use super::reader::{Fields, Reader};
use super::{Stage, gateway, peer, selector, spec};

const TOP: [&str; 6] = ["apiVersion", "kind", "metadata", "spec", "specs", "status"];
const METADATA: [&str; 16] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
    "clusterName",
];

/// Reads one document into the model: an object, or a list of them as `kubectl get -o yaml` prints it.
pub(super) fn read(reader: &mut Reader, document: &Node, model: &mut Model) {
    reader.object.clear();
    if !matches!(document.value, Value::Map(_)) {
        return reader.problem(Stage::Decode, document, "this is no object of Kubernetes");
    }
    match items(document) {
        Some(items) => items.iter().for_each(|item| object(reader, item, model)),
        None => object(reader, document, model),
    }
}

/// The same for objects of one kind alone.
pub(super) fn read_of(reader: &mut Reader, document: &Node, kind: Kind, model: &mut Model) {
    let one = std::slice::from_ref(document);
    for item in items(document).unwrap_or(one).iter().filter(|item| is_of(item, kind)) {
        object(reader, item, model);
    }
}

fn is_of(document: &Node, kind: Kind) -> bool {
    let Value::Map(fields) = &document.value else { return false };
    let wanted = |(key, node): &(String, Node)| key == "kind" && node.value == Value::Text(kind.as_str().to_owned());
    fields.iter().any(wanted)
}

/// The items of a `List`.
fn items(document: &Node) -> Option<&[Node]> {
    let Value::Map(fields) = &document.value else { return None };
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, node)| &node.value);
    match (field("apiVersion")?, field("kind")?, field("items")?) {
        (Value::Text(version), Value::Text(kind), Value::List(items)) if version == "v1" && kind == "List" => {
            Some(items)
        }
        _ => None,
    }
}

fn object(reader: &mut Reader, document: &Node, model: &mut Model) {
    reader.object.clear();
    let Some(fields) = reader.map(document, &TOP) else { return };
    let Some(kind) = kind(reader, &fields) else { return };
    let Some((name, labels)) = metadata(reader, &fields, kind) else { return };
    reader.object = name.to_string();
    let known = |known: &ObjectName| *known == name;
    let twice = model.policies.iter().any(|policy| known(&policy.object))
        || model.gateways.iter().any(|policy| known(&policy.object))
        || (kind == Kind::CidrGroup && model.groups.contains_key(&name.name));
    if twice {
        reader.problem(
            Stage::Unsupported,
            document,
            "the object is there twice: which one holds depends on how it is applied",
        );
        return;
    }
    match kind {
        Kind::Policy | Kind::ClusterPolicy => {
            let specs = spec::all(reader, &fields, &name);
            model.policies.push(Policy { object: name, specs });
        }
        Kind::CidrGroup => {
            no_specs(reader, &fields);
            let prefixes = group(reader, &fields).unwrap_or_default();
            model.groups.insert(name.name, CidrGroup { labels, prefixes });
        }
        Kind::Gateway => {
            no_specs(reader, &fields);
            model.gateways.extend(gateway::read(reader, &fields, name));
        }
    }
}

fn kind(reader: &mut Reader, fields: &Fields<'_>) -> Option<Kind> {
    let version = reader.field(fields, "apiVersion", Reader::text);
    let kind = reader.field(fields, "kind", Reader::text);
    let (Some(version), Some(kind)) = (version, kind) else {
        reader.problem(Stage::Decode, fields.node, "an object needs `apiVersion` and `kind`");
        return None;
    };
    let known = [Kind::Policy, Kind::ClusterPolicy, Kind::CidrGroup, Kind::Gateway];
    let found = known.into_iter().find(|known| known.as_str() == kind);
    match (version, found) {
        ("cilium.io/v2", Some(kind)) => Some(kind),
        ("cilium.io/v2alpha1", Some(Kind::CidrGroup)) => Some(Kind::CidrGroup),
        (_, Some(_)) => {
            reader.problem(Stage::Decode, fields.node, format!("unsupported apiVersion `{version}`"));
            None
        }
        (_, None) => {
            let message = format!("objects of kind `{kind}` (`{version}`) are not understood");
            reader.problem(Stage::Unsupported, fields.node, message);
            None
        }
    }
}

fn metadata(reader: &mut Reader, fields: &Fields<'_>, kind: Kind) -> Option<(ObjectName, Labels)> {
    if !fields.has("metadata") {
        reader.problem(Stage::Schema, fields.node, "an object needs `metadata`");
    }
    let before = reader.count();
    let read = reader.field(fields, "metadata", |reader, node| {
        let metadata = reader.map(node, &METADATA)?;
        let name = reader.field(&metadata, "name", subdomain);
        if !metadata.has("name") {
            reader.problem(Stage::Schema, node, "an object needs a name");
        }
        let namespace = reader.field(&metadata, "namespace", subdomain).map(str::to_owned);
        match (kind, &namespace) {
            (Kind::Policy, None) => {
                reader.problem(
                    Stage::Unsupported,
                    node,
                    "without a namespace it goes wherever it is applied: name one",
                );
            }
            (Kind::ClusterPolicy | Kind::CidrGroup | Kind::Gateway, Some(_)) => {
                reader.problem(Stage::Unsupported, node, "an object of the whole cluster has no namespace");
            }
            _ => {}
        }
        let labels = reader.field(&metadata, "labels", selector::labels).unwrap_or_default();
        reader.field(&metadata, "annotations", |reader, node| {
            let annotations = reader.any_map(node)?;
            reader.each_field(&annotations, |reader, _, node| {
                reader.text(node);
            });
            Some(())
        });
        Some((ObjectName { kind, namespace, name: name?.to_owned() }, labels))
    });
    read.filter(|_| reader.count() == before)
}

/// A DNS-1123 subdomain, which is what names of objects must be.
fn subdomain<'n>(reader: &mut Reader, node: &'n Node) -> Option<&'n str> {
    let text = reader.text(node)?;
    if is_subdomain(text) {
        return Some(text);
    }
    reader.problem(Stage::Schema, node, format!("`{text}` is not a name of lower-case letters, digits, `-` and `.`"));
    None
}

/// Whether `text` is a DNS-1123 subdomain of at most 253 characters.
pub(super) fn is_subdomain(text: &str) -> bool {
    let label = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn no_specs(reader: &mut Reader, fields: &Fields<'_>) {
    if fields.has("specs") {
        reader.problem(Stage::UnknownField, fields.node, "unknown field `specs`");
    }
}

fn group(reader: &mut Reader, fields: &Fields<'_>) -> Option<Vec<Prefix>> {
    if !fields.has("spec") {
        reader.problem(Stage::Schema, fields.node, "`spec` is required");
    }
    reader.field(fields, "spec", |reader, node| {
        let spec = reader.map(node, &["externalCIDRs"])?;
        if !spec.has("externalCIDRs") {
            reader.problem(Stage::Schema, node, "`externalCIDRs` is required");
        }
        reader.field(&spec, "externalCIDRs", |reader, node| reader.list(node, peer::prefix))
    })
}
