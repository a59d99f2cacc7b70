//! Questions about one rule at one place, asked as lists.
//!
//! In: a place and a rule. Out: whether some packet is there for which it is true. A question is a list that passes
//! exactly such packets, or two lists that differ on them; what a list says is read from its table, which z3 judges.

use super::cells::{Place, Word};
use crate::answer::Answer;
use crate::compare::Fault;
use crate::lists::{Combination, Key, Lists, TableId};
use crate::program::policy_list;
use crate::prover::Prover;
use egress_ir::plane::{Entry, Guard, List, ListId, NamesId, PortsId};
use egress_ir::{Action, Outcome, PortSet, Program, RuleId, Unclear};
use rustc_hash::FxHashMap;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::rc::Rc;

/// Asks and answers.
pub(super) struct Questions<'w> {
    program: &'w Program,
    lists: Lists,
    prover: &'w mut Prover,
    ports: FxHashMap<RuleId, (PortsId, PortsId)>,
    guards: FxHashMap<RuleId, Option<Guard>>,
    /// Whether two tables differ on a port that a packet of the family can have.
    compared: FxHashMap<(TableId, TableId, bool), bool>,
}

/// A place about which questions are asked.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) place: Place,
    /// What its rules say, from the first question on.
    spoken: OnceCell<Vec<Spoken>>,
    /// What they decide together, from the first question about that on.
    policy: OnceCell<ListId>,
}

impl From<Place> for Site {
    fn from(place: Place) -> Self {
        Self { place, spoken: OnceCell::new(), policy: OnceCell::new() }
    }
}

/// A rule in words of the vocabulary.
#[derive(Clone, Copy, Debug)]
struct Spoken {
    word: Word,
    guard: Guard,
    ports: PortsId,
    other_ports: PortsId,
}

impl<'w> Questions<'w> {
    pub(super) fn new(program: &'w Program, lists: Lists, prover: &'w mut Prover) -> Self {
        let (ports, guards, compared) = (FxHashMap::default(), FxHashMap::default(), FxHashMap::default());
        Self { program, lists, prover, ports, guards, compared }
    }

    /// Goes on, unless the prover was told to stop.
    ///
    /// # Errors
    /// [`Fault::Cancelled`].
    pub(super) fn go_on(&self) -> Result<(), Fault> {
        self.prover.go_on()
    }

    /// What an earlier run concluded under this key.
    pub(super) fn recall(&mut self, key: &Key) -> Option<&[u8]> {
        self.prover.recall(key)
    }

    /// Notes a conclusion for later runs, once all lists that were read are proved.
    pub(super) fn conclude(&mut self, key: Key, content: Vec<u8>) {
        self.prover.conclude(key, content);
    }

    /// Proves all lists that were read.
    ///
    /// # Errors
    /// [`Fault::BrokenLemma`] when one of them is wrong.
    pub(super) fn settled(self) -> Result<Answer<Infallible>, Fault> {
        self.prover.settled()
    }

    /// Whether the rule decides some packet: an allow where no deny matches, a deny anywhere.
    pub(super) fn decides(&mut self, site: &Site, rule: RuleId) -> Result<bool, Fault> {
        let spoken = self.spoken(site);
        let Some(own) = find(spoken, rule) else { return Ok(false) };
        let before = match own.word.action {
            Action::Allow => {
                spoken.iter().filter(|other| other.word.action == Action::Deny).map(Spoken::dropped).collect()
            }
            Action::Deny => Vec::new(),
        };
        self.passes_some(site, before.into_iter().chain([own.passed()]).collect())
    }

    /// Whether without the rule some packet is decided differently.
    pub(super) fn changes_verdicts(&mut self, site: &Site, rule: RuleId) -> Result<bool, Fault> {
        let spoken = self.spoken(site);
        let list = |without: Option<RuleId>, lists: &mut Lists| {
            let kept = spoken.iter().filter(|other| Some(other.word.rule) != without);
            let matching = kept.map(|it| (it.guard, it.ports, it.word.action, it.word.gateway)).collect();
            policy_list(site.place.governed, &matching, &mut lists.vocabulary)
        };
        let with = *site.policy.get_or_init(|| list(None, &mut self.lists));
        let without = list(Some(rule), &mut self.lists);
        self.differ(site, with, without)
    }

