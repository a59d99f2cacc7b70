//! The rules of a model, each made ready once for all senders.
//!
//! In: a [`Model`]. Out: for each specification that enforces anything its subject as a set of pods, and its rules with
//! ports, address sets and selectors worked out.

use std::collections::{BTreeSet, HashMap};

use egress_ir::{PortSet, Program, WorkloadSet, WorkloadSetId};

use super::super::labels::{Label, LabelSelector, Source};
use super::super::model::{self, Entity, Model, ObjectName, Peer, Peers, PortMatch, Ports, Proxy, Subject};
use super::super::names::NamePattern;
use super::cidrs::Cidrs;
use super::{ports, selectors};

/// A model, made ready.
#[derive(Debug)]
pub(super) struct Compiled<'m> {
    pub(super) specs: Vec<Spec<'m>>,
    pub(super) cidrs: Cidrs<'m>,
    /// The selectors of destinations, as workload sets of a program of their own.
    pub(super) endpoints: Program,
}

/// A specification that enforces egress on pods.
#[derive(Debug)]
pub(super) struct Spec<'m> {
    pub(super) object: &'m ObjectName,
    /// Whom it is about, or why that cannot be said.
    pub(super) subject: Result<WorkloadSet, String>,
    pub(super) default_deny: bool,
    pub(super) allows: Vec<Rule<'m>>,
    pub(super) denies: Vec<Rule<'m>>,
}

/// A rule.
#[derive(Debug)]
pub(super) struct Rule<'m> {
    pub(super) object: &'m ObjectName,
    /// Its specification denies what nothing allows.
    pub(super) default_deny: bool,
    /// Matches every destination.
    pub(super) everybody: bool,
    /// Matches every destination that is not of the world: an empty selector of groups does, whatever it leaves out.
    pub(super) everybody_known: bool,
    pub(super) entities: BTreeSet<Entity>,
    pub(super) endpoints: Vec<Endpoints<'m>>,
    /// The index of the addresses of the world that match.
    pub(super) cidrs: Option<usize>,
    pub(super) names: Vec<&'m NamePattern>,
    /// Ports that match whatever pods call them.
    pub(super) ports: PortSet,
    /// Ports for which a name may stand, on pods.
    pub(super) named_ports: PortSet,
    /// Names no ports, and so leaves the proxy of others in place.
    pub(super) all_ports: bool,
    /// The entries of its ports.
    pub(super) entries: &'m [PortMatch],
    /// Asks for a proxy of HTTP.
    pub(super) http: bool,
}

/// A selector of destinations.
#[derive(Clone, Debug)]
pub(super) struct Endpoints<'m> {
    pub(super) selector: &'m LabelSelector,
    /// Only pods of the own cluster match.
    pub(super) local: bool,
    /// The pods that match, or why that cannot be said.
    pub(super) pods: Result<WorkloadSetId, String>,
}

/// An identity that is no pod's, as far as rules can ask for it.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) labels: Vec<Label>,
    /// Its address family, if it is of the world.
    pub(super) world: Option<bool>,
}

/// Makes a model ready.
pub(super) fn compile(model: &Model) -> Compiled<'_> {
    let mut compiler = Compiler { cidrs: Cidrs::new(model), endpoints: Program::default(), known: HashMap::new() };
    let specs = model.policies.iter().flat_map(|policy| policy.specs.iter().map(move |spec| (&policy.object, spec)));
    let specs = specs.filter_map(|(object, spec)| compiler.spec(object, spec)).collect();
    Compiled { specs, cidrs: compiler.cidrs, endpoints: compiler.endpoints }
}

struct Compiler<'m> {
    cidrs: Cidrs<'m>,
    endpoints: Program,
    known: HashMap<WorkloadSet, WorkloadSetId>,
}

