//! One policy or guardrail: its selectors and the entries of its rules.

use egress_ir::{Action, Block, BlockId, BlockKind, DestinationSet, HostPattern, OriginId, Rule, RuleId, WorkloadSet};

use super::super::super::target::Level;
use super::addresses::{self, Cidrs};
use super::objects::{Entry, Policy, Writer};
use super::ports::{self, Form};
use super::render::{Yaml, map, text};
use super::selectors::{Conjunct, every_pod};
use super::{Emitter, cover, names};

/// Writes one block that is not in audit mode.
pub(super) fn write(
    emitter: &mut Emitter<'_>,
    id: BlockId,
    block: &Block,
    dns: Option<&Yaml>,
    writer: &mut Writer<'_>,
) {
    let program = emitter.program;
    let set = program.workloads_of(block);
    let conjuncts = emitter.conjuncts(set, block.origin, &format!("`{}`", block.name));
    let governs = block.kind == BlockKind::Policy;
    remarks(emitter, set, governs);
    if governs {
        resolver(emitter, block, &conjuncts);
    }
    let namespace = same_namespace(&conjuncts).filter(|_| emitter.options.namespaced);
    let selectors = selectors(emitter, block, &conjuncts, namespace.is_some());
    let mut entries = Entries { id, dns, needs_dns: false, all: Vec::new() };
    for action in [Action::Allow, Action::Deny] {
        for rule in emitter.rules(block, action).collect::<Vec<_>>() {
            entries.rule(emitter, rule, writer);
        }
    }
    let mut base = if governs { inside(&program.cluster.inside) } else { Vec::new() };
    if let Some(dns) = dns.filter(|_| entries.needs_dns) {
        base.push(Entry::base("names are learned from the answers of the cluster's resolver", dns.clone()));
    }
    let says_something = !base.is_empty() || !entries.all.is_empty();
    if says_something && !selectors.is_empty() {
        let entries = entries.all;
        writer.policy(Policy { id, block, governs, namespace, selectors, conjuncts, base, entries });
    }
}

/// What the user should know about every block of this kind.
fn remarks(emitter: &mut Emitter<'_>, set: &WorkloadSet, governs: bool) {
    if holds_everybody(set) {
        let message = "`all` means every pod here: address workloads are enforced where they pass, not by Cilium";
        emitter.notice(Level::Note, "egress::target::address-workloads", None, message, "");
    }
    if governs {
        let message = "pods and nodes are inside by what they are, whatever their addresses; anything else, API servers \
                       included, is inside only within the cluster's ranges";
        let help = "see that `pods` and `nodes` of the cluster cover every address that pods and nodes have";
        emitter.notice(Level::Note, "egress::target::inside", None, message, help);
    }
}

/// A policy that governs the cluster's resolver also stops it from asking servers outside.
fn resolver(emitter: &mut Emitter<'_>, block: &Block, conjuncts: &[Conjunct]) {
    let program = emitter.program;
    let dns = program.cluster.dns.map(|id| super::selectors::conjuncts(program.workload_sets.at(id)));
    let Some(Ok(dns)) = dns else { return };
    if dns.iter().any(|dns| conjuncts.iter().any(|own| dns.is_within(own))) {
        let message = format!(
            "`{}` governs the cluster's resolver too: it reaches outside name servers only if a rule allows it",
            block.name
        );
        let help = "give the resolver a policy that allows its upstream servers, or leave it out with `except`";
        emitter.notice(Level::Note, "egress::target::resolver", Some(block.origin), message, help);
    }
}

fn selectors(emitter: &mut Emitter<'_>, block: &Block, conjuncts: &[Conjunct], namespaced: bool) -> Vec<Yaml> {
    let mut selectors = Vec::new();
    for conjunct in conjuncts {
        match conjunct.selector(namespaced) {
            Ok(selector) => selectors.push(selector),
            Err(why) => {
                let message = format!("`{}`: {}", block.name, why.message);
                emitter.error("egress::target::label", block.origin, message, why.help);
            }
        }
    }
    selectors
}

/// Whether `all` is a part of the set.
fn holds_everybody(set: &WorkloadSet) -> bool {
    match set {
        WorkloadSet::All => true,
        WorkloadSet::Pods(_) | WorkloadSet::Address(_) => false,
        WorkloadSet::Union(sets) => sets.iter().any(holds_everybody),
        WorkloadSet::Except(set, _) => holds_everybody(set),
    }
}

fn same_namespace(conjuncts: &[Conjunct]) -> Option<String> {
    let first = conjuncts.first()?.only_namespace()?;
    conjuncts.iter().all(|conjunct| conjunct.only_namespace() == Some(first)).then(|| first.to_owned())
}

/// What is inside the cluster passes: pods and nodes by what they are, anything else there by its address.
///
/// The entity `cluster` would do for the first, but it also holds API servers outside the cluster.
fn inside(ranges: &egress_ir::AddressSet) -> Vec<Entry> {
    let why = "what is inside the cluster is not governed";
    let entities = ["host", "remote-node", "init", "ingress", "health", "unmanaged"];
    let prefixes = ranges.prefixes();
    vec![
        Entry::base(why, map([("toEndpoints", Yaml::list([every_pod()]))])),
        Entry::base("", map([("toEntities", Yaml::list(entities.map(text)))])),
        Entry::base("", map([("toCIDR", Yaml::list(prefixes.iter().map(|prefix| text(prefix.to_string()))))])),
    ]
}

