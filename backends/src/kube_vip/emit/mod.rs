//! From a [`Program`] to Services that make kube-vip send pods' traffic through gateways.
//!
//! In: a program, its inventory and [`Options`]. Out: one file with a Service for each gateway, pod and family that
//! rules ask for, or one [`EmitError`] for each thing that kube-vip cannot do. It routes only: something else must drop
//! what the policy denies. Because denied flows never leave, a Service may rewrite more than the policy allows, but
//! never a flow that the policy lets pass another way.
//!
//! With [`Options::vip_only`] the Services carry the virtual address and nothing else, for a
//! `CiliumEgressGatewayPolicy` that follows it by [`node_label`].

mod anchors;
mod choice;
mod demand;
mod objects;
mod selector;

use crate::target::{Artifact, EmitError};
use egress_ir::{
    Action, AddressSet, Family, Gateway, GatewayId, Inventory, OriginId, Program, Rule, RuleId, RunningPod,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The code of everything that kube-vip cannot route.
const CODE: &str = "egress::target::gateway";
/// The longest name of a Service, and of a label's key after the slash (RFC 1123).
const LONGEST_NAME: usize = 63;

/// What the user chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Only bring the managed addresses up, each on a node of its gateway, and leave the routing to another target.
    pub vip_only: bool,
    /// With `vip_only`: the namespace of the Services and of the pods that hold their place.
    pub namespace: String,
    /// With `vip_only`: the container image of these pods, which does nothing; each cluster has one of its own.
    pub image: Option<String>,
    /// The digest of the source, such as `sha256:…`, which every object carries. Empty: none.
    pub source_digest: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { vip_only: false, namespace: "kube-system".to_owned(), image: None, source_digest: String::new() }
    }
}

/// Writes the Services of a program.
///
/// # Errors
/// Everything that kube-vip cannot do, sorted by where it was written; and that there is no inventory.
///
/// ```
/// use egress_backends::kube_vip::{Options, decode, emit};
/// use egress_ir::{Inventory, Program};
/// let artifact = emit(&Program::default(), Some(&Inventory::default()), &Options::default()).expect("nothing is asked for");
/// assert!(decode(&artifact.bytes).expect("our own output").services.is_empty());
/// ```
pub fn emit(program: &Program, inventory: Option<&Inventory>, options: &Options) -> Result<Artifact, Vec<EmitError>> {
    let mut emitter = Emitter { program, errors: Vec::new() };
    let bytes = if options.vip_only {
        anchors::write(&mut emitter, options)
    } else if let Some(inventory) = inventory {
        let services = emitter.services(inventory);
        objects::file(program, options, &services)
    } else {
        emitter.needs_inventory();
        Vec::new()
    };
    let mut errors = emitter.errors;
    if errors.is_empty() {
        return Ok(Artifact { file_name: "egress.kube-vip.yaml", size: None, bytes, notices: Vec::new() });
    }
    errors.sort();
    errors.dedup();
    Err(errors)
}

/// The addresses that kube-vip brings up with [`Options::vip_only`], each with its gateway: the first managed one of each
/// family.
pub fn managed(program: &Program) -> impl Iterator<Item = (&str, IpAddr)> {
    let of = |gateway: &Gateway| [false, true].map(|v6| anchors::first_managed(gateway, v6)).into_iter().flatten();
    program.gateways.values().flat_map(move |gateway| of(gateway).map(|address| (gateway.name.as_str(), address)))
}

/// The name of the first Service of a gateway in a family.
#[must_use]
pub fn service_name(gateway: &str, v6: bool) -> String {
    format!("egress-{gateway}-{}", if v6 { "v6" } else { "v4" })
}

/// The label that a node bears while it holds the address of a Service of [`Options::vip_only`]: key and value.
///
/// kube-vip sets it where it was started with `enable_node_labeling=true`, on the node that it elected for the Service.
/// An IPv6 address is written as 32 hexadecimal digits.
#[must_use]
pub fn node_label(name: &str, namespace: &str, address: IpAddr) -> (String, String) {
    let value = match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{:032x}", v6.to_bits()),
    };
    (format!("{}/{name}.{namespace}", super::annotations::NODE_LABEL), value)
}

/// A Service to be written.
struct Planned<'p> {
    name: String,
    gateway: &'p Gateway,
    rules: Vec<RuleId>,
    pod: &'p RunningPod,
    selector: egress_ir::Labels,
    address: IpAddr,
    lists: choice::Lists,
}

/// A rule that names a gateway, and its pod.
type Wanted<'p> = (RuleId, &'p Rule, &'p RunningPod);

/// What is at hand while a program is written.
struct Emitter<'p> {
    program: &'p Program,
    errors: Vec<EmitError>,
}

