//! Test vectors: flows with what must become of them, asked of the program in the kernel before a packet reaches it.

use crate::failure::Failure;
use crate::words;
use egress_agent::kernel::{Answer, Found, Generation, Hook, KernelError, MARK_BEFORE};
use egress_agent::packet::{Flow, ethertype, nobody, of_flow};
use egress_snapshot::Snapshot;
use egress_snapshot::layout::outcome;
use egress_snapshot::meta::Vector;

/// How many differences are shown.
const SHOWN: usize = 3;

/// Asks every vector of the programs of both hooks.
pub(super) fn ask(generation: &Generation, snapshot: &Snapshot) -> Result<(), Failure> {
    let mut different = Vec::new();
    for (place, vector) in snapshot.meta.vectors.iter().enumerate() {
        let passes = snapshot.tables.word(vector.outcome) & outcome::VERDICT == outcome::PASS;
        let gateway = outcome::gateway(snapshot.tables.word(vector.outcome));
        for hook in Hook::BOTH {
            let found = Found::Outcome(vector.outcome);
            let expected = match hook {
                Hook::Cgroup => Answer { passes: passes && gateway == 0, found, mark: MARK_BEFORE },
                Hook::Tc => {
                    let mark = marked(snapshot.tables.layout().gateway_mask, gateway);
                    Answer { passes, found, mark }
                }
            };
            let found = answer(generation, hook, vector)?;
            if found != expected {
                different.push(difference(place, vector, (hook, found), expected));
            }
        }
    }
    if different.is_empty() {
        return Ok(());
    }
    let shown = different.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    let message = format!("the kernel program decides {} of the test vectors otherwise: {shown}", different.len());
    Err(Failure::found(message)
        .help("nothing was changed; compile the policy again with the `egressc` of this version"))
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
