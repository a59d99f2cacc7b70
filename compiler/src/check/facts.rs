//! What a walk over all cells learns about the rules.
//!
//! In: one cell after the other, with the rules that match there. Out: per rule whether it ever decides, whether it is
//! ever needed, and what stands in its way; per pair of rules the cell where they meet. Cells are kept, not flows:
//! only what is reported is turned into a witness. A walk knows rules by their places in its group, so that what it
//! learned holds as long as the group's rules say the same; [`Facts::merge`] makes rules of places.

use egress_ir::address::from_bits;
use egress_ir::{Action, GatewayId, Id, Port, PortSet, RuleId};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;

/// The place of a rule among the rules of a group.
pub(super) type Number = u32;

/// What facts depend on in a rule, its sets apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) action: Action,
    pub(super) gateway: Option<GatewayId>,
    pub(super) log: bool,
    /// Whether the rule is one of a guardrail.
    pub(super) guards: bool,
}

/// A block of flows that all rules treat alike: one group, one segment, one cell of ports, one set of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// The group's number.
    pub(super) group: u32,
    /// Whether the addresses are IPv6.
    pub(super) v6: bool,
    /// The first address as a number.
    pub(super) start: u128,
    /// The last address as a number.
    pub(super) end: u128,
    /// The first and last place on the port line.
    pub(super) ports: (u32, u32),
    /// The names of the destination.
    pub(super) names: Vec<String>,
}

impl Cell {
    /// The number of addresses less one, then the number of ports less one.
    pub(super) fn width(&self) -> (u128, u32) {
        (self.end - self.start, self.ports.1 - self.ports.0)
    }

    /// The first and the last address.
    pub(super) fn addresses(&self) -> (IpAddr, IpAddr) {
        (from_bits(self.v6, self.start), from_bits(self.v6, self.end))
    }

    /// The port a person would try: a well-known one where the cell has one, else its first; nothing when no packet of
    /// the family can have any port of the cell.
    pub(super) fn port(&self) -> Option<Port> {
        PortSet::from_line_ranges([self.ports]).familiar(self.v6)
    }
}

/// Facts about one rule; `R` says how others are named.
#[derive(Clone, Debug)]
pub(super) struct RuleFacts<R> {
    /// The first cell that the rule matches.
    pub(super) matches: Option<Cell>,
    /// Whether it decides somewhere: an allow where no deny matches, a deny anywhere.
    pub(super) alive: bool,
    /// Whether some flow would be decided differently without it.
    pub(super) needed: bool,
    /// As long as it is not needed: rules that would decide in its place, a few of them.
    pub(super) covers: BTreeSet<R>,
    /// As long as it is not needed: whether somewhere the default deny would decide in its place.
    pub(super) default_covers: bool,
}

impl<R> Default for RuleFacts<R> {
    fn default() -> Self {
        Self { matches: None, alive: false, needed: false, covers: BTreeSet::new(), default_covers: false }
    }
}

/// A cell for each of some pairs of rules.
pub(super) type Pairs<R> = FxHashMap<(R, R), Cell>;

/// Facts about all rules, or those of a group.
#[derive(Clone, Debug)]
pub(super) struct Facts<R> {
    rules: Vec<RuleFacts<R>>,
    /// The widest cell in which a deny (second) cuts an allow (first).
    pub(super) cuts: Pairs<R>,
    /// Where a deny by address (second) stops an allow by name (first): a host allow alone never says which addresses
    /// are meant, so that this is a guard rather than a contradiction.
    pub(super) guards: Pairs<R>,
    /// The widest cell in which two allows name different gateways.
    pub(super) conflicts: Pairs<R>,
    /// Where an allow lets a name resolve to an address that is not public.
    pub(super) rebindings: FxHashMap<R, Cell>,
}

/// How many covering rules are kept for a rule: more would not be read.
const MOST_COVERS: usize = 8;

