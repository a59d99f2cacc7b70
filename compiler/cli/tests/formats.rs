//! The forms of findings: snapshots for people and machines, and SARIF against its schema.
#![expect(clippy::unwrap_used, reason = "a case that cannot be read must stop the test")]

#[cfg(test)]
mod support;

use serde_json::Value;
use support::{AS_OF, Folder, fenced, repository, snapshot};

/// A unit of two files with findings that span both, text beyond ASCII, and a list.
fn unit() -> Folder {
    Folder::new(&[
        (
            "policies/shop.egress",
            "# café 𝄞\ndestinations a = b\ndestinations ledger = 10.20.0.0/16\npolicy shop {\n  for pods(app=checkout) in namespace shop\n  \
             allow ledger, a on 443/tcp until 2020-01-01\n  allow ledgr because \"𝄞\" until 2026-01-20\n  deny list \"../lists/bad.txt\"\n}\n",
        ),
        (
            "policies/data.egress",
            "destinations b = a\ndestinations ledger = 10.21.0.0/16\npolicy data { for all allow 10.1.2.3/8 }\n",
        ),
        ("lists/bad.txt", "192.0.2.0/24\nnot an address\n198.51.100.1/24\n"),
    ])
}

fn check(format: &str) -> String {
    let run = unit().run(&["check", "--as-of", AS_OF, "--format", format]);
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(1)));
    run.stdout
}

#[test]
fn for_people() {
    snapshot("findings.human", &check("human"));
}

#[test]
fn as_json() {
    snapshot("findings.json", &check("json"));
}

#[test]
fn for_github() {
    snapshot("findings.github", &check("github"));
}

#[test]
fn as_sarif() {
    let sarif = check("sarif");
    validate(&serde_json::from_str(&sarif).unwrap());
    // The pages of rules are tested elsewhere.
    let mut log: Value = serde_json::from_str(&sarif).unwrap();
    log["runs"][0]["tool"]["driver"]["rules"] = Value::Null;
    snapshot("findings.sarif", &serde_json::to_string_pretty(&log).unwrap());
}

#[test]
fn explanations_for_people() {
    let folder = Folder::new(&[(
        "p.egress",
        "gateway eu { address 203.0.113.10 }\nguardrail never {\n  for all\n  owner \"security\"\n  mode audit\n  deny 192.0.2.0/25 log\n}\n\
         policy shop {\n  for pods(app=checkout) in namespace shop\n  owner \"team-shop\"\n  allow host api.example.com, 192.0.2.0/24\n    on 443/tcp via eu\n    \
         because \"cards\" ticket \"SEC-1\" until 2099-01-01\n}\n",
    )]);
    let ask = |to: &str, more: &[&str]| {
        let shared = ["explain", "--as-of", AS_OF, "--from", "shop/checkout", "--to", to];
        folder.run(&[&shared[..], more].concat()).stdout
    };
    let answers = [
        ask("192.0.2.7:443/tcp", &[]),
        ask("198.51.100.1:443", &["--name", "api.example.com"]),
        ask("198.51.100.1 icmp/8", &[]),
    ];
    snapshot("explanations.human", &answers.join("\n---\n\n"));
}

#[test]
fn an_empty_report_is_valid_sarif() {
    let folder = Folder::new(&[("p.egress", "policy lockdown { for all }")]);
    let run = folder.run(&["check", "--format", "sarif"]);
    assert_eq!(run.code, Some(0));
    validate(&serde_json::from_str(&run.stdout).unwrap());
}

#[test]
fn the_schema_refuses_what_is_wrong() {
    let mut log: Value = serde_json::from_str(&check("sarif")).unwrap();
    log["runs"][0]["results"][0]["level"] = "terrible".into();
    let schema = jsonschema::validator_for(&schema()).unwrap();
    assert!(!schema.is_valid(&log), "the schema is looked at");
}

fn validate(log: &Value) {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    let errors: Vec<String> = schema.iter_errors(log).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// The schema of SARIF 2.1.0 (OASIS), as the package `serde-sarif` brings it.
fn schema() -> Value {
    let metadata =
        cargo_metadata::MetadataCommand::new().manifest_path(repository().join("Cargo.toml")).exec().unwrap();
    let package = metadata.packages.iter().find(|package| package.name.as_str() == "serde-sarif").unwrap();
    let file = package.manifest_path.parent().unwrap().join("src/schema.json");
    let text = std::fs::read_to_string(file).unwrap();
    // One pattern of the published schema has a bracket too many, which only some readers of patterns take.
    serde_json::from_str(&text.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}$")).unwrap()
}

#[test]
fn examples_of_the_reference_are_parsed() {
    let page = std::fs::read_to_string(repository().join("docs/language.md")).unwrap();
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let mut parsed = 0;
    for (words, text) in fenced(&page).into_iter().chain(fenced(&readme)) {
        if words != "egress" {
            continue;
        }
        let folder = Folder::new(&[("p.egress", &text)]);
        let run = folder.run(&["fmt", "--diff"]);
        assert!(!run.stderr.contains("egress::syntax"), "{}\n{text}", run.stderr);
        let run = folder.run(&["check", "--format", "json", "--as-of", AS_OF]);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        for finding in report["findings"].as_array().unwrap() {
            let code = finding["code"].as_str().unwrap();
            let is_about_text = ["syntax", "name::unknown", "name::duplicate", "name::cycle", "address"];
            assert!(!is_about_text.iter().any(|part| code.contains(part)), "{finding}\n{text}");
        }
        parsed += 1;
    }
    assert!(parsed >= 10, "only {parsed} examples");
}
