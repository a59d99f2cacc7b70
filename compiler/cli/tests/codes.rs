//! Pages of codes: one for each code that exists, and their examples do what they say.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a case that cannot be read must stop the test"
)]

#[cfg(test)]
mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use support::{AS_OF, Folder, fenced, repository};

/// Codes whose finding no small policy can cause, and why.
const WITHOUT_EXAMPLE: [(&str, &str); 25] = [
    ("egress::artifact::foreign", "tables of a kernel"),
    ("egress::artifact::narrower", "an artifact, not the policy"),
    ("egress::artifact::rerouted", "an artifact, not the policy"),
    ("egress::artifact::wider", "an artifact, not the policy"),
    ("egress::check::too-many-classes", "more than 65,536 overlaps of sets"),
    ("egress::internal::artifact", "a defect of egressc"),
    ("egress::internal::claim", "a defect of egressc"),
    ("egress::internal::lemma", "a defect of egressc"),
    ("egress::internal::witness", "a defect of egressc"),
    ("egress::inventory::unreadable", "the settings of an editor"),
    ("egress::proof::cache", "a folder that cannot be written"),
    ("egress::proof::unknown", "limits, not the policy"),
    ("egress::syntax::encoding", "a page is UTF-8 itself"),
    ("egress::syntax::nesting", "64 parentheses"),
    ("egress::syntax::too-large", "64 MiB"),
    ("egress::syntax::unfaithful", "a defect of egressc"),
    ("egress::target::address", "an inventory of two moments"),
    ("egress::target::capacity", "thousands of prefixes"),
    ("egress::target::form", "tens of thousands of rules"),
    ("egress::target::name", "a name of 250 letters"),
    ("egress::target::nft-check", "a defect of egressc, or a kernel that lacks something"),
    ("egress::target::option", "the command line, not the policy"),
    ("egress::target::protocol", "the language names no such protocol alone"),
    ("egress::target::vectors", "tens of thousands of rules"),
    ("egress::target::workload-set", "hundreds of exceptions"),
];

#[test]
fn every_code_has_a_page_and_every_page_a_code() {
    let mut codes = BTreeSet::new();
    for folder in
        ["lang/src", "compiler/src", "compiler/answers/src", "compiler/cli/src", "compiler/lsp/src", "backends/src"]
    {
        codes_below(&repository().join(folder), &mut codes);
    }
    let pages: BTreeSet<String> = pages().into_iter().map(|(code, _)| code).collect();
    assert!(codes.len() > 40, "only {} codes were found", codes.len());
    let missing: Vec<&String> = codes.difference(&pages).collect();
    assert!(missing.is_empty(), "codes without a page: {missing:?}");
    let left: Vec<&String> = pages.difference(&codes).collect();
    assert!(left.is_empty(), "pages without a code: {left:?}");
}

#[test]
fn explain_prints_each_page() {
    let folder = Folder::new(&[]);
    for (code, page) in pages() {
        let run = folder.run(&["explain", &code]);
        assert_eq!((run.stdout.as_str(), run.code), (page.as_str(), Some(0)), "{code}");
    }
    let run = folder.run(&["explain", "egress::rule::deed"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("there is no code `egress::rule::deed`"), "{}", run.stderr);
}

#[test]
fn examples_cause_their_finding_and_their_remedies_do_not() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for (code, page) in pages() {
        let blocks = fenced(&page);
        let has_example = blocks.iter().any(|(words, _)| words.split(' ').next() == Some("egress"));
        let excused = WITHOUT_EXAMPLE.iter().any(|(known, _)| *known == code);
        assert!(has_example != excused, "{code} has an example: {has_example}, is excused: {excused}");
        for (words, text) in &blocks {
            let mut words = words.split(' ');
            if words.next() != Some("egress") {
                continue;
            }
            let (mut fixed, mut target) = (false, None);
            for word in words {
                match word {
                    "fixed" => fixed = true,
                    other => target = Some(other.to_owned()),
                }
            }
            let found = findings(text, &blocks, target.as_deref());
            if found.contains(&code) == fixed {
                wrong.push(format!("{code}, fixed {fixed}: found {found:?} in\n{text}"));
            }
            checked += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 80, "only {checked} examples were checked");
}

/// The codes found in a policy beside the page's files.
fn findings(policy: &str, blocks: &[(String, String)], target: Option<&str>) -> BTreeSet<String> {
    let folder = Folder::new(&[("policy.egress", policy)]);
    let mut arguments = vec!["--as-of", AS_OF, "--format", "json"];
    for (words, text) in blocks {
        match words.split_once(' ') {
            Some(("text", path)) => folder.write(path, text.as_bytes()),
            Some(("json", "inventory")) => {
                folder.write("inventory.json", text.as_bytes());
                arguments.extend(["--inventory", "inventory.json"]);
            }
            _ => {}
        }
    }
    match target {
        None => arguments.insert(0, "check"),
        Some("verify") => {
            arguments.splice(0..0, ["verify", "--coverage"]);
        }
        Some(target) => {
            arguments.splice(0..0, ["compile", "--target", target, "--out-dir", "."]);
            if target == "nftables" {
                arguments.push("--no-nft-check");
            }
        }
    }
    let run = folder.run(&arguments);
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    let found = report["findings"].as_array().unwrap().iter();
    found.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

/// Codes and pages, by the pages' titles.
fn pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(repository().join("docs/codes")).unwrap() {
        let path = entry.unwrap().path();
        let page = std::fs::read_to_string(&path).unwrap();
        let code = page.lines().next().unwrap().trim_start_matches("# ").to_owned();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert_eq!(name, code.replace("::", "-"), "the page's file is named by its code");
        pages.push((code, page));
    }
    pages.sort();
    pages
}

/// Codes written in Rust sources, tests apart.
fn codes_below(folder: &Path, codes: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes_below(&path, codes);
        } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|n| n != "pages.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            codes.extend(code.split('"').filter(|word| is_code(word)).map(str::to_owned));
        }
    }
}

/// `egress::GROUP::NAME`, both of small letters, digits and hyphens.
fn is_code(word: &str) -> bool {
    let parts: Vec<&str> = word.split("::").collect();
    let plain = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    parts.len() == 3 && parts[0] == "egress" && parts.iter().all(plain)
}
