//! Generated policies have the size and the variety that was asked for, and are always the same.

use super::*;
use crate::seed::seed;

/// The rules of a text, one line each.
fn rules(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("  allow ") || line.starts_with("  deny ")).collect()
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let shape = PolicyShape::of(500);
    assert_eq!(generate(7, &shape), generate(7, &shape));
    assert_ne!(generate(7, &shape), generate(8, &shape));
    assert_eq!(generate_inventory(7, &shape), generate_inventory(7, &shape));
}

#[test]
fn sizes_are_exact() {
    for count in [3, 4, 100, 1000, 10_000] {
        for shape in [PolicyShape::of(count), PolicyShape::of(count).with_faults()] {
            assert_eq!(rules(&generate(seed(), &shape)).len(), count);
        }
    }
}

#[test]
fn rules_are_varied() {
    let shape = PolicyShape { hosts: true, gateways: 5, address_workloads: true, ..PolicyShape::of(10_000) };
    let text = generate(seed(), &shape);
    let count = |part: &str| rules(&text).iter().filter(|rule| rule.contains(part)).count();
    for (part, at_least) in [
        ("  deny ", 500),
        ("  allow ", 6000),
        (" except ", 200),
        (" on ", 6000),
        (" provider-", 1500),
        (":", 800),
        (" host ", 80),
        (" via ", 1000),
        (" log", 200),
        (" because ", 2000),
        (" ticket ", 1000),
        (" until ", 300),
        (" on postgres", 100),
        ("/tcp", 3000),
    ] {
        assert!(count(part) >= at_least, "{} rules with `{part}`", count(part));
    }
    let sources = text.matches("\nworkloads ").count();
    assert!((80..=200).contains(&sources), "{sources} workload sets");
    assert!(text.contains("\nguardrail "));
}

#[test]
fn everything_declared_is_used_and_everything_used_is_declared() {
    let text = generate(seed(), &PolicyShape { gateways: 3, ..PolicyShape::of(3000) });
    let mut declared = BTreeSet::new();
    for line in text.lines() {
        for keyword in ["workloads ", "destinations ", "ports ", "gateway "] {
            if let Some(rest) = line.strip_prefix(keyword) {
                let name = rest.split_whitespace().next().unwrap();
                assert!(declared.insert(name), "`{name}` is declared twice");
            }
        }
    }
    let body = &text[text.find("\nguardrail ").unwrap()..];
    let words: BTreeSet<&str> = body.split(|c: char| c.is_whitespace() || c == ',').collect();
    assert!(declared.len() > 100 && declared.iter().all(|name| words.contains(name)));
    let known = |word: &&str| word.starts_with("provider-") || word.starts_with("exit-");
    assert!(words.iter().copied().filter(known).all(|word| declared.contains(word)));
}

#[test]
fn denies_of_clean_policies_never_meet() {
    let text = generate(seed(), &PolicyShape::of(5000));
    let mut denied = BTreeSet::new();
    for rule in rules(&text).into_iter().filter_map(|rule| rule.strip_prefix("  deny ")) {
        let first = rule.split([' ', ',']).next().unwrap();
        assert!(!first.starts_with("provider-"));
        let slot = first.rsplit_once('/').map_or(first, |(address, _)| address);
        assert!(denied.insert(slot.to_owned()), "{slot} is denied twice");
    }
    assert!(denied.len() > 200);
}

#[test]
fn inventories_hold_the_pods_that_rules_speak_about() {
    let shape = PolicyShape::of(1000);
    let list: serde_json::Value = serde_json::from_str(&generate_inventory(seed(), &shape)).unwrap();
    let items = list["items"].as_array().unwrap();
    let pods: Vec<_> = items.iter().filter(|item| item["kind"] == "Pod").collect();
    assert!(pods.len() >= shape.pods);
    let text = generate(seed(), &shape);
    let hit = |app: &str| text.contains(&format!("pods(app={app})"));
    let governed = pods.iter().filter(|pod| hit(pod["metadata"]["labels"]["app"].as_str().unwrap_or(""))).count();
    assert!(governed * 2 > pods.len());
    let addresses: BTreeSet<&str> = pods.iter().filter_map(|pod| pod["status"]["podIP"].as_str()).collect();
    assert_eq!(addresses.len(), pods.len());
}