    /// Whether without the rule some packet leaves no audit record that it leaves with it.
    pub(super) fn changes_logs(&mut self, site: &Site, rule: RuleId) -> Result<bool, Fault> {
        let spoken = self.spoken(site);
        let Some(own) = find(spoken, rule).filter(|own| own.word.log) else { return Ok(false) };
        let others = spoken.iter().filter(|other| other.word.log && other.word.rule != rule).map(Spoken::dropped);
        self.passes_some(site, others.chain([own.passed()]).collect())
    }

    /// Whether without the rule other gateways would be named for some packet; lists call every conflict a drop.
    pub(super) fn parts_gateways(&mut self, site: &Site, rule: RuleId) -> Result<bool, Fault> {
        let spoken = self.spoken(site);
        let Some(own) = find(spoken, rule) else { return Ok(false) };
        let others = || spoken.iter().filter(|other| other.word.rule != rule);
        let denies = others().filter(|other| other.word.action == Action::Deny).map(Spoken::dropped);
        let routed = others().filter(|other| other.word.gateway.is_some());
        match (own.word.action, own.word.gateway) {
            (Action::Deny, _) => self.passes_some_of(site, own, denies.chain(routed.map(Spoken::passed)).collect()),
            (Action::Allow, None) => Ok(false),
            (Action::Allow, gateway) => {
                let same = routed.filter(|other| other.word.gateway == gateway).map(Spoken::dropped);
                self.passes_some(site, denies.chain(same).chain([own.passed()]).collect())
            }
        }
    }

    /// Whether the deny is the only one for some packet.
    pub(super) fn denies_alone(&mut self, site: &Site, rule: RuleId) -> Result<bool, Fault> {
        let spoken = self.spoken(site);
        let Some(own) = find(spoken, rule) else { return Ok(false) };
        let others = spoken.iter().filter(|other| other.word.action == Action::Deny && other.word.rule != rule);
        self.passes_some(site, others.map(Spoken::dropped).chain([own.passed()]).collect())
    }

    /// Whether a deny of another block cuts the allow; one by address does not cut an allow by name.
    pub(super) fn is_cut(&mut self, site: &Site, rule: RuleId) -> Result<bool, Fault> {
        let spoken = self.spoken(site);
        let Some(own) = find(spoken, rule).filter(|own| own.word.action == Action::Allow) else { return Ok(false) };
        let cuts = |other: &&Spoken| {
            let foreign = other.word.action == Action::Deny && other.word.block != own.word.block;
            foreign && (own.word.by_address || !other.word.by_address)
        };
        let entries: Vec<Entry> = spoken.iter().filter(cuts).map(Spoken::passed).collect();
        self.passes_some_of(site, own, entries)
    }

    /// Whether by some name alone the allow reaches special addresses, and nothing denies it.
    pub(super) fn is_rebound(&mut self, site: &Site, rule: RuleId) -> Result<bool, Fault> {
        let spoken = self.spoken(site);
        let by_name = |own: &Spoken| own.word.action == Action::Allow && !own.word.by_address && site.place.special;
        let Some(own) = find(spoken, rule).filter(by_name) else { return Ok(false) };
        let denies = spoken.iter().filter(|other| other.word.action == Action::Deny).map(Spoken::dropped);
        self.passes_some(site, denies.chain([own.passed()]).collect())
    }

    /// Whether some packet is sent through different gateways by two rules.
    pub(super) fn conflict(&mut self, site: &Site, one: RuleId, two: RuleId) -> Result<bool, Fault> {
        let spoken = self.spoken(site);
        let (Some(one), Some(two)) = (find(spoken, one), find(spoken, two)) else { return Ok(false) };
        if !site.place.governed || one.word.gateway == two.word.gateway {
            return Ok(false);
        }
        let denies = spoken.iter().filter(|other| other.word.action == Action::Deny).map(Spoken::dropped);
        self.passes_some_of(site, one, denies.chain([two.passed()]).collect())
    }

