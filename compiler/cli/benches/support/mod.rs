//! What the benches share: generated units of any size, as text and as the program they mean.
//!
//! In: a number of rules. Out: always the same policy and inventory for it.

use egress_compiler::{Input, MemoryFiles, Options, SourceText, inventory};
use egress_ir::{Inventory, Program};
use egress_testkit::policies::{PolicyShape, generate, generate_inventory};
use std::error::Error;

/// What goes wrong in a bench ends it with a sentence.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error>>;

/// The seed of everything generated here.
pub(crate) const SEED: u64 = 1;

/// A policy and its cluster, as text.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    /// One `.egress` file.
    pub(crate) policy: String,
    /// What `kubectl get … -o json` prints.
    pub(crate) inventory: String,
}

/// A clean policy, which `compile` accepts.
pub(crate) fn clean(rules: usize) -> Texts {
    texts(&PolicyShape::of(rules))
}

fn texts(shape: &PolicyShape) -> Texts {
    Texts { policy: generate(SEED, shape), inventory: generate_inventory(SEED, shape) }
}

/// A policy as backends see it.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// What it means.
    pub(crate) program: Program,
    /// What runs.
    pub(crate) inventory: Inventory,
}

/// The program that a policy means.
///
/// # Errors
/// When the generated texts are not valid.
pub(crate) fn unit(texts: &Texts) -> Outcome<Unit> {
    let inventory = inventory::read(texts.inventory.as_bytes()).map_err(|errors| format!("{errors:?}"))?;
    let compiled = egress_compiler::compile(input(texts), &MemoryFiles::default(), &Options::default());
    let program = compiled.program.ok_or_else(|| format!("not a program: {:?}", compiled.diagnostics.first()))?;
    Ok(Unit { program, inventory })
}

/// The policy as the compiler takes it.
pub(crate) fn input(texts: &Texts) -> Input {
    let source = SourceText { path: "policy.egress".into(), bytes: texts.policy.clone().into_bytes() };
    Input { sources: vec![source], root: ".".into() }
}
