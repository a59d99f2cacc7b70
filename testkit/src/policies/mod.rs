//! Realistic policies of any size, as text: what benchmarks and whole-command tests run on.
//!
//! In: a seed and a [`PolicyShape`]. Out: one `.egress` file of an imagined company, and the inventory of its cluster as
//! `kubectl get … -o json` prints it. Providers own aggregates (/8–/16) in which rules name more specific prefixes
//! (/20–/32) and ranges; teams have several policies for the same pods; guardrails forbid parts of what others allow.
//! The same seed and shape always give the same text.

mod addresses;
mod cluster;
mod rules;

pub use cluster::generate_inventory;

use crate::seed::Rng;
use addresses::Provider;
use cluster::{Application, applications};
use rules::Section;
use std::collections::BTreeSet;
use std::fmt::Write;

/// How large a generated policy is, and what it contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyShape {
    /// The number of rules, three at least: those that every company has.
    pub rules: usize,
    /// About how many kinds of sources the rules can tell apart.
    pub sources: usize,
    /// How many pods the inventory holds at least; each application has one or more.
    pub pods: usize,
    /// Rules on host names, about one in fifty.
    pub hosts: bool,
    /// How many gateways rules may name; a provider is always left through the same one, so that none conflict.
    pub gateways: usize,
    /// Sources that are known by their addresses only.
    pub address_workloads: bool,
    /// No rule that can never decide anything, and none written to be redundant, so that `compile` accepts the policy.
    pub clean: bool,
}

impl PolicyShape {
    /// A clean policy of `rules` rules for pods, without hosts and gateways: about 200 sources for 10,000 rules.
    #[must_use]
    pub fn of(rules: usize) -> Self {
        let sources = (rules.isqrt() * 2).clamp(8, 1000);
        let pods = (sources * 3).max(30);
        Self { rules, sources, pods, hosts: false, gateways: 0, address_workloads: false, clean: true }
    }

    /// The same with its share of dead and redundant rules: about 0.2 % and 2 %.
    #[must_use]
    pub fn with_faults(self) -> Self {
        Self { clean: false, ..self }
    }
}

/// The text of one `.egress` file. Everything that it declares is used.
///
/// ```
/// use egress_testkit::policies::{PolicyShape, generate};
/// let text = generate(1, &PolicyShape::of(100));
/// assert_eq!(text.matches("\n  allow ").count() + text.matches("\n  deny ").count(), 100);
/// ```
#[must_use]
pub fn generate(seed: u64, shape: &PolicyShape) -> String {
    Company::new(seed, shape).write()
}

/// What is at hand while a policy is written.
struct Company<'s> {
    rng: Rng,
    shape: &'s PolicyShape,
    applications: Vec<Application>,
    providers: Vec<Provider>,
    /// Names of destination and port sets, workload sets and gateways that a rule mentions.
    used: BTreeSet<String>,
    /// Workload sets, providers and ports that a rule opens as a whole.
    opened: BTreeSet<(String, usize, &'static str)>,
    rules: usize,
    text: String,
}

impl<'s> Company<'s> {
    fn new(seed: u64, shape: &'s PolicyShape) -> Self {
        let mut rng = Rng::new(seed, 0);
        let providers = addresses::providers(&mut rng, (shape.rules / 25).clamp(8, 3000));
        let applications = applications(shape);
        let text = String::with_capacity(shape.rules * 80);
        Self { rng, shape, applications, providers, used: BTreeSet::new(), opened: BTreeSet::new(), rules: 0, text }
    }

    fn write(mut self) -> String {
        self.common_sections();
        while self.rules < self.shape.rules {
            let section = self.next_section();
            self.section(&section);
        }
        let mut whole = self.declarations();
        whole.push_str(&self.text);
        whole
    }

    /// The next policy of an application, its namespace or, now and then, a whole kind of pods.
    fn next_section(&mut self) -> Section {
        let remaining = self.shape.rules - self.rules;
        let even = self.shape.rules / (self.applications.len() * 3).max(1);
        // Most policies are small and a few are large, as they grow with their team.
        let size = match self.rng.below(10) {
            0 => even * 3,
            1..4 => even * 3 / 2,
            _ => even / 2,
        };
        let size = size.clamp(3, 4000).min(remaining);
        let application = self.rng.choose(&self.applications).cloned().unwrap_or_default();
        let number = self.rules;
        match self.rng.below(20) {
            0 => Section::shared(format!("{}-shared-{number}", application.namespace), application.namespace, size),
            1 => Section::shared(format!("batch-{number}"), "batch".into(), size.min(12)),
            2 => Section::guardrail(format!("forbid-{number}"), "all".into(), size.min(25)),
            3 => Section::guardrail(format!("forbid-{number}"), application.namespace, size.min(8)),
            4 if self.shape.address_workloads => Section::own(format!("vms-{number}"), "legacy-vms".into(), size),
            _ => Section::own(format!("{}-{number}", application.name), application.name, size),
        }
    }

    /// Declares what rules mention.
    fn declarations(&self) -> String {
        let mut text = String::from(cluster::HEADER);
        for (name, set) in cluster::workload_sets(&self.applications) {
            self.declare(&mut text, "workloads", &name, &set);
        }
        for (name, set) in rules::PORTS {
            self.declare(&mut text, "ports", name, set);
        }
        self.declare(&mut text, "destinations", "metadata", "169.254.169.254, fd00:ec2::254");
        self.declare(&mut text, "destinations", "blocklist", &self.blocklist());
        for provider in &self.providers {
            self.declare(&mut text, "destinations", &provider.name, &provider.declaration());
        }
        for number in 1..=self.shape.gateways {
            let name = format!("exit-{number}");
            if self.used.contains(&name) {
                let (high, low) = (number / 256, number % 256);
                let body = format!("  nodes(egress-zone=zone-{number})\n  address 192.0.{}.{low}\n", 2 + high * 3);
                text.push_str(&format!("gateway {name} {{\n{body}}}\n"));
            }
        }
        text
    }

    /// About one blocked address for five rules, all at every eighth provider, one line for each.
    fn blocklist(&self) -> String {
        let each = (self.shape.rules / 5).div_ceil(self.providers.len().div_ceil(8)).max(1);
        let line = |provider: &Provider| provider.blocked(each).map(|a| a.to_string()).collect::<Vec<_>>().join(", ");
        let lines: Vec<String> = self.providers.iter().step_by(8).map(line).collect();
        format!("\n  {}", lines.join(",\n  "))
    }

    fn declare(&self, text: &mut String, keyword: &str, name: &str, set: &str) {
        if self.used.contains(name) {
            text.push_str(&format!("{keyword} {name} = {set}\n"));
        }
    }

    /// Writes formatted text; writing to a string cannot fail.
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        let written = self.text.write_fmt(text);
        debug_assert!(written.is_ok(), "a string takes everything");
    }

    /// The name, noted as used.
    fn mention(&mut self, name: &str) -> String {
        if !self.used.contains(name) {
            self.used.insert(name.to_owned());
        }
        name.to_owned()
    }
}

#[cfg(test)]
mod tests;
