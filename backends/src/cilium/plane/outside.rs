//! Pieces: the addresses of one family, cut where some rule of the sender begins or ends.
//!
//! In: the rules that enforce on a sender, and where its gateways take flows. Out: pieces with lists. An address outside the cluster has the identity of
//! the world; whether it is an API server as well, and whether the cluster has both families, policies do not say.

use std::collections::{BTreeMap, BTreeSet};

use egress_ir::classes::{Keys, sweep};
use egress_ir::plane::{Entry, Guard, List, ListId, PortsId};
use egress_ir::{AddressSet, Outcome, Piece, Point, PortSet, RangeSet, Unclear, Vocabulary};

use super::inside::{Inside, combined};
use super::rules::{Identity, Rule};
use super::{Enforced, ModelPlane, Route, names, unclear};

/// What an address outside the cluster may be: of the world in a cluster of both families or of one, and an API server
/// or not.
pub(super) fn world_identities(v6: bool) -> [Identity; 4] {
    let dual = if v6 { "world-ipv6" } else { "world-ipv4" };
    [vec![dual], vec![dual, "kube-apiserver"], vec!["world"], vec!["world", "kube-apiserver"]]
        .map(|names| Identity::reserved(&names, Some(v6)))
}

/// The pieces of one family for one sender.
pub(super) fn pieces<A: Point + Into<u128>>(
    plane: &ModelPlane<'_>,
    enforced: &Enforced<'_>,
    routes: &[(Route, AddressSet)],
    v6: bool,
    family: impl Fn(&AddressSet) -> &RangeSet<A>,
    vocabulary: &mut Vocabulary,
) -> Result<Vec<Piece>, Unclear> {
    let mut by_set: BTreeMap<usize, Ports> = BTreeMap::new();
    for (rules, deny) in [(&enforced.denies, true), (&enforced.allows, false)] {
        for rule in rules.iter().filter(|rule| !rule.ports.is_empty()) {
            let Some(set) = rule.cidrs else { continue };
            by_set.entry(set).or_default().add(vocabulary.ports(&rule.ports), deny);
        }
    }
    let cidrs = by_set.keys().filter_map(|&set| plane.compiled.cidrs.sets.get(set));
    // The inside is the first set, so it is the first member wherever it is one.
    let routed = routes.iter().map(|(_, addresses)| addresses);
    let sets: Vec<&RangeSet<A>> = std::iter::once(&plane.inside).chain(cidrs).chain(routed).map(family).collect();
    let by_member: Vec<Ports> = std::iter::once(Ports::default()).chain(by_set.into_values()).collect();
    let mut lists = Lists::new(plane, enforced, v6, by_member, routes, vocabulary)?;
    let mut keys = Keys::default();
    let segments = sweep(&sets, &RangeSet::empty(), &mut keys);
    let mut known: Vec<Option<ListId>> = vec![None; keys.len()];
    let mut pieces: Vec<Piece> = Vec::with_capacity(segments.len());
    for segment in segments {
        let known = known.get_mut(segment.key.index());
        let list = match known.as_deref() {
            Some(Some(list)) => *list,
            _ => lists.of(keys.list(segment.key), vocabulary)?,
        };
        if let Some(known) = known {
            *known = Some(list);
        }
        match pieces.last_mut() {
            Some(last) if last.list == list => last.end = segment.end.into(),
            _ => pieces.push(Piece { start: segment.start.into(), end: segment.end.into(), list }),
        }
    }
    Ok(pieces)
}

/// Ports that are denied and allowed, sorted, each set once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) denied: Vec<PortsId>,
    pub(super) allowed: Vec<PortsId>,
}

impl Ports {
    fn add(&mut self, ports: PortsId, deny: bool) {
        let all = if deny { &mut self.denied } else { &mut self.allowed };
        if let Err(place) = all.binary_search(&ports) {
            all.insert(place, ports);
        }
    }

    fn with(&self, others: &[&Self]) -> Self {
        let merged = |of: fn(&Self) -> &Vec<PortsId>| {
            let mut all = of(self).clone();
            others.iter().for_each(|other| all.extend(of(other)));
            all.sort_unstable();
            all.dedup();
            all
        };
        Self { denied: merged(|ports| &ports.denied), allowed: merged(|ports| &ports.allowed) }
    }
}

/// Makes lists for one sender and family.
struct Lists<'p> {
    plane: &'p ModelPlane<'p>,
    enforced: &'p Enforced<'p>,
    v6: bool,
    /// Ports by member of the sweep.
    by_member: Vec<Ports>,
    /// What the members after these are.
    routes: &'p [(Route, AddressSet)],
    /// What holds everywhere, for each distinct way to see an address.
    views: Vec<Ports>,
    /// What learned names open.
    named: Vec<(Guard, PortsId)>,
    any: PortsId,
    inside: Option<Inside>,
}

