//! Denies what a name must not resolve to.
//!
//! In: a finding about an allow by name. Out: `deny private` below it; on its ports alone where other allows let the same
//! workloads reach private addresses; nothing where it would take from those, because then a person has to decide.

use super::delete::blamed;
use super::tree::{Found, place_now, rule_at, written_ports};
use super::{Draft, cut};
use crate::view::View;
use egress_compiler::{Diagnostic, Place};
use egress_ir::{Action, AddressSet, Program, Rule, RuleId, WorkloadSet};

/// A deny of private addresses in the policy of the rule that a finding blames.
pub(super) fn private(view: &View<'_>, finding: &Diagnostic) -> Option<Draft> {
    let allow = rule_at(view.unit, blamed(finding)?)?;
    let deny = wording(view, &allow)?;
    let (span, text) = cut::below(&allow.file.source.text, allow.rule.span, &deny);
    let title = format!("add `{deny}` to `{}`", allow.block.name.text);
    Some(Draft::one(title, Place::new(allow.source, span), text))
}

fn wording(view: &View<'_>, allow: &Found<'_>) -> Option<String> {
    let meaning = view.meaning?;
    let program = meaning.compiled.program.as_ref()?;
    let moves = meaning.moves(view.unit);
    let place = Some(Place::new(allow.source, allow.rule.span));
    let (id, own) = program.rules.iter().find(|(_, rule)| place_now(program, &moves, rule.origin) == place)?;
    let ports = program.port_sets.at(own.ports);
    let reaching: Vec<(RuleId, &Rule)> = program.rules.iter().filter(|(_, rule)| reaches(program, own, rule)).collect();
    if reaching.is_empty() {
        return Some("deny private".to_owned());
    }
    let is_apart = |&(other, rule): &(RuleId, &Rule)| other != id && !program.port_sets.at(rule.ports).overlaps(ports);
    let written = written_ports(allow.rule.ports.as_ref()?, &allow.file.source.text)?;
    reaching.iter().all(is_apart).then(|| format!("deny private on {written}"))
}

/// Whether a rule allows private addresses by address, as far as can be seen to workloads of another's block.
fn reaches(program: &Program, own: &Rule, rule: &Rule) -> bool {
    let (block, other) = (program.blocks.at(own.block), program.blocks.at(rule.block));
    let everybody = |set| matches!(program.workload_sets.at(set), WorkloadSet::All);
    let shared = block.workloads == other.workloads || everybody(block.workloads) || everybody(other.workloads);
    let outside = || program.destination_sets.at(rule.destinations).addresses.difference(&program.cluster.inside);
    rule.action == Action::Allow && !other.audit && shared && outside().overlaps(&AddressSet::private())
}
