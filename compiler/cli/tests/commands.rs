//! The command end to end: arguments, exit codes, files and streams.

#[cfg(test)]
mod support;

use serde_json::Value;
use std::os::unix::fs::{PermissionsExt, symlink};
use support::{AS_OF, Folder, repository, run_in};

const GOOD: &str = "policy lockdown {\n  for all\n  allow 192.0.2.0/24 on 443/tcp\n}\n";
const HOSTS: &str = "policy hosts {\n  for address 10.9.0.0/24\n  allow 192.0.2.0/24 on 443/tcp\n}\n";

#[test]
fn exit_codes_tell_findings_from_unusable_input() {
    let folder = Folder::new(&[
        ("good/p.egress", GOOD),
        ("bad/p.egress", "policy p { for nobody }"),
        ("warn/p.egress", "destinations d = 192.0.2.1\npolicy p { for all }"),
        ("empty/readme.md", ""),
    ]);
    folder.write("utf8/p.egress", b"policy \xff");
    let cases: [(&[&str], i32); 14] = [
        (&["check", "good"], 0),
        (&["check", "bad"], 1),
        (&["check", "utf8"], 1),
        (&["check", "warn"], 0),
        (&["check", "warn", "--deny-warnings"], 1),
        (&["check", "missing"], 2),
        (&["check", "empty"], 2),
        (&["check", "good", "--as-of", "2026-02-30"], 2),
        (&["check", "good", "--inventory", "good/p.egress"], 2),
        (&["check", "good", "--inventory", "none.json"], 2),
        (&["check", "good", "--no-such-option"], 2),
        (&["check", "good/p.egress", "--root", "bad"], 2),
        (&["explain", "good", "--from", "10.0.0.1", "--to", "nowhere"], 2),
        (&["fmt", "--check", "good"], 0),
    ];
    for (arguments, code) in cases {
        let run = folder.run(arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:?}");
        assert!(code != 2 || !run.stderr.is_empty() || !run.stdout.is_empty(), "{arguments:?} says nothing");
    }
}

