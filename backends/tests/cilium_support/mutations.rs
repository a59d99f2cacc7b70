//! Artifacts with one thing changed.

use egress_backends::cilium::model::{Numbers, Peer, Peers, Ports, Rule};
use egress_backends::cilium::{Model, decode};
use egress_ir::Prefix;
use egress_testkit::seed::Rng;

/// Changes one thing in an artifact, in its model or in its text; nothing where there is nothing to change.
pub(crate) fn mutated(rng: &mut Rng, model: &Model, text: &str) -> Option<(String, Model)> {
    if rng.chance(50) { mutated_model(rng, model) } else { mutated_text(rng, text) }
}

fn mutated_model(rng: &mut Rng, model: &Model) -> Option<(String, Model)> {
    let mut model = model.clone();
    let specs: Vec<(usize, usize)> = (0..model.policies.len())
        .flat_map(|at| (0..model.policies[at].specs.len()).map(move |of| (at, of)).collect::<Vec<_>>())
        .collect();
    let (policy, at) = *rng.choose(&specs)?;
    let spec = &mut model.policies[policy].specs[at];
    let what = match rng.below(9) {
        0 => {
            spec.allows.remove(rng.below(spec.allows.len().checked_sub(1)? + 1));
            "an allow is missing"
        }
        1 => {
            spec.denies.remove(rng.below(spec.denies.len().checked_sub(1)? + 1));
            "a deny is missing"
        }
        2 => {
            spec.default_deny = !spec.default_deny;
            "default deny is the other way round"
        }
        3 => {
            std::mem::swap(&mut spec.allows, &mut spec.denies);
            "allows and denies are swapped"
        }
        4 => {
            model.policies[policy].specs.remove(at);
            "a specification is missing"
        }
        5 => {
            let group = model.groups.values_mut().next()?;
            group.prefixes.pop();
            "a group has lost a prefix"
        }
        _ => return mutated_rule(rng, model, (policy, at)),
    };
    Some((what.to_owned(), model))
}

fn mutated_rule(rng: &mut Rng, mut model: Model, (policy, at): (usize, usize)) -> Option<(String, Model)> {
    let spec = &mut model.policies[policy].specs[at];
    let mut rules: Vec<&mut Rule> = spec.allows.iter_mut().chain(&mut spec.denies).collect();
    let chosen = rng.below(rules.len());
    let rule = rules.get_mut(chosen)?;
    let what = match (&mut rule.peers, &mut rule.ports, rng.below(3)) {
        (_, ports, 0) => {
            *ports = Ports::All;
            "a rule has lost its ports"
        }
        (_, Ports::Any(entries), 1) => {
            let chosen = rng.below(entries.len());
            let entry = entries.get_mut(chosen)?;
            let Numbers::Range(range) = &entry.numbers else { return None };
            entry.numbers = Numbers::Range(*range.start()..=range.end().checked_add(1)?);
            "a range of ports is longer by one"
        }
        (Peers::Any(peers), _, _) => {
            let Peer::Cidr { cidr, .. } = peers.iter_mut().find(|peer| matches!(peer, Peer::Cidr { .. }))? else {
                return None;
            };
            *cidr = Prefix::containing(cidr.address(), cidr.length().checked_sub(1)?);
            "a prefix is shorter by one"
        }
        _ => return None,
    };
    Some((what.to_owned(), model))
}

/// Words of an artifact and what somebody might write instead.
const WORDS: [(&str, &str); 18] = [
    ("53\"", "54\""),
    ("ANY", "TCP"),
    ("UDP", "TCP"),
    ("- host", "- cluster"),
    ("- health", "- all"),
    ("- unmanaged", "- kube-apiserver"),
    ("kube-dns", "coredns"),
    ("matchPattern: \"*\"", "matchPattern: \"*.example.com\""),
    ("matchPattern: \"**", "matchPattern: \"*"),
    ("operator: Exists", "operator: DoesNotExist"),
    ("operator: NotIn", "operator: In"),
    ("operator: In", "operator: NotIn"),
    ("toCIDRSet", "toCIDR"),
    ("egress: true", "egress: false"),
    ("egress: false", "egress: true"),
    ("/24", "/25"),
    ("/32", "/31"),
    ("egress:\n", "egressDeny:\n"),
];

/// Changes one word of an artifact's text, as far as it is still one.
fn mutated_text(rng: &mut Rng, text: &str) -> Option<(String, Model)> {
    for _ in 0..8 {
        let (from, to) = *rng.choose(&WORDS)?;
        let places: Vec<usize> = text.match_indices(from).map(|(place, _)| place).collect();
        let Some(&place) = rng.choose(&places) else { continue };
        let mut changed = text.to_owned();
        changed.replace_range(place..place + from.len(), to);
        if let Ok(model) = decode(changed.as_bytes()) {
            return Some((format!("`{from}` at {place} is `{to}`"), model));
        }
    }
    None
}
