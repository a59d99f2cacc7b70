//! Every unit of `testdata/` that has no errors, for every target: the artifact is proved equal to its source, or the
//! target refuses and says which rule it cannot express.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(test)]
mod support;

use std::path::{Path, PathBuf};
use support::{AS_OF, repository, run_in};

const TARGETS: [&str; 3] = ["nftables", "cilium", "ebpf"];

#[test]
fn every_case_is_compiled_as_meant_or_refused() {
    let inventory = repository().join("testdata/retailer/inventory.json");
    let (mut compiled, mut refused, mut lemmas) = (0, 0, 0);
    for case in cases() {
        for target in TARGETS {
            match compile(&case, target, &inventory) {
                Some(proved) => {
                    compiled += 1;
                    lemmas += proved;
                }
                None => refused += 1,
            }
        }
    }
    println!("{compiled} artifacts are proved equal to their source by {lemmas} lemmas, {refused} were refused");
    assert!(compiled >= 10 && lemmas >= 50, "{compiled} artifacts, {lemmas} lemmas");
}

/// Folders whose units have no errors, sorted.
fn cases() -> Vec<PathBuf> {
    let testdata = repository().join("testdata");
    let mut cases = vec![testdata.join("retailer"), testdata.join("retailer-names")];
    for kind in ["lists", "lowering", "names"] {
        let entries = std::fs::read_dir(testdata.join(kind).join("ok")).unwrap();
        cases.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    cases.sort();
    cases
}

/// The number of lemmas by which the artifact is proved, or nothing where the target refuses.
fn compile(case: &Path, target: &str, inventory: &Path) -> Option<u64> {
    let out = tempfile::tempdir().unwrap();
    let (inventory, folder) = (inventory.to_str().unwrap(), out.path().to_str().unwrap());
    let options = ["--inventory", inventory, "--as-of", AS_OF, "--out-dir", folder];
    let run = run_in(case, &[&["compile", ".", "--target", target][..], &options].concat(), b"");
    let written = std::fs::read_dir(out.path()).unwrap().count();
    assert!(!run.stdout.contains("egress::internal"), "{}: {run:?}", case.display());
    if run.code == Some(1) {
        assert!(run.stdout.contains("egress::target::"), "{} {target}: {run:?}", case.display());
        assert_eq!(written, 0, "{} {target} was refused and written", case.display());
        return None;
    }
    assert_eq!((run.code, written), (Some(0), 1), "{} {target}: {run:?}", case.display());
    assert!(run.stdout.contains("proved equal to its source for "), "{}: {run:?}", case.display());
    let said = run.stdout.split("proofs: ").nth(1).unwrap();
    Some(said.split(' ').next().unwrap().parse().unwrap())
}
