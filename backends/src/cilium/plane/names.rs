//! Names: which of them a pod learns, and what learned names open.
//!
//! In: the rules that enforce on a sender. Out: guards over the classes of names of a [`Vocabulary`]. A name opens an
//! address only if the pod's question for it went through the proxy of Cilium and was forwarded.

use std::collections::{BTreeMap, BTreeSet};

use egress_ir::classes::possible_sources;
use egress_ir::plane::{Guard, PortsId};
use egress_ir::{HostPattern, Pod, Port, PortSet, Program, Unclear, Vocabulary, Workload};

use super::super::model::{PortMatch, Proxy};
use super::super::names::NamePattern;
use super::outside::world_identities;
use super::rules::{Compiled, Rule};
use super::{CLASSES, Enforced, ModelPlane, ports, unclear};

/// Where questions go.
const QUERY: u16 = 53;

/// A pattern as the language has it, if it means exactly the same.
pub(super) fn host(pattern: &NamePattern) -> Option<HostPattern> {
    let NamePattern::Labels { deeper, labels } = pattern else { return None };
    let plain = |labels: &[String]| {
        let plain = !labels.is_empty() && labels.iter().all(|label| !label.is_empty() && !label.contains('*'));
        plain.then(|| labels.join("."))
    };
    match (deeper, labels.split_first()) {
        (true, _) => plain(labels).map(HostPattern::AnyLabels),
        (false, Some((first, rest))) if first == "*" => plain(rest).map(HostPattern::OneLabel),
        (false, _) => plain(labels).map(HostPattern::Exact),
    }
}

/// One pod of each kind that may resolve names, as far as rules about questions can tell them apart.
pub(super) fn resolvers(program: &Program, compiled: &Compiled<'_>) -> Result<Vec<Pod>, Unclear> {
    let Some(dns) = program.cluster.dns else { return Ok(Vec::new()) };
    let mut scratch = Program::default();
    let dns = scratch.workload_sets.push(program.workload_sets.at(dns).clone());
    let mut ids = BTreeSet::from([dns]);
    let rules = compiled.specs.iter().flat_map(|spec| spec.denies.iter().chain(&spec.allows));
    // Rules without ports leave the proxy in place, and a rule that selects by something unclear is asked later on.
    let about = rules.filter(|rule| rule.ports.contains(Port::udp(QUERY)));
    let sets: BTreeSet<_> = about.flat_map(|rule| rule.pods().unwrap_or_default()).collect();
    for set in sets {
        ids.insert(scratch.workload_sets.push(compiled.endpoints.workload_sets.at(set).clone()));
    }
    let classes = possible_sources(&scratch, &ids, CLASSES).map_err(|error| unclear(error.to_string()))?;
    Ok(classes.into_iter().filter(|class| class.sets.contains(&dns)).filter_map(|class| class.pod).collect())
}

/// What learned names open for a sender: for each set of ports the names that open them.
pub(super) fn guards(
    plane: &ModelPlane<'_>,
    enforced: &Enforced<'_>,
    vocabulary: &mut Vocabulary,
) -> Result<Vec<(Guard, PortsId)>, Unclear> {
    let opens = |rule: &&&Rule<'_>| !rule.names.is_empty() && !rule.ports.is_empty();
    let named: Vec<&Rule<'_>> = enforced.allows.iter().filter(opens).copied().collect();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let learned = learned(plane, enforced)?;
    if learned.is_nothing() {
        return Ok(Vec::new());
    }
    let mut opened: BTreeMap<&PortSet, BTreeSet<HostPattern>> = BTreeMap::new();
    for rule in named {
        let patterns = hosts(rule)?;
        let uncertain = |name: &&String| {
            patterns.iter().any(|pattern| pattern.matches(name)) && learned.perhaps(name) && !learned.surely(name)
        };
        if !learned.is_certain()
            && let Some(name) = vocabulary.names().iter().find(uncertain)
        {
            return Err(not_certain(rule, name));
        }
        opened.entry(&rule.ports).or_default().extend(patterns);
    }
    let mut guards = Vec::new();
    for (ports, patterns) in opened {
        let opens = |name: &str| patterns.iter().any(|pattern| pattern.matches(name)) && learned.surely(name);
        guards.extend(vocabulary.guard(opens).map(|guard| (guard, vocabulary.ports(ports))));
    }
    guards.sort_unstable();
    Ok(guards)
}

fn not_certain(rule: &Rule<'_>, name: &str) -> Unclear {
    unclear(format!(
        "`{}` opens what `{name}` resolves to, and it is not certain that pods learn that name: DNS rules forward \
         questions for it to some name servers, but not to every pod of the cluster's `dns`",
        rule.object
    ))
}

/// The patterns of a rule as the language has them.
fn hosts(rule: &Rule<'_>) -> Result<BTreeSet<HostPattern>, Unclear> {
    let of = |pattern: &&NamePattern| {
        host(pattern).ok_or_else(|| {
            unclear(format!(
                "`{}` opens names by the pattern `{pattern}`, which is neither a name nor `*.` or `**.` before one",
                rule.object
            ))
        })
    };
    rule.names.iter().map(of).collect()
}

