//! Where destinations lead, as text: trees, port chains, and the policies that ask them.

use super::super::plan::{Policy, Spreads, Table, Valued};
use super::super::spread;
use super::super::words::push;
use super::super::{ports, tree};
use super::{Lines, V4, V6, Writer, index, push_match};
use egress_ir::PortSet;

impl Writer<'_> {
    /// Writes the port chains. A short one stands in the place of each jump to it instead.
    pub(super) fn port_chains(&mut self) {
        let mut uses = vec![0_usize; self.port_rules.len()];
        for segment in self.plan.exact.values().iter().flat_map(|table| table.v4.iter().chain(&table.v6)) {
            if let Some(count) = index(segment.value).and_then(|chain| uses.get_mut(chain)) {
                *count += 1;
            }
        }
        for (number, (chain, uses)) in self.plan.port_chains.values().iter().zip(uses).enumerate() {
            let rules = self.port_rules_of(chain);
            let short = rules.len() == 1 || (rules.len() == 2 && uses == 1);
            if !short {
                self.line(format_args!("\tchain p{number} {{\n\t\t{}\n\t}}", rules.join("\n\t\t")));
            }
            if let Some(place) = self.port_rules.get_mut(number) {
                *place = if short { rules } else { vec![format!("goto p{number}")] };
            }
        }
    }

    fn port_rules_of(&self, chain: &[(PortSet, usize)]) -> Vec<String> {
        let mut ended = PortSet::empty();
        let mut rules = Vec::new();
        for (ports, outcome) in chain {
            let action = self.reach(*outcome);
            for found in ports::matches(ports, &ended) {
                let gap = if found.is_empty() { "" } else { " " };
                rules.push(format!("{found}{gap}{action}"));
            }
            ended = ended.union(ports);
        }
        rules
    }

    /// A tree for each family of the rules of one kind. Falling off anywhere leads back to the policy.
    pub(super) fn spreads(&mut self, number: usize, spreads: &Spreads) {
        let rules = self.rules_of_spreads(number, spreads);
        let of = |said: usize| rules.get(said).map_or(&[][..], Vec::as_slice);
        for (ranges, lines) in [(&spreads.v4, V4), (&spreads.v6, V6)] {
            let chain = |node: usize| match node {
                0 => format!("t{number}_{}", lines.number),
                _ => format!("t{number}_{}_{node}", lines.number),
            };
            for node in spread::nodes(ranges, lines.last()) {
                push(&mut self.body, format_args!("\tchain {} {{\n", chain(node.number)));
                for rule in node.covers.iter().flat_map(|said| of(*said)) {
                    push(&mut self.body, format_args!("\t\t{rule}\n"));
                }
                for range in &node.some {
                    for rule in of(range.said) {
                        self.body.push_str("\t\t");
                        push_match(&mut self.body, "daddr", range.start, range.end, lines);
                        push(&mut self.body, format_args!(" {rule}\n"));
                    }
                }
                self.steps("daddr", &node.children, lines, chain);
                self.body.push_str("\t}\n");
            }
        }
    }

    /// What is written wherever a rule holds: its port rules, or a jump to a chain of them where that is less.
    fn rules_of_spreads(&mut self, number: usize, spreads: &Spreads) -> Vec<Vec<String>> {
        let mut ranges = vec![0_usize; spreads.rules.len()];
        for said in spreads.v4.iter().chain(&spreads.v6).map(|range| range.said) {
            if let Some(count) = ranges.get_mut(said) {
                *count += 1;
            }
        }
        let mut all = Vec::with_capacity(ranges.len());
        for (said, (rule, ranges)) in spreads.rules.iter().zip(ranges).enumerate() {
            let rules = self.port_rules_of(std::slice::from_ref(rule));
            // In the kernel's expressions: 11 for address, port and action, 5 for address and jump, 6 for port and
            // action; a chain takes as long to load as about 12.
            let is_long = rules.len() * ranges * 11 > ranges * 5 + rules.len() * 6 + 12;
            let has_ports = rules.first().is_some_and(|rule| !rule.starts_with("counter") && !rule.starts_with("goto"));
            if is_long && has_ports {
                self.line(format_args!("\tchain r{number}_{said} {{\n\t\t{}\n\t}}", rules.join("\n\t\t")));
                all.push(vec![format!("jump r{number}_{said}")]);
            } else {
                all.push(rules);
            }
        }
        all
    }

    /// The steps from a node to its children.
    fn steps(
        &mut self,
        field: &str,
        children: &[(Option<u128>, usize)],
        lines: Lines,
        chain: impl Fn(usize) -> String,
    ) {
        for (below, child) in children {
            self.body.push_str("\t\t");
            if let Some(below) = below {
                push(&mut self.body, format_args!("{} {field} < ", lines.protocol));
                (lines.push)(&mut self.body, *below, *below);
                self.body.push(' ');
            }
            push(&mut self.body, format_args!("goto {}\n", chain(*child)));
        }
    }

    /// A tree for each family of an exact table. Falling off anywhere leads back to the policy, because every step is a `goto`.
    pub(super) fn table(&mut self, number: usize, table: &Table) {
        let port_rules = std::mem::take(&mut self.port_rules);
        let none: &[String] = &[];
        let rules = |value: u32| index(value).and_then(|chain| port_rules.get(chain)).map_or(none, Vec::as_slice);
        for (segments, lines) in [(&table.v4, V4), (&table.v6, V6)] {
            self.tree(&format!("e{number}_{}", lines.number), "daddr", segments, lines, |value| rules(value).to_vec());
        }
        self.port_rules = port_rules;
    }

    /// The chains that find the segment of an address; the first has the name itself.
    pub(super) fn tree(
        &mut self,
        name: &str,
        field: &str,
        segments: &[Valued],
        lines: Lines,
        rules: impl Fn(u32) -> Vec<String>,
    ) {
        let starts: Vec<u128> = segments.iter().map(|segment| segment.start).collect();
        for node in tree::nodes(&starts) {
            let chain = |number: usize| if number == 0 { name.to_owned() } else { format!("{name}_{number}") };
            push(&mut self.body, format_args!("\tchain {} {{\n", chain(node.number)));
            self.steps(field, &node.children, lines, chain);
            for segment in segments.get(node.leaves).unwrap_or_default() {
                for rule in rules(segment.value) {
                    self.body.push_str("\t\t");
                    push_match(&mut self.body, field, segment.start, segment.end, lines);
                    push(&mut self.body, format_args!(" {rule}\n"));
                }
            }
            self.body.push_str("\t}\n");
        }
    }

    /// The layers of a policy for each family, and what becomes of a packet that none decides.
    pub(super) fn policy(&mut self, number: usize, policy: &Policy) {
        let exact = policy.exact.and_then(|number| Some((number, self.plan.exact.get(number)?)));
        let exact = exact.map(|(number, table)| (format!("e{number}"), !table.v4.is_empty(), !table.v6.is_empty()));
        let layers = policy.layers.iter().filter_map(|&number| Some((number, self.plan.spreads.get(number)?)));
        let layers = layers.map(|(number, table)| (format!("t{number}"), !table.v4.is_empty(), !table.v6.is_empty()));
        let tables: Vec<(String, bool, bool)> = exact.into_iter().chain(layers).collect();
        let action = self.reach(policy.default);
        for family in [V4.number, V6.number] {
            self.line(format_args!("\tchain w{number}_{family} {{"));
            for (name, _, _) in tables.iter().filter(|(_, v4, v6)| if family == V4.number { *v4 } else { *v6 }) {
                push(&mut self.body, format_args!("\t\tjump {name}_{family}\n"));
            }
            self.line(format_args!("\t\t{action}\n\t}}"));
        }
    }
}
