//! The checker: dead, redundant and overridden rules, gateway conflicts and rebinding, over all possible workloads.
//!
//! In: a program, and an inventory if there is one. Out: diagnostics with every span involved and a witness that
//! `eval` confirmed. Decides over the classes of `egress-ir`; never samples, and never shows an unconfirmed witness.
//!
//! `groups` parts workloads by the blocks that speak about them, `walk` visits each cell of (address, names, port) of
//! a group and notes `facts` about rules, `report` turns facts into diagnostics and has each confirmed. `memory` keeps
//! the facts about groups, so that after an edit only those are walked of which a rule changed.

mod confirm;
mod facts;
mod groups;
mod memory;
mod report;
mod walk;

pub use memory::{Effort, Memory};

use crate::diagnostic::Diagnostic;
use egress_ir::classes::TooManyClasses;
use egress_ir::{Cancelled, Claims, Inventory, Program, Stop};
use memory::Digests;

/// How much work the checker may do before it says that it does not know.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most ways in which workload sets may overlap.
    pub source_classes: usize,
    /// Ends the work when it is raised.
    pub stop: Stop,
}

impl Default for Limits {
    fn default() -> Self {
        Self { source_classes: 1 << 16, stop: Stop::default() }
    }
}

/// Why the checker has no answer about any rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GaveUp {
    /// The limit was reached.
    #[error(transparent)]
    TooManyClasses(#[from] TooManyClasses),
    /// It was told to stop.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
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
/// [`GaveUp`]: the limit was reached or the flag was raised, and nothing is known.
pub fn check(program: &Program, inventory: Option<&Inventory>, limits: Limits) -> Result<Checked, GaveUp> {
    recheck(program, inventory, &limits, &mut Memory::default())
}

/// The same, with what earlier checks learned: the answer is the one of [`check`], whatever is remembered. A check that
/// was stopped leaves behind only what is right.
///
/// # Errors
/// As for [`check`].
pub fn recheck(
    program: &Program,
    inventory: Option<&Inventory>,
    limits: &Limits,
    memory: &mut Memory,
) -> Result<Checked, GaveUp> {
    memory.begin();
    let (mut diagnostics, claims) = check_enforced(program, inventory, limits, memory, |_| true)?;
    let mut claims = vec![claims];
    if program.blocks.values().any(|block| block.audit) {
        let enforced = program.with_audit_enforced();
        let of_audit = |name: &str| program.blocks.values().any(|block| block.audit && block.name == name);
        let (more, about_audit) = check_enforced(&enforced, inventory, limits, memory, of_audit)?;
        diagnostics.extend(more);
        claims.push(Claims { audit_enforced: true, ..about_audit });
    }
    memory.end();
    Ok(Checked { diagnostics, claims })
}

/// Findings about rules of enforced blocks, as far as `about` accepts the name of the rule's block.
fn check_enforced(
    program: &Program,
    inventory: Option<&Inventory>,
    limits: &Limits,
    memory: &mut Memory,
    about: impl Fn(&str) -> bool,
) -> Result<(Vec<Diagnostic>, Claims), GaveUp> {
    let groups = groups::groups(program, inventory, limits)?;
    let mut digests = Digests::new(program);
    let mut facts = facts::Facts::none(program.rules.len());
    for (number, group) in (0..).zip(&groups) {
        limits.stop.check()?;
        let walk = || walk::walk(program, group, &limits.stop);
        match digests.of(group) {
            Some(key) => facts.merge(number, &group.rules, memory.recall(key, walk)?.as_ref()),
            None => facts.merge(number, &group.rules, &walk()?),
        }
    }
    Ok(report::report(program, &groups, &facts, about, &limits.stop)?)
}
