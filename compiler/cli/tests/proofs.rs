//! Proofs end to end: artifacts that were edited, assertions, limits, and what is remembered.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a case that cannot be read must stop the test"
)]

#[cfg(test)]
mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use support::{AS_OF, Folder, Run, repository, run_in};

const HOSTS: &str =
    "policy hosts {\n  for address 10.9.0.0/24\n  allow 192.0.2.0/24, 198.51.100.7 on 443/tcp\n  deny 192.0.2.66\n}\n";
const PODS: &str = "cluster c { pods 10.42.0.0/16 dns pods(k8s-app=kube-dns) in namespace kube-system }\n\
                    policy p {\n  for pods(app=a) in namespace shop\n  allow 192.0.2.0/24 on 443/tcp\n  \
                    allow host api.example.com\n  deny private\n}\n";

fn report(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

fn codes(report: &Value) -> BTreeSet<String> {
    report["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap().to_owned()).collect()
}

/// The policy, compiled.
fn compiled(policy: &str, target: &str, file: &str) -> Folder {
    let folder = Folder::new(&[("p.egress", policy)]);
    let run = folder.run(&["compile", "p.egress", "--target", target, "-o", file]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("proved equal to its source for "), "{}", run.stdout);
    folder
}

fn hold(folder: &Folder, target: &str, file: &str) -> (Run, Value) {
    let run = folder.run(&["verify", "p.egress", "--artifact", file, "--target", target, "--format", "json"]);
    let report = report(&run);
    (run, report)
}

#[test]
fn edited_artifacts_are_refuted_with_their_direction() {
    let nft = [
        ("192.0.2.66", "192.0.2.67", true, true),
        ("443", "444", true, true),
        ("198.51.100.7", "198.51.100.8", true, true),
    ];
    let yaml = [
        ("192.0.2.0/24", "192.0.2.0/25", false, true),
        ("192.0.2.0/24", "192.0.2.0/23", true, false),
        ("\"443\"", "\"444\"", true, true),
        ("api.example.com", "api.example.org", true, true),
        ("10.0.0.0/8", "10.0.0.0/9", true, false),
    ];
    for (policy, target, edits) in [(HOSTS, "nftables", &nft[..]), (PODS, "cilium", &yaml[..])] {
        let folder = compiled(policy, target, "artifact");
        let (run, whole) = hold(&folder, target, "artifact");
        assert_eq!((run.code, codes(&whole).len()), (Some(0), 0), "{whole}");
        let text = folder.read("artifact");
        for (from, to, wider, narrower) in edits {
            assert!(text.contains(from), "{from} is not in {text}");
            folder.write("edited", text.replace(from, to).as_bytes());
            let (run, found) = hold(&folder, target, "edited");
            assert_eq!(run.code, Some(1), "{from} for {to}: {run:?}");
            let codes = codes(&found);
            assert_eq!(codes.contains("egress::artifact::wider"), *wider, "{from} for {to}: {found}");
            assert_eq!(codes.contains("egress::artifact::narrower"), *narrower, "{from} for {to}: {found}");
            let proof = found["proofs"].as_array().unwrap().iter().find(|proof| proof["kind"] == "artifact").unwrap();
            assert_eq!(proof["answer"], "refuted");
            let blocks = proof["blocks"].as_array().unwrap();
            assert!(!blocks.is_empty() && blocks.iter().all(|block| block["policy"] != block["artifact"]), "{proof}");
        }
    }
}

#[test]
fn what_is_not_understood_is_unknown_and_never_guessed() {
    let folder = compiled(HOSTS, "nftables", "whole.nft");
    let whole = folder.read("whole.nft");
    folder.write("cut.nft", &whole.as_bytes()[..whole.len() / 2]);
    folder.write("other.nft", b"table ip filter { chain c { type filter hook output priority 0; drop } }\n");
    folder
        .write("other.yaml", b"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\nspec: {}\n");
    folder.write("rules.v4", b"*filter\n:OUTPUT DROP [0:0]\nCOMMIT\n");
    folder.write("listing.json", b"{\"nftables\": [{\"metainfo\": {\"version\": \"1.0.6\"");
    folder.write("bytes", b"\xff\x00\xfe");
    let cases = [
        ("nftables", "cut.nft"),
        ("nftables", "other.nft"),
        ("nftables", "rules.v4"),
        ("nftables", "listing.json"),
        ("nftables", "bytes"),
        ("cilium", "other.yaml"),
        ("cilium", "bytes"),
        ("cilium", "whole.nft"),
    ];
    for (target, file) in cases {
        let (run, report) = hold(&folder, target, file);
        assert_eq!(run.code, Some(3), "{file}: {run:?}");
        let findings = report["findings"].as_array().unwrap();
        let finding = findings.iter().find(|finding| finding["code"] == "egress::proof::unknown").unwrap();
        assert!(finding["message"].as_str().unwrap().contains("is not understood"), "{finding}");
        assert!(!finding["notes"][0].as_str().unwrap().is_empty(), "{file} says nothing: {finding}");
    }
    let missing = folder.run(&["verify", "p.egress", "--artifact", "none", "--target", "nftables"]);
    assert_eq!(missing.code, Some(2));
    assert_eq!(folder.run(&["verify", "p.egress", "--artifact", "whole.nft"]).code, Some(0));
    for wrong in [&["--artifact", "bytes"][..], &["--target", "cilium"], &["--hooks", "output"], &["--running"]] {
        assert_eq!(folder.run(&[&["verify", "p.egress"], wrong].concat()).code, Some(2), "{wrong:?}");
    }
}

#[test]
fn without_steps_nothing_is_known_and_nothing_is_written() {
    let folder = Folder::new(&[("p.egress", &format!("{HOSTS}assert address 10.9.0.0/24 cannot reach 192.0.2.66\n"))]);
    let verify = folder.run(&["verify", "--steps", "1", "--format", "json"]);
    assert_eq!(verify.code, Some(3), "{verify:?}");
    let found = report(&verify);
    assert_eq!(codes(&found), ["egress::proof::unknown".to_owned()].into());
    assert!(found["proofs"].as_array().unwrap().iter().all(|proof| proof["answer"] == "unknown"), "{found}");

    let compile = ["compile", "--target", "nftables", "-o", "out.nft", "--no-nft-check", "--steps", "1"];
    let refused = folder.run(&compile);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert_eq!(folder.names(), ["p.egress"]);
    let unproved = folder.run(&[&compile[..], &["--unproved"]].concat());
    assert_eq!(unproved.code, Some(0), "{unproved:?}");
    assert!(unproved.stdout.contains("egress::proof::unknown"), "{}", unproved.stdout);
    let text = folder.read("out.nft");
    assert!(text.lines().nth(1).unwrap().starts_with("# unproved: "), "{text}");
    let denied = folder.run(&[&compile[..], &["--unproved", "--deny-warnings"]].concat());
    assert_ne!(denied.code, Some(0), "{denied:?}");
    let (run, _) = hold(&folder, "nftables", "out.nft");
    assert_eq!(run.code, Some(0), "the decoder takes the comment, and the file is right: {run:?}");
}

#[test]
fn proofs_are_remembered_and_damage_does_no_harm() {
    let folder = Folder::new(&[("p.egress", HOSTS)]);
    let verify = || {
        let run = folder.run(&["verify", "p.egress", "--cache", "memory", "--format", "json"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        report(&run)
    };
    let first = verify();
    let lemmas = first["work"]["lemmas"].as_u64().unwrap();
    assert!(lemmas > 2 && first["work"]["remembered"] == 0, "{first}");
    let file = folder.path().join("memory/proofs");
    let whole = std::fs::read(&file).unwrap();
    let second = verify();
    assert!(second["work"]["lemmas"].as_u64().unwrap() <= lemmas, "{second}");
    assert_eq!(
        (&second["work"]["remembered"], &second["work"]["queries"]),
        (&second["work"]["lemmas"], &Value::from(0))
    );
    for damage in [b"".to_vec(), b"nonsense".to_vec(), whole[..whole.len() - 5].to_vec(), vec![0; 4096]] {
        std::fs::write(&file, damage).unwrap();
        assert_eq!(verify()["summary"]["warnings"], 0);
        assert_eq!(std::fs::read(&file).unwrap(), whole, "what was proved anew is remembered again");
    }
    let compile = ["compile", "--target", "nftables", "-o", "x.nft", "--no-nft-check", "p.egress", "--cache", "memory"];
    assert_eq!(folder.run(&compile).code, Some(0));
    assert_eq!(verify()["work"]["queries"], 0, "verbs share their memory");
    std::fs::remove_dir_all(folder.path().join("memory")).unwrap();
    std::fs::write(folder.path().join("memory"), "a file").unwrap();
    let blocked = verify();
    assert!(codes(&blocked).contains("egress::proof::cache"), "{blocked}");
}

#[test]
fn caches_are_the_users_own() {
    let folder = Folder::new(&[("p.egress", HOSTS), ("cache/x", "")]);
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_egressc"))
        .args(["verify", "p.egress"])
        .current_dir(folder.path())
        .env("XDG_CACHE_HOME", folder.path().join("cache"))
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
    let kept: Vec<_> = std::fs::read_dir(folder.path().join("cache/egressc")).unwrap().map(|e| e.unwrap()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0].metadata().unwrap().permissions().mode() & 0o077, 0, "nobody else may read or forge it");
}

#[test]
fn the_controls_of_the_retailer_are_proved() {
    let unit = repository().join("testdata/retailer");
    let run = run_in(&unit, &["verify", "--inventory", "inventory.json", "--as-of", AS_OF, "--format", "json"], b"");
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    let report = report(&run);
    let proofs = report["proofs"].as_array().unwrap();
    assert!(proofs.iter().all(|proof| proof["answer"] == "proved"), "{proofs:#?}");
    let controls: BTreeSet<&str> = proofs.iter().filter_map(|proof| proof["control"].as_str()).collect();
    assert_eq!((proofs.len(), controls.len()), (19, 6), "{controls:?}");
}

#[test]
fn a_failed_assertion_shows_flow_rules_and_remedy() {
    let folder = Folder::new(&[(
        "p.egress",
        "workloads checkout = pods(app=checkout) in namespace shop\n\
         policy shop {\n  for checkout\n  allow 192.0.2.0/24 on 443/tcp\n}\npolicy lockdown { for all }\n\
         control \"X 1\" \"title\" { assert all cannot reach 192.0.2.66 }\n",
    )]);
    let run = folder.run(&["verify"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    for said in [
        "`assert all cannot reach 192.0.2.66` does not hold",
        "→ 192.0.2.66:443/tcp",
        "note: checkout → 192.0.2.66 on 443/tcp: passes",
        "control X 1 title",
        "without `shop#1` it holds, which is proved",
        "refuted: X 1 title: 0 of 1 assertion proved",
    ] {
        assert!(run.stdout.contains(said), "{said}: {}", run.stdout);
    }
}

#[test]
fn coverage_says_who_is_decided_by_what() {
    let folder = Folder::new(&[("p.egress", HOSTS)]);
    let run = folder.run(&["verify", "--coverage", "--format", "json"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let report = report(&run);
    let covered = report["coverage"].as_array().unwrap();
    let of = |who: &str| covered.iter().find(|one| one["from"] == who).unwrap();
    let hosts = of("address 10.9.0.0/24");
    assert_eq!(hosts["governed"], true);
    assert!(hosts["ipv4"]["default"].as_f64().unwrap() > 99.0, "{hosts}");
    assert!(hosts["rules"].as_array().unwrap().iter().any(|rule| rule["rule"] == "hosts#1"), "{hosts}");
    assert!(covered.iter().any(|one| one["ipv4"]["ungoverned"] == 100.0), "{covered:#?}");
    assert!(codes(&report).contains("egress::coverage::unpinned"));
}

/// Runs a script in a network namespace of its own, which vanishes with it; nothing where none can be made.
fn in_namespace(folder: &Folder, script: &str) -> Option<String> {
    let may = |arguments: &[&str]| std::process::Command::new("unshare").args(arguments).output();
    if !may(&["-n", "nft", "list", "tables"]).is_ok_and(|run| run.status.success()) {
        eprintln!("SKIPPED: no nft in a network namespace of its own");
        return None;
    }
    let run = std::process::Command::new("unshare")
        .args(["-n", "sh", "-ec", script])
        .current_dir(folder.path())
        .env("EGRESSC", env!("CARGO_BIN_EXE_egressc"))
        .env_remove("HOME")
        .env_remove("XDG_CACHE_HOME")
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
    Some(String::from_utf8(run.stdout).unwrap())
}

#[test]
fn what_the_kernel_holds_is_held_against_the_policy() {
    let folder = compiled(HOSTS, "nftables", "egress.nft");
    let script = "live() { \"$EGRESSC\" verify --live p.egress || echo \"exit $?\"; }\n\
        echo empty; live; nft -f egress.nft; echo loaded; live\n\
        nft add table ip other\n\
        nft 'add chain ip other guard { type filter hook output priority 0; policy accept; }'\n\
        echo foreign; live; nft delete table ip other\n\
        nft insert rule inet egressc prerouting ip daddr 203.0.113.9 accept; echo wider; live\n\
        nft insert rule inet egressc prerouting ip daddr 192.0.2.0/24 drop; echo narrower; live";
    let Some(said) = in_namespace(&folder, script) else { return };
    let part = |from: &str, to: &str| {
        let after = said.split_once(&format!("{from}\n")).unwrap().1;
        after.split_once(&format!("\n{to}\n")).map_or(after, |(part, _)| part).to_owned()
    };
    let empty = part("empty", "loaded");
    assert!(empty.contains("the listing has no such table") && empty.ends_with("exit 3"), "{empty}");
    let loaded = part("loaded", "foreign");
    assert!(loaded.contains("proved: the kernel of this machine") && !loaded.contains("exit"), "{loaded}");
    let foreign = part("foreign", "wider");
    assert!(foreign.contains("egress::artifact::foreign") && foreign.contains("chain ip other guard"), "{foreign}");
    let wider = part("wider", "narrower");
    assert!(wider.contains("egress::artifact::wider") && !wider.contains("::narrower"), "{wider}");
    assert!(wider.contains("203.0.113.9") && wider.trim_end().ends_with("exit 1"), "{wider}");
    let narrower = part("narrower", "");
    assert!(narrower.contains("egress::artifact::narrower"), "{narrower}");
}
