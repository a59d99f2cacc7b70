//! `egressc diff` end to end: what changes, what it says, and what git remembers.

#![expect(clippy::unwrap_used, reason = "a case that cannot be read must stop the test")]

#[cfg(test)]
mod support;

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use support::{Folder, Run, run_in, snapshot};

const OLD: &str = "workloads checkout = pods(app=checkout) in namespace shop\n\
destinations ledger = 10.20.0.0/16\n\
gateway out { address 203.0.113.10 }\n\
policy lockdown { for all }\n\
policy shop {\n  for checkout\n  owner \"team-shop\"\n  allow ledger on 5432/tcp\n  allow 192.0.2.0/24 on 443/tcp because \"cards | <b>@team</b>\"\n  allow 198.51.100.0/24 on 443/tcp\n}\n";

/// Opens 8443, closes the ledger, sends cards through a gateway.
fn new() -> String {
    OLD.replace("  allow ledger on 5432/tcp\n", "  allow 203.0.113.64/26 on 8443/tcp ticket \"SEC-1\"\n")
        .replace("192.0.2.0/24 on 443/tcp", "192.0.2.0/24 on 443/tcp via out")
}

fn units() -> Folder {
    Folder::new(&[("old/p.egress", OLD), ("new/p.egress", &new())])
}

fn shown(format: &str) -> String {
    let run = units().run(&["diff", "old", "new", "--format", format]);
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(1)));
    run.stdout
}

#[test]
fn for_people() {
    snapshot("diff.human", &shown("human"));
}

#[test]
fn for_pull_requests() {
    let text = shown("markdown");
    assert!(!text.contains("<b>") && !text.contains("@team"), "what people wrote stays text: {text}");
    snapshot("diff.markdown", &text);
}

#[test]
fn as_json() {
    snapshot("diff.json", &shown("json"));
}

#[test]
fn exit_codes_are_those_of_diff() {
    let folder = units();
    folder.write("broken/p.egress", b"policy p { for nobody }");
    folder.write("tighter/p.egress", OLD.replace("192.0.2.0/24", "192.0.2.0/25").as_bytes());
    folder.write("routed/p.egress", OLD.replace("443/tcp because", "443/tcp via out because").as_bytes());
    let cases: [(&[&str], i32); 12] = [
        (&["old", "old"], 0),
        (&["old", "new"], 1),
        (&["old", "new", "--only-tightens"], 1),
        (&["old", "tighter"], 1),
        (&["old", "tighter", "--only-tightens"], 0),
        (&["tighter", "old", "--only-tightens"], 1),
        (&["old", "routed", "--only-tightens"], 0),
        (&["old", "new", "--steps", "1", "--only-tightens"], 1),
        (&["old", "tighter", "--steps", "1", "--only-tightens"], 3),
        (&["old", "old", "--steps", "1"], 3),
        (&["old", "broken"], 2),
        (&["old", "missing"], 2),
    ];
    for (arguments, code) in cases {
        let run = folder.run(&[&["diff"], arguments].concat());
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
        assert!(!run.stdout.is_empty() || !run.stderr.is_empty());
    }
    let unknown = folder.run(&["diff", "old", "tighter", "--steps", "1", "--format", "json"]);
    let answer: Value = serde_json::from_str(&unknown.stdout).unwrap();
    assert_eq!((&answer["answer"], &answer["only_tightens"]), (&Value::from("different"), &Value::Null), "{answer}");
}

#[test]
fn what_names_open_is_not_taken_for_tightening() {
    let before = "policy p {\n  for address 10.9.0.0/24\n  allow 192.0.2.0/24 on 443/tcp\n  deny host bad.example.com on 443/tcp\n}\n";
    let after = "policy p {\n  for address 10.9.0.0/24\n  allow host bad.example.com on 443/tcp\n  deny world except 192.0.2.0/24\n}\n";
    let folder = Folder::new(&[("old.egress", before), ("new.egress", after)]);
    let run = folder.run(&["diff", "old.egress", "new.egress", "--only-tightens"]);
    assert_eq!(run.code, Some(1), "{run:?}");
}

