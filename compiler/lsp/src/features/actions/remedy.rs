//! Deletes the rules without which an assertion holds.
//!
//! In: a finding about the assertion. Out: the fewest rules that do it, as the prover found them, to be deleted.

use super::delete::{blamed, place_of};
use super::tree::{place_now, rule_at};
use super::{Draft, cut};
use crate::view::View;
use egress_answers::Proof;
use egress_compiler::Diagnostic;
use egress_ir::OriginId;

/// How many rules a title names.
const NAMED: usize = 4;

/// Without the rules that break it.
pub(super) fn without(view: &View<'_>, finding: &Diagnostic) -> Option<Draft> {
    let place = blamed(finding)?;
    let meaning = view.meaning?;
    let program = meaning.compiled.program.as_ref()?;
    let moves = meaning.moves(view.unit);
    let place_now = |origin: OriginId| place_now(program, &moves, origin);
    let is_meant =
        |proof: &&Proof| proof.assertion.is_some_and(|id| place_now(program.assertions.at(id).origin) == Some(place));
    let proof = meaning.proofs.iter().flat_map(|proofs| proofs.iter()).find(is_meant)?;
    let now = |&rule| rule_at(view.unit, place_now(program.rules.at(rule).origin)?);
    let rules = proof.remedy.iter().map(now).collect::<Option<Vec<_>>>().filter(|rules| !rules.is_empty())?;
    let title = match rules.as_slice() {
        [only] => format!("delete the rule `{}`, without which it holds", only.name()),
        few if few.len() <= NAMED => {
            let names: Vec<String> = few.iter().map(|rule| format!("`{}`", rule.name())).collect();
            format!("delete the rules {}, without which it holds", names.join(", "))
        }
        many => format!("delete the {} rules without which it holds", many.len()),
    };
    let cuts = cut::merged(rules.iter().map(place_of).collect());
    Some(Draft::new(title, cuts.into_iter().map(|place| (place, String::new())).collect()))
}
