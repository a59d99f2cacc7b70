//! What is done to packets, as text: counters, logs and verdicts.

use super::super::outcome::{Decider, Outcome};
use super::super::words::{comment, identifier, log_prefix, push};
use super::Writer;
use crate::nftables::options::LogTarget;
use egress_ir::BlockKind;

impl Writer<'_> {
    /// One counter for each rule and each policy's default; the kernel keeps those that are there.
    pub(super) fn counters(&mut self) {
        for (id, rule) in self.program.rules.iter() {
            let name = self.counter(Decider::Rule(id), self.program.blocks.at(rule.block).audit);
            let origins = &self.program.origins.entries;
            let block = self.program.blocks.at(rule.block);
            match comment(origins.at(rule.origin), origins.at(block.origin)) {
                Some(comment) => self.line(format_args!("\tcounter {name} {{ comment \"{comment}\"; }}")),
                None => self.line(format_args!("\tcounter {name} {{ }}")),
            }
        }
        for (id, block) in self.program.blocks.iter().filter(|(_, block)| block.kind == BlockKind::Policy) {
            let name = self.counter(Decider::Default(id), block.audit);
            self.line(format_args!("\tcounter {name} {{ }}"));
        }
    }

    pub(super) fn counter(&self, decider: Decider, audit: bool) -> String {
        match decider {
            Decider::Rule(rule) => {
                format!("{}_{}", if audit { "audit" } else { "rule" }, identifier(self.program.rule_name(rule)))
            }
            Decider::Default(block) => {
                format!(
                    "{}_{}",
                    if audit { "audit" } else { "default" },
                    identifier(&self.program.blocks.at(block).name)
                )
            }
        }
    }

    /// How log lines name those who decide: the one that asked for the log, or all policies by default.
    fn shown(&self, decider: Decider, all: &[Decider]) -> String {
        match decider {
            Decider::Rule(rule) => self.program.rule_name(rule).to_owned(),
            Decider::Default(_) => {
                let name = |decider: &Decider| match decider {
                    Decider::Default(block) => Some(self.program.blocks.at(*block).name.as_str()),
                    Decider::Rule(_) => None,
                };
                format!("{} default", all.iter().filter_map(name).collect::<Vec<_>>().join(","))
            }
        }
    }

    /// Outcomes with logs are chains, because a log that is over its rate ends its rule.
    pub(super) fn outcome_chain(&mut self, number: usize, outcome: &Outcome) {
        if outcome.log.is_none() && outcome.audit.is_none() {
            return;
        }
        self.line(format_args!("\tchain o{number} {{"));
        if let Some(audit) = &outcome.audit {
            let counters = self.audit_counters(&audit.decided_by);
            if !counters.is_empty() {
                self.line(format_args!("\t\t{}", counters.join(" ")));
            }
            let verb = if audit.passes { "audit allow" } else { "audit deny" };
            let name = audit.decided_by.first().map_or(String::new(), |first| self.shown(*first, &audit.decided_by));
            self.log(outcome.passes, verb, &name);
        }
        if let Some(named) = outcome.log {
            let name = self.shown(named, &outcome.decided_by);
            self.log(outcome.passes, if outcome.passes { "allow" } else { "deny" }, &name);
        }
        let action = self.action(outcome);
        self.line(format_args!("\t\t{action}\n\t}}"));
    }

    /// Counters of what audit-mode blocks would have decided.
    fn audit_counters(&self, deciders: &[Decider]) -> Vec<String> {
        let audited = |decider: &Decider| {
            let block = match *decider {
                Decider::Rule(rule) => self.program.rules.at(rule).block,
                Decider::Default(block) => block,
            };
            self.program.blocks.at(block).audit.then(|| format!("counter name {}", self.counter(*decider, true)))
        };
        deciders.iter().filter_map(audited).collect()
    }

    /// Flows that pass are logged when they begin, flows that are denied at every packet.
    fn log(&mut self, passes: bool, verb: &str, name: &str) {
        let begins = if passes { "ct state new,untracked " } else { "" };
        let rate = self.options.log_rate;
        let burst = rate.saturating_mul(2);
        let prefix = log_prefix(&format!("egressc {verb} {name}"));
        let target = match self.options.log {
            LogTarget::Group(group) => format!(" group {group} snaplen 96"),
            LogTarget::Kernel => " level info".to_owned(),
        };
        self.line(format_args!(
            "\t\t{begins}limit rate {rate}/second burst {burst} packets log prefix \"{prefix}\"{target}"
        ));
    }

    /// Count and decide.
    fn action(&self, outcome: &Outcome) -> String {
        let mut action = String::new();
        for decider in &outcome.decided_by {
            push(&mut action, format_args!("counter name {} ", self.counter(*decider, false)));
        }
        if let Some(number) = outcome.gateway {
            // Judged packet by packet: an epoch in the connection's mark would not say which gateway.
            push(&mut action, format_args!("goto via_{number}"));
            return action;
        }
        let allowed = outcome.passes && !outcome.decided_by.is_empty();
        action.push_str(match (outcome.passes, allowed && self.options.epoch.is_some()) {
            (true, true) => "goto allow",
            (true, false) => "accept",
            (false, _) => "drop",
        });
        action
    }

    /// What a rule does to packets of an outcome.
    pub(super) fn reach(&self, number: usize) -> String {
        match self.plan.outcomes.get(number) {
            Some(outcome) if outcome.log.is_none() && outcome.audit.is_none() => self.action(outcome),
            _ => format!("goto o{number}"),
        }
    }
}
