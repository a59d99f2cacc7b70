//! Where an assertion speaks, piece by piece of the addresses.
//!
//! In: an assertion. Out: for addresses in its destinations, for public ones elsewhere, and for the rest: the ports,
//! and what the names must satisfy. Only ports that a packet of the family can have.

use crate::lists::on_line;
use crate::solver::{Formula, widened};
use egress_ir::{Assertion, Claim, PortSet, Program};

/// What the names of a destination must satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// Nothing.
    Any,
    /// Some name is one of the assertion's.
    Within,
    /// None is.
    Without,
}

impl Names {
    /// Whether names are meant of which some or none is one of the assertion's.
    pub(crate) fn accepts(self, within: bool) -> bool {
        match self {
            Self::Any => true,
            Self::Within => within,
            Self::Without => !within,
        }
    }
}

/// Flows to some addresses.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// On which ports.
    pub(crate) ports: PortSet,
    /// The same as a formula.
    pub(crate) line: Formula,
    /// By which names.
    pub(crate) names: Names,
}

impl Part {
    /// Whether some port lies between these places of the line, both included.
    pub(crate) fn meets(&self, first: u32, last: u32) -> bool {
        self.ports.meets(first, last)
    }
}

/// What an assertion speaks about, of one address family.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    covered: Vec<Part>,
    public: Vec<Part>,
    special: Vec<Part>,
}

impl Region {
    /// Of an assertion.
    pub(crate) fn of(program: &Program, assertion: &Assertion, v6: bool) -> Self {
        let hosts = !program.destination_sets.at(assertion.destinations).hosts.is_empty();
        let on = program.port_sets.at(assertion.ports);
        let possible = PortSet::possible(v6);
        let part = |ports: &PortSet, names: Names| {
            let ports = ports.intersection(possible);
            (!ports.is_empty()).then(|| Part { line: on_line(&widened(ports.line_ranges())), ports, names })
        };
        let named = || part(on, Names::Within).filter(|_| hosts).into_iter().collect();
        match assertion.claim {
            Claim::CannotReach | Claim::OnlyCanReach | Claim::OnlyVia(_) => {
                Self { covered: part(on, Names::Any).into_iter().collect(), public: named(), special: named() }
            }
            Claim::CanReach => {
                Self { covered: part(on, Names::Any).into_iter().collect(), public: named(), special: Vec::new() }
            }
            Claim::CanReachOnly => {
                let off = possible.difference(on);
                let elsewhere: Vec<Part> = if hosts {
                    [part(&off, Names::Any), part(on, Names::Without)].into_iter().flatten().collect()
                } else {
                    part(possible, Names::Any).into_iter().collect()
                };
                let covered = part(&off, Names::Any).into_iter().collect();
                Self { covered, public: elsewhere.clone(), special: elsewhere }
            }
        }
    }

    /// What it speaks about at addresses that its destinations cover or not, and that are special or not.
    pub(crate) fn parts(&self, covered: bool, special: bool) -> &[Part] {
        match (covered, special) {
            (true, _) => &self.covered,
            (false, false) => &self.public,
            (false, true) => &self.special,
        }
    }

    /// Whether it speaks about no flow of the family, wherever its destinations are.
    pub(crate) fn is_empty(&self) -> bool {
        self.covered.is_empty() && self.public.is_empty() && self.special.is_empty()
    }
}
