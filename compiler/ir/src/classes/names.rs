//! Name classes: which combinations of host patterns one DNS name can satisfy.
//!
//! In: host patterns. Out: one representative name for each combination that some name satisfies, the empty one left
//! out. A destination that is known by several names satisfies the union of their combinations.

use crate::host::HostPattern;
use std::collections::{BTreeMap, BTreeSet};

/// Every satisfiable, non-empty combination of patterns, as sorted indices into `patterns`, with a name for each.
///
/// Exact, because what a name satisfies depends only on whether it is written out in some pattern, on whether its
/// parent is the suffix of a one-label pattern, and on its longest suffix among the any-label patterns.
#[must_use]
pub fn name_classes(patterns: &[&HostPattern]) -> BTreeMap<Vec<usize>, String> {
    let fresh = fresh_label(patterns);
    let mut candidates = BTreeSet::new();
    for pattern in patterns {
        match pattern {
            HostPattern::Exact(name) => {
                candidates.insert(name.clone());
            }
            HostPattern::OneLabel(suffix) | HostPattern::AnyLabels(suffix) => {
                candidates.insert(format!("{fresh}.{suffix}"));
                candidates.insert(format!("{fresh}.{fresh}.{suffix}"));
            }
        }
    }
    let mut classes = BTreeMap::new();
    for name in candidates {
        let matching: Vec<usize> = (0..).zip(patterns).filter(|(_, p)| p.matches(&name)).map(|(i, _)| i).collect();
        if !matching.is_empty() {
            classes.entry(matching).or_insert(name);
        }
    }
    classes
}

/// A label that no pattern contains.
fn fresh_label(patterns: &[&HostPattern]) -> String {
    let texts: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    let mut label = String::from("www");
    while texts.iter().any(|text| text.split('.').any(|part| part == label)) {
        label.push('w');
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "www"]), 1..5).prop_map(|labels| labels.join("."))
    }

    fn pattern() -> impl Strategy<Value = HostPattern> {
        (0..3, name()).prop_map(|(kind, name)| match kind {
            0 => HostPattern::Exact(name),
            1 => HostPattern::OneLabel(name),
            _ => HostPattern::AnyLabels(name),
        })
    }

    proptest! {
        #[test]
        fn no_name_satisfies_a_combination_that_is_not_listed(patterns in prop::collection::vec(pattern(), 0..6), names in prop::collection::vec(name(), 0..40)) {
            let refs: Vec<&HostPattern> = patterns.iter().collect();
            let classes = name_classes(&refs);
            let of = |name: &str| (0..).zip(&refs).filter(|(_, p)| p.matches(name)).map(|(i, _)| i).collect::<Vec<usize>>();
            for name in names {
                let combination = of(&name);
                prop_assert!(combination.is_empty() || classes.contains_key(&combination), "{name}");
            }
            for (combination, name) in &classes {
                prop_assert_eq!(&of(name), combination);
            }
        }
    }
}
