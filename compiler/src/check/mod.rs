//! The checker: dead, redundant and overridden rules, gateway conflicts and rebinding, over all possible workloads.
//!
//! In: a program, and an inventory if there is one. Out: diagnostics with every span involved and a witness that
//! `eval` confirmed. Decides over the classes of `egress-ir`; never samples, and never shows an unconfirmed witness.
//!
//! `groups` parts workloads by the blocks that speak about them, `walk` visits each cell of (address, names, port) of
//! a group and notes `facts` about rules, `report` turns facts into diagnostics and has each confirmed.

mod confirm;
mod facts;
mod groups;
mod report;
mod walk;

use crate::diagnostic::Diagnostic;
use egress_ir::classes::TooManyClasses;
use egress_ir::{Claims, Inventory, Program};

/// How much work the checker may do before it says that it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most ways in which workload sets may overlap.
    pub source_classes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { source_classes: 1 << 16 }
    }
}

impl From<TooManyClasses> for Diagnostic {
    fn from(limit: TooManyClasses) -> Self {
        Self::error("egress::check::too-many-classes", format!("the rules are not checked: {limit}"))
            .help("ask for fewer labels in each workload set, or name namespaces, which part the sets")
    }
}

/// What the checker says of a program's rules.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The findings, in no particular order.
    pub diagnostics: Vec<Diagnostic>,
    /// The same without words, to be proved: about the enforced blocks, and about those in audit mode.
    pub claims: Vec<Claims>,
}

/// Checks a program's rules.
///
/// With an inventory, witnesses are pods that run wherever one shows the finding; the findings are the same.
///
/// # Errors
/// [`TooManyClasses`]: the limit was reached, and nothing is known.
pub fn check(program: &Program, inventory: Option<&Inventory>, limits: Limits) -> Result<Checked, TooManyClasses> {
    let (mut diagnostics, claims) = check_enforced(program, inventory, limits, |_| true)?;
    let mut claims = vec![claims];
    if program.blocks.values().any(|block| block.audit) {
        let enforced = program.with_audit_enforced();
        let of_audit = |name: &str| program.blocks.values().any(|block| block.audit && block.name == name);
        let (more, about_audit) = check_enforced(&enforced, inventory, limits, of_audit)?;
        diagnostics.extend(more);
        claims.push(Claims { audit_enforced: true, ..about_audit });
    }
    Ok(Checked { diagnostics, claims })
}

/// Findings about rules of enforced blocks, as far as `about` accepts the name of the rule's block.
fn check_enforced(
    program: &Program,
    inventory: Option<&Inventory>,
    limits: Limits,
    about: impl Fn(&str) -> bool,
) -> Result<(Vec<Diagnostic>, Claims), TooManyClasses> {
    let groups = groups::groups(program, inventory, limits.source_classes)?;
    let mut facts = facts::Facts::of(program);
    for (number, group) in (0..).zip(&groups) {
        walk::walk(program, number, group, &mut facts);
    }
    Ok(report::report(program, &groups, &facts, about))
}