impl<R: Copy + Eq + Hash + Ord> Facts<R> {
    /// No facts yet about so many rules.
    pub(super) fn none(rules: usize) -> Self {
        let (cuts, guards, conflicts) = (Pairs::default(), Pairs::default(), Pairs::default());
        let rules = std::iter::repeat_with(RuleFacts::default).take(rules).collect();
        Self { rules, cuts, guards, conflicts, rebindings: FxHashMap::default() }
    }
}

impl<R> Facts<R> {
    /// About how many rules.
    pub(super) fn len(&self) -> usize {
        self.rules.len()
    }
}

impl Facts<RuleId> {
    /// The facts about a rule.
    pub(super) fn rule(&self, rule: RuleId) -> Option<&RuleFacts<RuleId>> {
        self.rules.get(rule.index())
    }

    /// Takes over the facts about a group, as if it had been walked after all those before it.
    pub(super) fn merge(&mut self, number: u32, rules: &[RuleId], group: &Facts<Number>) {
        let named = |place: Number| rules.get(place as usize).copied();
        let here = |cell: &Cell| Cell { group: number, ..cell.clone() };
        for (rule, facts) in rules.iter().zip(&group.rules) {
            let Some(known) = self.rules.get_mut(rule.index()) else { continue };
            if let (None, Some(cell)) = (&known.matches, &facts.matches) {
                known.matches = Some(here(cell));
            }
            known.alive |= facts.alive;
            known.needed |= facts.needed;
            known.default_covers |= facts.default_covers;
            let room = MOST_COVERS.saturating_sub(known.covers.len());
            if !known.needed && room > 0 {
                let new = facts.covers.iter().filter_map(|cover| named(*cover));
                known.covers.extend(new.filter(|cover| !known.covers.contains(cover)).take(room).collect::<Vec<_>>());
            }
        }
        let pairs = [(&mut self.cuts, &group.cuts), (&mut self.guards, &group.guards)];
        for (known, new) in pairs.into_iter().chain([(&mut self.conflicts, &group.conflicts)]) {
            for (&(one, two), cell) in new {
                let Some(pair) = named(one).zip(named(two)) else { continue };
                widen(known, pair, cell.width(), || here(cell));
            }
        }
        for (&place, cell) in &group.rebindings {
            if let Some(rule) = named(place) {
                self.rebindings.entry(rule).or_insert_with(|| here(cell));
            }
        }
    }
}

impl Facts<Number> {
    /// Notes what happens in a cell of a group; `matching` are the rules that match there, `by_address` those of them
    /// that do so whatever the names are, both sorted.
    pub(super) fn note(
        &mut self,
        words: &[Word],
        governed: bool,
        matching: &[Number],
        by_address: &[Number],
        cell: impl Fn() -> Cell,
    ) {
        for &rule in matching {
            self.change(rule, |facts| {
                facts.matches.get_or_insert_with(&cell);
            });
        }
        let noting = Noting { words, governed, matching };
        if noting.of(Action::Deny).next().is_some() {
            self.note_cuts(&noting, by_address, &cell);
            self.note_denied(&noting);
        } else if governed {
            self.note_allowed(&noting, &cell);
        }
    }

    fn note_cuts(&mut self, noting: &Noting<'_>, by_address: &[Number], cell: &impl Fn() -> Cell) {
        let all_by_address = by_address.len() == noting.matching.len();
        let addressed = |rule: &Number| all_by_address || by_address.binary_search(rule).is_ok();
        let mut allows = noting.of(Action::Allow).peekable();
        if allows.peek().is_none() {
            return;
        }
        let width = cell().width();
        for allow in allows {
            for deny in noting.of(Action::Deny) {
                let guards = !addressed(&allow) && addressed(&deny);
                let pairs = if guards { &mut self.guards } else { &mut self.cuts };
                widen(pairs, (allow, deny), width, cell);
            }
        }
    }

