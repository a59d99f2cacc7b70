//! What the checker says about rules, proved.
//!
//! In: a compiled unit. Out: the proof, or the defect of egressc that it uncovered.

use crate::fault;
use crate::{Proof, ProofKind, Standing, counted};
use egress_compiler::{Compiled, Diagnostic};
use egress_ir::{Program, RuleId};
use egress_verifier::{Answer, Prover, claims};
use std::collections::BTreeSet;

/// Proves all that is said and left unsaid about dead, redundant, overridden, conflicting and rebound rules. The finding,
/// if there is one, says that this is unknown, or that it is wrong; the proof is always one. What is returned after the
/// prover's flag was raised is to be thrown away.
pub fn confirm(program: &Program, compiled: &Compiled, prover: &mut Prover) -> (Vec<Diagnostic>, Vec<Proof>) {
    let rules: BTreeSet<RuleId> = compiled.claims.iter().flat_map(|claims| claims.about.iter().copied()).collect();
    let proof = |answer, notes: Vec<String>| Proof {
        kind: ProofKind::Findings,
        assertion: None,
        statement: format!("what `egressc check` says, and leaves unsaid, about {}", counted(rules.len(), "rule")),
        control: None,
        answer,
        notes,
        blocks: Vec::new(),
        remedy: Vec::new(),
    };
    if compiled.unfinished {
        let why = "the checker gave up before it had an answer".to_owned();
        return (Vec::new(), vec![proof(Standing::Unknown, vec![why])]);
    }
    for claims in &compiled.claims {
        let found = match claims::confirm(program, claims, prover).map_err(fault::unclear) {
            Ok(Answer::Proved) => continue,
            Ok(Answer::Refuted(disagreement)) => Err(fault::defect(
                "egress::internal::claim",
                "a proof refutes what the checker says of a rule, so neither is to be trusted",
            )
            .fact(disagreement.to_string())),
            Ok(Answer::Unknown(reason)) | Err(Ok(reason)) => Ok(reason),
            Err(Err(defect)) => Err(*defect),
        };
        return match found {
            Ok(reason) => {
                let unknown = fault::unknown("it is not known whether the findings about rules hold", reason.clone());
                (vec![unknown], vec![proof(Standing::Unknown, vec![reason])])
            }
            Err(defect) => {
                let why = defect.notes.first().unwrap_or(&defect.message).clone();
                (vec![defect], vec![proof(Standing::Refuted, vec![why])])
            }
        };
    }
    (Vec::new(), vec![proof(Standing::Proved, Vec::new())])
}
