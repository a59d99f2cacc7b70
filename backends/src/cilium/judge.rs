//! What Cilium does with one flow, given a [`Model`].
//!
//! In: a model, an [`Environment`], a [`CiliumFlow`]. Out: a [`Judgement`]. The formula is short on purpose: a pod that no
//! specification with egress rules selects may send everything; otherwise a matching deny denies, a matching allow allows,
//! and without either the default decides. A deny wins whatever its specificity.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use egress_ir::Prefix;

use super::environment::{Environment, Identity, KnownPod};
use super::labels::{Label, Source};
use super::model::{
    Entity, Model, Numbers, ObjectName, Peer, Peers, PortMatch, Ports, Protocol, Proxy, Rule, Spec, Subject,
};

/// A flow as Cilium sees it: after translation of services to their backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiliumFlow {
    /// Where it goes.
    pub to: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// The destination port, or the ICMP type.
    pub number: u16,
}

/// What happens to a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It leaves the pod.
    Allowed,
    /// It is dropped.
    Denied,
}

/// The decision about a flow, and who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What happens.
    pub verdict: Verdict,
    /// Some specification with egress rules selects the pod.
    pub enforced: bool,
    /// The objects whose rules match: the denies, or else the allows; none for a default.
    pub objects: BTreeSet<ObjectName>,
    /// An allowed flow goes through the DNS proxy.
    pub dns_proxy: bool,
}

/// Reserved identities of the own cluster.
const OWN: [&str; 7] = ["host", "remote-node", "kube-apiserver", "init", "ingress", "unmanaged", "health"];

/// A rule that matches a flow, with the port entries that match.
struct Hit<'m> {
    object: &'m ObjectName,
    default_deny: bool,
    ports: Vec<&'m PortMatch>,
}

impl Model {
    /// Judges one flow of a pod.
    #[must_use]
    pub fn judge(&self, environment: &Environment, from: &KnownPod, flow: &CiliumFlow) -> Judgement {
        self.judge_as(environment, from, flow, environment.identity(flow.to))
    }

    /// Judges a flow as if its destination had this identity.
    pub(super) fn judge_as(
        &self,
        environment: &Environment,
        from: &KnownPod,
        flow: &CiliumFlow,
        identity: Identity,
    ) -> Judgement {
        let source = environment.pod_labels(from);
        let names: BTreeSet<&str> = environment.names_of(flow.to).collect();
        let to = Target { model: self, environment, identity, names, flow };
        let specs: Vec<(&ObjectName, &Spec)> = self.enforced_on(&source).collect();
        let denies: Vec<Hit<'_>> = to.hits(&specs, |spec| &spec.denies);
        let allows: Vec<Hit<'_>> = to.hits(&specs, |spec| &spec.allows);
        let default_deny = specs.iter().any(|(_, spec)| spec.default_deny);
        let allowed = denies.is_empty() && (!allows.is_empty() || !default_deny);
        let deciding = if denies.is_empty() { &allows } else { &denies };
        Judgement {
            verdict: if allowed { Verdict::Allowed } else { Verdict::Denied },
            enforced: !specs.is_empty(),
            objects: deciding.iter().map(|hit| hit.object.clone()).collect(),
            dns_proxy: allowed && goes_to_dns_proxy(&allows),
        }
    }

    /// Whether the DNS proxy forwards a query of the pod for `name` when `flow` carries it.
    #[must_use]
    pub fn forwards_query(&self, environment: &Environment, from: &KnownPod, flow: &CiliumFlow, name: &str) -> bool {
        self.forwards_query_as(environment, from, flow, environment.identity(flow.to), name)
    }

    /// The same as if the query's destination had this identity.
    pub(super) fn forwards_query_as(
        &self,
        environment: &Environment,
        from: &KnownPod,
        flow: &CiliumFlow,
        identity: Identity,
        name: &str,
    ) -> bool {
        let source = environment.pod_labels(from);
        let names: BTreeSet<&str> = environment.names_of(flow.to).collect();
        let to = Target { model: self, environment, identity, names, flow };
        let specs: Vec<(&ObjectName, &Spec)> = self.enforced_on(&source).collect();
        let allows = to.hits(&specs, |spec| &spec.allows);
        let ports = allows.iter().flat_map(|hit| hit.ports.iter().map(|port| (hit.default_deny, port)));
        ports.into_iter().any(|(default_deny, port)| match &port.proxy {
            // A specification without default deny drops nothing, so its DNS rules forward every query.
            Some(Proxy::Dns(patterns)) => !default_deny || patterns.iter().any(|pattern| pattern.matches(name)),
            _ => false,
        })
    }

    /// Specifications that enforce egress on a pod: they select it and have rules.
    fn enforced_on<'m>(&'m self, source: &[Label]) -> impl Iterator<Item = (&'m ObjectName, &'m Spec)> {
        let all = self.policies.iter().flat_map(|policy| policy.specs.iter().map(move |spec| (&policy.object, spec)));
        all.filter(move |(_, spec)| {
            let selected = match &spec.subject {
                Subject::Pods(selector) => selector.matches(source),
                Subject::Nodes => false,
            };
            selected && !(spec.allows.is_empty() && spec.denies.is_empty())
        })
    }
}

