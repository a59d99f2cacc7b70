//! Questions without an answer, and defects of egressc, as findings.
//!
//! In: faults of the prover. Out: diagnostics. An unknown answer is never success.

use egress_compiler::Diagnostic;
use egress_verifier::Fault;

/// What is to be said of a fault that is not about what was asked: a defect of egressc. The reason of any other.
///
/// # Errors
/// The defect, as a finding.
pub fn unclear(fault: Fault) -> Result<String, Box<Diagnostic>> {
    match fault {
        Fault::Unclear(unclear) => Ok(unclear.reason),
        // Whoever raised the flag throws away what is made of this.
        Fault::Cancelled(cancelled) => Ok(cancelled.to_string()),
        Fault::Unconfirmed(_) => {
            let message = "the evaluators do not confirm a flow that a proof was refuted with";
            Err(Box::new(defect("egress::internal::witness", message).fact(fault.to_string())))
        }
        Fault::BrokenLemma => {
            let message = "the solver refutes a lemma that an answer rests on, so there is no answer";
            Err(Box::new(defect("egress::internal::lemma", message)))
        }
    }
}

/// The code of a question without an answer.
const UNKNOWN: &str = "egress::proof::unknown";

/// A question without an answer, and why there is none.
#[must_use]
pub fn unknown(question: impl Into<String>, reason: impl Into<String>) -> Diagnostic {
    Diagnostic::error(UNKNOWN, question)
        .fact(reason)
        .help(format!("what can be done about it: egressc explain {UNKNOWN}"))
}

/// Whether the finding says that something is not known.
#[must_use]
pub fn is_unknown(finding: &Diagnostic) -> bool {
    finding.code == UNKNOWN
}

/// A defect of egressc.
#[must_use]
pub fn defect(code: &'static str, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(code, message).help("please report this with the policy")
}
