//! The L3 part of a rule: prefixes, groups, entities, endpoints and names.

use std::net::IpAddr;

use egress_ir::{Operator, Prefix};

use super::super::labels::{CLUSTER, LabelRequirement, LabelSelector, NAMESPACE, NAMESPACE_LABELS, Source};
use super::super::model::{Entity, ObjectName, Peer};
use super::super::names::NamePattern;
use super::super::yaml::Node;
use super::object::is_subdomain;
use super::reader::Reader;
use super::selector::{self, Keys};
use super::{Admission, Stage};

/// A prefix in CIDR notation. Host bits are allowed and mean nothing.
pub(super) fn prefix(reader: &mut Reader, node: &Node) -> Option<Prefix> {
    let text = reader.text(node)?;
    let parsed = text.split_once('/').and_then(|(address, length)| {
        let plain = length.bytes().all(|byte| byte.is_ascii_digit()) && (length == "0" || !length.starts_with('0'));
        let (address, length) = (address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok().filter(|_| plain)?);
        let width = if address.is_ipv4() { 32 } else { 128 };
        (length <= width).then_some((address, length))
    });
    let Some((address, length)) = parsed else {
        reader.problem(Stage::Schema, node, format!("`{text}` is not a prefix such as `10.0.0.0/8`"));
        return None;
    };
    if let IpAddr::V6(v6) = address
        && v6.to_ipv4_mapped().is_some()
    {
        reader.problem(Stage::Unsupported, node, format!("IPv4-mapped prefixes such as `{text}` are not modelled"));
        return None;
    }
    Some(Prefix::containing(address, length))
}

/// An entry of `toCIDR`.
pub(super) fn cidr(reader: &mut Reader, node: &Node) -> Option<Peer> {
    prefix(reader, node).map(|cidr| Peer::Cidr { cidr, except: Vec::new() })
}

/// An entry of `toCIDRSet`.
pub(super) fn cidr_rule(reader: &mut Reader, node: &Node) -> Option<Peer> {
    let kinds = ["cidr", "cidrGroupRef", "cidrGroupSelector"];
    let fields = reader.map(node, &["cidr", "cidrGroupRef", "cidrGroupSelector", "except"])?;
    if kinds.iter().filter(|kind| fields.has(kind)).count() != 1 {
        reader.problem(Stage::Schema, node, "needs exactly one of `cidr`, `cidrGroupRef` and `cidrGroupSelector`");
        return None;
    }
    let except = reader.field(&fields, "except", |reader, node| reader.list(node, prefix)).unwrap_or_default();
    let cidr = reader.field(&fields, "cidr", prefix);
    if let Some(cidr) = cidr {
        for out in &except {
            if !(cidr.contains(out.address()) && out.length() >= cidr.length()) {
                reader.problem(Stage::Agent, node, format!("`{cidr}` does not contain its exception `{out}`"));
            }
        }
        return Some(Peer::Cidr { cidr, except });
    }
    let name = reader.field(&fields, "cidrGroupRef", |reader, node| {
        let text = reader.text(node)?;
        if !is_subdomain(text) {
            reader.problem(Stage::Schema, node, format!("`{text}` is not the name of a group"));
            return None;
        }
        Some(text.to_owned())
    });
    if let Some(name) = name {
        return Some(Peer::Group { name, except });
    }
    let selector =
        reader.field(&fields, "cidrGroupSelector", |reader, node| selector::read(reader, node, Keys::Groups))?;
    Some(Peer::Groups { selector: selector.finish(), except })
}

/// An entry of `toEntities`.
pub(super) fn entity(reader: &mut Reader, node: &Node) -> Option<Peer> {
    let text = reader.text(node)?;
    let entity = match text {
        "all" => Entity::All,
        "world" => Entity::World,
        "world-ipv4" if reader.admission == Admission::AgentOnly => Entity::WorldIpv4,
        "world-ipv6" if reader.admission == Admission::AgentOnly => Entity::WorldIpv6,
        "cluster" => Entity::Cluster,
        "host" => Entity::Host,
        "remote-node" => Entity::RemoteNode,
        "kube-apiserver" => Entity::KubeApiServer,
        "init" => Entity::Init,
        "ingress" => Entity::Ingress,
        "unmanaged" => Entity::Unmanaged,
        "health" => Entity::Health,
        "none" => Entity::None,
        other => {
            reader.problem(Stage::Schema, node, format!("there is no entity `{other}`"));
            return None;
        }
    };
    Some(Peer::Entity(entity))
}

/// An entry of `toEndpoints`, with the namespace and cluster that Cilium adds where none is asked for.
pub(super) fn endpoints(reader: &mut Reader, node: &Node, object: &ObjectName, matches_init: bool) -> Option<Peer> {
    let mut raw = selector::read(reader, node, Keys::Endpoints)?;
    if raw.any(|source, _| source == Source::Reserved) {
        return Some(Peer::Endpoints(raw.finish()));
    }
    let anyhow = |source| matches!(source, Source::Any | Source::K8s);
    if !raw.any(|source, key| anyhow(source) && key == NAMESPACE) {
        match &object.namespace {
            // Without this, an empty selector would match nodes and the world too.
            None if !matches_init => raw.expressions.push(LabelRequirement {
                source: Source::K8s,
                key: NAMESPACE.to_owned(),
                operator: Operator::Exists,
            }),
            Some(namespace) if !raw.any(|source, key| anyhow(source) && key.starts_with(NAMESPACE_LABELS)) => {
                raw.overwrite(Source::K8s, NAMESPACE, namespace);
            }
            _ => {}
        }
    }
    let names_cluster = raw.any(|source, key| anyhow(source) && key == CLUSTER);
    let selector: LabelSelector = raw.finish();
    Some(if names_cluster { Peer::Endpoints(selector) } else { Peer::LocalEndpoints(selector) })
}

/// An entry of `toFQDNs` or of `rules.dns`.
pub(super) fn name(reader: &mut Reader, node: &Node) -> Option<NamePattern> {
    let fields = reader.map(node, &["matchName", "matchPattern"])?;
    if fields.has("matchName") == fields.has("matchPattern") {
        reader.problem(Stage::Schema, node, "needs exactly one of `matchName` and `matchPattern`");
        return None;
    }
    let exact = reader.field(&fields, "matchName", |reader, node| domain(reader, node, false).map(NamePattern::name));
    let pattern = reader.field(&fields, "matchPattern", |reader, node| {
        let text = domain(reader, node, true)?;
        let pattern = NamePattern::pattern(text);
        if pattern.is_err() {
            let message = format!("`**` is modelled as the whole first label alone, not as in `{text}`");
            reader.problem(Stage::Unsupported, node, message);
        }
        pattern.ok()
    });
    exact.or(pattern)
}

/// Letters, digits, `-`, `_` and, in patterns, `*`, with single dots in between.
fn domain<'n>(reader: &mut Reader, node: &'n Node, stars: bool) -> Option<&'n str> {
    let text = reader.text(node)?;
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (stars && byte == b'*');
    let labels = text.strip_suffix('.').unwrap_or(text);
    let valid = labels.split('.').all(|label| !label.is_empty() && label.bytes().all(inner));
    if !valid || text.len() > 255 {
        reader.problem(
            Stage::Schema,
            node,
            format!("`{text}` is not a {}", if stars { "name pattern" } else { "name" }),
        );
        return None;
    }
    Some(text)
}