/// Names whose questions are forwarded.
#[derive(Debug, Default, PartialEq)]
struct Forwarded<'p> {
    every: bool,
    hosts: BTreeSet<HostPattern>,
    /// Patterns that the classes of names do not know.
    others: Vec<&'p NamePattern>,
}

/// What a sender may learn.
struct Learned<'p> {
    /// By the pods of `dns`, one entry for each kind of them that makes a difference.
    inside: Vec<Forwarded<'p>>,
    /// By anybody else.
    elsewhere: Forwarded<'p>,
}

impl<'p> Forwarded<'p> {
    fn add(&mut self, rule: &Rule<'p>, pattern: &'p NamePattern) {
        // A specification without default deny drops nothing, so its DNS rules forward every question.
        self.every |= !rule.default_deny || *pattern == NamePattern::Every;
        match host(pattern) {
            Some(host) => drop(self.hosts.insert(host)),
            None => self.others.push(pattern),
        }
    }

    fn surely(&self, name: &str) -> bool {
        self.every || self.hosts.iter().any(|pattern| pattern.matches(name))
    }

    fn perhaps(&self, name: &str) -> bool {
        self.surely(name) || !self.others.is_empty()
    }
}

impl Learned<'_> {
    fn surely(&self, name: &str) -> bool {
        !self.inside.is_empty() && self.inside.iter().all(|one| one.surely(name))
    }

    fn perhaps(&self, name: &str) -> bool {
        self.inside.iter().chain([&self.elsewhere]).any(|one| one.perhaps(name))
    }

    /// Whether every name is either learned or not, whoever is asked.
    fn is_certain(&self) -> bool {
        let inside = matches!(self.inside.as_slice(), [only] if only.others.is_empty());
        inside && self.elsewhere == Forwarded::default()
    }

    fn is_nothing(&self) -> bool {
        self.inside.iter().chain([&self.elsewhere]).all(|one| *one == Forwarded::default())
    }
}

fn learned<'p>(plane: &'p ModelPlane<'_>, enforced: &Enforced<'p>) -> Result<Learned<'p>, Unclear> {
    let resolvers = plane.resolvers.as_ref().map_err(Clone::clone)?;
    let mut inside: Vec<Forwarded<'p>> = Vec::new();
    for resolver in resolvers {
        let forwarded = forwarded_to(plane, enforced, resolver)?;
        if !inside.contains(&forwarded) {
            inside.push(forwarded);
        }
    }
    let mut elsewhere = Forwarded::default();
    for rule in enforced.allows.iter().filter(|rule| resolvers.is_empty() || leaves(rule)) {
        questions(rule, |_| true).for_each(|pattern| elsewhere.add(rule, pattern));
    }
    Ok(Learned { inside, elsewhere })
}

/// Whether a rule matches some address outside the cluster.
pub(super) fn leaves(rule: &Rule<'_>) -> bool {
    let worlds = [false, true].map(world_identities);
    let by_what_it_is = worlds.iter().flatten().any(|identity| rule.matches(identity));
    rule.cidrs.is_some() || !rule.names.is_empty() || by_what_it_is
}

/// The names whose questions to one pod go through the proxy and are forwarded.
fn forwarded_to<'p>(plane: &ModelPlane<'_>, enforced: &Enforced<'p>, resolver: &Pod) -> Result<Forwarded<'p>, Unclear> {
    let mut forwarded = Forwarded::default();
    let here = Port::udp(QUERY);
    for rule in &enforced.denies {
        if hits(plane, rule, resolver)? {
            return Ok(forwarded);
        }
    }
    for rule in enforced.allows.iter().filter(|rule| !rule.all_ports) {
        if !hits(plane, rule, resolver)? {
            continue;
        }
        let covers = |entry: &PortMatch| ports::one(entry).contains(here);
        // Without a proxy in one rule there is none at all.
        if rule.entries.iter().any(|entry| entry.proxy.is_none() && covers(entry)) {
            return Ok(Forwarded::default());
        }
        questions(rule, covers).for_each(|pattern| forwarded.add(rule, pattern));
    }
    Ok(forwarded)
}

/// Whether a rule is about questions to this pod.
fn hits(plane: &ModelPlane<'_>, rule: &Rule<'_>, resolver: &Pod) -> Result<bool, Unclear> {
    let here = Port::udp(QUERY);
    if !rule.ports.contains(here) && !rule.named_ports.contains(here) {
        return Ok(false);
    }
    let resolver = Workload::Pod(resolver.clone());
    let sets = &plane.compiled.endpoints.workload_sets;
    let hits = rule.matches_pods_as_such() || rule.pods()?.into_iter().any(|set| sets.at(set).contains(&resolver));
    if hits && rule.named_ports.contains(here) {
        return Err(unclear(format!(
            "`{}` names a port of the pods that resolve names, and not its number",
            rule.object
        )));
    }
    Ok(hits)
}

/// The patterns of a rule's questions on some of its ports.
fn questions<'p>(rule: &Rule<'p>, on: impl Fn(&PortMatch) -> bool) -> impl Iterator<Item = &'p NamePattern> {
    let patterns = rule.entries.iter().filter(move |entry| on(entry)).filter_map(|entry| match &entry.proxy {
        Some(Proxy::Dns(patterns)) => Some(patterns),
        Some(Proxy::Http) | None => None,
    });
    patterns.flatten()
}