#[test]
fn what_the_checker_gives_up_on_is_unknown_and_not_compiled() {
    let policy = |label: usize| format!("policy p{label} {{\n  for pods(label-{label})\n  allow 192.0.2.{label}\n}}\n");
    let folder = Folder::new(&[("p.egress", &(0..18).map(policy).collect::<String>())]);
    let run = folder.run(&["check"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.stdout.contains("egress::check::too-many-classes"), "{}", run.stdout);
    let run = folder.run(&["compile", "--target", "cilium", "-o", "out.yaml"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(!folder.path().join("out.yaml").exists());
}

#[test]
fn standard_input_is_a_file() {
    let folder = Folder::new(&[]);
    assert_eq!(folder.run_with(&["check", "-"], GOOD.as_bytes()).code, Some(0));
    let run = folder.run_with(&["check", "-"], b"policy p { for nobody }");
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("-:1:"), "{}", run.stdout);
    assert_eq!(folder.run_with(&["check", "-", "--inventory", "-"], b"").code, Some(2));
}

#[test]
fn any_bytes_are_answered_without_a_panic() {
    let folder = Folder::new(&[("p.egress", GOOD)]);
    let inputs: [&[u8]; 6] = [b"", b"\0\0\0", b"\xff\xfe p", b"policy \xf0\x9f\x98\x80 {", b"\"", b"((((((((((("];
    for input in inputs {
        for arguments in [&["check", "-"][..], &["fmt", "-"], &["check", "p.egress", "--inventory", "-"]] {
            let run = folder.run_with(arguments, input);
            assert!(matches!(run.code, Some(0..=2)), "{arguments:?} on {input:?}: {run:?}");
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = Folder::new(&[("p.egress", GOOD)]);
    let binary = env!("CARGO_BIN_EXE_egressc");
    let pipeline = format!("{{ '{binary}' explain egress::rule::dead; echo $? >status; }} | true");
    let status = std::process::Command::new("sh").args(["-c", &pipeline]).current_dir(folder.path()).status().unwrap();
    assert!(status.success());
    assert_eq!(folder.read("status"), "0\n");
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let folder = Folder::new(&[("p.egress", "policy p { for nobody }")]);
    assert!(!folder.run(&["check"]).stdout.contains('\u{1b}'));
    assert!(folder.run(&["check", "--color", "always"]).stdout.contains('\u{1b}'));
}

#[test]
fn links_do_not_lead_out_of_the_root() {
    let folder =
        Folder::new(&[("unit/p.egress", "policy p { for all deny list \"l.txt\" }"), ("secret", "hidden text")]);
    symlink("../secret", folder.path().join("unit/l.txt")).unwrap();
    let run = folder.run(&["check", "unit"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("it leads out of the root folder by a symbolic link"), "{}", run.stdout);
    symlink("../secret", folder.path().join("unit/q.egress")).unwrap();
    let run = folder.run(&["check", "unit"]);
    assert_eq!(run.code, Some(2));
    assert!(!run.stdout.contains("hidden") && !run.stderr.contains("hidden"));
}

#[test]
fn fmt_changes_checks_and_shows() {
    let untidy = "policy p{for all\nallow 192.0.2.1}";
    let folder = Folder::new(&[("a.egress", untidy), ("b.egress", GOOD), ("broken.egress", "policy {")]);
    let check = folder.run(&["fmt", "--check", "a.egress", "b.egress"]);
    assert_eq!((check.stdout.as_str(), check.code), ("a.egress\n", Some(1)));
    let diff = folder.run(&["fmt", "--diff", "a.egress"]);
    assert!(diff.stdout.contains("-policy p{for all") && diff.code == Some(1), "{diff:?}");
    assert_eq!(folder.read("a.egress"), untidy, "neither changes anything");

    std::fs::set_permissions(folder.path().join("a.egress"), std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("a.egress", folder.path().join("link.egress")).unwrap();
    assert_eq!(folder.run(&["fmt", "link.egress"]).code, Some(0));
    let tidy = folder.read("a.egress");
    assert_ne!(tidy, untidy);
    assert!(folder.path().join("link.egress").is_symlink());
    let mode = std::fs::metadata(folder.path().join("a.egress")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    assert_eq!(folder.run(&["fmt", "--check", "a.egress"]).code, Some(0));
    assert_eq!(folder.run_with(&["fmt", "-"], untidy.as_bytes()).stdout, tidy);

    let broken = folder.run(&["fmt", "broken.egress"]);
    assert_eq!(broken.code, Some(1));
    assert!(broken.stderr.contains("egress::syntax::"), "{}", broken.stderr);
    assert_eq!(folder.read("broken.egress"), "policy {");
}

#[test]
fn compile_writes_whole_files_or_none() {
    let folder = Folder::new(&[("p.egress", HOSTS)]);
    let run = folder.run(&["compile", "--target", "nftables", "-o", "out.nft", "--no-nft-check"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("not checked by nft: `--no-nft-check`"), "{}", run.stdout);
    assert!(run.stdout.contains("proved equal to its source for "), "{}", run.stdout);
    assert!(folder.read("out.nft").contains("table inet egressc"));
    let to_stdout = folder.run(&["compile", "--target", "nftables", "--no-nft-check"]);
    assert_eq!(to_stdout.stdout, folder.read("out.nft"));
    assert!(to_stdout.stderr.contains("standard output: nftables"), "{}", to_stdout.stderr);

    // Cilium refuses address workloads: nothing of either target may appear.
    std::fs::create_dir(folder.path().join("both")).unwrap();
    let refused = folder.run(&["compile", "--target", "nftables,cilium", "--out-dir", "both", "--no-nft-check"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stdout.contains("egress::target::workload-address"), "{}", refused.stdout);
    assert_eq!(std::fs::read_dir(folder.path().join("both")).unwrap().count(), 0);

    let nowhere = folder.run(&["compile", "--target", "nftables", "-o", "no/such/folder/out.nft", "--no-nft-check"]);
    assert_eq!(nowhere.code, Some(2));
    let a_folder = folder.run(&["compile", "--target", "nftables", "-o", "both", "--no-nft-check"]);
    assert_eq!(a_folder.code, Some(2));
    assert_eq!(folder.names(), ["both", "out.nft", "p.egress"], "no temporary file is left");
}

#[test]
fn errors_and_denied_warnings_stop_the_compiler() {
    let folder = Folder::new(&[("p.egress", &format!("{HOSTS}destinations d = 192.0.2.1"))]);
    let compile = ["compile", "--target", "nftables", "-o", "out.nft", "--no-nft-check"];
    let strict = folder.run(&[&compile[..], &["--deny-warnings"]].concat());
    assert_eq!(strict.code, Some(1), "{strict:?}");
    assert_eq!(folder.names(), ["p.egress"]);
    assert_eq!(folder.run(&compile).code, Some(0));
    folder.write("q.egress", b"policy q { for nobody }");
    folder.write("out.nft", b"old");
    assert_eq!(folder.run(&compile).code, Some(1));
    assert_eq!(folder.read("out.nft"), "old");
}

#[test]
fn options_without_effect_are_refused() {
    let folder = Folder::new(&[("p.egress", HOSTS)]);
    for (arguments, said) in [
        (&["--target", "cilium", "--epoch", "3"][..], "`--epoch` is for the target nftables"),
        (&["--target", "nftables", "--namespaced"], "`--namespaced` is for the target cilium"),
        (&["--target", "nftables,cilium"], "several targets make several files"),
    ] {
        let run = folder.run(&[&["compile"], arguments].concat());
        assert_eq!(run.code, Some(2));
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
}

#[test]
fn a_new_artifact_counts_the_old_one_on() {
    let folder = Folder::new(&[("p.egress", HOSTS)]);
    let compile = |more: &[&str]| {
        let run = folder.run(&[&["compile", "--target", "nftables", "--no-nft-check", "p.egress"], more].concat());
        assert_eq!(run.code, Some(0), "{run:?}");
    };
    compile(&["-o", "one.nft", "--epoch", "255", "--generation", "8"]);
    assert!(folder.read("one.nft").contains("# generation 8\n"));
    assert!(folder.read("one.nft").contains("ct mark & 0x00ff0000 == 0x00ff0000 accept"));
    compile(&["-o", "two.nft", "--replaces", "one.nft"]);
    assert!(folder.read("two.nft").contains("# generation 9\n"));
    assert!(folder.read("two.nft").contains("ct mark & 0x00ff0000 == 0x00010000 accept"));
    let run = folder.run(&["compile", "--target", "nftables", "--replaces", "p.egress"]);
    assert_eq!(run.code, Some(2), "{run:?}");
}

#[test]
fn nft_checks_what_is_compiled() {
    let folder = Folder::new(&[("p.egress", HOSTS)]);
    let run = folder.run(&["compile", "--target", "nftables", "-o", "out.nft"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let said = ["; checked by nft ", "; not checked by nft: "];
    assert!(said.iter().any(|said| run.stdout.contains(said)), "{}", run.stdout);
}

#[test]
fn digests_do_not_depend_on_where_the_unit_lies() {
    let folder = Folder::new(&[("a/p.egress", HOSTS), ("b/p.egress", HOSTS)]);
    let digest = |path: &str| {
        let run = folder.run(&["compile", "--target", "nftables", "--no-nft-check", path]);
        run.stdout.lines().find(|line| line.starts_with("# source")).unwrap().to_owned()
    };
    assert_eq!(digest("a"), digest("b"));
    assert_eq!(digest("a"), digest("a/p.egress"));
    folder.write("b/p.egress", HOSTS.replace("443", "444").as_bytes());
    assert_ne!(digest("a"), digest("b"));
}

#[test]
fn explain_answers_with_rules_and_what_would_change_it() {
    let folder = Folder::new(&[(
        "p.egress",
        &format!("guardrail never {{\n  for all\n  deny 192.0.2.66 because \"x\"\n}}\n{HOSTS}"),
    )]);
    let explain = |to: &str| {
        let run = folder.run(&["explain", "--from", "10.9.0.7", "--to", to, "--format", "json"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        serde_json::from_str::<Value>(&run.stdout).unwrap()
    };
    let denied = explain("192.0.2.66:443/tcp");
    assert_eq!(denied["decision"]["verdict"]["is"], "denied");
    assert_eq!(denied["decision"]["rules"][0]["name"], "never#1");
    assert_eq!(denied["decision"]["rules"][0]["because"], "x");
    assert_eq!(denied["decision"]["rules"][0]["place"]["start"]["line"], 3);
    assert_eq!(denied["also_matching"][0]["name"], "hosts#1");
    assert_eq!(denied["changes"][0]["without"], "never#1");
    assert_eq!(denied["changes"][0]["verdict"]["is"], "allowed");
    let default = explain("198.51.100.1:443/tcp");
    assert_eq!(default["changes"][0]["in"], "hosts");
    assert_eq!(default["changes"][0]["rule"], "allow 198.51.100.1 on 443/tcp because \"…\" ticket \"…\"");
}

#[test]
fn the_rule_that_explain_offers_makes_the_flow_pass() {
    let folder = Folder::new(&[("p.egress", HOSTS)]);
    for to in ["198.51.100.1:443/tcp", "198.51.100.1 icmp/8", "[2001:db8::1]:53/udp"] {
        let from = if to.starts_with('[') { "2001:db8:1::7" } else { "10.9.0.7" };
        folder.write("p.egress", b"policy p {\n  for address 10.9.0.0/24, address 2001:db8:1::/48\n}\n");
        let ask = || folder.run(&["explain", "--from", from, "--to", to, "--format", "json"]).stdout;
        let before: Value = serde_json::from_str(&ask()).unwrap();
        let rule = before["changes"][0]["rule"].as_str().unwrap().to_owned();
        let policy = folder.read("p.egress").replace("/48\n", &format!("/48\n  {rule}\n"));
        folder.write("p.egress", policy.as_bytes());
        let after: Value = serde_json::from_str(&ask()).unwrap();
        assert_eq!(after["decision"]["verdict"]["is"], "allowed", "{to}: {rule}");
    }
}

#[test]
fn pods_of_the_inventory_are_found_by_name() {
    let unit = repository().join("testdata/retailer");
    let explain = |more: &[&str]| {
        let shared = ["explain", ".", "--inventory", "inventory.json", "--as-of", AS_OF, "--to", "10.20.4.7:5432/tcp"];
        run_in(&unit, &[&shared, more].concat(), b"")
    };
    let by_prefix = explain(&["--from", "checkout/checkout-api"]);
    assert_eq!(by_prefix.code, Some(0), "{by_prefix:?}");
    assert!(by_prefix.stdout.contains("\n  allowed"), "{}", by_prefix.stdout);
    assert!(by_prefix.stdout.contains("checkout-api is the pod checkout/checkout-api-"), "{}", by_prefix.stdout);
    let by_address = explain(&["--from", "10.42.2.14"]);
    assert!(by_address.stdout.contains("10.42.2.14 is the pod checkout/checkout-api-"), "{}", by_address.stdout);
    let unknown = explain(&["--from", "checkout/nobody"]);
    assert!(unknown.stdout.contains("the inventory has no pod checkout/nobody"), "{}", unknown.stdout);
    let labels = explain(&["--labels", "app=checkout-api", "--namespace", "checkout"]);
    assert!(labels.stdout.contains("\n  allowed"), "{}", labels.stdout);
}

#[test]
fn the_retailer_compiles_to_every_target() {
    let unit = repository().join("testdata/retailer");
    let out = Folder::new(&[]);
    let out_dir = out.path().to_str().unwrap();
    let inventory = ["--inventory", "inventory.json", "--as-of", AS_OF];
    let targets = ["compile", "--target", "nftables,cilium", "--out-dir", out_dir, "--format", "json"];
    let run = run_in(&unit, &[&targets[..], &inventory].concat(), b"");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(out.names(), ["egress.cilium.yaml", "egress.nft"]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    for artifact in report["artifacts"].as_array().unwrap() {
        assert_eq!(artifact["proof"]["answer"], "proved", "{artifact}");
    }
    assert_eq!(report["summary"]["errors"], 0);
}

#[test]
fn the_unit_of_findings_shows_each_of_them() {
    let unit = repository().join("testdata/retailer-findings");
    let inventory = ["--inventory", "../retailer/inventory.json", "--as-of", AS_OF];
    let run = run_in(&unit, &[&["check", "--format", "json"][..], &inventory].concat(), b"");
    assert_eq!(run.code, Some(1), "{run:?}");
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let found: Vec<&str> = report["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap()).collect();
    for code in [
        "egress::rule::dead",
        "egress::rule::redundant",
        "egress::rule::overridden",
        "egress::conflict::gateway",
        "egress::rule::expired",
        "egress::rule::rebinding",
        "egress::name::unused",
        "egress::coverage::ungoverned",
        "egress::coverage::unmatched",
    ] {
        assert!(found.contains(&code), "{code} is not among {found:?}");
    }
    let with_witness = report["findings"].as_array().unwrap().iter().filter(|finding| !finding["witness"].is_null());
    assert!(with_witness.count() >= 4, "{}", run.stdout);
}

#[test]
fn completions_and_pages_are_printed() {
    let folder = Folder::new(&[]);
    for shell in ["bash", "zsh", "fish"] {
        assert!(folder.run(&["completions", shell]).stdout.contains("egressc"));
    }
    assert!(folder.run(&["man"]).stdout.contains(".TH egressc"));
    assert!(folder.run(&["man", "compile"]).stdout.contains("ct\\-mark\\-mask"));
    assert_eq!(folder.run(&["man", "nothing"]).code, Some(2));
}
