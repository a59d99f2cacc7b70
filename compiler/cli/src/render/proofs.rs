//! Proofs as lines: one for each thing that was to be proved, and one for each control.
//!
//! In: a report. Out: lines for people. What is wrong is among the findings; here stands what is known.

use super::Report;
use egress_answers::{Proof, ProofKind, Standing, counted};

/// The lines; none where nothing was to be proved.
pub(super) fn lines(report: &Report<'_>) -> String {
    let (asserted, other): (Vec<&Proof>, Vec<&Proof>) =
        report.proofs.iter().partition(|proof| proof.kind == ProofKind::Assertion);
    let mut text: String = other.into_iter().map(line).collect();
    let mut controls: Vec<(Option<&str>, Vec<&Proof>)> = Vec::new();
    for proof in asserted {
        let control = proof.control.as_deref();
        match controls.iter_mut().find(|(known, _)| *known == control) {
            Some((_, proofs)) => proofs.push(proof),
            None => controls.push((control, vec![proof])),
        }
    }
    text.extend(controls.into_iter().map(|(name, proofs)| control(name, &proofs)));
    text.extend(report.work.map(|work| format!("proofs: {work}\n")));
    text
}

fn line(proof: &Proof) -> String {
    let notes = if proof.notes.is_empty() { String::new() } else { format!(": {}", proof.notes.join("; ")) };
    format!("{}: {}{notes}\n", proof.answer, proof.statement)
}

/// `proved: PCI-DSS 1.3.2 Outbound traffic …: 3 assertions`, or what is missing.
fn control(name: Option<&str>, proofs: &[&Proof]) -> String {
    let standing = proofs.iter().map(|proof| proof.answer).max().unwrap_or(Standing::Proved);
    let proved = proofs.iter().filter(|proof| proof.answer == Standing::Proved).count();
    let name = name.unwrap_or("assertions of no control");
    match standing {
        Standing::Proved => format!("proved: {name}: {}\n", counted(proved, "assertion")),
        other => format!("{other}: {name}: {proved} of {} proved\n", counted(proofs.len(), "assertion")),
    }
}
