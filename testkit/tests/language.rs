//! Every policy that is written here is text of the language: it parses without an error.

use egress_testkit::policies::{PolicyShape, generate};
use egress_testkit::seed::{cases, seed};
use std::path::{Path, PathBuf};

#[test]
fn generated_policies_parse() {
    for case in 0..cases(20) {
        let shape = PolicyShape { hosts: true, gateways: 3, address_workloads: true, ..PolicyShape::of(400) };
        for shape in [shape.clone(), shape.with_faults()] {
            let parsed = egress_lang::parse(&generate(seed() + case, &shape));
            assert!(parsed.errors.is_empty(), "seed {}: {:?}", seed() + case, parsed.errors);
            assert!(parsed.file.items.len() > 20);
        }
    }
}

#[test]
fn the_retailer_parses() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let mut files = Vec::new();
    for unit in ["retailer", "retailer-names", "retailer-findings"] {
        find(&root.join(unit), &mut files);
    }
    assert_eq!(files.len(), 10, "{files:?}");
    for path in files {
        let parsed = egress_lang::parse(&std::fs::read_to_string(&path).unwrap());
        assert!(parsed.errors.is_empty(), "{}: {:?}", path.display(), parsed.errors);
        assert!(!parsed.file.items.is_empty(), "{}", path.display());
    }
}

#[cfg(test)]
fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "egress") {
            files.push(path);
        }
    }
}
