//! The cases of `testdata/kube-vip/lint/`: what has a mistake is reported, what has not is not, and all of our own
//! artifacts are without any.

use crate::draft::small;
use crate::snapshot;
use egress_backends::kube_vip::{Options, emit, lint};
use egress_backends::lint::{Finding, Level};
use egress_ir::{Inventory, Labels, Pod, RunningPod};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Two pods with one label, one with another.
fn inventory() -> Inventory {
    let pod = |name: &str, app: &str, last: u8| {
        let labels = Labels::from([("app".to_owned(), app.to_owned())]);
        let identity = Pod { namespace: "shop".to_owned(), name: Some(name.to_owned()), labels, ..Pod::default() };
        RunningPod { identity, addresses: vec![[10, 42, 0, last].into()], node: None, host_network: false }
    };
    let pods =
        vec![pod("many-1", "many", 1), pod("many-2", "many", 2), pod("other-1", "other", 3), pod("solo-1", "solo", 4)];
    Inventory { pods, ..Inventory::default() }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/kube-vip/lint").join(folder);
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|it| it == "yaml")).collect();
    files.sort();
    files
}

/// The code that a file's name begins with, the name, the text, and what is found.
fn case(path: &Path) -> (String, String, String, Vec<Finding>) {
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let code = name.split('-').next().unwrap().to_ascii_uppercase();
    let text = std::fs::read_to_string(path).unwrap();
    let findings = lint(&text, Some(&inventory()));
    (code, name, text, findings)
}

fn shown(text: &str, findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let line = 1 + text[..finding.span.start].matches('\n').count();
        let level = match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "note",
        };
        writeln!(out, "{} {level}, line {line}: {}", finding.code, finding.object).unwrap();
        writeln!(out, "  at {:?}", &text[finding.span.clone()]).unwrap();
        writeln!(out, "  {}\n  happens: {}\n  fix: {}", finding.message, finding.happens, finding.fix).unwrap();
    }
    if out.is_empty() { "nothing\n".to_owned() } else { out }
}

#[test]
fn every_mistake_is_found_where_it_stands() {
    let mut codes = BTreeSet::new();
    for path in files("found") {
        let (code, name, text, findings) = case(&path);
        let own: Vec<&Finding> = findings.iter().filter(|finding| finding.code == code).collect();
        assert!(!own.is_empty(), "{name}: {findings:?}");
        assert!(own.iter().all(|finding| text.get(finding.span.clone()).is_some()), "{name}: {own:?}");
        codes.insert(code);
        snapshot("lint/found", &name, &shown(&text, &findings));
    }
    assert_eq!(codes, (0..=16).map(|number| format!("KV{number:03}")).collect());
}

#[test]
fn what_comes_close_is_not_reported() {
    let mut codes = BTreeSet::new();
    for path in files("clean") {
        let (code, name, text, findings) = case(&path);
        assert!(findings.iter().all(|finding| finding.code != code), "{name}: {findings:?}");
        codes.insert(code);
        snapshot("lint/clean", &name, &shown(&text, &findings));
    }
    assert_eq!(codes, (0..=16).map(|number| format!("KV{number:03}")).collect());
}

#[test]
fn our_own_artifacts_have_notes_only() {
    for vip_only in [false, true] {
        let draft = small();
        let options = Options { vip_only, image: Some("pause:3".into()), ..Options::default() };
        let artifact = emit(&draft.program, Some(&draft.inventory), &options).unwrap();
        let text = String::from_utf8(artifact.bytes).unwrap();
        let findings = lint(&text, (!vip_only).then_some(&draft.inventory));
        assert!(findings.iter().all(|finding| finding.level == Level::Note), "{}", shown(&text, &findings));
        assert_eq!(findings.is_empty(), vip_only);
    }
}
