//! One pair of programs, compared in three ways.
//!
//! In: two programs. Out: how they differ, where all three ways agree; otherwise a panic that says where they do not.

use crate::diagrams::{Space, What, what};
use crate::pods;
use biodivine_lib_bdd::Bdd;
use egress_ir::{AddressSet, GatewayId, Outcome, Prefix, Program, Verdict, eval};
use egress_verifier::{Answer, Block, Cache, Diff, Limits, Prover, diff, whole};
use std::collections::BTreeMap;

/// What was checked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Pairs of programs.
    pub(crate) pairs: usize,
    /// Pairs that decide every flow alike.
    pub(crate) equal: usize,
    /// Senders and families for which diagrams were made.
    pub(crate) spaces: usize,
    /// Blocks that were held against diagrams.
    pub(crate) blocks: usize,
    /// Pods that were held against senders.
    pub(crate) pods: usize,
    /// Queries about whole programs.
    pub(crate) whole: usize,
}

/// Holds the three ways against each other; `asks_whole` says whether the programs are small enough for the third.
pub(crate) fn agree(before: &Program, after: &Program, asks_whole: bool, context: &str) -> Tally {
    let mut prover = Prover::new(Limits::default(), Cache::default());
    let found = diff(before, after, None, &mut prover).unwrap_or_else(|fault| panic!("{context}: {fault}"));
    let blocks: &[Block] = match &found.comparison.answer {
        Answer::Proved => &[],
        Answer::Refuted(blocks) => blocks,
        Answer::Unknown(reason) => panic!("{context}: {reason}"),
    };
    assert_eq!(found.comparison.answer.is_proved(), blocks.is_empty(), "{context}: refuted without a block");
    for block in blocks {
        assert!(confirmed(before, after, &found, block), "{context}: eval does not confirm {block:?}");
    }
    let mut tally = Tally { pairs: 1, blocks: blocks.len(), ..Tally::default() };
    tally.pods = pods::each_has_its_sender(before, after, &found.senders, context);
    let mut differ = false;
    for v6 in [false, true] {
        let space = Space::new(v6, &[before, after]);
        for (place, sender) in found.senders.iter().enumerate() {
            if if v6 { sender.v6 } else { sender.v4 } {
                let context = format!("{context}: {}, IPv6 {v6}", sender.workload);
                differ |= blocks_are_the_difference(&space, (before, after), &found, place, blocks, &context);
                tally.spaces += 1;
            }
        }
    }
    assert_eq!(differ, !blocks.is_empty(), "{context}: diagrams and diff do not agree");
    tally.equal = usize::from(!differ);
    if asks_whole {
        tally.whole = whole_agrees(before, after, &found, blocks, context);
    }
    tally
}

/// Whether the evaluator decides a block's witness as the block says, before and after.
fn confirmed(before: &Program, after: &Program, found: &Diff, block: &Block) -> bool {
    let decided = |program: &Program| match eval(program, &block.witness).verdict {
        Verdict::Inside | Verdict::Ungoverned => What::Passes(None),
        Verdict::Allowed(gateway) => {
            let own =
                program.gateways.iter().map(|(id, gateway)| (id, gateway.clone())).collect::<BTreeMap<GatewayId, _>>();
            what(Outcome::Passes(gateway), &own)
        }
        Verdict::Conflict(_) | Verdict::Denied => What::Dropped,
    };
    let said = (what(block.left, &found.gateways), what(block.right, &found.gateways));
    said.0 != said.1 && (decided(before), decided(after)) == said
}

/// Whether the diagrams differ at all; that they differ in the blocks and nowhere else is asserted.
fn blocks_are_the_difference(
    space: &Space,
    (before, after): (&Program, &Program),
    found: &Diff,
    place: usize,
    blocks: &[Block],
    context: &str,
) -> bool {
    let workload = &found.senders[place].workload;
    let (left, right) = (space.decide(before, workload), space.decide(after, workload));
    for decided in [&left, &right] {
        let sum = decided.values().fold(space.none(), |sum, part| sum.or(part));
        assert_eq!(sum, space.possible(), "{context}: the diagrams leave flows out");
    }
    let same = left.iter().filter_map(|(what, flows)| Some(flows.and(right.get(what)?)));
    let differing = same.fold(space.possible(), |rest, flows| rest.and_not(&flows));
    let of = |decided: &BTreeMap<What, Bdd>, outcome: Outcome| {
        decided.get(&what(outcome, &found.gateways)).cloned().unwrap_or_else(|| space.none())
    };
    let (mut unnamed, mut whatever) = (space.none(), space.none());
    for block in blocks.iter().filter(|block| block.senders.contains(&place)) {
        let cell = space.addresses(&block.addresses).and(&space.ports(&block.ports));
        let named = cell.and(&space.exactly_named(&block.names));
        let decided = of(&left, block.left).and(&of(&right, block.right));
        assert!(named.and_not(&decided).is_false(), "{context}: {block:?} says too much");
        whatever = whatever.or(&cell);
        if block.names.is_empty() {
            unnamed = unnamed.or(&named);
        }
    }
    let without_names = differing.and(&space.exactly_named(&[]));
    assert!(without_names.xor(&unnamed).is_false(), "{context}: blocks without names are not the difference");
    assert!(space.whatever_named(&differing).xor(&whatever).is_false(), "{context}: blocks are not the difference");
    !differing.is_false()
}

/// The undecomposed query says the same of each sender, and of everybody at once; how many queries were asked.
fn whole_agrees(before: &Program, after: &Program, found: &Diff, blocks: &[Block], context: &str) -> usize {
    let limits = whole::Limits::default();
    let mut asked = 1;
    for (place, sender) in found.senders.iter().enumerate() {
        let of_sender: Vec<&Block> = blocks.iter().filter(|block| block.senders.contains(&place)).collect();
        match whole::compare(before, after, sender, &limits).unwrap_or_else(|fault| panic!("{context}: {fault}")) {
            Answer::Proved => assert!(of_sender.is_empty(), "{context}: {} proved", sender.workload),
            Answer::Refuted(flow) => {
                let (address, port) = (AddressSet::from_prefixes([Prefix::host(flow.destination.address)]), flow.port);
                let covers = |block: &&Block| block.addresses.overlaps(&address) && block.ports.contains(port);
                assert!(of_sender.iter().any(covers), "{context}: no block covers {flow}");
            }
            Answer::Unknown(reason) => panic!("{context}: {reason}"),
        }
        asked += 1;
    }
    let everybody =
        whole::compare_everybody(before, after, &limits).unwrap_or_else(|fault| panic!("{context}: {fault}"));
    assert_eq!(everybody.is_proved(), blocks.is_empty(), "{context}: everybody: {everybody:?}");
    asked
}
