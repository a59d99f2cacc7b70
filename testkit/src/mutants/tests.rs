//! Mutants differ from what they were made of in one place, and programs among them hold together.

use super::*;
use crate::programs::{Shape, random_program};
use crate::seed::{Rng, cases, seed};
use egress_ir::{Action, BlockKind};
use std::collections::BTreeSet;

#[test]
fn mutants_of_programs_hold_together() {
    let mut kinds = BTreeSet::new();
    for case in 0..cases(40) {
        let program = random_program(&mut Rng::new(seed(), case), &Shape::everything());
        for Mutant { kind, what, changed } in programs(&program) {
            let changed = changed.apply(&program);
            assert!(changed != program, "{what}");
            for (id, block) in changed.blocks.iter() {
                assert!(block.rules.iter().all(|&rule| changed.rules.at(rule).block == id), "{what}");
            }
            for rule in changed.rules.values() {
                let kind = changed.blocks.at(rule.block).kind;
                assert!(rule.action == Action::Deny || kind == BlockKind::Policy, "{what}");
                assert!(rule.action == Action::Allow || rule.gateway.is_none(), "{what}");
            }
            kinds.insert(kind);
        }
    }
    assert!(kinds.len() >= 20, "{kinds:?}");
}

#[test]
fn a_file_is_broken_line_by_line() {
    let text = "table inet t {\n\tmap m { typeof ip saddr : verdict; elements = { 10.0.0.1 : jump a, 10.0.0.2 : jump b }; }\n\
                \tchain a {\n\t\ttype filter hook prerouting priority -90; policy drop;\n\
                \t\tip daddr 10.0.0.0/24 tcp dport { 80, 443-445 } accept\n\t\tgoto b\n\t}\n\tchain b {\n\t}\n}\n";
    let found = nftables(text);
    let has = |kind: &str, part: &str| found.iter().any(|m| m.kind == kind && m.changed.contains(part));
    for (kind, part) in [
        ("drop-element", "{ 10.0.0.2 : jump b }"),
        ("drop-element", "{ 443-445 } accept"),
        ("widen-prefix", "daddr 10.0.0.0/23"),
        ("narrow-prefix", "daddr 10.0.0.0/25"),
        ("range-off-by-one", "443-446"),
        ("number-off-by-one", "{ 79, "),
        ("number-off-by-one", "10.0.0.3 : jump b"),
        ("swap-verdict", "443-445 } drop"),
        ("swap-policy", "policy accept"),
        ("drop-match", "\t\ttcp dport { 80, 443-445 } accept"),
        ("drop-match", "daddr 10.0.0.0/24 accept"),
        ("wrong-target", "goto a"),
        ("wrong-family", "ip6 daddr 10.0.0.0/24"),
        ("swap-rules", "\t\tgoto b\n\t\tip daddr"),
    ] {
        assert!(has(kind, part), "no `{kind}` with `{part}`");
    }
    assert!(found.iter().all(|mutant| mutant.changed != text));
}

#[test]
fn entries_fall_with_everything_below_them() {
    let text = "---\napiVersion: cilium.io/v2\nmetadata:\n  name: x\nspec:\n  egress:\n    - toCIDRSet:\n        - cidr: 10.0.0.0/8\n\
                \x20     toPorts:\n        - ports:\n            - port: \"443\"\n              endPort: 445\n              protocol: TCP\n";
    let found = cilium(text);
    let has = |kind: &str, part: &str| found.iter().any(|m| m.kind == kind && m.changed.contains(part));
    for (kind, part) in [
        ("drop-entry", "- cidr: 10.0.0.0/8\n"),
        ("drop-entry", "spec:\n  egress:\n"),
        ("widen-prefix", "10.0.0.0/7"),
        ("number-off-by-one", "\"444\""),
        ("number-off-by-one", "endPort: 446"),
        ("wrong-protocol", "UDP"),
        ("swap-action", "egressDeny:"),
        ("wrong-peer", "toCIDR:"),
    ] {
        assert!(has(kind, part), "no `{kind}` with `{part}`");
    }
    assert!(found.iter().any(|m| m.kind == "drop-entry" && !m.changed.contains("egress:")));
    assert!(found.iter().all(|mutant| mutant.changed.contains("name: x")));
}
