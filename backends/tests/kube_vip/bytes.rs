//! Whatever the bytes, reading them ends with a model or with problems, and linting with findings within the text.

use crate::draft::small;
use egress_backends::kube_vip::{Installed, Options, Settings, decode, emit, lint, rules};
use egress_testkit::seed::{Rng, cases, seed};

#[test]
fn damaged_artifacts_are_read_or_refused_and_linted_within_their_text() {
    let draft = small();
    let whole = emit(&draft.program, Some(&draft.inventory), &Options::default()).unwrap().bytes;
    let settings = Settings::assumed(&draft.program);
    let mut rng = Rng::new(seed(), 0x4b);
    let (mut read, mut broken, mut odd) = (0, 0, 0);
    for _ in 0..cases(1500) {
        let mut bytes = whole.clone();
        for _ in 0..rng.between(1, 4) {
            let at = rng.below(bytes.len());
            match rng.below(3) {
                0 => drop(bytes.remove(at)),
                1 => bytes.insert(at, *rng.choose(b" ,:/-\"'\n[{&*!0aT\xc3").unwrap()),
                _ => bytes[at] = *rng.choose(b" ,:/-\"'\n[{&*!0aT\xff").unwrap(),
            }
        }
        match decode(&bytes) {
            Ok(model) => {
                read += 1;
                let installed = rules(&model, &draft.inventory, &settings).services;
                odd += installed.iter().filter(|(_, it)| !matches!(it, Installed::Chain(_))).count();
            }
            Err(error) => {
                assert!(!error.problems.is_empty() && !error.to_string().is_empty());
                broken += 1;
            }
        }
        if let Ok(text) = std::str::from_utf8(&bytes) {
            for finding in lint(text, Some(&draft.inventory)) {
                assert!(text.get(finding.span.clone()).is_some(), "{finding:?}\n{text}");
            }
        }
    }
    assert!(read > 100 && broken > 100 && odd > 20, "{read} read, {broken} broken, {odd} odd");
}