    fn note_denied(&mut self, noting: &Noting<'_>) {
        let several = noting.of(Action::Deny).nth(1).is_some();
        let allowed = noting.of(Action::Allow).next().is_some();
        for deny in noting.of(Action::Deny) {
            let guards = noting.word(deny).is_some_and(|word| word.guards);
            let decides_alone = !several && (allowed || !noting.governed || guards);
            let needed = decides_alone || noting.logs_alone(deny);
            self.decides(deny, needed, noting.of(Action::Deny), !several);
        }
        // A denied flow leaves an audit record if only an allow asks for one.
        for allow in noting.of(Action::Allow).filter(|&allow| noting.logs_alone(allow)) {
            self.change(allow, |facts| facts.needed = true);
        }
    }

    fn note_allowed(&mut self, noting: &Noting<'_>, cell: &impl Fn() -> Cell) {
        let gateway = |rule: Number| noting.word(rule).and_then(|word| word.gateway);
        self.note_conflicts(noting.matching, gateway, cell);
        for &allow in noting.matching {
            let named_by_others =
                |wanted: GatewayId| noting.matching.iter().any(|&r| r != allow && gateway(r) == Some(wanted));
            let alone = noting.matching.len() == 1 || gateway(allow).is_some_and(|wanted| !named_by_others(wanted));
            let needed = alone || noting.logs_alone(allow);
            self.decides(allow, needed, noting.matching.iter().copied(), false);
        }
    }

    fn note_conflicts(
        &mut self,
        matching: &[Number],
        gateway: impl Fn(Number) -> Option<GatewayId>,
        cell: &impl Fn() -> Cell,
    ) {
        let routed: Vec<Number> = matching.iter().copied().filter(|&rule| gateway(rule).is_some()).collect();
        for (place, &first) in routed.iter().enumerate() {
            for &second in routed.iter().skip(place + 1).filter(|&&second| gateway(second) != gateway(first)) {
                widen(&mut self.conflicts, (first, second), cell().width(), cell);
            }
        }
    }

    fn decides(&mut self, rule: Number, needed: bool, covers: impl Iterator<Item = Number>, by_default: bool) {
        self.change(rule, |facts| {
            facts.alive = true;
            if needed {
                facts.needed = true;
            } else if !facts.needed {
                facts.default_covers |= by_default;
                let room = MOST_COVERS.saturating_sub(facts.covers.len());
                facts.covers.extend(covers.filter(|&cover| cover != rule).take(room));
            }
        });
    }

    fn change(&mut self, rule: Number, change: impl FnOnce(&mut RuleFacts<Number>)) {
        if let Some(facts) = self.rules.get_mut(rule as usize) {
            change(facts);
        }
    }
}

/// A cell of which facts are noted.
struct Noting<'n> {
    words: &'n [Word],
    governed: bool,
    matching: &'n [Number],
}

impl Noting<'_> {
    fn word(&self, rule: Number) -> Option<&Word> {
        self.words.get(rule as usize)
    }

    /// The rules that match, of one action.
    fn of(&self, action: Action) -> impl Iterator<Item = Number> {
        self.matching.iter().copied().filter(move |&rule| self.word(rule).is_some_and(|word| word.action == action))
    }

    /// Whether the flow would leave no audit record without this rule.
    fn logs_alone(&self, rule: Number) -> bool {
        let logs = |rule: Number| self.word(rule).is_some_and(|word| word.log);
        logs(rule) && !self.matching.iter().any(|&other| other != rule && logs(other))
    }
}

/// Keeps the widest cell of a pair.
fn widen<R: Eq + Hash>(pairs: &mut Pairs<R>, pair: (R, R), width: (u128, u32), cell: impl Fn() -> Cell) {
    match pairs.entry(pair) {
        Entry::Vacant(vacant) => {
            vacant.insert(cell());
        }
        Entry::Occupied(mut known) if width > known.get().width() => {
            known.insert(cell());
        }
        Entry::Occupied(_) => {}
    }
}
