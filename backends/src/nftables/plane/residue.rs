//! What is left of a ruleset once all that is known of the packets is filled in.
//!
//! In: a ruleset, and where packets are judged. Out: a [`Residue`]: its chains with questions about the sender's
//! address, the destination, the ports and what rules themselves have set, and with no others. Everything else is fixed,
//! because a plane is about the first packet of a connection: `ct state new` in the original direction, no mark, no
//! priority, hop limit 64, and no address of the host itself as destination.

use super::super::model::{Base, Chain, Field, Hook, Match, Rule, Ruleset, Statement, Values, Verdict};
use super::interfaces::Interface;
use super::masks::Dropped;
use super::ports::Ports;
use super::values::{Domain, Register, domain, without};
use egress_ir::address::last_bits;
use egress_ir::{HostPattern, RangeSet};
use std::collections::HashMap;

/// The hook, the interface and the family of packets.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    pub(super) hook: Hook,
    pub(super) interface: Interface,
    pub(super) v6: bool,
}

/// What is left of a ruleset in one setting.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Residue {
    /// The base chains of the hook in the order of their priority, and whether they drop what falls off their end.
    pub(super) bases: Vec<(usize, bool)>,
    pub(super) chains: Vec<Residual>,
    pub(super) ports: Ports,
    /// The patterns by which names are told apart.
    pub(super) hosts: Vec<HostPattern>,
    /// The last address of the family.
    pub(super) last: u128,
}

/// What is left of a chain.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Residual {
    pub(super) rules: Vec<Vec<Step>>,
}

/// One step of a rule, from left to right.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Go on if the sender's address is one of these.
    Source(RangeSet<u128>),
    /// Go on if the destination is one of these.
    Destination(RangeSet<u128>),
    /// Go on if some name of the destination is of this pattern, by its place in [`Residue::hosts`].
    Named(usize),
    /// Go on with these ports.
    Ports(u32),
    /// Go on if the register holds one of these.
    Holds(Register, RangeSet<u128>),
    /// Keep bits of the mark, set others.
    Mark { and: u32, or: u32 },
    /// Set the priority.
    Priority(u32),
    /// Keep bits of the packet's own mark, set others.
    PacketMark { and: u32, or: u32 },
    /// These bits of the packet's own mark are perhaps set.
    ForgetPacketMark(u32),
    /// End the rule as the element says that holds the sender's address; go on with the next rule if none does.
    BySource(Vec<Hit>),
    /// The same for the destination.
    ByDestination(Vec<Hit>),
    /// The same for disjoint sets of ports.
    ByPorts(Vec<(u32, Go)>),
    /// The same for what the register holds.
    ByRegister(Register, Vec<Hit>),
    /// End the rule.
    Go(Go),
    /// Something that cannot be filled in: why.
    Unclear(String),
}

/// An element of a verdict map. Elements are sorted and disjoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hit {
    pub(super) start: u128,
    pub(super) end: u128,
    pub(super) go: Go,
}

/// A verdict, with chains by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Go {
    Accept,
    Drop,
    Return,
    Continue,
    Jump(usize),
    Goto(usize),
}

impl Residue {
    pub(super) fn new(ruleset: &Ruleset, setting: &Setting) -> Self {
        let (mut ports, mut chains, mut bases) = (Ports::new(), Vec::new(), Vec::new());
        let mut hosts = Vec::new();
        let in_order = ruleset.base_chains(setting.hook);
        for table in ruleset.tables() {
            let numbers: HashMap<&str, usize> = table.chains.keys().map(String::as_str).zip(chains.len()..).collect();
            let of_gateways = !std::ptr::eq(table, ruleset);
            let place = |(place, (of, name, base, _)): (usize, &(&Ruleset, &str, Base, &Chain))| {
                let is_here = std::ptr::eq(*of, table);
                is_here.then(|| Some((place, *numbers.get(name)?, base.drops_by_default))).flatten()
            };
            bases.extend(in_order.iter().enumerate().filter_map(place));
            let mut filling = Filling { ruleset: table, setting, numbers, ports, hosts, of_gateways };
            chains.extend(table.chains.values().map(|chain| filling.chain(chain)));
            (ports, hosts) = (filling.ports, filling.hosts);
        }
        bases.sort_unstable();
        let bases = bases.into_iter().map(|(_, chain, drops)| (chain, drops)).collect();
        Self { bases, chains, ports, hosts, last: last_bits(setting.v6) }
    }

    /// Every step of every chain.
    pub(super) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.chains.iter().flat_map(|chain| &chain.rules).flatten()
    }
}

/// A ruleset while what is known is filled in.
struct Filling<'r> {
    ruleset: &'r Ruleset,
    setting: &'r Setting,
    numbers: HashMap<&'r str, usize>,
    ports: Ports,
    hosts: Vec<HostPattern>,
    /// Whether it is the table for gateways, whose interfaces are no places of their own: a packet came by one of them, or
    /// did not.
    of_gateways: bool,
}

