//! The authority: `nft` and the kernel take every emitted file, the first time and over another one.

use crate::common::{program_of, settings};
use egress_backends::nftables::{Hook, Options, emit};
use egress_testkit::programs::random_inventory;
use egress_testkit::seed::{Rng, cases, seed};
use std::io::Write;
use std::process::{Command, Stdio};

/// Feeds files to `nft -f` one after another, in a network namespace that ends with the command.
fn load(files: &[&[u8]]) -> Result<(), String> {
    let script = "n=$1; for i in $(seq 1 $n); do read -r size; head -c \"$size\" | nft -f - || exit 1; done";
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", script, "sh", &files.len().to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for file in files {
        // A reader that has given up is seen by its exit code.
        let _ = input.write_all(format!("{}\n", file.len()).as_bytes()).and_then(|()| input.write_all(file));
    }
    drop(input);
    let output = child.wait_with_output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Whether this machine can load rulesets; says so loudly when not.
fn can_load() -> bool {
    let answer = load(&[b"add table inet egressc\n"]);
    if let Err(reason) = &answer {
        println!("SKIPPED: nft cannot be run in a network namespace (root and nftables are needed): {reason}");
    }
    answer.is_ok()
}

#[test]
fn the_kernel_takes_what_is_emitted_first_and_again() {
    if !can_load() {
        return;
    }
    let (seed, cases) = (seed(), cases(40));
    let mut previous: Vec<u8> = b"add table inet egressc\n".to_vec();
    for case in 0..cases {
        let mut rng = Rng::new(seed, case);
        let setting = settings(case);
        let program = program_of(&mut rng, setting);
        let inventory = random_inventory(&mut rng, &program);
        let options = Options {
            hooks: vec![Hook::Prerouting, Hook::Output],
            interfaces: if case % 2 == 0 { vec![] } else { vec!["veth*".into(), "cni0".into()] },
            epoch: setting.epoch.then_some(3),
            source_digest: Some("sha256:0123456789abcdef".into()),
            ..Options::default()
        };
        let artifact = emit(&program, setting.has_inventory.then_some(&inventory), &options).unwrap();
        let first = load(&[&artifact.bytes, &artifact.bytes]);
        assert_eq!(first, Ok(()), "seed {seed} case {case}\n{}", String::from_utf8_lossy(&artifact.bytes));
        let over = load(&[&previous, &artifact.bytes, &previous]);
        assert_eq!(over, Ok(()), "seed {seed} case {case}");
        previous = artifact.bytes;
    }
    println!("{cases} files were loaded");
    assert!(cases > 0);
}
