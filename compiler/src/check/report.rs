//! Facts as diagnostics.
//!
//! In: the facts of a finished walk. Out: one diagnostic a finding, with the spans of all rules involved and a
//! confirmed witness.

use super::confirm::{Judge, Replay};
use super::facts::{Cell, Facts, Pairs, RuleFacts};
use super::groups::Group;
use crate::diagnostic::{Diagnostic, Label};
use crate::lower::private;
use crate::source::Place;
use egress_ir::{
    Action, AddressSet, BlockId, Cancelled, Claims, Origin, OriginId, PortSet, Program, Rule, RuleId, Stop, Verdict,
};
use egress_lang::span::Span;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Diagnostics and claims about the rules of enforced blocks whose name `about` accepts.
///
/// # Errors
/// [`Cancelled`].
pub(super) fn report(
    program: &Program,
    groups: &[Group],
    facts: &Facts<RuleId>,
    about: impl Fn(&str) -> bool,
    stop: &Stop,
) -> Result<(Vec<Diagnostic>, Claims), Cancelled> {
    let reachable: BTreeSet<RuleId> = groups.iter().flat_map(|group| group.rules.iter().copied()).collect();
    let (judge, claims) = (Judge::new(program, groups), Claims { special: private(), ..Claims::default() });
    let mut report = Report { program, facts, reachable, judge, diagnostics: Vec::new(), claims };
    let concerns = |block: BlockId| !program.blocks.at(block).audit && about(&program.blocks.at(block).name);
    let (cuts, guards) = (by_allow(&facts.cuts), by_allow(&facts.guards));
    let none = Denies::new();
    for (id, rule) in program.rules.iter().filter(|(_, rule)| concerns(rule.block)) {
        stop.check()?;
        let Some(rule_facts) = facts.rule(id) else { continue };
        report.claims.about.insert(id);
        report.rule(id, rule, rule_facts, cuts.get(&id).unwrap_or(&none), guards.get(&id).unwrap_or(&none));
    }
    let of_either = |a: RuleId, b: RuleId| [a, b].iter().any(|&rule| concerns(program.rules.at(rule).block));
    let conflicts: BTreeMap<_, _> = facts.conflicts.iter().filter(|((a, b), _)| of_either(*a, *b)).collect();
    for (&(first, second), cell) in conflicts {
        stop.check()?;
        report.conflict(first, second, cell);
    }
    Ok((report.diagnostics, report.claims))
}

/// The denies that meet each allow.
fn by_allow(pairs: &Pairs<RuleId>) -> BTreeMap<RuleId, Denies<'_>> {
    let mut denies: BTreeMap<RuleId, Denies<'_>> = BTreeMap::new();
    for (&(allow, deny), cell) in pairs {
        denies.entry(allow).or_default().insert(deny, cell);
    }
    denies
}

/// Denies, each with the first cell in which it meets an allow.
type Denies<'c> = BTreeMap<RuleId, &'c Cell>;

struct Report<'p> {
    program: &'p Program,
    facts: &'p Facts<RuleId>,
    /// Rules whose block some workload can be in.
    reachable: BTreeSet<RuleId>,
    judge: Judge<'p>,
    diagnostics: Vec<Diagnostic>,
    claims: Claims,
}

/// How many other rules a diagnostic shows: more are counted, not listed.
const MOST_LABELS: usize = 5;

