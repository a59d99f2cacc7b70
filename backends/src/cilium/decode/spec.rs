//! `spec` and `specs` of a policy. Ingress rules are checked like egress rules, for an object with one that the agent
//! refuses does nothing at all; what they say is not kept.

use super::super::labels::{LabelSelector, NAMESPACE, Source};
use super::super::model::{ObjectName, Peer, Peers, Ports, Rule, Spec, Subject};
use super::super::yaml::{Node, Value};
use super::port::Place;
use super::reader::{Fields, Reader};
use super::selector::{self, Keys};
use super::{Stage, peer, port};

const SPEC: [&str; 10] = [
    "description",
    "egress",
    "egressDeny",
    "enableDefaultDeny",
    "endpointSelector",
    "ingress",
    "ingressDeny",
    "labels",
    "log",
    "nodeSelector",
];

/// All specifications of a policy.
pub(super) fn all(reader: &mut Reader, fields: &Fields<'_>, object: &ObjectName) -> Vec<Spec> {
    if !fields.has("spec") && !fields.has("specs") {
        reader.problem(Stage::Schema, fields.node, "`spec` or `specs` must be there");
    }
    let one = reader.field(fields, "spec", |reader, node| spec(reader, node, object));
    let more =
        reader.field(fields, "specs", |reader, node| reader.list(node, |reader, node| spec(reader, node, object)));
    one.into_iter().chain(more.unwrap_or_default()).collect()
}

fn spec(reader: &mut Reader, node: &Node, object: &ObjectName) -> Option<Spec> {
    let fields = reader.map(node, &SPEC)?;
    let lists = ["ingress", "ingressDeny", "egress", "egressDeny"];
    if !lists.iter().any(|list| fields.has(list)) {
        reader.problem(
            Stage::Schema,
            node,
            "needs at least one of `ingress`, `ingressDeny`, `egress` and `egressDeny`",
        );
    }
    let subject = subject(reader, &fields, object);
    remarks(reader, &fields);
    let host = matches!(subject, Some(Subject::Nodes));
    let init = matches!(&subject, Some(Subject::Pods(selector)) if selector.has_key(Source::Reserved, "init"));
    let mut count = 0;
    let mut rules = |reader: &mut Reader, list: &'static str, egress: bool, deny: bool| {
        let place = Place { egress, deny, host };
        let rules = reader.field(&fields, list, |reader, node| {
            if let Value::List(items) = &node.value {
                count += items.len();
            }
            reader.list(node, |reader, node| rule(reader, node, object, init, place))
        });
        rules.unwrap_or_default()
    };
    rules(reader, "ingress", false, false);
    rules(reader, "ingressDeny", false, true);
    let allows = rules(reader, "egress", true, false);
    let denies = rules(reader, "egressDeny", true, true);
    if count == 0 {
        reader.problem(Stage::Agent, node, "a policy must have at least one rule");
    }
    let asked = reader.field(&fields, "enableDefaultDeny", |reader, node| {
        let fields = reader.map(node, &["egress", "ingress"])?;
        reader.field(&fields, "ingress", Reader::boolean);
        reader.field(&fields, "egress", Reader::boolean)
    });
    let default_deny = asked.unwrap_or(!(allows.is_empty() && denies.is_empty()));
    Some(Spec { subject: subject?, default_deny, allows, denies })
}

fn subject(reader: &mut Reader, fields: &Fields<'_>, object: &ObjectName) -> Option<Subject> {
    if fields.has("endpointSelector") == fields.has("nodeSelector") {
        let message = "needs exactly one of `endpointSelector` and `nodeSelector`";
        reader.problem(Stage::Schema, fields.node, message);
        return None;
    }
    if fields.has("nodeSelector") {
        if object.namespace.is_some() {
            reader.problem(Stage::Agent, fields.node, "a policy of one namespace cannot be about nodes");
        }
        reader.field(fields, "nodeSelector", |reader, node| selector::read(reader, node, Keys::Endpoints));
        return Some(Subject::Nodes);
    }
    let mut raw =
        reader.field(fields, "endpointSelector", |reader, node| selector::read(reader, node, Keys::Endpoints))?;
    if let Some(namespace) = &object.namespace {
        // A policy never leaves its namespace, whatever its `matchLabels` ask for.
        raw.overwrite(Source::K8s, NAMESPACE, namespace);
    }
    let selector: LabelSelector = raw.finish();
    Some(Subject::Pods(selector))
}

/// Fields that change nothing about verdicts, but can make an object invalid.
fn remarks(reader: &mut Reader, fields: &Fields<'_>) {
    reader.field(fields, "description", Reader::text);
    reader.field(fields, "labels", |reader, node| {
        reader.list(node, |reader, node| {
            let label = reader.map(node, &["key", "source", "value"])?;
            if !label.has("key") {
                reader.problem(Stage::Schema, node, "`key` is required");
            }
            for key in ["key", "source", "value"] {
                reader.field(&label, key, Reader::text);
            }
            Some(())
        })
    });
    reader.field(fields, "log", |reader, node| {
        let log = reader.map(node, &["value"])?;
        reader.field(&log, "value", |reader, node| {
            let text = reader.text(node)?;
            if text.chars().count() > 32 || text.chars().any(char::is_control) {
                reader.problem(Stage::Schema, node, "at most 32 printable characters");
            }
            Some(())
        })
    });
}

/// Names of the L3 fields in one direction.
struct L3 {
    known: [&'static str; 12],
    allow_only: &'static [&'static str],
    cidr: &'static str,
    cidr_set: &'static str,
    endpoints: &'static str,
    entities: &'static str,
    nodes: &'static str,
    groups: &'static str,
    requires: &'static str,
}

