//! The undecomposed way: two programs held against each other in one query, without sweep, lists or tables.
//!
//! In: two small programs. Out: the [`Answer`] to whether they decide every flow alike, with the least flow that they
//! decide differently. Each decision is one formula over address bits, protocol, number, name classes and, on demand,
//! the attributes of a pod, written straight from the language's four rules. It is what the decomposition is held
//! against on small inputs; beyond some dozens of rules z3 takes too long for it.

mod decision;
mod workloads;

use crate::answer::{self, Answer};
use crate::compare::Fault;
use crate::solver::z3::Z3;
use crate::solver::{Assignment, Formula, Solution, Variable, least};
use decision::{Space, Way, decide, possible};
use egress_ir::address::from_bits;
use egress_ir::{Destination, Flow, Port, PortSet, Program, Sender, Verdict, Vocabulary, eval};
use workloads::Who;

/// How much may be asked at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most rules of one program.
    pub rules: usize,
    /// The most ranges of addresses in the destinations of one program.
    pub ranges: usize,
    /// How much work may go into one query.
    pub solver: answer::Limits,
}

impl Default for Limits {
    /// As many as one query answers in about a second.
    fn default() -> Self {
        Self { rules: 64, ranges: 1_000, solver: answer::Limits::default() }
    }
}

/// Whether both programs decide every flow of the sender alike, gateways included; a flow where they do not.
///
/// Gateways are the same where name, nodes and addresses are.
///
/// # Errors
/// [`Fault::Unconfirmed`] when the evaluator does not confirm a flow that z3 found: a defect of egressc.
///
/// ```
/// use egress_ir::{AddressSet, Pod, Program, Sender, Workload};
/// use egress_verifier::{Answer, whole};
/// let workload = Workload::Pod(Pod::default());
/// let sender = Sender { workload, v4: true, v6: true, pods: Vec::new(), addresses: AddressSet::empty() };
/// let silent = Program::default();
/// let answer = whole::compare(&silent, &silent, &sender, &whole::Limits::default());
/// assert_eq!(answer, Ok(Answer::Proved));
/// ```
pub fn compare(before: &Program, after: &Program, sender: &Sender, limits: &Limits) -> Result<Answer<Flow>, Fault> {
    let families = [false, true].into_iter().filter(|v6| sender.sends(*v6));
    let spaces = families.map(|v6| (Who::Is(sender.workload.clone()), v6));
    first_difference(before, after, spaces, limits)
}

/// The same for every pod that could exist and every address that could send.
///
/// # Errors
/// As for [`compare`].
pub fn compare_everybody(before: &Program, after: &Program, limits: &Limits) -> Result<Answer<Flow>, Fault> {
    let pods = || Who::any_pod([before, after]);
    let spaces = [(pods(), false), (pods(), true), (Who::AnyAddress, false), (Who::AnyAddress, true)];
    first_difference(before, after, spaces.into_iter(), limits)
}

/// The answer of the first space that is not proved.
fn first_difference(
    before: &Program,
    after: &Program,
    spaces: impl Iterator<Item = (Who, bool)>,
    limits: &Limits,
) -> Result<Answer<Flow>, Fault> {
    let rules = before.rules.len().max(after.rules.len());
    if rules > limits.rules {
        return Ok(Answer::Unknown(format!("{rules} rules are more than {} for one query", limits.rules)));
    }
    let ranges = ranges(before).max(ranges(after));
    if ranges > limits.ranges {
        return Ok(Answer::Unknown(format!("{ranges} ranges are more than {} for one query", limits.ranges)));
    }
    let hosts = [before, after].into_iter().flat_map(|program| program.destination_sets.values());
    let vocabulary = Vocabulary::new(&hosts.flat_map(|set| set.hosts.iter().cloned()).collect());
    let mut solver = Z3::new(&limits.solver);
    for (who, v6) in spaces {
        let space = Space { who, v6, names: vocabulary.names() };
        match least::solve(&mut solver, &differ(before, after, &space)) {
            Solution::Unsatisfiable => {}
            Solution::Unknown(reason) => return Ok(Answer::Unknown(reason)),
            Solution::Satisfiable(found) => return confirmed(before, after, flow(&space, &found)).map(Answer::Refuted),
        }
    }
    Ok(Answer::Proved)
}

fn ranges(program: &Program) -> usize {
    program.destination_sets.values().map(|set| set.addresses.v4.ranges().len() + set.addresses.v6.ranges().len()).sum()
}

/// Some possible flow passes in one program alone, or leaves through a gateway in one alone.
fn differ(before: &Program, after: &Program, space: &Space<'_>) -> Formula {
    let (before, after) = (decide(before, space), decide(after, space));
    let through = |ways: &std::collections::BTreeMap<Way, Formula>, way: &Way| {
        ways.get(way).cloned().unwrap_or(Formula::Constant(false))
    };
    let ways = before.through.keys().chain(after.through.keys());
    let mut cases: Vec<Formula> =
        ways.map(|way| either(through(&before.through, way), through(&after.through, way))).collect();
    cases.push(either(before.passes, after.passes));
    Formula::All(vec![possible(space), Formula::Any(cases)])
}

/// One holds and the other does not.
fn either(one: Formula, two: Formula) -> Formula {
    let only = |this: &Formula, that: &Formula| Formula::All(vec![this.clone(), that.clone().negated()]);
    Formula::Any(vec![only(&one, &two), only(&two, &one)])
}

/// The flow of an assignment.
fn flow(space: &Space<'_>, found: &Assignment) -> Flow {
    let value = |variable: Variable| found.numbers.get(&variable.number).copied().unwrap_or(0);
    let address = from_bits(space.v6, value(decision::address(space.v6)));
    let line = value(decision::PROTOCOL) << 16 | value(decision::NUMBER);
    let port = u32::try_from(line).unwrap_or(PortSet::LAST);
    let named = |class: &usize| u32::try_from(*class).is_ok_and(|class| found.flags.get(&class) == Some(&true));
    let names = (0..space.names.len()).filter(named).filter_map(|class| space.names.get(class).cloned());
    Flow {
        workload: space.who.workload(space.v6, found),
        destination: Destination { address, names: names.collect() },
        port: Port::from_line(port).unwrap_or(Port::tcp(0)),
    }
}

/// The flow, if the evaluator decides it differently too.
fn confirmed(before: &Program, after: &Program, flow: Flow) -> Result<Flow, Fault> {
    let outcome = |program: &Program| match eval(program, &flow).verdict {
        Verdict::Inside | Verdict::Ungoverned => Some(None),
        Verdict::Allowed(gateway) => Some(gateway.map(|id| decision::way(program.gateways.at(id)))),
        Verdict::Conflict(_) | Verdict::Denied => None,
    };
    match flow.is_well_formed() && outcome(before) != outcome(after) {
        true => Ok(flow),
        false => Err(Fault::Unconfirmed(flow.to_string())),
    }
}
