//! What happens to a flow and why.
//!
//! In: a flow as people type it, a program, the texts it was read from, an inventory. Out: an [`Explanation`], and the
//! same as text. The decision is the evaluator's own; nothing here decides.

mod destination;
mod reasons;
mod show;
mod source;

pub use reasons::{Addition, Explanation};
pub use show::show;
pub use source::From;

use crate::counted;
use destination::To;
use egress_compiler::{Diagnostic, Severity};
use egress_ir::{Destination, Flow, Inventory, Program};
use std::collections::BTreeSet;

/// A question about one flow that is well put; whether there is such a flow, only a program can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    from: From,
    to: To,
    names: BTreeSet<String>,
}

/// Why a question has no answer: it is not well put, or there is no such flow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// What went wrong: lower case, no final period, the user's text in back-ticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Question {
    /// Reads where a flow goes, such as `1.2.3.4:443/tcp`, and the names by which that address was learned.
    ///
    /// # Errors
    /// The destination or one of the names is not of a known form.
    pub fn new(from: From, to: &str, names: &[String]) -> Result<Self, Refused> {
        let to = destination::parse(to)?;
        let names = names.iter().map(|name| destination::name(name)).collect::<Result<_, _>>()?;
        Ok(Self { from, to, names })
    }

    /// Explains what a program does with the flow; `findings` are those about the program, of which errors are named as
    /// a doubt.
    ///
    /// # Errors
    /// The sender is not found, is not one, or cannot send there.
    pub fn answer(
        &self,
        program: &Program,
        findings: &[Diagnostic],
        inventory: Option<&Inventory>,
    ) -> Result<Explanation, Refused> {
        let sender = source::find(&self.from, program, inventory)?;
        let destination = Destination { address: self.to.address, names: self.names.clone() };
        let flow = Flow { workload: sender.workload, destination, port: self.to.port };
        if !flow.is_well_formed() {
            return Err(Refused::new(format!("there is no such flow as {flow}"))
                .help("ICMP is for IPv4 and ICMPv6 for IPv6, and an address sends within its own family"));
        }
        let mut explanation = Explanation::of(program, flow);
        explanation.assumptions = sender.assumptions.into_iter().chain(self.to.assumption.clone()).collect();
        explanation.assumptions.extend(doubt(findings));
        Ok(explanation)
    }
}

impl Refused {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What makes the answer doubtful.
fn doubt(findings: &[Diagnostic]) -> Option<String> {
    let errors = findings.iter().filter(|found| found.severity == Severity::Error).count();
    (errors > 0).then(|| format!("the policies have {}, which `egressc check` shows", counted(errors, "error")))
}