impl<'p> Emitter<'p> {
    /// The rules in force that name a gateway.
    fn rules(&self) -> impl Iterator<Item = (RuleId, &'p Rule, GatewayId)> + use<'p> {
        let program = self.program;
        let in_force = move |rule: &Rule| !program.blocks.at(rule.block).audit && rule.action == Action::Allow;
        let rules = program.rules.iter().filter(move |(_, rule)| in_force(rule));
        rules.filter_map(|(id, rule)| Some((id, rule, rule.gateway?)))
    }

    fn refuse(&mut self, origin: OriginId, message: String, help: impl Into<String>) {
        self.errors.push(EmitError { code: CODE, origin: Some(origin), message, help: help.into() });
    }

    fn needs_image(&mut self) {
        let message = "pods that do nothing hold the place of the addresses, and no container image for them is given";
        let help = "give `--vip-image` with the pause image that your nodes run";
        let code = "egress::target::option";
        self.errors.push(EmitError { code, origin: None, message: message.to_owned(), help: help.to_owned() });
    }

    fn needs_inventory(&mut self) {
        if let Some((id, rule, _)) = self.rules().next() {
            let name = self.program.rule_name(id);
            let message =
                format!("`{name}` needs a gateway, and which pod kube-vip would rewrite is known from the inventory");
            let help = "give `--inventory` with the JSON of `kubectl get pods,namespaces,nodes,services -A -o json`";
            let (code, origin) = ("egress::target::inventory", Some(rule.origin));
            self.errors.push(EmitError { code, origin, message, help: help.to_owned() });
        }
    }

    /// The Services that the rules ask for.
    fn services(&mut self, inventory: &'p Inventory) -> Vec<Planned<'p>> {
        let mut wanted: BTreeMap<(GatewayId, String), Vec<Wanted<'p>>> = BTreeMap::new();
        for (id, rule, gateway) in self.rules() {
            let block = self.program.blocks.at(rule.block);
            match selector::only_pod(self.program.workloads_of(block), inventory) {
                Ok(pod) => wanted.entry((gateway, selector::shown(pod))).or_default().push((id, rule, pod)),
                Err(refusal) => {
                    let name = self.program.rule_name(id);
                    self.refuse(rule.origin, format!("`{name}`: {}", refusal.reason), refusal.help);
                }
            }
        }
        let mut services = Vec::new();
        let mut taken: BTreeMap<(GatewayId, bool), usize> = BTreeMap::new();
        for ((gateway, _), rules) in &wanted {
            for family in Family::BOTH {
                let place = taken.entry((*gateway, family == Family::V6)).or_default();
                if let Some(service) = self.service(*gateway, rules, family == Family::V6, *place, inventory) {
                    services.push(service);
                    *place += 1;
                }
            }
        }
        services
    }

    /// The Service of one pod for a gateway in a family, if it sends anything there.
    fn service(
        &mut self,
        id: GatewayId,
        rules: &[Wanted<'p>],
        v6: bool,
        place: usize,
        inventory: &Inventory,
    ) -> Option<Planned<'p>> {
        let (first, rule, pod) = rules.first()?;
        let gateway = self.program.gateways.at(id);
        let said = format!("`{}` through gateway `{}`", self.program.rule_name(*first), gateway.name);
        if pod.addresses.is_empty() {
            let message = format!("{said}: the pod `{}` has no address yet", selector::shown(pod));
            self.refuse(rule.origin, message, "take the inventory again when it runs");
            return None;
        }
        if !pod.addresses.iter().any(|address| address.is_ipv6() == v6) {
            return None;
        }
        let cells = demand::cells(self.program, pod, v6);
        if cells.iter().all(|cell| cell.needs(id).is_empty()) {
            return None;
        }
        let address = self.address(gateway, v6, place, rule, &said)?;
        self.check_cluster(v6, rule, &said);
        self.check_node(gateway, pod, inventory, rule, &said);
        let inside = family_of(&self.program.cluster.inside, v6);
        let lists = choice::lists(&cells, id, v6, &inside).map_err(|refusal| {
            self.refuse(rule.origin, format!("{said}: {}", refusal.reason), refusal.help);
        });
        let selector = self.selector(rules, pod, inventory, rule, &said);
        let name = self.name(gateway, v6, place, rule)?;
        let rules = rules.iter().map(|(id, ..)| *id).collect();
        Some(Planned { name, gateway, rules, pod, selector: selector?, address, lists: lists.ok()? })
    }

    /// The address that the pod gets: each pod needs one of its own.
    fn address(&mut self, gateway: &Gateway, v6: bool, place: usize, rule: &Rule, said: &str) -> Option<IpAddr> {
        let family = if v6 { "IPv6" } else { "IPv4" };
        let of_family: Vec<_> = gateway.addresses.iter().filter(|it| it.address.is_ipv6() == v6).collect();
        let Some(found) = of_family.get(place) else {
            let (message, help) = if of_family.is_empty() {
                let message = format!(
                    "{said}: the gateway has no {family} address, and there are {family} flows to send through it"
                );
                (message, format!("give the gateway an {family} address, or deny these flows"))
            } else {
                let message = format!(
                    "{said}: kube-vip rewrites one pod for each address, and the gateway has {} of {family}",
                    of_family.len()
                );
                (message, "give the gateway more addresses, or use the target cilium, nftables or ebpf".to_owned())
            };
            self.refuse(rule.origin, message, help);
            return None;
        };
        if !found.managed {
            let message = format!(
                "{said}: kube-vip brings `{}` up by itself, and the policy says that somebody else does",
                found.address
            );
            self.refuse(rule.origin, message, format!("write `address {} managed`", found.address));
            return None;
        }
        Some(found.address)
    }

    /// Without ranges of its family in kube-vip's environment, kube-vip rewrites nothing.
    fn check_cluster(&mut self, v6: bool, rule: &Rule, said: &str) {
        let cluster = &self.program.cluster;
        let missing = [("pods", &cluster.pods), ("services", &cluster.services)];
        for (what, _) in missing.into_iter().filter(|(_, set)| set.of_family(v6).is_empty()) {
            let family = if v6 { "IPv6" } else { "IPv4" };
            let message =
                format!("{said}: kube-vip must be told the cluster's {family} range of {what}, and none is declared");
            let (code, help) = ("egress::target::cluster", format!("declare it: `cluster NAME {{ {what} … }}`"));
            self.errors.push(EmitError { code, origin: Some(rule.origin), message, help });
        }
    }

    /// With `externalTrafficPolicy: Local` the address is on the pod's own node.
    fn check_node(&mut self, gateway: &Gateway, pod: &RunningPod, inventory: &Inventory, rule: &Rule, said: &str) {
        let Some(wanted) = &gateway.nodes else { return };
        let node = inventory.nodes.iter().find(|node| pod.node.as_ref() == Some(&node.name));
        if node.is_some_and(|node| wanted.matches(&node.labels)) {
            return;
        }
        let on = pod.node.as_ref().map_or_else(|| "no node yet".to_owned(), |node| format!("`{node}`"));
        let message = format!(
            "{said}: kube-vip brings the address up on the node of the pod `{}`, and {on} is not known to be one of the gateway's nodes",
            selector::shown(pod)
        );
        let help = "schedule the pod on these nodes, leave `nodes(…)` out, or use the target cilium, nftables or ebpf";
        self.refuse(rule.origin, message, help);
    }

    fn selector(
        &mut self,
        rules: &[Wanted<'p>],
        pod: &RunningPod,
        inventory: &Inventory,
        rule: &Rule,
        said: &str,
    ) -> Option<egress_ir::Labels> {
        let set = |rule: &Rule| self.program.workloads_of(self.program.blocks.at(rule.block));
        let mut found = rules.iter().map(|(_, rule, _)| selector::labels(set(rule), pod, inventory));
        match found.clone().find_map(Result::ok).map_or_else(|| found.next(), |labels| Some(Ok(labels)))? {
            Ok(labels) => Some(labels),
            Err(refusal) => {
                self.refuse(rule.origin, format!("{said}: {}", refusal.reason), refusal.help);
                None
            }
        }
    }

    fn name(&mut self, gateway: &Gateway, v6: bool, place: usize, rule: &Rule) -> Option<String> {
        let mut name = service_name(&gateway.name, v6);
        if place > 0 {
            name.push_str(&format!("-{}", place + 1));
        }
        self.fits(&name, rule.origin).then_some(name)
    }

    /// Whether a name is one that the API server takes; complains if not.
    fn fits(&mut self, name: &str, origin: OriginId) -> bool {
        let fits = name.len() <= LONGEST_NAME;
        if !fits {
            let message =
                format!("`{name}` is longer than the {LONGEST_NAME} characters that a Service's name may have");
            let help = "use a shorter name for the gateway".to_owned();
            self.errors.push(EmitError { code: "egress::target::name", origin: Some(origin), message, help });
        }
        fits
    }
}

/// The part of a set that is of one family.
fn family_of(set: &AddressSet, v6: bool) -> AddressSet {
    let everything = AddressSet::full();
    let family = if v6 {
        AddressSet { v6: everything.v6, ..AddressSet::default() }
    } else {
        AddressSet { v4: everything.v4, ..AddressSet::default() }
    };
    set.intersection(&family)
}