impl<'m> Compiler<'m> {
    /// A specification without rules enforces nothing, and one about nodes nothing on pods.
    fn spec(&mut self, object: &'m ObjectName, spec: &'m model::Spec) -> Option<Spec<'m>> {
        let Subject::Pods(selector) = &spec.subject else { return None };
        if spec.allows.is_empty() && spec.denies.is_empty() {
            return None;
        }
        Some(Spec {
            object,
            subject: selectors::pods(selector),
            default_deny: spec.default_deny,
            allows: spec.allows.iter().map(|rule| self.rule(object, spec.default_deny, rule)).collect(),
            denies: spec.denies.iter().map(|rule| self.rule(object, spec.default_deny, rule)).collect(),
        })
    }

    fn rule(&mut self, object: &'m ObjectName, default_deny: bool, rule: &'m model::Rule) -> Rule<'m> {
        let peers: &'m [Peer] = match &rule.peers {
            Peers::Nobody | Peers::Everybody => &[],
            Peers::Any(peers) => peers,
        };
        let entries: &'m [PortMatch] = match &rule.ports {
            Ports::All => &[],
            Ports::Any(entries) => entries,
        };
        let mut compiled = Rule {
            object,
            default_deny,
            everybody: rule.peers == Peers::Everybody,
            everybody_known: false,
            entities: BTreeSet::new(),
            endpoints: Vec::new(),
            cidrs: self.cidrs.intern(peers),
            names: Vec::new(),
            ports: ports::numbered(&rule.ports),
            named_ports: ports::named(&rule.ports),
            all_ports: rule.ports == Ports::All,
            entries,
            http: entries.iter().any(|entry| entry.proxy == Some(Proxy::Http)),
        };
        peers.iter().for_each(|peer| self.peer(peer, &mut compiled));
        compiled
    }

    fn peer(&mut self, peer: &'m Peer, rule: &mut Rule<'m>) {
        match peer {
            Peer::Endpoints(selector) => rule.endpoints.push(self.endpoints(selector, false)),
            Peer::LocalEndpoints(selector) => rule.endpoints.push(self.endpoints(selector, true)),
            Peer::Entity(entity) => drop(rule.entities.insert(*entity)),
            Peer::Groups { selector, .. } => rule.everybody_known |= selector.requirements.is_empty(),
            Peer::Name(pattern) => rule.names.push(pattern),
            Peer::Cidr { .. } | Peer::Group { .. } => {}
        }
    }

    fn endpoints(&mut self, selector: &'m LabelSelector, local: bool) -> Endpoints<'m> {
        let pods = selectors::pods(selector).map(|set| match self.known.get(&set) {
            Some(&known) => known,
            None => {
                let id = self.endpoints.workload_sets.push(set.clone());
                self.known.insert(set, id);
                id
            }
        });
        Endpoints { selector, local, pods }
    }
}

impl<'m> Rule<'m> {
    /// Whether it matches a destination that is no pod, whatever its address.
    pub(super) fn matches(&self, identity: &Identity) -> bool {
        let by_label = |endpoints: &Endpoints<'_>| !endpoints.local && endpoints.selector.matches(&identity.labels);
        self.everybody
            || (self.everybody_known && identity.world.is_none())
            || self.entities.iter().any(|entity| identity.is(*entity))
            || self.endpoints.iter().any(by_label)
    }

    /// Whether it matches every pod of the cluster, as far as that is plain to see.
    pub(super) fn matches_every_pod(&self, endpoints: &Program) -> bool {
        let every = |id: WorkloadSetId| selectors::is_every_pod(endpoints.workload_sets.at(id));
        self.matches_pods_as_such() || self.endpoints.iter().any(|one| one.pods.as_ref().is_ok_and(|&id| every(id)))
    }

    /// Whether it matches pods by what they are, and not by their labels.
    pub(super) fn matches_pods_as_such(&self) -> bool {
        let entity = [Entity::All, Entity::Cluster].iter().any(|entity| self.entities.contains(entity));
        self.everybody || self.everybody_known || entity
    }

    /// The sets of pods that it matches by their labels.
    ///
    /// # Errors
    /// What cannot be said, for people.
    pub(super) fn pods(&self) -> Result<Vec<WorkloadSetId>, super::Unclear> {
        let sets = self.endpoints.iter().map(|endpoints| endpoints.pods.clone());
        sets.collect::<Result<_, _>>().map_err(|why| super::unclear(format!("`{}` {why}", self.object)))
    }

    /// The patterns by which it tells names apart, in destinations and in queries.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &'m NamePattern> {
        let queries = self.entries.iter().filter_map(|entry| match &entry.proxy {
            Some(Proxy::Dns(patterns)) => Some(patterns),
            Some(Proxy::Http) | None => None,
        });
        self.names.clone().into_iter().chain(queries.flatten())
    }
}

impl Identity {
    /// One of the identities that Cilium reserves, with more labels of that kind.
    pub(super) fn reserved(names: &[&str], world: Option<bool>) -> Self {
        Self { labels: names.iter().map(|name| Label::reserved(*name)).collect(), world }
    }

    fn is(&self, entity: Entity) -> bool {
        let own = ["host", "remote-node", "kube-apiserver", "init", "ingress", "health", "unmanaged"];
        let has = |name: &str| self.labels.iter().any(|label| label.source == Source::Reserved && label.key == name);
        match entity {
            Entity::All => true,
            Entity::World => self.world.is_some(),
            Entity::WorldIpv4 => self.world == Some(false),
            Entity::WorldIpv6 => self.world == Some(true),
            Entity::Cluster => own.into_iter().any(has),
            Entity::Host => has("host"),
            Entity::RemoteNode => has("remote-node"),
            Entity::KubeApiServer => has("kube-apiserver"),
            Entity::Init => has("init"),
            Entity::Ingress => has("ingress"),
            Entity::Unmanaged => has("unmanaged"),
            Entity::Health => has("health"),
            Entity::None => has("none"),
        }
    }
}
