//! What a target would get, for an editor to show.
//!
//! In: a program and a target's name. Out: the artifact as text with what was proved of it at its head, or why there is
//! none. The options are those of a call without any. Writes nothing.

use super::facets::Plan;
use super::job::{Checked, Job};
use super::options::{Compile, Target};
use crate::artifact::Source;
use clap::Parser;
use egress_compiler::{Compiled, Diagnostic};
use egress_ir::Inventory;
use egress_snapshot::show;
use egress_verifier::Prover;
use std::fmt::Write;

/// `compile` without its verb.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    compile: Compile,
}

/// The text, and the language that it is written in as editors name it. `digest` is that of what it is made from.
///
/// # Errors
/// There is no such target, or it cannot express the program: why, in words.
pub(crate) fn preview(
    compiled: &Compiled,
    inventory: Option<&Inventory>,
    target: &str,
    digest: &str,
) -> Result<(String, &'static str), String> {
    let program = compiled.program.as_ref().ok_or("errors leave open what the policies mean")?;
    // kube-vip filters nothing, so it is shown as it is beside nftables.
    let targets = if target == Target::KubeVip.name() { "nftables,kube-vip" } else { target };
    let line = ["compile", "--target", targets, "--out-dir", ".", "--no-nft-check"];
    let known = targets.contains(Target::Nftables.name());
    let line = Line::try_parse_from(line.into_iter().take(if known { 6 } else { 5 }));
    let options = line.map_err(|_| format!("there is no target `{target}`"))?.compile;
    let plan = Plan::of(&options.targets()).map_err(|finding| told(&finding))?;
    let nftables = options.nftables.resolved(None, None, None, plan, digest);
    let source = Source { program, inventory, router: None };
    let job = Job { options: &options, plan, source, digest, nftables, key: None };
    let mut findings = Vec::new();
    let made = job.run(&mut Prover::default(), &mut findings);
    let made = made.into_iter().find(|made| made.note.target == target);
    let made = made.ok_or_else(|| findings.iter().map(told).collect::<Vec<_>>().join("\n"))?;
    Ok(text(&made, &findings))
}

fn told(finding: &Diagnostic) -> String {
    let help = finding.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
    format!("{}{help}", finding.message)
}

/// The artifact with what is to be said of it in comments at its head.
fn text(made: &Checked, findings: &[Diagnostic]) -> (String, &'static str) {
    let mut text = String::new();
    for line in made.note.checks.iter().cloned().chain(findings.iter().map(told)) {
        let _written = writeln!(text, "# {line}");
    }
    let language = match made.note.target {
        "nftables" => "nftables",
        "cilium" | "kube-vip" => "yaml",
        _ => "plaintext",
    };
    match egress_snapshot::file::read(&made.artifact.bytes) {
        Ok(snapshot) => text.push_str(&show::text(&snapshot)),
        Err(_) => text.push_str(&String::from_utf8_lossy(&made.artifact.bytes)),
    }
    (text, language)
}
