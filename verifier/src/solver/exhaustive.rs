//! A solver without z3: tries every assignment that the formula can tell apart.
//!
//! In: a formula with few flags and ranges. Out: an exact answer, because a formula can only change at the borders of
//! its ranges. It stands in for z3 in tests, and z3 is held against it.

use super::least::borders;
use super::{Assignment, Formula, Solution, Solver, Variable};
use std::collections::BTreeSet;

/// Tries all assignments, at most `limit` of them.
#[derive(Clone, Copy, Debug)]
pub struct Exhaustive {
    /// The most assignments to try before the answer is unknown.
    pub limit: usize,
}

impl Solver for Exhaustive {
    fn solve(&mut self, formula: &Formula) -> Solution {
        let (flags, numbers) = borders(formula);
        let choices: Vec<Choice> =
            flags.into_iter().map(Choice::Flag).chain(numbers.into_iter().map(Choice::number)).collect();
        let count = choices.iter().try_fold(1_usize, |count, choice| count.checked_mul(choice.len()));
        if count.is_none_or(|count| count > self.limit) {
            return Solution::Unknown(format!("more than {} assignments", self.limit));
        }
        let mut digits = vec![0; choices.len()];
        loop {
            let assignment = assignment(&choices, &digits);
            if formula.holds(&assignment) {
                return Solution::Satisfiable(assignment);
            }
            if !count_up(&mut digits, &choices) {
                return Solution::Unsatisfiable;
            }
        }
    }
}

/// The values that one flag or number may take.
enum Choice {
    Flag(u32),
    Number(u32, Vec<u128>),
}

impl Choice {
    fn number((variable, values): (Variable, BTreeSet<u128>)) -> Self {
        Self::Number(variable.number, values.into_iter().collect())
    }

    fn len(&self) -> usize {
        match self {
            Self::Flag(_) => 2,
            Self::Number(_, values) => values.len(),
        }
    }
}

fn assignment(choices: &[Choice], digits: &[usize]) -> Assignment {
    let mut assignment = Assignment::default();
    for (choice, &digit) in choices.iter().zip(digits) {
        match choice {
            Choice::Flag(flag) => drop(assignment.flags.insert(*flag, digit == 1)),
            Choice::Number(number, values) => {
                assignment.numbers.insert(*number, values.get(digit).copied().unwrap_or(0));
            }
        }
    }
    assignment
}

/// The next combination of digits, or `false` after the last.
fn count_up(digits: &mut [usize], choices: &[Choice]) -> bool {
    for (digit, choice) in digits.iter_mut().zip(choices) {
        *digit += 1;
        if *digit < choice.len() {
            return true;
        }
        *digit = 0;
    }
    false
}