/// The entries of one block's rules.
struct Entries<'p> {
    id: BlockId,
    dns: Option<&'p Yaml>,
    needs_dns: bool,
    all: Vec<Entry>,
}

impl Entries<'_> {
    fn rule(&mut self, emitter: &mut Emitter<'_>, id: RuleId, writer: &mut Writer<'_>) {
        let program = emitter.program;
        let rule = program.rules.at(id);
        let destinations = program.destination_sets.at(rule.destinations);
        let set = program.port_sets.at(rule.ports);
        self.remarks(emitter, rule);
        let form = match ports::form(set) {
            Ok(form) => form,
            Err(why) => return emitter.error(why.code, rule.origin, why.message, why.help),
        };
        if set.is_empty() {
            return;
        }
        self.addresses(emitter, id, rule, destinations, &form, writer);
        self.hosts(emitter, id, rule, destinations, &form);
    }

    fn remarks(&self, emitter: &mut Emitter<'_>, rule: &Rule) {
        if rule.log {
            let message = "Cilium has no log per rule: its flow records name the policy, not the rule";
            emitter.notice(
                Level::Warning,
                "egress::target::log",
                Some(rule.origin),
                message,
                "collect the flows with Hubble",
            );
        }
    }

    fn addresses(
        &mut self,
        emitter: &mut Emitter<'_>,
        id: RuleId,
        rule: &Rule,
        destinations: &DestinationSet,
        form: &Form,
        writer: &mut Writer<'_>,
    ) {
        let inside = &emitter.program.cluster.inside;
        let cidrs: Cidrs = match rule.action {
            Action::Allow => addresses::allowed(&destinations.addresses, inside),
            Action::Deny => addresses::denied(&destinations.addresses, inside),
        };
        if cidrs.entries.is_empty() {
            return;
        }
        if cover::has_mapped(cidrs.entries.iter().flat_map(|(prefix, except)| except.iter().chain([prefix]))) {
            return emitter.mapped(Some(rule.origin));
        }
        let list = writer.cidr_set(self.id, &cidrs, ports::table_keys(form));
        self.push(id, rule, ("toCIDRSet", list), form);
    }

    fn hosts(
        &mut self,
        emitter: &mut Emitter<'_>,
        id: RuleId,
        rule: &Rule,
        destinations: &DestinationSet,
        form: &Form,
    ) {
        if destinations.hosts.is_empty() {
            return;
        }
        if let Some((code, message, help)) = self.against_names(rule, form) {
            return emitter.error(code, rule.origin, message, help);
        }
        let mut names = Vec::new();
        for host in &destinations.hosts {
            match name(host) {
                Some(name) => names.push(name),
                None => return bad_name(emitter, rule.origin, host),
            }
        }
        let message = "names that share an address are allowed together: Cilium enforces on the addresses it saw";
        emitter.notice(Level::Note, "egress::target::shared-address", None, message, "");
        self.needs_dns = true;
        self.push(id, rule, ("toFQDNs", Yaml::list(names)), form);
    }

    /// What speaks against names in this rule: code, message and way out.
    fn against_names(&self, rule: &Rule, form: &Form) -> Option<(&'static str, &'static str, &'static str)> {
        if rule.action == Action::Deny {
            let help = "deny the addresses, or allow only the names that are meant";
            return Some(("egress::target::host-deny", "Cilium cannot deny names", help));
        }
        if matches!(form, Form::Entries { icmps, .. } if !icmps.is_empty()) {
            let message = "Cilium combines names with ports of TCP, UDP and SCTP only";
            return Some(("egress::target::host", message, "give names and ICMP types rules of their own"));
        }
        if self.dns.is_none() {
            let message =
                "Cilium learns names only from answers of the cluster's resolver, which is not declared or no pod";
            let help = "declare it: `cluster … { … dns pods(k8s-app=kube-dns) in namespace kube-system }`";
            return Some(("egress::target::dns", message, help));
        }
        None
    }

    /// One entry for the ports and one for the ICMP types, or one without either.
    fn push(&mut self, id: RuleId, rule: &Rule, (field, peers): (&str, Yaml), form: &Form) {
        let mut push = |ports: Option<(&str, Yaml)>| {
            let mut fields = vec![(field.to_owned(), peers.clone())];
            fields.extend(ports.map(|(field, ports)| (field.to_owned(), ports)));
            self.all.push(Entry {
                rule: Some(id),
                action: rule.action,
                comment: String::new(),
                value: Yaml::Map(fields),
            });
        };
        match form {
            Form::All => push(None),
            Form::Entries { ports, icmps } => {
                if !ports.is_empty() {
                    push(Some(("toPorts", ports::to_ports(ports))));
                }
                if !icmps.is_empty() {
                    push(Some(("icmps", ports::to_icmps(icmps))));
                }
            }
        }
    }
}

fn bad_name(emitter: &mut Emitter<'_>, origin: OriginId, host: &HostPattern) {
    let message = format!("`{host}` is not a name that Cilium's schema takes");
    emitter.error(
        "egress::target::host",
        origin,
        message,
        "a name has at most 250 letters, digits, `-`, `_` and single dots",
    );
}

fn name(host: &HostPattern) -> Option<Yaml> {
    let (field, known, shown) = match host {
        HostPattern::Exact(name) => ("matchName", name, name.clone()),
        HostPattern::OneLabel(suffix) => ("matchPattern", suffix, format!("*.{suffix}")),
        HostPattern::AnyLabels(suffix) => ("matchPattern", suffix, format!("**.{suffix}")),
    };
    names::is_domain(known).then(|| map([(field, text(shown))]))
}
