//! Test vectors: flows with what must become of them, asked of the program in the kernel before a packet reaches it.
//!
//! Names are learned for the test alone, by a client whose address nobody has.

use crate::failure::Failure;
use crate::words;
use egress_agent::kernel::{Answer, Fact, Found, Generation, Hook, Kernel, KernelError, Learned, Lease, MARK_BEFORE};
use egress_agent::packet::{Flow, ethertype, nobody, of_flow};
use egress_snapshot::Snapshot;
use egress_snapshot::layout::outcome;
use egress_snapshot::meta::Vector;
use std::time::Duration;

/// How many differences are shown.
const SHOWN: usize = 3;

/// Asks every vector of the programs of both hooks.
pub(super) fn ask(kernel: &Kernel, generation: &Generation, snapshot: &Snapshot) -> Result<(), Failure> {
    let mut learned = kernel.learned()?;
    let mut different = Vec::new();
    for (place, vector) in snapshot.meta.vectors.iter().enumerate() {
        let passes = snapshot.tables.word(vector.outcome) & outcome::VERDICT == outcome::PASS;
        let gateway = outcome::gateway(snapshot.tables.word(vector.outcome));
        let facts = facts(snapshot, vector);
        for fact in &facts {
            learned.put(fact, FOR_EVER)?;
        }
        for hook in Hook::BOTH {
            let found = Found::Outcome(vector.outcome);
            let expected = match hook {
                Hook::Cgroup => Answer { passes: passes && gateway == 0, found, mark: MARK_BEFORE },
                Hook::Tc => {
                    let mark = marked(snapshot.tables.layout().gateway_mask, gateway);
                    Answer { passes, found, mark }
                }
            };
            let found =
                answer(generation, hook, vector).or_else(|error| forget(&mut learned, &facts).and(Err(error)))?;
            if found != expected {
                different.push(difference(place, vector, (hook, found), expected));
            }
        }
        forget(&mut learned, &facts)?;
    }
    if different.is_empty() {
        return Ok(());
    }
    let shown = different.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    let message = format!("the kernel program decides {} of the test vectors otherwise: {shown}", different.len());
    Err(Failure::found(message)
        .help("nothing was changed; compile the policy again with the `egressc` of this version"))
}

/// Longer than any test; what is learned for one is removed after it.
const FOR_EVER: Lease = Lease { until: Duration::MAX, used: Duration::ZERO };

/// What must have been learned for a vector.
fn facts(snapshot: &Snapshot, vector: &Vector) -> Vec<Fact> {
    let ids = vector.name_sets.iter().filter_map(|set| snapshot.meta.id_of(*set));
    ids.map(|set| Fact { set, client: nobody(vector.destination), destination: vector.destination }).collect()
}

fn forget(learned: &mut Learned, facts: &[Fact]) -> Result<(), KernelError> {
    facts.iter().try_for_each(|fact| learned.remove(fact))
}

/// The mark of a packet that leaves through the gateway of a number, or through none.
fn marked(mask: u32, gateway: u32) -> u32 {
    MARK_BEFORE & !mask | gateway.checked_shl(mask.trailing_zeros()).unwrap_or(0)
}

fn answer(generation: &Generation, hook: Hook, vector: &Vector) -> Result<Answer, KernelError> {
    let Vector { row, destination, protocol, number, fragment, .. } = *vector;
    let packet = of_flow(&Flow { source: nobody(destination), destination, protocol, number, fragment });
    generation.run(hook, row, ethertype(destination), &packet)
}

fn difference(place: usize, vector: &Vector, (hook, found): (Hook, Answer), expected: Answer) -> String {
    let port = words::port(vector.protocol, vector.number, vector.fragment);
    let hook = match hook {
        Hook::Cgroup => "cgroup",
        Hook::Tc => "tc",
    };
    let (row, destination) = (vector.row, vector.destination);
    let (found, expected) = (said(found), said(expected));
    format!("vector {place}, row {row} to {destination} {port}, is {found} at {hook} instead of {expected}")
}

fn said(answer: Answer) -> String {
    let passes = if answer.passes { "passed" } else { "denied" };
    match answer.found {
        Found::Malformed => format!("{passes} as malformed"),
        Found::Exempt => format!("{passes} as neighbour discovery"),
        Found::Outcome(outcome) => format!("{passes} by outcome {outcome} with the mark {:#010x}", answer.mark),
    }
}