impl<'p> Lists<'p> {
    fn new(
        plane: &'p ModelPlane<'p>,
        enforced: &'p Enforced<'p>,
        v6: bool,
        by_member: Vec<Ports>,
        routes: &'p [(Route, AddressSet)],
        vocabulary: &mut Vocabulary,
    ) -> Result<Self, Unclear> {
        let mut views = Vec::new();
        for identity in world_identities(v6) {
            let view = view(enforced, &identity, vocabulary);
            if !views.contains(&view) {
                views.push(view);
            }
        }
        let any = vocabulary.ports(&PortSet::any());
        let decided = !enforced.default_deny || views.iter().all(|view| view.allowed.contains(&any));
        let named = if decided { Vec::new() } else { names::guards(plane, enforced, vocabulary)? };
        Ok(Self { plane, enforced, v6, by_member, routes, views, named, any, inside: None })
    }

    fn of(&mut self, members: &[u32], vocabulary: &mut Vocabulary) -> Result<ListId, Unclear> {
        let of_address: Vec<&Ports> =
            members.iter().filter_map(|&member| self.by_member.get(member as usize)).collect();
        let seen: Vec<Ports> = self.views.iter().map(|view| view.with(&of_address)).collect();
        let route = members.iter().find_map(|&member| {
            let place = (member as usize).checked_sub(self.by_member.len())?;
            self.routes.get(place).map(|(route, _)| route)
        });
        let pass = match route {
            Some(Route::Through(outcome)) => *outcome,
            Some(Route::Unclear(_)) | None => Outcome::Passes(None),
        };
        let list = if members.first() == Some(&0) {
            self.inside(&seen, pass, vocabulary)?
        } else {
            let mut lists: Vec<List> = seen.iter().map(|ports| self.outside(ports, pass)).collect();
            lists.dedup();
            <[List; 1]>::try_from(lists).map(|[list]| list).map_err(|_| self.tells_apart())?
        };
        let lets_pass = || list.default.passes() || list.entries.iter().any(|entry| entry.outcome.passes());
        match route {
            Some(Route::Unclear(why)) if lets_pass() => Err(unclear(why.clone())),
            _ => Ok(vocabulary.list(&list)),
        }
    }

    /// Denies first; then what is allowed by address and by name; then the default.
    fn outside(&self, ports: &Ports, pass: Outcome) -> List {
        let stop = Outcome::Dropped;
        if ports.denied.contains(&self.any) {
            return List { entries: Vec::new(), default: stop };
        }
        let always = |outcome| move |&ports: &PortsId| Entry { guard: Guard::Always, ports, outcome };
        let denied = ports.denied.iter().map(always(stop));
        if !self.enforced.default_deny || ports.allowed.contains(&self.any) {
            return List { entries: denied.collect(), default: pass };
        }
        let named = self.named.iter().map(|&(guard, ports)| Entry { guard, ports, outcome: pass });
        let allowed = ports.allowed.iter().map(always(pass));
        List { entries: denied.chain(allowed).chain(named).collect(), default: stop }
    }

    /// A gateway takes what is of the world there, so all that passes counts as taken, which never hides a difference.
    fn inside(&mut self, seen: &[Ports], pass: Outcome, vocabulary: &mut Vocabulary) -> Result<List, Unclear> {
        let inside = match &self.inside {
            Some(known) => known,
            None => self.inside.insert(super::inside::inside(self.plane, self.enforced)?),
        };
        Ok(combined(inside, seen, &self.named, self.enforced.default_deny, pass, vocabulary))
    }

    /// Why addresses outside the cluster cannot be treated as one.
    fn tells_apart(&self) -> Unclear {
        let identities = world_identities(self.v6);
        let differs = |rule: &&&Rule<'_>| {
            let matched: BTreeSet<bool> = identities.iter().map(|identity| rule.matches(identity)).collect();
            matched.len() > 1
        };
        let rule = self.enforced.denies.iter().chain(&self.enforced.allows).find(differs);
        let object = rule.map_or_else(String::new, |rule| format!("`{}` ", rule.object));
        unclear(format!(
            "{object}treats API servers unlike other addresses outside the cluster's ranges (by `cluster`, \
             `kube-apiserver` or a `reserved:` label), and policies do not say which addresses these are"
        ))
    }
}

/// What holds for every address of an identity of the world.
fn view(enforced: &Enforced<'_>, identity: &Identity, vocabulary: &mut Vocabulary) -> Ports {
    let mut ports = Ports::default();
    for (rules, deny) in [(&enforced.denies, true), (&enforced.allows, false)] {
        for rule in rules.iter().filter(|rule| !rule.ports.is_empty() && rule.matches(identity)) {
            ports.add(vocabulary.ports(&rule.ports), deny);
        }
    }
    ports
}
