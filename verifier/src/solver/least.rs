//! The least assignment: the same one whatever order a solver works in.
//!
//! In: a formula. Out: of all assignments that satisfy it the one with the fewest and then lowest values, flags before
//! numbers, each in the order of their numbers. Models of z3 differ from run to run, and witnesses must not.

use super::{Assignment, Formula, Solution, Solver, Variable};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Solves the formula, and then again with narrower choices. Where the solver gives up on one of those, the assignment
/// satisfies the formula all the same, but may not be the least.
pub fn solve(solver: &mut impl Solver, formula: &Formula) -> Solution {
    let mut assignment = match solver.solve(formula) {
        Solution::Satisfiable(assignment) => assignment,
        other => return other,
    };
    let (flags, numbers) = borders(formula);
    let of_formula: BTreeSet<u32> = numbers.keys().map(|variable| variable.number).collect();
    let mut fixed = vec![formula.clone()];
    for flag in flags {
        let unset = Formula::Flag(flag).negated();
        let is_set = assignment.flags.get(&flag).copied().unwrap_or(false);
        let better = if is_set { with(solver, &fixed, &unset) } else { None };
        let can_be_unset = !is_set || better.is_some();
        assignment = better.unwrap_or(assignment);
        fixed.push(if can_be_unset { unset } else { Formula::Flag(flag) });
    }
    for (variable, values) in numbers {
        let values: Vec<u128> = values.into_iter().collect();
        let value = lowest(solver, &fixed, variable, &values, &mut assignment);
        fixed.push(Formula::Within(variable, Arc::from([(value, value)])));
    }
    // A solver may speak of what it has met in other formulas too, and of flags that are not set.
    assignment.flags.retain(|_, set| *set);
    assignment.numbers.retain(|number, _| of_formula.contains(number));
    match formula.holds(&assignment) {
        true => Solution::Satisfiable(assignment),
        false => Solution::Unknown("the least assignment does not satisfy the formula".to_owned()),
    }
}

/// The lowest of these values that the number can have; the assignment has it afterwards. A formula changes only where a
/// range begins or has ended, so that no other value can be the lowest.
fn lowest(
    solver: &mut impl Solver,
    fixed: &[Formula],
    variable: Variable,
    values: &[u128],
    assignment: &mut Assignment,
) -> u128 {
    let value_in = |assignment: &Assignment| assignment.numbers.get(&variable.number).copied().unwrap_or(0);
    let (mut from, mut to) = (0, values.partition_point(|&value| value <= value_in(assignment)).saturating_sub(1));
    while from < to {
        let middle = from.midpoint(to);
        let bound = values.get(middle).copied().unwrap_or(0);
        match with(solver, fixed, &Formula::Within(variable, Arc::from([(0, bound)]))) {
            Some(better) => {
                to = values.partition_point(|&value| value <= value_in(&better)).saturating_sub(1).min(middle);
                *assignment = better;
            }
            None => from = middle + 1,
        }
    }
    let value = values.get(to).copied().unwrap_or(0);
    // Within one run of a number the formula does not change, so its first value does as well as any.
    assignment.numbers.insert(variable.number, value);
    value
}

fn with(solver: &mut impl Solver, fixed: &[Formula], more: &Formula) -> Option<Assignment> {
    let formula = Formula::All(fixed.iter().chain([more]).cloned().collect());
    match solver.solve(&formula) {
        Solution::Satisfiable(assignment) => Some(assignment),
        Solution::Unsatisfiable | Solution::Unknown(_) => None,
    }
}

/// The flags of a formula, and for each number where a run of equal behaviour may begin.
pub(super) fn borders(formula: &Formula) -> (BTreeSet<u32>, BTreeMap<Variable, BTreeSet<u128>>) {
    let mut flags = BTreeSet::new();
    let mut numbers: BTreeMap<Variable, BTreeSet<u128>> = BTreeMap::new();
    formula.visit(&mut |part| match part {
        Formula::Flag(flag) => drop(flags.insert(*flag)),
        Formula::Within(variable, ranges) => {
            let values = numbers.entry(*variable).or_default();
            values.insert(0);
            values.extend(ranges.iter().flat_map(|&(first, last)| [Some(first), last.checked_add(1)]).flatten());
            values.retain(|value| *value <= variable.highest());
        }
        Formula::Constant(_) | Formula::Not(_) | Formula::All(_) | Formula::Any(_) => {}
    });
    (flags, numbers)
}
