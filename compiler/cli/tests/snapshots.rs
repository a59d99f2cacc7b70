//! Snapshots of the target ebpf through the command: made, shown, signed, held against policies, damaged.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(test)]
mod support;

use egress_snapshot::file;
use serde_json::Value;
use support::{Folder, Run};

const POLICY: &str = "policy backup {\n  for all\n  owner \"ops\"\n  allow 192.0.2.0/24 on 443/tcp ticket \"OPS-7\"\n  deny 192.0.2.66 log\n}\n";
/// Made with `openssl genpkey -algorithm ed25519`, for tests alone.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEIKGCfxJi6N9GGEJ+5yEMtc6rDWeEqkl2B/rZa/ETbxOB\n\
                   -----END PRIVATE KEY-----\n";

fn compiled(options: &[&str]) -> Folder {
    let folder = Folder::new(&[("p.egress", POLICY), ("key.pem", KEY)]);
    let run = folder.run(&[&["compile", "p.egress", "--target", "ebpf", "-o", "p.egb"][..], options].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout.contains("proved equal to its source for "), "{}", run.stdout);
    folder
}

fn bytes(folder: &Folder) -> Vec<u8> {
    std::fs::read(folder.path().join("p.egb")).unwrap()
}

fn refused(run: &Run, message: &str) {
    assert_eq!(run.code, Some(2), "{run:?}");
    assert!(run.stderr.contains(message), "{run:?}");
}

#[test]
fn the_same_policy_makes_the_same_bytes_and_other_generations_other_ones() {
    let one = bytes(&compiled(&[]));
    assert_eq!(one, bytes(&compiled(&[])));
    let other = bytes(&compiled(&["--generation", "7"]));
    assert_ne!(one, other);
    let snapshot = file::read(&other).unwrap();
    assert_eq!((snapshot.meta.generation, snapshot.meta.unproved), (7, None));
    assert!(snapshot.meta.vectors.len() >= 256, "{} vectors", snapshot.meta.vectors.len());
}

#[test]
fn a_snapshot_is_shown_to_people_and_machines() {
    let folder = compiled(&[]);
    let shown = folder.run(&["snapshot", "show", "p.egb"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in ["generation  1\n", "p.egress:4", "owner \"ops\"", "ticket \"OPS-7\"", "denied by backup#2; recorded"] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
    let json = folder.run(&["snapshot", "show", "p.egb", "--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["generation"], 1, "{json}");
    let piped = folder.run_with(&["snapshot", "show", "-"], &bytes(&folder));
    assert_eq!(piped.stdout, shown.stdout);
}

#[test]
fn a_signature_names_its_key() {
    let folder = compiled(&["--sign-key", "key.pem"]);
    assert!(file::read(&bytes(&folder)).unwrap().signer.is_some());
    let run = folder.run(&["compile", "p.egress", "--target", "ebpf", "--sign-key", "p.egress", "-o", "q.egb"]);
    refused(&run, "`p.egress` cannot sign: there is no private ed25519 key in it");
    assert!(!folder.path().join("q.egb").exists());
    let run = folder.run(&["compile", "p.egress", "--target", "cilium", "--sign-key", "key.pem"]);
    refused(&run, "`--sign-key` is for the target ebpf");
}

#[test]
fn artifacts_and_dumps_are_held_against_policies() {
    let folder = compiled(&[]);
    for arguments in [["verify", "p.egress", "--artifact", "p.egb"], ["verify", "p.egress", "--live", "p.egb"]] {
        let run = folder.run(&arguments);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.stdout.contains("does what the policy says: "), "{run:?}");
    }
    folder.write("p.egress", POLICY.replace("192.0.2.66", "192.0.2.67").as_bytes());
    let run = folder.run(&["verify", "p.egress", "--artifact", "p.egb", "--format", "json"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    for code in ["egress::artifact::wider", "egress::artifact::narrower"] {
        assert!(run.stdout.contains(code), "{code}: {}", run.stdout);
    }
    refused(&folder.run(&["verify", "p.egb"]), "`p.egb` is a snapshot, not a policy");
    refused(&folder.run(&["verify", "--live", "p.egb", "q.egb"]), "is not the only dump");
    folder.write("unnamed", b"nothing");
    refused(&folder.run(&["verify", "p.egress", "--artifact", "unnamed"]), "`unnamed` does not say what it is for");
}

#[test]
fn damaged_snapshots_prove_nothing() {
    let folder = compiled(&[]);
    let mut damaged = bytes(&folder);
    damaged[5000] ^= 1;
    folder.write("p.egb", &damaged);
    let run = folder.run(&["verify", "p.egress", "--artifact", "p.egb"]);
    assert_eq!(run.code, Some(3), "{run:?}");
    refused(&folder.run(&["snapshot", "show", "p.egb"]), "`p.egb` cannot be used: its SHA-256 is not the one");
    refused(&folder.run(&["snapshot", "show", "p.egress"]), "it does not begin as a snapshot does");
}

#[test]
fn what_is_not_proved_is_not_written_or_says_so() {
    let folder = Folder::new(&[("p.egress", POLICY)]);
    let unproved = ["compile", "p.egress", "--target", "ebpf", "--steps", "1", "-o", "p.egb"];
    let run = folder.run(&unproved);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert_eq!(folder.names(), ["p.egress"]);
    let run = folder.run(&[&unproved[..], &["--unproved"]].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    let why = file::read(&bytes(&folder)).unwrap().meta.unproved.unwrap_or_else(|| panic!("{run:?}"));
    assert!(why.starts_with("it is not known whether it does what the policy says"), "{why}");
}
