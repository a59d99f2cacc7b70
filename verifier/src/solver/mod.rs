//! The seam to the solver: formulas that this crate owns, and what a solver says of them.
//!
//! In: a [`Formula`] over flags and unsigned numbers. Out: a [`Solution`]. [`z3`] is the only module that knows z3;
//! [`exhaustive`] decides the same formulas without any solver, and is what it is held against.

pub mod exhaustive;
pub mod least;
pub mod z3;

use egress_ir::Stop;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Sorted, disjoint, inclusive ranges.
pub type Ranges = Arc<[(u128, u128)]>;

/// Ranges of narrower numbers, such as those of a [`PortSet`](egress_ir::PortSet) on its line.
pub fn widened<A: Copy + Into<u128>>(ranges: &[(A, A)]) -> Ranges {
    ranges.iter().map(|&(first, last)| (first.into(), last.into())).collect()
}

/// An unsigned number that a formula speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Variable {
    /// Its number; one number has one width in all formulas of one solver.
    pub number: u32,
    /// How many bits it has, from 1 to 128.
    pub bits: u32,
}

impl Variable {
    /// Its highest value.
    #[must_use]
    pub fn highest(self) -> u128 {
        u128::MAX.checked_shr(128_u32.saturating_sub(self.bits)).unwrap_or(0)
    }
}

/// A statement about flags and numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Formula {
    /// Holds always, or never.
    Constant(bool),
    /// The flag of this number is set.
    Flag(u32),
    /// The number lies in one of the ranges.
    Within(Variable, Ranges),
    /// The formula does not hold.
    Not(Box<Formula>),
    /// All hold; none: always.
    All(Vec<Formula>),
    /// Some hold; none: never.
    Any(Vec<Formula>),
}

/// Values for flags and numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Flags; those not listed are not set.
    pub flags: BTreeMap<u32, bool>,
    /// Numbers by the variable's number; those not listed are 0.
    pub numbers: BTreeMap<u32, u128>,
}

/// What a solver says of a formula.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Solution {
    /// It never holds.
    Unsatisfiable,
    /// It holds for this assignment.
    Satisfiable(Assignment),
    /// Nothing is known, for this reason.
    Unknown(String),
}

/// Decides formulas.
pub trait Solver {
    /// Whether the formula can hold.
    fn solve(&mut self, formula: &Formula) -> Solution;

    /// The same, of which nothing is known any more once the flag is raised; a solver that is always quick need not look.
    fn solve_unless(&mut self, formula: &Formula, stop: &Stop) -> Solution {
        match stop.check() {
            Ok(()) => self.solve(formula),
            Err(cancelled) => Solution::Unknown(cancelled.to_string()),
        }
    }
}

impl Formula {
    /// Whether the formula holds for the assignment.
    #[must_use]
    pub fn holds(&self, assignment: &Assignment) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::Flag(flag) => assignment.flags.get(flag).copied().unwrap_or(false),
            Self::Within(variable, ranges) => {
                let value = assignment.numbers.get(&variable.number).copied().unwrap_or(0);
                ranges.iter().any(|&(first, last)| first <= value && value <= last)
            }
            Self::Not(inner) => !inner.holds(assignment),
            Self::All(parts) => parts.iter().all(|part| part.holds(assignment)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(assignment)),
        }
    }

    /// The formula that holds where this one does not.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Constant(value) => Self::Constant(!value),
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Calls `visit` with this formula and all its parts.
    pub fn visit<'f>(&'f self, visit: &mut impl FnMut(&'f Self)) {
        visit(self);
        match self {
            Self::Constant(_) | Self::Flag(_) | Self::Within(..) => {}
            Self::Not(inner) => inner.visit(visit),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.visit(visit)),
        }
    }
}
