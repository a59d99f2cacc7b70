//! What must be found: tables that decide otherwise than their program.

use crate::case::{Case, without_direct};
use crate::node::Node;
use crate::rounds::{Effort, hold};
use egress_snapshot::layout::{LINE, outcome};
use egress_testkit::seed::{Rng, seed};

const EFFORT: Effort = Effort { boundaries: 800, packets: 2500, crafted: false };

/// Turns around what one outcome does, in the bytes.
fn turned(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= outcome::PASS as u8;
    bytes
}

#[test]
fn tables_that_decide_otherwise_are_found() {
    let Some(node) = Node::for_test("tables_that_decide_otherwise_are_found") else { return };
    let kernel = node.kernel();
    let mut turns = 0;
    // Those without names, whose fragments are decided exactly.
    for number in [1, 5] {
        let case = Case::draw(seed(), number);
        let tables = case.snapshot.tables.bytes();
        let rng = || Rng::new(seed(), 1 << 33 | number);
        let honest = hold(&kernel, &case, tables, EFFORT, rng());
        assert!(honest.differences.is_empty(), "{}", honest.differences.join("\n"));
        let layout = case.snapshot.tables.layout();
        for (place, count) in honest.found.iter().enumerate().filter(|(_, count)| **count > 0).take(2) {
            let wrong = turned(tables, layout.outcomes_line as usize * LINE + place * 4);
            let wrong = hold(&kernel, &case, &wrong, EFFORT, rng());
            assert_eq!(wrong.differences.len() as u64, *count, "{}, outcome {place}", case.name);
            turns += 1;
        }
        // A sender's row that is another's is found too, whichever part is read.
        let direct = (tables.to_vec(), layout.direct_line, layout.port_class_count * layout.direct_stride());
        let decisions = (without_direct(tables), layout.decisions_line, layout.decisions_stride);
        for (mut wrong, line, stride) in [direct, decisions].into_iter().filter(|(_, line, _)| *line > 0) {
            if layout.row_count < 2 {
                continue;
            }
            let first = line as usize * LINE;
            let length = stride as usize * LINE;
            let last = first + length * (layout.row_count as usize - 1);
            let (head, tail) = wrong.split_at_mut(last);
            head[first..first + length].swap_with_slice(&mut tail[..length]);
            let wrong = hold(&kernel, &case, &wrong, EFFORT, rng());
            assert!(!wrong.differences.is_empty(), "{}: two rows in each other's place", case.name);
            turns += 1;
        }
    }
    assert!(turns >= 4, "only {turns} changes were tried");
}