#[test]
fn an_inventory_names_who_is_concerned() {
    let folder = units();
    folder.write(
        "inventory.json",
        br#"{ "kind": "List", "items": [
          { "kind": "Namespace", "metadata": { "name": "shop" } },
          { "kind": "Pod", "metadata": { "name": "checkout-1", "namespace": "shop", "labels": { "app": "checkout" } },
            "spec": { "nodeName": "n1" }, "status": { "phase": "Running", "podIPs": [ { "ip": "10.42.0.7" } ] } } ] }"#,
    );
    let run = folder.run(&["diff", "old", "new", "--inventory", "inventory.json"]);
    assert!(run.stdout.contains("  runs     1 pod, shop/checkout-1\n"), "{}", run.stdout);
    let broken = folder.run(&["diff", "old", "new", "--inventory", "old/p.egress"]);
    assert_eq!(broken.code, Some(2), "{broken:?}");
}

#[test]
fn revisions_are_read_without_a_checkout() {
    let folder = Folder::new(&[
        ("policies/p.egress", OLD),
        ("policies/lists/bad.txt", "192.0.2.66\n"),
        ("policies/deny.egress", "guardrail never { for all deny list \"lists/current.txt\" }\n"),
        ("policies/.hidden/x.egress", "policy p { for nobody }"),
        (".gitattributes", "policies/deny.egress export-ignore\n"),
    ]);
    std::os::unix::fs::symlink("bad.txt", folder.path().join("policies/lists/current.txt")).unwrap();
    git(&folder, &["init", "-q", "-b", "main"]);
    commit(&folder);
    folder.write("policies/p.egress", new().as_bytes());
    folder.write("policies/lists/bad.txt", b"192.0.2.66\n192.0.2.67\n");
    commit(&folder);
    let diff = |place: &Path, arguments: &[&str]| run_in(place, &[&["diff"], arguments].concat(), b"");
    let summary =
        |run: &Run| run.stdout.lines().next().unwrap_or_default().rsplit(": ").next().unwrap_or_default().to_owned();
    let (top, below) = (folder.path().to_owned(), folder.path().join("policies"));
    let expected = "1 opened, 2 closed, 1 re-routed";
    for (place, arguments) in [
        (&top, &["git:HEAD~1"][..]),
        (&top, &["git:HEAD~1", "git:HEAD"]),
        (&top, &["git:HEAD~1:policies", "policies"]),
        (&below, &["git:HEAD~1"]),
        (&below, &["git:HEAD~1:./", "git:main:policies"]),
    ] {
        let run = diff(place, arguments);
        assert_eq!((run.code, summary(&run).as_str()), (Some(1), expected), "{arguments:?}: {run:?}");
    }
    let run = diff(&top, &["git:HEAD~1"]);
    assert!(run.stdout.contains("HEAD~1:policies/p.egress:"), "places are git's own: {}", run.stdout);
    assert_eq!(diff(&top, &["git:HEAD"]).code, Some(0));
    let file = diff(&top, &["git:HEAD~1:policies/p.egress", "policies/p.egress"]);
    assert_eq!(file.code, Some(1), "{file:?}");
    for wrong in ["git:nowhere", "git:HEAD:none", "git:--all", "git:", "git:HEAD:../x", "git:HEAD:policies/lists"] {
        let run = diff(&top, &[wrong]);
        assert_eq!(run.code, Some(2), "{wrong}: {run:?}");
    }
    let elsewhere = Folder::new(&[("p.egress", OLD)]);
    assert_eq!(elsewhere.run(&["diff", "git:HEAD"]).code, Some(2));
}

#[test]
fn links_of_a_revision_do_not_lead_out() {
    let folder =
        Folder::new(&[("unit/p.egress", "policy p { for all deny list \"l.txt\" }\n"), ("secret.txt", "192.0.2.1\n")]);
    std::os::unix::fs::symlink("../secret.txt", folder.path().join("unit/l.txt")).unwrap();
    git(&folder, &["init", "-q", "-b", "main"]);
    commit(&folder);
    let run = folder.run(&["diff", "git:HEAD:unit", "git:HEAD:unit"]);
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains("it leads out of the root folder by a symbolic link"), "{}", run.stderr);
    let run = folder.run(&["diff", "git:HEAD:unit", "git:HEAD:unit", "--root", "."]);
    assert_eq!(run.code, Some(0), "{run:?}");
}

fn commit(folder: &Folder) {
    git(folder, &["add", "-A"]);
    git(folder, &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "x"]);
}

fn git(folder: &Folder, arguments: &[&str]) {
    let run = Command::new("git").args(arguments).current_dir(folder.path()).output().unwrap();
    assert!(run.status.success(), "{run:?}");
}