const EGRESS: L3 = L3 {
    known: [
        "toCIDR",
        "toCIDRSet",
        "toEndpoints",
        "toEntities",
        "toNodes",
        "toGroups",
        "toRequires",
        "toServices",
        "toPorts",
        "icmps",
        "toFQDNs",
        "authentication",
    ],
    allow_only: &["toFQDNs", "authentication"],
    cidr: "toCIDR",
    cidr_set: "toCIDRSet",
    endpoints: "toEndpoints",
    entities: "toEntities",
    nodes: "toNodes",
    groups: "toGroups",
    requires: "toRequires",
};

const INGRESS: L3 = L3 {
    known: [
        "fromCIDR",
        "fromCIDRSet",
        "fromEndpoints",
        "fromEntities",
        "fromNodes",
        "fromGroups",
        "fromRequires",
        "toPorts",
        "toPorts",
        "icmps",
        "icmps",
        "authentication",
    ],
    allow_only: &["authentication"],
    cidr: "fromCIDR",
    cidr_set: "fromCIDRSet",
    endpoints: "fromEndpoints",
    entities: "fromEntities",
    nodes: "fromNodes",
    groups: "fromGroups",
    requires: "fromRequires",
};

fn rule(reader: &mut Reader, node: &Node, object: &ObjectName, init: bool, place: Place) -> Option<Rule> {
    let names = if place.egress { &EGRESS } else { &INGRESS };
    let allowed = |key: &&str| !place.deny || !names.allow_only.contains(key);
    let known: Vec<&str> = names.known.into_iter().filter(allowed).collect();
    let fields = reader.map(node, &known)?;
    let ports = ports(reader, &fields, place);
    let peers = peers(reader, &fields, names, object, init, !matches!(ports, Ports::All));
    for key in ["authentication", "toServices", names.groups] {
        let empty_list = reader.field(&fields, key, |_, node| Some(node.value == Value::List(Vec::new())));
        // Empty lists of services and groups select nobody and let the ports pass to everybody; that is modelled.
        if empty_list == Some(false) && known.contains(&key) {
            reader.problem(Stage::Unsupported, node, format!("`{key}` is not modelled"));
        }
    }
    Some(Rule { peers, ports })
}

fn ports(reader: &mut Reader, fields: &Fields<'_>, place: Place) -> Ports {
    let ports = reader
        .field(fields, "toPorts", |reader, node| reader.list(node, |reader, node| port::entry(reader, node, place)));
    let icmps = reader.field(fields, "icmps", |reader, node| reader.list(node, port::icmp));
    let (ports, icmps) = (ports.unwrap_or_default(), icmps.unwrap_or_default());
    if !ports.is_empty() && !icmps.is_empty() {
        reader.problem(Stage::Agent, fields.node, "`icmps` cannot stand beside `toPorts`");
    }
    if ports.is_empty() && icmps.is_empty() {
        return Ports::All;
    }
    Ports::Any(ports.into_iter().chain(icmps).flatten().collect())
}

fn peers(
    reader: &mut Reader,
    fields: &Fields<'_>,
    names: &L3,
    object: &ObjectName,
    init: bool,
    has_ports: bool,
) -> Peers {
    let endpoint = |reader: &mut Reader, node: &Node| peer::endpoints(reader, node, object, init);
    let mut lists: Vec<Option<Vec<Peer>>> = vec![
        reader.field(fields, names.cidr, |reader, node| reader.list(node, peer::cidr)),
        reader.field(fields, names.cidr_set, |reader, node| reader.list(node, peer::cidr_rule)),
        reader.field(fields, names.endpoints, |reader, node| reader.list(node, endpoint)),
        reader.field(fields, names.entities, |reader, node| reader.list(node, peer::entity)),
    ];
    let fqdns = reader.field(fields, "toFQDNs", |reader, node| {
        reader.list(node, |reader, node| peer::name(reader, node).map(Peer::Name))
    });
    lists.push(refused(reader, fields, names));
    let fqdns_used = fqdns.as_ref().is_some_and(|fqdns| !fqdns.is_empty());
    let kinds = lists.iter().filter(|list| list.as_ref().is_some_and(|list| !list.is_empty())).count()
        + usize::from(fqdns_used);
    if kinds > 1 {
        reader.problem(Stage::Agent, fields.node, "only one kind of destination can be in a rule");
    }
    // An empty list selects nobody; but names are added after that, and an empty list of names adds nothing.
    let nobody = lists.iter().any(|list| list.as_ref().is_some_and(Vec::is_empty));
    let named = if nobody { Vec::new() } else { lists.into_iter().flatten().flatten().collect() };
    let all: Vec<Peer> = named.into_iter().chain(fqdns.unwrap_or_default()).collect();
    match (all.is_empty(), nobody || !has_ports) {
        (false, _) => Peers::Any(all),
        (true, true) => Peers::Nobody,
        (true, false) => Peers::Everybody,
    }
}

/// `toNodes` and `toRequires`, which cannot hold anything. An empty list of nodes selects nobody.
fn refused(reader: &mut Reader, fields: &Fields<'_>, names: &L3) -> Option<Vec<Peer>> {
    let nodes = reader.field(fields, names.nodes, |reader, node| reader.list(node, |_, _| Some(())));
    if nodes.as_ref().is_some_and(|nodes| !nodes.is_empty()) {
        reader.problem(
            Stage::Agent,
            fields.node,
            format!("`{}` needs a feature of the agent that is off", names.nodes),
        );
    }
    let required = reader.field(fields, names.requires, |reader, node| reader.list(node, |_, _| Some(())));
    if required.is_some_and(|required| !required.is_empty()) {
        reader.problem(Stage::Schema, fields.node, format!("`{}` was removed from the API", names.requires));
    }
    nodes.map(|_| Vec::new())
}
