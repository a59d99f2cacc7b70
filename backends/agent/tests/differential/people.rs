//! Who sends, and what must become of what they send: `egress_ir::eval`, asked for many flows of one workload at a time.
//!
//! In: a case. Out: [`Person`]s by workload or by source address, and what the meaning [`Said`] of their flows. Knows of
//! the snapshot only what its meta part says of identities; never looks into tables.

use crate::case::Case;
use egress_ir::{Decision, Destination, Flow, Pod, Port, RuleId, Speaking, Workload, protocol};
use egress_snapshot::meta::{self, Identity, Unknown};
use egress_testkit::packets::Read;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// What is said of a flow, by the meaning or by the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Said {
    pub(crate) verdict: meta::Verdict,
    pub(crate) rules: Vec<RuleId>,
    pub(crate) audit: Option<meta::Verdict>,
    pub(crate) log: bool,
    /// Whether flows of one fragment would differ.
    pub(crate) fragment: bool,
}

/// What must become of a packet, or what became of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    Malformed,
    Exempt,
    Judged(Said),
}

/// Somebody who sends.
struct Person<'c> {
    /// Nothing: a stranger.
    speaking: Option<Speaking<'c>>,
    /// The flow that was asked about last, so that its workload need not be copied.
    flow: Flow,
}

/// The place of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who(usize);

/// Everybody who has sent something.
pub(crate) struct People<'c> {
    case: &'c Case,
    people: Vec<Person<'c>>,
    by_address: HashMap<IpAddr, Who>,
    pods_by_address: HashMap<IpAddr, Pod>,
    /// By protocol: the numbers at which some port set begins, or has just ended.
    numbers: BTreeMap<u8, BTreeSet<u16>>,
}

/// Those of whom nobody knows anything.
pub(crate) const STRANGER: Who = Who(0);

impl<'c> People<'c> {
    pub(crate) fn new(case: &'c Case) -> Self {
        let pods = case.inventory.iter().flat_map(|inventory| &inventory.pods).filter(|pod| !pod.host_network);
        let pods_by_address =
            pods.flat_map(|pod| pod.addresses.iter().map(|address| (*address, pod.identity.clone()))).collect();
        let stranger = Person { speaking: None, flow: flow_of(Workload::Pod(Pod::default())) };
        let mut numbers: BTreeMap<u8, BTreeSet<u16>> = BTreeMap::new();
        for (protocol, first, last) in case.program.port_sets.values().flat_map(|set| set.per_protocol()) {
            numbers.entry(protocol).or_default().extend([Some(first), last.checked_add(1)].into_iter().flatten());
        }
        Self { case, people: vec![stranger], by_address: HashMap::new(), pods_by_address, numbers }
    }

    pub(crate) fn workload(&mut self, workload: Workload) -> Who {
        let speaking = Some(Speaking::about(&self.case.program, &workload));
        self.people.push(Person { speaking, flow: flow_of(workload) });
        Who(self.people.len() - 1)
    }

    /// Whoever sends from an address: a pod of the inventory, an unknown pod, or the address itself.
    pub(crate) fn at(&mut self, address: IpAddr) -> Who {
        if let Some(who) = self.by_address.get(&address) {
            return *who;
        }
        let who = match self.pods_by_address.get(&address) {
            Some(pod) => self.workload(Workload::Pod(pod.clone())),
            None if self.case.program.cluster.pods.contains(address) => STRANGER,
            None => self.workload(Workload::Address(address)),
        };
        self.by_address.insert(address, who);
        who
    }

    /// What must become of a packet that was read so, and whether it passes.
    /// The destination was learned by these names.
    pub(crate) fn fate(&mut self, who: Who, read: Option<&Read>, names: &BTreeSet<String>) -> (bool, Fate) {
        let Some(read) = read else { return (false, Fate::Malformed) };
        if read.exempt {
            return (true, Fate::Exempt);
        }
        self.people[who.0].flow.destination.names.clone_from(names);
        let (said, passes) = if read.fragment {
            self.fragment(who, read.destination, read.protocol)
        } else {
            self.flow(who, read.destination, Port::new(read.protocol, read.number))
        };
        (passes, Fate::Judged(said))
    }

    fn flow(&mut self, Who(who): Who, destination: IpAddr, port: Port) -> (Said, bool) {
        let person = &mut self.people[who];
        let Some(speaking) = &person.speaking else { return self.of_stranger(destination) };
        person.flow.destination.address = destination;
        person.flow.port = port;
        let decision = speaking.decide(&person.flow, |_| true);
        (said(self.case, &decision), decision.verdict.passes())
    }

    /// Strangers reach the inside, and for the rest what the compiler was told.
    fn of_stranger(&self, destination: IpAddr) -> (Said, bool) {
        let inside = self.case.program.cluster.contains(destination);
        let verdict = if inside { meta::Verdict::Inside } else { meta::Verdict::Unknown };
        let passes = inside || self.case.snapshot.meta.unknown == Unknown::Pass;
        (Said { verdict, rules: Vec::new(), audit: None, log: false, fragment: false }, passes)
    }