    /// The rules of a place in words of the vocabulary; rules that no name and no port can satisfy are left out.
    fn spoken<'s>(&mut self, site: &'s Site) -> &'s [Spoken] {
        site.spoken.get_or_init(|| self.read(&site.place))
    }

    fn read(&mut self, place: &Place) -> Vec<Spoken> {
        let words = place.words.iter().filter_map(|word| {
            let guard = if word.by_address { Some(Guard::Always) } else { self.guard(word.rule) };
            let (ports, other_ports) = self.ports(word.rule);
            let spoken = Spoken { word: *word, guard: guard?, ports, other_ports };
            (!self.lists.vocabulary.ports_at(ports).is_empty()).then_some(spoken)
        });
        words.collect()
    }

    fn guard(&mut self, rule: RuleId) -> Option<Guard> {
        let (program, vocabulary) = (self.program, &mut self.lists.vocabulary);
        let hosts = &program.destination_sets.at(program.rules.at(rule).destinations).hosts;
        let guard = || vocabulary.guard(|name| hosts.iter().any(|host| host.matches(name)));
        *self.guards.entry(rule).or_insert_with(guard)
    }

    fn ports(&mut self, rule: RuleId) -> (PortsId, PortsId) {
        let (program, vocabulary) = (self.program, &mut self.lists.vocabulary);
        let ports = program.port_sets.at(program.rules.at(rule).ports);
        let both = || (vocabulary.ports(ports), vocabulary.ports(&PortSet::any().difference(ports)));
        *self.ports.entry(rule).or_insert_with(both)
    }

    /// Whether a list of these entries, which drops the rest, passes some packet.
    fn passes_some(&mut self, site: &Site, entries: Vec<Entry>) -> Result<bool, Fault> {
        let list = self.lists.vocabulary.list(&List { entries: tidy(entries), default: Outcome::Dropped });
        let nothing = self.lists.vocabulary.list(&List { entries: Vec::new(), default: Outcome::Dropped });
        self.differ(site, list, nothing)
    }

    /// The same, for packets that the rule matches.
    fn passes_some_of(&mut self, site: &Site, rule: Spoken, entries: Vec<Entry>) -> Result<bool, Fault> {
        let elsewhere = Entry { guard: Guard::Always, ports: rule.other_ports, outcome: Outcome::Dropped };
        let list = List { entries: tidy([elsewhere].into_iter().chain(entries).collect()), default: Outcome::Dropped };
        let list = self.lists.vocabulary.list(&list);
        let nothing = self.lists.vocabulary.list(&List { entries: Vec::new(), default: Outcome::Dropped });
        self.differ_where(site, list, nothing, &rule.guard.name_sets().collect())
    }

    fn differ(&mut self, site: &Site, one: ListId, two: ListId) -> Result<bool, Fault> {
        self.differ_where(site, one, two, &BTreeSet::new())
    }

    /// Whether two lists differ on some packet whose names satisfy the guards.
    fn differ_where(
        &mut self,
        site: &Site,
        one: ListId,
        two: ListId,
        asked: &BTreeSet<NamesId>,
    ) -> Result<bool, Fault> {
        let mut guards = &self.lists.guards(one) | &self.lists.guards(two);
        guards.extend(asked);
        let combinations: Rc<[Combination]> = self
            .lists
            .combinations(&guards, self.prover)
            .map_err(|too_many| Fault::Unclear(Unclear { reason: too_many.to_string() }))?;
        for combination in combinations.iter().filter(|combination| asked.is_subset(&combination.fired)) {
            let one = self.lists.table(one, &combination.fired, self.prover);
            let two = self.lists.table(two, &combination.fired, self.prover);
            if one != two && self.tables_differ(one, two, site.place.v6) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn tables_differ(&mut self, one: TableId, two: TableId, v6: bool) -> bool {
        let lists = &self.lists;
        let differ = || {
            let differences = lists.at(one).differences(&lists.at(two));
            let ports = PortSet::from_line_ranges(differences.into_iter().map(|(first, last, ..)| (first, last)));
            ports.overlaps(PortSet::possible(v6))
        };
        *self.compared.entry((one, two, v6)).or_insert_with(differ)
    }
}

impl Spoken {
    fn dropped(&self) -> Entry {
        Entry { guard: self.guard, ports: self.ports, outcome: Outcome::Dropped }
    }

    fn passed(&self) -> Entry {
        Entry { guard: self.guard, ports: self.ports, outcome: Outcome::Passes(None) }
    }
}

fn find(spoken: &[Spoken], rule: RuleId) -> Option<Spoken> {
    spoken.iter().find(|spoken| spoken.word.rule == rule).copied()
}

/// Sorts entries of one outcome that stand side by side, and leaves repeated ones out: their order means nothing.
fn tidy(mut entries: Vec<Entry>) -> Vec<Entry> {
    for run in entries.chunk_by_mut(|one, two| one.outcome == two.outcome) {
        run.sort_unstable();
    }
    entries.dedup();
    entries
}