impl Report<'_> {
    fn rule(&mut self, id: RuleId, rule: &Rule, facts: &RuleFacts<RuleId>, cuts: &Denies<'_>, guards: &Denies<'_>) {
        match (&facts.matches, facts.alive, facts.needed) {
            (None, _, _) => self.empty(id, rule),
            (Some(_), false, _) => {
                self.covered(id, &guards.iter().chain(cuts).map(|(&deny, &cell)| (deny, cell)).collect())
            }
            (Some(cell), true, false) => self.redundant(id, facts, cell),
            (Some(_), true, true) => {}
        }
        if facts.alive {
            self.overridden(id, rule, cuts);
        }
        if let Some(cell) = self.facts.rebindings.get(&id) {
            self.rebinding(id, cell);
        }
    }

    /// A rule that no flow can match.
    fn empty(&mut self, id: RuleId, rule: &Rule) {
        self.claims.dead.insert(id);
        let destinations = self.program.destination_sets.at(rule.destinations);
        let block = &self.program.blocks.at(rule.block).name;
        let outside = destinations.addresses.difference(&self.program.cluster.inside);
        let why = if !self.reachable.contains(&id) {
            format!("no workload can be in the `for` of `{block}`")
        } else if self.program.port_sets.at(rule.ports).is_empty() {
            "its set of ports is empty".to_owned()
        } else if !destinations.hosts.is_empty() || !outside.is_empty() {
            "its workloads, destinations and ports have no address family in common".to_owned()
        } else if destinations.addresses.is_empty() {
            "its set of destinations is empty".to_owned()
        } else {
            "all its destinations are inside the cluster, where flows are not governed".to_owned()
        };
        let message = format!("{} can never decide anything: {why}", self.title(id));
        let dead = Diagnostic::error("egress::rule::dead", message).label(self.primary(id, "matches no flow"));
        self.diagnostics.push(dead.help("delete the rule, or correct the sets that it names"));
    }

    /// An allow that denies cover wholly.
    fn covered(&mut self, id: RuleId, cuts: &Denies<'_>) {
        self.claims.dead.insert(id);
        let message = format!("{} can never decide anything: denies cover all of it", self.title(id));
        let dead = Diagnostic::error("egress::rule::dead", message).label(self.primary(id, "never allows anything"));
        let dead = self.with_rules(dead, cuts.keys().copied(), "denied here");
        let dead = dead.help("delete the allow, or take its destinations out of the deny");
        if let Some((&deny, cell)) = cuts.first_key_value() {
            let confirmed = self.judge.confirmed(dead, cell, |replay| cuts_off(self.program, replay, deny, id));
            self.diagnostics.push(confirmed);
        }
    }

    fn redundant(&mut self, id: RuleId, facts: &RuleFacts<RuleId>, cell: &Cell) {
        self.claims.redundant.insert(id);
        let message = format!("{} is redundant: without it, no flow is decided differently", self.title(id));
        let redundant = Diagnostic::warning("egress::rule::redundant", message);
        let redundant = redundant.label(self.primary(id, "changes nothing"));
        let mut redundant = self.with_rules(redundant, facts.covers.iter().copied(), "decides the same");
        if facts.default_covers {
            redundant = redundant.fact("where no rule covers it, the default deny does");
        }
        let redundant = redundant.help("delete the rule, or widen it to what was meant");
        let confirmed = self.judge.confirmed(redundant, cell, |replay| {
            let without = replay.decided_by(|rule| rule != id);
            let same = (&without.verdict, without.log) == (&replay.decision.verdict, replay.decision.log);
            same && replay.matching.contains(&id)
        });
        self.diagnostics.push(confirmed);
    }

    /// An allow that denies of other blocks cut.
    fn overridden(&mut self, id: RuleId, rule: &Rule, cuts: &Denies<'_>) {
        let foreign = |deny: &RuleId| self.program.rules.at(*deny).block != rule.block;
        let mut cutting: Vec<(RuleId, &Cell)> =
            cuts.iter().filter(|(d, _)| foreign(d)).map(|(d, c)| (*d, *c)).collect();
        // What cuts off most comes first.
        cutting.sort_by_key(|(deny, cell)| (Reverse(cell.width()), *deny));
        let Some(&(deny, cell)) = cutting.first() else { return };
        self.claims.overridden.insert(id);
        let blocks: BTreeSet<&str> = cutting.iter().map(|&(deny, _)| self.block_name(deny)).collect();
        let message = format!("{} is partly overridden by {}", self.title(id), enumerated(&blocks));
        let finding = Diagnostic::warning("egress::rule::overridden", message);
        let finding = finding.label(self.primary(id, "allowed here"));
        let finding = self.with_rules(finding, cutting.iter().map(|(deny, _)| *deny), "denied here");
        let finding = finding.fact(format!("cut off: {}", block_of_flows(cell)));
        let finding = finding.help("deny always wins; take the part out of the allow with `except` if that is meant");
        let confirmed = self.judge.confirmed(finding, cell, |replay| cuts_off(self.program, replay, deny, id));
        self.diagnostics.push(confirmed);
    }

    fn conflict(&mut self, first: RuleId, second: RuleId, cell: &Cell) {
        self.claims.conflicts.insert((first.min(second), first.max(second)));
        let gateway = |rule: RuleId| {
            let gateway = self.program.rules.at(rule).gateway.map(|id| &self.program.gateways.at(id).name);
            gateway.map_or_else(String::new, |name| format!("`{name}`"))
        };
        let (one, other) = (gateway(first), gateway(second));
        let message = format!("two rules send one flow through different gateways: {one} and {other}");
        let finding = Diagnostic::error("egress::conflict::gateway", message)
            .label(self.primary(first, &format!("leaves through {one}")))
            .label(self.primary(second, &format!("leaves through {other}")))
            .fact(format!("both match: {}", block_of_flows(cell)))
            .help("name one gateway in both rules, or take the common part out of one of them with `except`");
        let confirmed = self.judge.confirmed(finding, cell, |replay| {
            let both = [first, second].iter().all(|rule| replay.decision.rules.contains(rule));
            both && matches!(replay.decision.verdict, Verdict::Conflict(_))
        });
        self.diagnostics.push(confirmed);
    }

    fn rebinding(&mut self, id: RuleId, cell: &Cell) {
        self.claims.rebinding.insert(id);
        let message = format!("{} lets whoever controls the name choose a private address", self.title(id));
        let finding = Diagnostic::warning("egress::rule::rebinding", message)
            .label(self.primary(id, "matches by name, whatever the name resolves to"))
            .fact(format!("not denied: {}", block_of_flows(cell)))
            .help("deny these addresses to the same workloads, as `deny private` does");
        let confirmed = self.judge.confirmed(finding, cell, |replay| {
            let lets_out = matches!(replay.decision.verdict, Verdict::Allowed(_) | Verdict::Conflict(_));
            lets_out && replay.decision.rules.contains(&id)
        });
        self.diagnostics.push(confirmed);
    }

    /// Labels for the first few rules, and a count of the others.
    fn with_rules(&self, diagnostic: Diagnostic, rules: impl Iterator<Item = RuleId>, text: &str) -> Diagnostic {
        let rules: Vec<RuleId> = rules.collect();
        let labels = rules.iter().take(MOST_LABELS).map(|&rule| {
            let because = self.origin(rule).because.as_ref().map(|reason| format!(" because \"{reason}\""));
            Label::context(self.place(rule), format!("{text}{}", because.unwrap_or_default()))
        });
        let diagnostic = diagnostic.labels(labels.collect::<Vec<_>>());
        match rules.len().saturating_sub(MOST_LABELS) {
            0 => diagnostic,
            more => diagnostic.fact(format!("{more} more rules do the same")),
        }
    }

    /// The words by which a message speaks of a rule: `the allow \`shop#2\``.
    fn title(&self, rule: RuleId) -> String {
        let action = match self.program.rules.at(rule).action {
            Action::Allow => "allow",
            Action::Deny => "deny",
        };
        format!("the {action} `{}`", self.program.rule_name(rule))
    }

    fn block_name(&self, rule: RuleId) -> &str {
        &self.program.blocks.at(self.program.rules.at(rule).block).name
    }

    fn primary(&self, rule: RuleId, text: &str) -> Label {
        Label::primary(self.place(rule), text)
    }

    fn place(&self, rule: RuleId) -> Place {
        let origin = self.origin(rule);
        Place::new(origin.source, Span::new(origin.start, origin.end))
    }

    fn origin(&self, rule: RuleId) -> &Origin {
        let origin: OriginId = self.program.rules.at(rule).origin;
        self.program.origins.entries.at(origin)
    }
}

/// The first few names, and a count of the others.
fn enumerated(names: &BTreeSet<&str>) -> String {
    let shown: Vec<String> = names.iter().take(MOST_LABELS).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(MOST_LABELS) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Whether the deny decides the flow, and the allow would if there were no denies.
fn cuts_off(program: &Program, replay: &Replay<'_, '_>, deny: RuleId, allow: RuleId) -> bool {
    let without_denies = replay.decided_by(|rule| program.rules.at(rule).action == Action::Allow);
    replay.decision.rules.contains(&deny) && without_denies.rules.contains(&allow)
}

/// The flows of a cell in words: `10.0.0.0/8 on 443/tcp as api.example.com`.
fn block_of_flows(cell: &Cell) -> String {
    let (start, end) = cell.addresses();
    let prefixes = AddressSet::from_ranges([(start, end)]).prefixes();
    let addresses = match prefixes.as_slice() {
        [only] if start != end => only.to_string(),
        _ if start == end => start.to_string(),
        _ => format!("{start}-{end}"),
    };
    let names = if cell.names.is_empty() { String::new() } else { format!(" as {}", cell.names.join(", ")) };
    format!("{addresses} on {}{names}", PortSet::from_line_ranges([cell.ports]))
}