/// A DNS rule redirects unless a rule without one matches on a port too.
fn goes_to_dns_proxy(allows: &[Hit<'_>]) -> bool {
    let dns = |port: &&PortMatch| matches!(port.proxy, Some(Proxy::Dns(_)));
    allows.iter().any(|hit| hit.ports.iter().any(dns))
        && !allows.iter().any(|hit| hit.ports.iter().any(|port| port.proxy.is_none()))
}

/// The destination of a flow with everything that rules can ask about it.
struct Target<'m> {
    model: &'m Model,
    environment: &'m Environment,
    identity: Identity,
    names: BTreeSet<&'m str>,
    flow: &'m CiliumFlow,
}

impl Target<'_> {
    fn hits<'m>(
        &self,
        specs: &[(&'m ObjectName, &'m Spec)],
        rules: impl Fn(&'m Spec) -> &'m Vec<Rule>,
    ) -> Vec<Hit<'m>> {
        let all = specs
            .iter()
            .flat_map(|(object, spec)| rules(spec).iter().map(move |rule| (*object, spec.default_deny, rule)));
        all.filter_map(|(object, default_deny, rule)| {
            self.ports_of(rule).map(|ports| Hit { object, default_deny, ports })
        })
        .collect()
    }

    /// The port entries by which a rule matches (none where it names no ports); nothing if it does not match.
    fn ports_of<'m>(&self, rule: &'m Rule) -> Option<Vec<&'m PortMatch>> {
        let peers = match &rule.peers {
            Peers::Nobody => false,
            Peers::Everybody => true,
            Peers::Any(peers) => peers.iter().any(|peer| self.is(peer)),
        };
        if !peers {
            return None;
        }
        match &rule.ports {
            Ports::All => Some(Vec::new()),
            Ports::Any(ports) => {
                let ports: Vec<_> = ports.iter().filter(|port| self.on(port)).collect();
                (!ports.is_empty()).then_some(ports)
            }
        }
    }

    fn is(&self, peer: &Peer) -> bool {
        let outside_of = |except: &[Prefix]| !except.iter().any(|prefix| prefix.contains(self.flow.to));
        match peer {
            Peer::Endpoints(selector) => selector.matches(&self.identity.labels),
            Peer::LocalEndpoints(selector) => self.in_cluster() && selector.matches(&self.identity.labels),
            Peer::Entity(entity) => self.belongs_to(*entity),
            Peer::Cidr { cidr, except } => self.identity.in_world && cidr.contains(self.flow.to) && outside_of(except),
            Peer::Group { name, except } => {
                let group = self.model.groups.get(name);
                let inside =
                    group.is_some_and(|group| group.prefixes.iter().any(|prefix| prefix.contains(self.flow.to)));
                self.identity.in_world && inside && outside_of(except)
            }
            Peer::Groups { selector, except } if selector.requirements.is_empty() => {
                !self.identity.in_world || outside_of(except)
            }
            Peer::Groups { selector, except } => {
                self.identity.in_world && selector.matches(&self.group_labels()) && outside_of(except)
            }
            Peer::Name(pattern) => self.identity.in_world && self.names.iter().any(|name| pattern.matches(name)),
        }
    }

    /// A pod of the local cluster.
    fn in_cluster(&self) -> bool {
        let name = Label::k8s(super::labels::CLUSTER, &self.environment.cluster_name);
        self.identity.labels.contains(&name)
    }

    fn belongs_to(&self, entity: Entity) -> bool {
        let reserved =
            |name: &str| self.identity.labels.iter().any(|label| label.source == Source::Reserved && label.key == name);
        match entity {
            Entity::All => true,
            Entity::World => self.identity.in_world,
            Entity::WorldIpv4 => self.identity.in_world && self.flow.to.is_ipv4(),
            Entity::WorldIpv6 => self.identity.in_world && self.flow.to.is_ipv6(),
            Entity::Cluster => OWN.into_iter().any(reserved) || self.in_cluster(),
            Entity::Host => reserved("host"),
            Entity::RemoteNode => reserved("remote-node"),
            Entity::KubeApiServer => reserved("kube-apiserver"),
            Entity::Init => reserved("init"),
            Entity::Ingress => reserved("ingress"),
            Entity::Unmanaged => reserved("unmanaged"),
            Entity::Health => reserved("health"),
            Entity::None => reserved("none"),
        }
    }

    /// Labels of the groups around the address; of two groups with one key, the longer prefix wins.
    fn group_labels(&self) -> Vec<Label> {
        let mut found: BTreeMap<&str, (u8, &str)> = BTreeMap::new();
        for group in self.model.groups.values() {
            let around = group.prefixes.iter().filter(|prefix| prefix.contains(self.flow.to));
            let Some(length) = around.map(|prefix| prefix.length()).max() else { continue };
            for (key, value) in &group.labels {
                let entry = found.entry(key).or_insert((length, value));
                if length > entry.0 {
                    *entry = (length, value);
                }
            }
        }
        let label = |(key, (_, value)): (&str, (u8, &str))| Label {
            source: Source::CidrGroup,
            key: key.to_owned(),
            value: value.to_owned(),
        };
        found.into_iter().map(label).collect()
    }

    fn on(&self, port: &PortMatch) -> bool {
        port.protocols.contains(&self.flow.protocol)
            && match &port.numbers {
                Numbers::Every => true,
                Numbers::Range(range) => range.contains(&self.flow.number),
                Numbers::Named(name) => {
                    let named = (self.flow.protocol, self.flow.number);
                    self.environment.names_port(self.flow.to, name, named)
                }
            }
    }
}
