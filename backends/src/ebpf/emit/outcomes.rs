//! What happens to the flows of one cell: `egress_ir::eval` once more, over rules instead of flows.
//!
//! In: how a row is governed, and the rules that match, whatever the names or for some. Out: outcomes by number. The test
//! vectors, which come from `eval` itself, and the differential tests hold the two together.

use super::intern::{Interner, place};
use crate::gateways::Gateways;
use egress_ir::{Action, Decision, GatewayId, Id, Program, RuleId};
use egress_snapshot::layout::outcome as word;
use egress_snapshot::meta::{self, Unknown, Verdict};
use std::collections::BTreeSet;

/// An outcome.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) rules: Vec<RuleId>,
    pub(super) audit: Option<Verdict>,
    pub(super) log: bool,
    pub(super) fragment: bool,
    /// What holds in its place, where that depends on names.
    pub(super) by_name: Option<ByName>,
}

/// What holds where it depends on names, as [`meta::ByName`] has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ByName {
    pub(super) sets: Vec<u32>,
    pub(super) outcomes: Vec<u32>,
}

/// How a row is governed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Governance {
    /// By an enforced policy.
    pub(super) enforced: bool,
    /// By any policy, those in audit mode included.
    pub(super) at_all: bool,
}

impl Governance {
    /// Every way of being governed.
    pub(super) const ALL: [Self; 3] = [
        Self { enforced: false, at_all: false },
        Self { enforced: false, at_all: true },
        Self { enforced: true, at_all: true },
    ];

    /// What happens to flows that exactly these rules match, sorted.
    pub(super) fn outcome(self, program: &Program, gateways: &Gateways, matching: &[RuleId]) -> Outcome {
        let is_enforced = |rule: &RuleId| !program.blocks.at(program.rules.at(*rule).block).audit;
        let in_force: Vec<RuleId> = matching.iter().copied().filter(is_enforced).collect();
        let (verdict, rules) = conclude((program, gateways), self.enforced, &in_force);
        let (would_be, _) = conclude((program, gateways), self.at_all, matching);
        let log = in_force.iter().any(|rule| program.rules.at(*rule).log);
        Outcome {
            verdict,
            rules,
            audit: (would_be != verdict).then_some(would_be),
            log,
            fragment: false,
            by_name: None,
        }
    }
}

/// Deny wins; without a policy nothing is governed; then allows; then the default.
fn conclude((program, gateways): (&Program, &Gateways), governed: bool, matching: &[RuleId]) -> (Verdict, Vec<RuleId>) {
    let of = |action: Action| -> Vec<RuleId> {
        matching.iter().copied().filter(|rule| program.rules.at(*rule).action == action).collect()
    };
    let denies = of(Action::Deny);
    if !denies.is_empty() {
        return (Verdict::Denied, denies);
    }
    if !governed {
        return (Verdict::Ungoverned, Vec::new());
    }
    let allows = of(Action::Allow);
    if allows.is_empty() {
        return (Verdict::Denied, allows);
    }
    let named: BTreeSet<GatewayId> = allows.iter().filter_map(|rule| program.rules.at(*rule).gateway).collect();
    (allowed(gateways, &named), allows)
}

/// What becomes of a flow that is allowed through these gateways. Several stop it, whoever routes.
fn allowed(gateways: &Gateways, named: &BTreeSet<GatewayId>) -> Verdict {
    match named.first() {
        _ if named.len() > 1 => Verdict::Conflict,
        Some(gateway) => gateways.number(*gateway).map_or(Verdict::Allowed, Verdict::Via),
        None => Verdict::Allowed,
    }
}

impl Outcome {
    /// An outcome that no rule makes.
    pub(super) fn plain(verdict: Verdict) -> Self {
        Self { verdict, rules: Vec::new(), audit: None, log: false, fragment: false, by_name: None }
    }

    /// What `eval` decided.
    pub(super) fn decided(gateways: &Gateways, decision: &Decision) -> Self {
        let verdict = said(gateways, &decision.verdict);
        // Some verdicts that differ by gateways alone are one here.
        let audit = decision.audit.as_ref().map(|audit| said(gateways, audit)).filter(|audit| *audit != verdict);
        Self { verdict, rules: decision.rules.clone(), audit, log: decision.log, fragment: false, by_name: None }
    }

    /// What happens to a fragment that may be of any of several flows.
    pub(super) fn of_fragment<'o>(parts: impl Iterator<Item = &'o Self> + Clone) -> Option<Self> {
        let first = parts.clone().next()?;
        if parts.clone().all(|part| part == first) {
            return Some(first.clone());
        }
        let by_its_node = |part: &Self| {
            // What may take another way by a name is not known to go by its node.
            part.by_name.is_none() && matches!(part.verdict, Verdict::Inside | Verdict::Ungoverned | Verdict::Allowed)
        };
        let verdict = match parts.clone().map(|part| part.verdict).max()? {
            last if parts.clone().all(by_its_node) => last,
            // Nobody knows through which gateway it would leave, unless it is the same for all.
            Verdict::Via(number)
                if parts.clone().all(|part| part.by_name.is_none() && part.verdict == Verdict::Via(number)) =>
            {
                Verdict::Via(number)
            }
            _ => Verdict::Denied,
        };
        let log = parts.clone().any(|part| part.log || part.audit.is_some());
        Some(Self { log, fragment: true, ..Self::plain(verdict) })
    }

    /// Whether the kernel does the same with both, whoever is said to decide.
    pub(super) fn does_as(&self, other: &Self) -> bool {
        (self.verdict, self.audit, self.log) == (other.verdict, other.audit, other.log)
    }

    fn passes(&self, unknown: Unknown) -> bool {
        match self.verdict {
            Verdict::Inside | Verdict::Ungoverned | Verdict::Allowed | Verdict::Via(_) => true,
            Verdict::Denied | Verdict::Conflict => false,
            Verdict::Unknown => unknown == Unknown::Pass,
        }
    }

    /// The word of the tables.
    pub(super) fn word(&self, unknown: Unknown) -> u32 {
        let verdict = if self.passes(unknown) { word::PASS } else { word::DENY };
        let record = if self.log || self.audit.is_some() { word::RECORD } else { 0 };
        let gateway = match self.verdict {
            Verdict::Via(number) => number << word::GATEWAY_SHIFT,
            _ => 0,
        };
        let named = if self.by_name.is_some() { word::NAMED } else { 0 };
        verdict | record | named | gateway
    }

    /// As the meta part has it.
    pub(super) fn meta(&self) -> meta::Outcome {
        meta::Outcome {
            verdict: self.verdict,
            rules: self.rules.iter().map(|rule| place(rule.index())).collect(),
            audit: self.audit,
            log: self.log,
            fragment: self.fragment,
            by_name: self
                .by_name
                .as_ref()
                .map(|by_name| meta::ByName { sets: by_name.sets.clone(), outcomes: by_name.outcomes.clone() }),
        }
    }
}

fn said(gateways: &Gateways, verdict: &egress_ir::Verdict) -> Verdict {
    match verdict {
        egress_ir::Verdict::Inside => Verdict::Inside,
        egress_ir::Verdict::Ungoverned => Verdict::Ungoverned,
        egress_ir::Verdict::Allowed(gateway) => allowed(gateways, &gateway.iter().copied().collect()),
        egress_ir::Verdict::Denied => Verdict::Denied,
        egress_ir::Verdict::Conflict(named) => allowed(gateways, named),
    }
}

/// Outcomes by number.
pub(super) type Outcomes = Interner<Outcome>;
