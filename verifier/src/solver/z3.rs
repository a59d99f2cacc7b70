//! z3 behind the seam; nothing else touches it.
//!
//! In: formulas. Out: solutions, whose assignments were checked against the formula. Works with libz3 4.8.12 and later.
//! One value belongs to one thread: z3's terms live in a context of the thread that made them.

use super::{Assignment, Formula, Ranges, Solution, Solver, Variable};
use crate::answer::Limits;
use egress_ir::Stop;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use z3::ast::{Ast, BV, Bool};
use z3::{Model, Params, SatResult};

/// The solver for quantifier-free bit-vectors.
pub struct Z3 {
    solver: Option<z3::Solver>,
    numbers: BTreeMap<Variable, BV>,
    flags: BTreeMap<u32, Bool>,
    /// Terms of ranges, which most formulas share.
    within: FxHashMap<(Variable, Ranges), Bool>,
}

impl Z3 {
    /// A solver with these limits for each query.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        let solver = z3::Solver::new_for_logic("QF_BV");
        if let Some(solver) = &solver {
            let mut params = Params::new();
            params.set_u32("random_seed", 0);
            if let Some(steps) = limits.steps {
                params.set_u32("rlimit", steps.get());
            }
            if let Some(time) = limits.time {
                params.set_u32("timeout", u32::try_from(time.as_millis()).unwrap_or(u32::MAX));
            }
            solver.set_params(&params);
        }
        Self { solver, numbers: BTreeMap::new(), flags: BTreeMap::new(), within: FxHashMap::default() }
    }

    fn term(&mut self, formula: &Formula) -> Bool {
        match formula {
            Formula::Constant(value) => Bool::from_bool(*value),
            Formula::Flag(flag) => self.flag(*flag).clone(),
            Formula::Within(variable, ranges) => self.within(*variable, ranges),
            Formula::Not(inner) => self.term(inner).not(),
            Formula::All(parts) => Bool::and(&self.terms(parts)),
            Formula::Any(parts) => Bool::or(&self.terms(parts)),
        }
    }

    fn terms(&mut self, parts: &[Formula]) -> Vec<Bool> {
        parts.iter().map(|part| self.term(part)).collect()
    }

    fn flag(&mut self, flag: u32) -> &Bool {
        self.flags.entry(flag).or_insert_with(|| Bool::new_const(format!("flag{flag}")))
    }

    fn within(&mut self, variable: Variable, ranges: &Ranges) -> Bool {
        let question = (variable, ranges.clone());
        if let Some(known) = self.within.get(&question) {
            return known.clone();
        }
        let bits = variable.bits;
        let named = || BV::new_const(format!("number{}", variable.number), bits);
        let number = self.numbers.entry(variable).or_insert_with(named);
        // What lies beyond the width would otherwise be cut to other values.
        let inside = ranges.iter().filter(|(first, _)| *first <= variable.highest());
        let one = |&(first, last): &(u128, u128)| in_range(number, bits, first, last.min(variable.highest()));
        let term = Bool::or(&inside.map(one).collect::<Vec<_>>());
        self.within.insert(question, term.clone());
        term
    }

    fn assignment(&self, model: &Model) -> Assignment {
        let flags = self.flags.iter().map(|(flag, term)| {
            let value = model.eval(term, true).and_then(|value| value.as_bool());
            (*flag, value.unwrap_or(false))
        });
        let numbers = self.numbers.iter().map(|(variable, term)| {
            let value = model.eval(term, true).map(|value| number(&value, variable.bits));
            (variable.number, value.unwrap_or(0))
        });
        Assignment { flags: flags.collect(), numbers: numbers.collect() }
    }
}

impl Solver for Z3 {
    fn solve(&mut self, formula: &Formula) -> Solution {
        let term = self.term(formula);
        let Some(solver) = &self.solver else {
            return Solution::Unknown("this z3 does not know the logic QF_BV".to_owned());
        };
        solver.push();
        solver.assert(&term);
        let solution = match solver.check() {
            SatResult::Unsat => Solution::Unsatisfiable,
            SatResult::Unknown => Solution::Unknown(solver.get_reason_unknown().unwrap_or_else(|| "no reason".into())),
            SatResult::Sat => match solver.get_model().map(|model| self.assignment(&model)) {
                Some(assignment) if formula.holds(&assignment) => Solution::Satisfiable(assignment),
                _ => Solution::Unknown("z3 gave a model that does not satisfy the formula".to_owned()),
            },
        };
        solver.pop(1);
        solution
    }

    fn solve_unless(&mut self, formula: &Formula, stop: &Stop) -> Solution {
        let context = z3::Context::thread_local();
        let handle = context.handle();
        stop.during(|| handle.interrupt(), || self.solve(formula))
    }
}

/// `first <= number <= last`, as bits where the range is a prefix.
fn in_range(number: &BV, bits: u32, first: u128, last: u128) -> Bool {
    let free = (first ^ last).checked_add(1).map_or(128, u128::trailing_zeros);
    let is_prefix = u128::MAX.checked_shr(128 - free).unwrap_or(0) == first ^ last && first & (first ^ last) == 0;
    if is_prefix && free >= bits {
        return Bool::from_bool(true);
    }
    if is_prefix {
        return number.extract(bits - 1, free).eq(constant(first >> free, bits - free));
    }
    let mut parts = Vec::with_capacity(2);
    if first > 0 {
        parts.push(number.bvuge(constant(first, bits)));
    }
    if last < (Variable { number: 0, bits }).highest() {
        parts.push(number.bvule(constant(last, bits)));
    }
    Bool::and(&parts)
}

fn constant(value: u128, bits: u32) -> BV {
    let word = |value: u128, bits: u32| BV::from_u64((value & u128::from(u64::MAX)) as u64, bits);
    if bits <= 64 { word(value, bits) } else { word(value >> 64, bits - 64).concat(word(value, 64)) }
}

/// The value of a constant of any width.
fn number(value: &BV, bits: u32) -> u128 {
    let part = |high: u32, low: u32| u128::from(value.extract(high, low).simplify().as_u64().unwrap_or(0));
    if bits <= 64 { part(bits - 1, 0) } else { part(bits - 1, 64) << 64 | part(63, 0) }
}
