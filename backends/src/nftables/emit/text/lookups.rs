//! Where destinations lead, as text: trees, port chains, and the policies that ask them.

use super::super::lookup::{Entry, Family, Level, Lookup};
use super::super::plan::{Directory, Policy, PortCell, Table, Valued};
use super::super::spread::{self, Spread};
use super::super::words::push;
use super::super::{ports, tree};
use super::names::may_hold;
use super::{Lines, V4, V6, Writer, index, push_look_up, push_match};
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

    fn port_rules_of(&mut self, chain: &[PortCell]) -> Vec<String> {
        let mut ended = PortSet::empty();
        let mut rules = Vec::new();
        for PortCell { ports, names, outcome } in chain {
            let matches = ports::matches(ports, &ended, &self.port_sets);
            if let Some(hits) = names {
                for lines in [V4, V6] {
                    let jump = format!("meta nfproto ipv{} jump {}", lines.number, self.hit_chain(*hits, lines));
                    let meeting = matches.iter().filter(|found| may_hold(found, lines));
                    rules.extend(meeting.map(|found| after(found, &jump)));
                }
            }
            let action = self.reach(*outcome);
            rules.extend(matches.iter().map(|found| after(found, &action)));
            ended = ended.union(ports);
        }
        rules
    }

    /// Sets of ports that many rules share. What a set holds is in its name, so that none ever changes.
    pub(super) fn port_sets(&mut self) {
        let mut text = String::new();
        for (name, field, values) in self.port_sets.all() {
            let shown: Vec<String> = values.iter().map(u16::to_string).collect();
            let (size, shown) = (values.len(), shown.join(", "));
            push(
                &mut text,
                format_args!("\tset {name} {{ typeof {field}; size {size}; elements = {{ {shown} }}; }}\n"),
            );
        }
        self.body.push_str(&text);
    }

    /// Gives every rule its lines: port rules, or a jump to a chain of them where that is less.
    pub(super) fn rules(&mut self) {
        let uses = self.uses_of_rules();
        let alone = |said: usize| self.plan.buckets.known(&vec![Entry { within: None, said }]);
        let alone: Vec<Option<usize>> = (0..uses.len()).map(alone).collect();
        for (said, ((rule, uses), alone)) in self.plan.rules.iter().zip(uses).zip(alone).enumerate() {
            let (ports, outcome) = rule;
            let cell = PortCell { ports: ports.clone(), names: None, outcome: *outcome };
            let lines = self.port_rules_of(&[cell]);
            // In the kernel's expressions: 11 for address, port and action, 5 for address and jump, 6 for port and
            // action; a chain takes as long to load as about 12.
            let chain = if alone.is_some() { 0 } else { lines.len() * 6 + 12 };
            let is_long = lines.len() * uses * 11 > uses * 5 + chain;
            let has_ports = lines.first().is_some_and(|line| !line.starts_with("counter") && !line.starts_with("goto"));
            self.alone.push(lines.clone());
            let written = match alone {
                Some(number) if is_long && has_ports => vec![format!("jump b{number}")],
                None if is_long && has_ports => {
                    self.line(format_args!("\tchain r{said} {{\n\t\t{}\n\t}}", lines.join("\n\t\t")));
                    vec![format!("jump r{said}")]
                }
                _ => lines,
            };
            self.said.push(written);
        }
    }

    /// How often each rule is written with an address.
    fn uses_of_rules(&self) -> Vec<usize> {
        let mut uses = vec![0_usize; self.plan.rules.len()];
        let in_buckets = self
            .plan
            .buckets
            .values()
            .iter()
            .filter(|entries| entries.len() > 1 || entries.iter().any(|entry| entry.within.is_some()));
        let lookups = self.plan.directories.iter().flat_map(|directory| [&directory.v4, &directory.v6]);
        let in_trees = lookups.flat_map(|lookup| lookup.before.iter().chain(&lookup.after)).flatten();
        for said in in_buckets.flatten().map(|entry| entry.said).chain(in_trees.map(|range| range.said)) {
            if let Some(count) = uses.get_mut(said) {
                *count += 1;
            }
        }
        uses
    }

    /// The chains of buckets. A packet that falls off one goes on where the bucket was looked up.
    pub(super) fn buckets(&mut self) {
        let said = std::mem::take(&mut self.said);
        let alone = std::mem::take(&mut self.alone);
        for (number, entries) in self.plan.buckets.values().iter().enumerate() {
            push(&mut self.body, format_args!("\tchain b{number} {{\n"));
            let written = match entries.as_slice() {
                [Entry { within: None, .. }] => &alone,
                _ => &said,
            };
            for entry in entries {
                for rule in written.get(entry.said).into_iter().flatten() {
                    self.body.push_str("\t\t");
                    if let Some((family, start, end)) = entry.within {
                        push_match(&mut self.body, "daddr", start, end, if family == Family::V4 { V4 } else { V6 });
                        self.body.push(' ');
                    }
                    push(&mut self.body, format_args!("{rule}\n"));
                }
            }
            self.body.push_str("\t}\n");
        }
        self.said = said;
    }

    /// The search trees of a directory.
    pub(super) fn trees(&mut self, number: usize, directory: &Directory) {
        for (lookup, lines) in [(&directory.v4, V4), (&directory.v6, V6)] {
            for (place, ranges) in lookup.before.iter().chain(&lookup.after).enumerate() {
                if ranges.len() > INLINE {
                    self.spread(&tree_name(number, lines, place), ranges, lines);
                }
            }
        }
    }

    /// A tree of rules of one kind. Falling off anywhere leads back to the policy.
    fn spread(&mut self, name: &str, ranges: &[Spread<usize>], lines: Lines) {
        let said = std::mem::take(&mut self.said);
        let of = |number: usize| said.get(number).map_or(&[][..], Vec::as_slice);
        let chain = |node: usize| if node == 0 { name.to_owned() } else { format!("{name}_{node}") };
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
        self.said = said;
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

    /// The maps of all directories.
    pub(super) fn bucket_maps(&mut self) {
        for (lines, family) in [(V4, Family::V4), (V6, Family::V6)] {
            let mut count = 0;
            for (number, directory) in self.plan.directories.iter().enumerate() {
                for (place, level) in directory.of(family).levels.iter().enumerate() {
                    let name = format!("d{}_{count}", lines.number);
                    count += 1;
                    self.bucket_map(&name, level, lines);
                    self.map_names.insert((number, lines.number, place), name);
                }
            }
            self.maps_of_buckets.push((lines, count));
        }
    }

    fn bucket_map(&mut self, name: &str, level: &Level, lines: Lines) {
        let (protocol, size) = (lines.protocol, level.buckets.len());
        push(
            &mut self.body,
            format_args!("\tmap {name} {{ typeof {protocol} daddr : verdict; size {size}; elements = {{ "),
        );
        for (index, (address, bucket)) in level.buckets.iter().enumerate() {
            self.body.push_str(if index == 0 { "" } else { ", " });
            (lines.push)(&mut self.body, *address, *address);
            push(&mut self.body, format_args!(" : jump b{bucket}"));
        }
        self.body.push_str(" }; }\n");
    }

    /// The tables of a policy for each family, and what becomes of a packet that none decides.
    pub(super) fn policy(&mut self, number: usize, policy: &Policy) {
        let action = self.reach(policy.default);
        for (lines, family) in [(V4, Family::V4), (V6, Family::V6)] {
            self.line(format_args!("\tchain w{number}_{} {{", lines.number));
            if let Some((number, table)) = policy.exact.and_then(|number| Some((number, self.plan.exact.get(number)?)))
            {
                let is_empty = if family == Family::V4 { table.v4.is_empty() } else { table.v6.is_empty() };
                if !is_empty {
                    self.line(format_args!("\t\tjump e{number}_{}", lines.number));
                }
            }
            let mut in_doubt = false;
            for &number in &policy.directories {
                if let Some(directory) = self.plan.directories.get(number) {
                    self.directory(number, directory.of(family), lines, &mut in_doubt);
                }
            }
            self.assure(&mut in_doubt);
            self.ask_names(&policy.names, lines);
            self.line(format_args!("\t\t{action}\n\t}}"));
        }
    }

    /// Asks a directory. A look-up that finds nothing leaves it `in_doubt` whether its map is still the current one.
    fn directory(&mut self, number: usize, lookup: &Lookup, lines: Lines, in_doubt: &mut bool) {
        for (place, ranges) in lookup.before.iter().enumerate() {
            self.ask_tree(number, place, ranges, lines);
        }
        for (place, level) in lookup.levels.iter().enumerate() {
            *in_doubt = true;
            if let Some(name) = self.map_names.get(&(number, lines.number, place)) {
                self.body.push_str("\t\t");
                push_look_up(&mut self.body, level.length, name, lines);
            }
        }
        if !lookup.after.is_empty() {
            self.assure(in_doubt);
        }
        for (place, ranges) in lookup.after.iter().enumerate() {
            self.ask_tree(number, lookup.before.len() + place, ranges, lines);
        }
    }

    /// Before something is decided because nothing was found.
    fn assure(&mut self, in_doubt: &mut bool) {
        if std::mem::take(in_doubt) {
            self.body.push_str("\t\tjump live\n");
        }
    }

    /// Goes to a tree, or writes its few rules in place.
    fn ask_tree(&mut self, number: usize, place: usize, ranges: &[Spread<usize>], lines: Lines) {
        if ranges.len() > INLINE {
            self.line(format_args!("\t\tjump {}", tree_name(number, lines, place)));
            return;
        }
        let none = Vec::new();
        for range in ranges {
            for rule in self.said.get(range.said).unwrap_or(&none) {
                self.body.push_str("\t\t");
                // The chain is of one family already.
                if (range.start, range.end) != (0, lines.last()) {
                    push_match(&mut self.body, "daddr", range.start, range.end, lines);
                    self.body.push(' ');
                }
                push(&mut self.body, format_args!("{rule}\n"));
            }
        }
    }
}

/// So many ranges are rules of the policy itself.
const INLINE: usize = 4;

fn tree_name(directory: usize, lines: Lines, place: usize) -> String {
    format!("t{directory}_{}_{place}", lines.number)
}

/// A condition and what is done where it holds.
pub(super) fn after(condition: &str, action: &str) -> String {
    let gap = if condition.is_empty() { "" } else { " " };
    format!("{condition}{gap}{action}")
}