    /// A fragment passes only if its flow passes with every number that it may have; where they are all decided alike,
    /// it is decided so too.
    fn fragment(&mut self, who: Who, destination: IpAddr, of: u8) -> (Said, bool) {
        let numbered = protocol::WITH_PORTS.contains(&of) || matches!(of, protocol::ICMP | protocol::ICMPV6);
        let numbers: Vec<u16> = match self.numbers.get(&of) {
            Some(numbers) if numbered => [0].into_iter().chain(numbers.iter().copied()).collect(),
            _ => vec![0],
        };
        let mut found: Vec<(Said, bool)> = Vec::new();
        for number in numbers {
            let one = self.flow(who, destination, Port::new(of, number));
            if !found.contains(&one) {
                found.push(one);
            }
        }
        let way = |said: &Said| match said.verdict {
            meta::Verdict::Via(number) => Some(number),
            _ => None,
        };
        // Nobody knows by which of several ways a fragment would leave.
        let passes = found.iter().all(|(said, passes)| *passes && way(said) == way(&found[0].0));
        if let [(said, _)] = found.as_slice() {
            return (said.clone(), passes);
        }
        let log = found.iter().any(|(said, _)| said.log || said.audit.is_some());
        // One sender's flows to one place that pass all pass for one reason: it is inside, nobody governs, or rules allow.
        let verdict = if passes { found[0].0.verdict } else { meta::Verdict::Denied };
        (Said { verdict, rules: Vec::new(), audit: None, log, fragment: true }, passes)
    }
}

fn flow_of(workload: Workload) -> Flow {
    Flow { workload, destination: Destination::unnamed(IpAddr::from([0, 0, 0, 0])), port: Port::tcp(0) }
}

fn said(case: &Case, decision: &Decision) -> Said {
    let is = verdict(case, &decision.verdict);
    Said {
        verdict: is,
        rules: told(case, decision.rules.clone()),
        // Conflicts between other gateways are still conflicts.
        audit: decision.audit.as_ref().map(|audit| verdict(case, audit)).filter(|audit| *audit != is),
        log: decision.log,
        fragment: false,
    }
}

/// The rules, where all that decide are told apart: those about names only as far as they do different things.
fn told(case: &Case, rules: Vec<RuleId>) -> Vec<RuleId> {
    if case.snapshot.meta.names.is_none() { rules } else { Vec::new() }
}

fn verdict(case: &Case, verdict: &egress_ir::Verdict) -> meta::Verdict {
    match verdict {
        egress_ir::Verdict::Inside => meta::Verdict::Inside,
        egress_ir::Verdict::Ungoverned => meta::Verdict::Ungoverned,
        egress_ir::Verdict::Allowed(None) => meta::Verdict::Allowed,
        egress_ir::Verdict::Denied => meta::Verdict::Denied,
        egress_ir::Verdict::Allowed(Some(gateway)) => {
            let name = &case.program.gateways.at(*gateway).name;
            let known = case.snapshot.meta.gateways.iter().find(|known| known.name == *name);
            meta::Verdict::Via(known.unwrap_or_else(|| panic!("{}: `{name}` is not known", case.name)).number)
        }
        egress_ir::Verdict::Conflict(_) => meta::Verdict::Conflict,
    }
}

/// What the meaning says of the gateway in the mark of a packet that passes.
pub(crate) fn gateway(fate: &Fate) -> u32 {
    match fate {
        Fate::Judged(Said { verdict: meta::Verdict::Via(number), .. }) => *number,
        _ => 0,
    }
}

/// A pod as the meta part has it.
pub(crate) fn identity(pod: &Pod) -> Identity {
    Identity {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        namespace_labels: pod.namespace_labels.clone(),
        labels: pod.labels.clone(),
        service_account: pod.service_account.clone(),
    }
}

/// What the snapshot says of each outcome, in the program's own words: rules are found by their names.
pub(crate) fn outcomes(case: &Case) -> Vec<Said> {
    let program = &case.program;
    let ids: HashMap<&str, RuleId> = program.rules.ids().map(|id| (program.rule_name(id), id)).collect();
    assert_eq!(ids.len(), program.rules.len(), "{}: two rules have one name", case.name);
    let meta = &case.snapshot.meta;
    let rule = |rule: &u32| ids[meta.rules[*rule as usize].name.as_str()];
    let said = |outcome: &meta::Outcome| {
        let mut rules: Vec<RuleId> = outcome.rules.iter().map(rule).collect();
        rules.sort_unstable();
        let rules = told(case, rules);
        let (verdict, audit, log) = (outcome.verdict, outcome.audit, outcome.log);
        Said { verdict, rules, audit, log, fragment: outcome.fragment }
    };
    meta.outcomes.iter().map(said).collect()
}
