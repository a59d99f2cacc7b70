//! What the names of a destination change: which sets of names are asked, in which order, and what a hit does.
//!
//! In: the rules that match by address and those that may match by name. Out: hits, first say first. The rules of a
//! hit are those that certainly match then; what else might match says nothing more than they do, because hits that say
//! more come before. Two names together are asked for only where neither alone says all that both do.

use super::intern::Interner;
use super::outcome::{Governance, Outcome};
use crate::gateways::Gateways;
use egress_ir::{Action, GatewayId, HostPattern, Program, RuleId};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Patterns by their places in the file's list, all of which must hold, and the outcome then.
pub(super) type Hit = (Vec<usize>, usize);

/// As many hits as may be asked one after another.
const MOST: usize = 1024;

/// What speaks against hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Intricate {
    /// Three rules that only together say what becomes of a flow.
    Three(Vec<RuleId>),
    /// More hits than may be asked.
    Many(Vec<RuleId>),
}

/// What rules say together, as far as it makes a difference. More rules never say less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    allows: bool,
    through: Through,
    /// The same with the blocks in audit mode.
    would_allow: bool,
    would_go: Through,
    logs: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Through {
    #[default]
    Node,
    One(GatewayId),
    Several,
}

impl Through {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Node, one) | (one, Self::Node) => one,
            (one, other) if one == other => one,
            _ => Self::Several,
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Node => 0,
            Self::One(_) => 1,
            Self::Several => 2,
        }
    }
}

impl Said {
    fn of(program: &Program, rules: &[RuleId]) -> Self {
        rules.iter().map(|id| program.rules.at(*id)).fold(Self::default(), |said, rule| {
            let through = rule.gateway.map_or(Through::Node, Through::One);
            let allows = rule.action == Action::Allow;
            let enforced = !program.blocks.at(rule.block).audit;
            let so_far = Self { would_allow: allows, would_go: through, ..Self::default() };
            said.and(if enforced { Self { allows, through, logs: rule.log, ..so_far } } else { so_far })
        })
    }

    fn and(self, other: Self) -> Self {
        Self {
            allows: self.allows || other.allows,
            through: self.through.and(other.through),
            would_allow: self.would_allow || other.would_allow,
            would_go: self.would_go.and(other.would_go),
            logs: self.logs || other.logs,
        }
    }

    /// Larger for whoever says more.
    fn rank(self) -> u8 {
        let flags = [self.allows, self.would_allow, self.logs].map(u8::from);
        flags.iter().sum::<u8>() + self.through.rank() + self.would_go.rank()
    }
}

/// What is said where these rules match by address.
pub(super) struct Place<'p> {
    program: &'p Program,
    governance: &'p Governance,
    by_address: &'p [RuleId],
    base: Said,
}

impl<'p> Place<'p> {
    pub(super) fn new(program: &'p Program, governance: &'p Governance, by_address: &'p [RuleId]) -> Self {
        let place = Self { program, governance, by_address, base: Said::default() };
        Self { base: place.counting(Said::of(program, by_address)), ..place }
    }

    /// Whether a rule that matches by name too would change anything.
    pub(super) fn is_changed_by(&self, rule: RuleId) -> bool {
        self.with(&[rule]) != self.base
    }

    fn with(&self, rules: &[RuleId]) -> Said {
        let all = Said::of(self.program, self.by_address).and(Said::of(self.program, rules));
        self.counting(all)
    }

    /// What counts of it: an allow says nothing where a deny holds or nobody governs.
    fn counting(&self, said: Said) -> Said {
        let denies = |audit: bool| {
            let of = |id: &&RuleId| {
                let rule = self.program.rules.at(**id);
                rule.action == Action::Deny && (audit || !self.program.blocks.at(rule.block).audit)
            };
            self.by_address.iter().any(|id| of(&id))
        };
        let decided = denies(false) || !self.governance.governs();
        let would_be = denies(true) || !(self.governance.governs() || self.governance.audits());
        Said {
            allows: said.allows && !decided,
            through: if decided { Through::Node } else { said.through },
            would_allow: said.would_allow && !would_be,
            would_go: if would_be { Through::Node } else { said.would_go },
            logs: said.logs,
        }
    }

    /// The hits among rules that match by name, given with all patterns of the file.
    ///
    /// # Errors
    /// [`Intricate`].
    pub(super) fn hits(
        &self,
        by_name: &[RuleId],
        hosts: &[HostPattern],
        gateways: &Gateways,
        outcomes: &mut Interner<Outcome>,
    ) -> Result<Vec<Hit>, Intricate> {
        let singles = self.singles(by_name, hosts);
        self.no_three(&singles)?;
        let mut found: Vec<(Said, Vec<usize>, Vec<RuleId>)> = Vec::new();
        for (place, one) in singles.iter().enumerate() {
            found.push((one.1, vec![one.0], one.2.clone()));
            for other in singles.iter().skip(place + 1) {
                let both = one.1.and(other.1);
                if both != one.1 && both != other.1 {
                    found.push((both, vec![one.0, other.0], [one.2.as_slice(), &other.2].concat()));
                }
            }
            if found.len() > MOST {
                return Err(Intricate::Many(by_name.to_vec()));
            }
        }
        found.sort_by(|one, other| (Reverse(one.0.rank()), &one.1).cmp(&(Reverse(other.0.rank()), &other.1)));
        let hits = found.into_iter().map(|(_, patterns, rules)| {
            let matching: BTreeSet<RuleId> = rules.into_iter().chain(self.by_address.iter().copied()).collect();
            let matching: Vec<RuleId> = matching.into_iter().collect();
            (patterns, outcomes.number(self.governance.outcome(self.program, gateways, &matching)))
        });
        Ok(hits.collect())
    }

    /// Each pattern that changes something, with what is said then and the rules that ask for it.
    fn singles(&self, by_name: &[RuleId], hosts: &[HostPattern]) -> Vec<(usize, Said, Vec<RuleId>)> {
        let asked: BTreeSet<&HostPattern> = by_name.iter().flat_map(|rule| self.hosts_of(*rule)).collect();
        let one = |host: &HostPattern| {
            let place = hosts.iter().position(|known| known == host)?;
            let asking = by_name.iter().copied().filter(|rule| self.hosts_of(*rule).contains(host));
            let rules: Vec<RuleId> = asking.collect();
            let said = self.with(&rules);
            (said != self.base).then_some((place, said, rules))
        };
        asked.into_iter().filter_map(one).collect()
    }

    fn hosts_of(&self, rule: RuleId) -> &'p BTreeSet<HostPattern> {
        &self.program.destination_sets.at(self.program.rules.at(rule).destinations).hosts
    }

    /// What three names say together, two of them must say.
    fn no_three(&self, singles: &[(usize, Said, Vec<RuleId>)]) -> Result<(), Intricate> {
        let mut kinds: Vec<(Said, RuleId)> = Vec::new();
        for (_, said, rules) in singles {
            if let (None, Some(&rule)) = (kinds.iter().find(|kind| kind.0 == *said), rules.first()) {
                kinds.push((*said, rule));
            }
        }
        for (place, one) in kinds.iter().enumerate() {
            for (next, two) in kinds.iter().enumerate().skip(place + 1) {
                for three in kinds.iter().skip(next + 1) {
                    let pairs = [one.0.and(two.0), one.0.and(three.0), two.0.and(three.0)];
                    if !pairs.contains(&pairs[0].and(three.0)) {
                        return Err(Intricate::Three(vec![one.1, two.1, three.1]));
                    }
                }
            }
        }
        Ok(())
    }
}