/// What becomes of a match.
enum Left {
    Always(bool),
    Perhaps,
    Step(Step),
}

impl Filling<'_> {
    fn chain(&mut self, chain: &Chain) -> Residual {
        let rules = chain.rules.iter().map(|rule| self.rule(rule));
        Residual { rules: rules.filter(|steps| !steps.is_empty()).collect() }
    }

    /// The steps of a rule; none for a rule that does nothing.
    fn rule(&mut self, rule: &Rule) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut perhaps = false;
        for statement in &rule.statements {
            match statement {
                Statement::Match(_) | Statement::Named(_) => match self.condition(statement) {
                    Left::Always(true) => {}
                    Left::Perhaps => perhaps = true,
                    Left::Always(false) => return effects(steps),
                    Left::Step(step) => steps.push(step),
                },
                Statement::Counter(_) | Statement::Limit | Statement::Log(_) => {}
                Statement::SetPacketMark { and, or } if perhaps => steps.push(Step::ForgetPacketMark(!and | or)),
                _ if perhaps => {
                    steps.push(Step::Unclear("what happens depends on the interface of a gateway".to_owned()));
                    return steps;
                }
                Statement::VerdictMap { field, mask, map } => {
                    let end = self.look_up(*field, *mask, map);
                    let goes = !matches!(end, Step::Go(Go::Continue));
                    steps.extend(goes.then_some(end));
                    return if goes { steps } else { effects(steps) };
                }
                Statement::SetPacketMark { and, or } => steps.push(Step::PacketMark { and: *and, or: *or }),
                Statement::SetLabel(_) | Statement::Snat { .. } => {
                    steps.push(Step::Unclear("addresses are translated where packets are judged".to_owned()));
                    return steps;
                }
                Statement::SetMark { and, or } => steps.push(Step::Mark { and: *and, or: *or }),
                Statement::SetPriority(priority) => steps.push(Step::Priority(*priority)),
                Statement::Verdict(verdict) => {
                    steps.push(self.go(verdict).map_or_else(Step::Unclear, Step::Go));
                    return steps;
                }
            }
        }
        effects(steps)
    }

    fn condition(&mut self, statement: &Statement) -> Left {
        match statement {
            Statement::Match(found) => self.matching(found),
            Statement::Named(set) => self.named(set),
            _ => Left::Always(true),
        }
    }

    fn named(&mut self, name: &str) -> Left {
        let Some(set) = self.ruleset.names.get(name) else {
            return Left::unclear(format!("the set of names `{name}` is not there"));
        };
        if set.v6 != self.setting.v6 {
            return Left::Always(false);
        }
        let known = self.hosts.iter().position(|host| *host == set.host);
        Left::Step(Step::Named(known.unwrap_or_else(|| {
            self.hosts.push(set.host.clone());
            self.hosts.len() - 1
        })))
    }

    fn matching(&mut self, found: &Match) -> Left {
        let interface = match (found.field, self.setting.hook) {
            (Field::Input, Hook::Prerouting) | (Field::Output, Hook::Output) => Some(Some(&self.setting.interface)),
            (Field::Input | Field::Output, _) => Some(None),
            _ => None,
        };
        let ranges = match (&found.values, interface) {
            (Values::Names(names), Some(Some(interface))) if self.of_gateways && interface.may_be_among(names) => {
                return Left::Perhaps;
            }
            (Values::Names(names), Some(interface)) => {
                // The other interface has no name at this hook, which no pattern but `*` alone fits.
                let holds = interface.map_or(names.contains("*"), |interface| interface.is_among(names));
                return Left::Always(holds != found.negated);
            }
            (Values::Ranges(ranges), None) => RangeSet::from_ranges(ranges.iter().copied()),
            (Values::Bits(bits), None) if found.field == Field::State => {
                let states = (0..u128::BITS).map(|bit| 1 << bit).filter(|state| bits & state != 0);
                RangeSet::from_ranges(states.map(|state: u128| (state, state)))
            }
            (Values::Bits(_), None) if matches!(found.field, Field::Status | Field::Label) => return Left::later(),
            (Values::Set(name), None) => match self.ruleset.sets.get(name) {
                Some(set) => RangeSet::from_ranges(set.elements.iter().copied()),
                None => return Left::unclear(format!("the set `{name}` is not there")),
            },
            _ => return Left::unclear(format!("{:?} is compared with what it cannot be", found.field)),
        };
        let v6 = self.setting.v6;
        let domain = match domain(found.field, &ranges, v6) {
            Some(domain) if found.negated => without(found.field, domain, v6),
            Some(domain) => domain,
            None => return Left::Always(false),
        };
        self.test(domain)
    }

    fn test(&mut self, domain: Domain) -> Left {
        let line = RangeSet::range(0, last_bits(self.setting.v6));
        match domain {
            Domain::Always(holds) => Left::Always(holds),
            Domain::Source(set) | Domain::Destination(set) if set.is_empty() => Left::Always(false),
            Domain::Source(set) | Domain::Destination(set) if line.is_subset(&set) => Left::Always(true),
            Domain::Source(set) => Left::Step(Step::Source(set)),
            Domain::Destination(set) => Left::Step(Step::Destination(set)),
            Domain::Ports(set) if set.is_empty() => Left::Always(false),
            Domain::Ports(set) if set.is_any() => Left::Always(true),
            Domain::Ports(set) => Left::Step(Step::Ports(self.ports.number(set))),
            Domain::Register(register, set) => Left::Step(Step::Holds(register, set)),
            Domain::Later => Left::later(),
        }
    }

    /// The step for `FIELD & MASK vmap @MAP`.
    fn look_up(&mut self, field: Field, mask: u128, name: &str) -> Step {
        let Some(map) = self.ruleset.maps.get(name) else {
            return Step::Unclear(format!("the map `{name}` is not there"));
        };
        if matches!(field, Field::Input | Field::Output) {
            return Step::Unclear(format!("an interface is looked up in `{name}`"));
        }
        if domain(field, &RangeSet::full(), self.setting.v6).is_none() {
            return Step::Go(Go::Continue);
        }
        let (field, dropped) = match (field, u32::try_from(mask)) {
            (Field::Mark(whole), Ok(mask)) => (Field::Mark(whole & mask), Dropped::default()),
            (Field::PacketMark(whole), Ok(mask)) => (Field::PacketMark(whole & mask), Dropped::default()),
            _ => match Dropped::by(field, mask, map.elements.len()) {
                Some(dropped) => (field, dropped),
                None => return Step::Unclear(format!("the mask in front of `{name}` parts the field too finely")),
            },
        };
        let (mut sources, mut destinations) = (Vec::new(), Vec::new());
        let (mut ports, mut registers, mut register) = (Vec::new(), Vec::new(), None);
        for element in &map.elements {
            let go = match self.go(&element.verdict) {
                Ok(go) => go,
                Err(reason) => return Step::Unclear(reason),
            };
            let hits = |set: &RangeSet<u128>| {
                set.ranges().iter().map(|&(start, end)| Hit { start, end, go }).collect::<Vec<_>>()
            };
            let Some(values) = dropped.before(element.start, element.end) else {
                return Step::Unclear(format!("ranges behind such a mask are looked up in `{name}`"));
            };
            match domain(field, &values, self.setting.v6) {
                None | Some(Domain::Always(false)) => {}
                Some(Domain::Later) => return Step::Unclear(LATER.to_owned()),
                Some(Domain::Always(true)) => return Step::Go(go),
                Some(Domain::Source(set)) => sources.extend(hits(&set)),
                Some(Domain::Destination(set)) => destinations.extend(hits(&set)),
                Some(Domain::Ports(set)) => ports.push((self.ports.number(set), go)),
                Some(Domain::Register(of, set)) => {
                    register = Some(of);
                    registers.extend(hits(&set));
                }
            }
        }
        destinations.sort_unstable_by_key(|hit: &Hit| hit.start);
        destinations.dedup_by(|hit, before| {
            let goes_on = before.go == hit.go && before.end.checked_add(1) == Some(hit.start);
            before.end = if goes_on { hit.end } else { before.end };
            goes_on
        });
        match register {
            Some(register) => Step::ByRegister(register, registers),
            None if !sources.is_empty() => Step::BySource(sources),
            None if !destinations.is_empty() => Step::ByDestination(destinations),
            None if !ports.is_empty() => Step::ByPorts(ports),
            None => Step::Go(Go::Continue),
        }
    }

    fn go(&self, verdict: &Verdict) -> Result<Go, String> {
        let chain = |name: &String| {
            let number = self.numbers.get(name.as_str()).copied();
            number.ok_or_else(|| format!("the chain `{name}` is not there"))
        };
        Ok(match verdict {
            Verdict::Accept => Go::Accept,
            Verdict::Drop => Go::Drop,
            Verdict::Return => Go::Return,
            Verdict::Continue => Go::Continue,
            Verdict::Jump(name) => Go::Jump(chain(name)?),
            Verdict::Goto(name) => Go::Goto(chain(name)?),
        })
    }
}

const LATER: &str = "a rule asks before routing for what is known only afterwards";

impl Left {
    fn later() -> Self {
        Self::unclear(LATER.to_owned())
    }

    fn unclear(reason: String) -> Self {
        Self::Step(Step::Unclear(reason))
    }
}

/// The steps of a rule that decides nothing: none, unless one of them has an effect or is not clear.
fn effects(steps: Vec<Step>) -> Vec<Step> {
    let counts = |step: &Step| {
        let sets = matches!(step, Step::Mark { .. } | Step::Priority(_) | Step::PacketMark { .. });
        sets || matches!(step, Step::ForgetPacketMark(_) | Step::Unclear(_))
    };
    if steps.iter().any(counts) { steps } else { Vec::new() }
}
