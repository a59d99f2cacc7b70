//! What every file has, as text: base chains, what passes at once, and who is governed by what.

use super::super::words::{push, quotable};
use super::{Lines, OVERTAKEN, V4, V6, Writer, hook_name, index, push_look_up, push_match};
use crate::nftables::model::Hook;
use egress_ir::AddressSet;
use egress_ir::address::to_bits;

/// As many prefixes inside the cluster as one look-up may hold.
const MOST_INSIDE: u128 = 512;

impl Writer<'_> {
    /// What all hooks share: who is governed by what.
    pub(super) fn judge(&mut self) {
        let mut rules = String::new();
        let verdict = |value: u32, lines: Lines| {
            index(value).map_or("accept".to_owned(), |policy| format!("jump w{policy}_{}", lines.number))
        };
        for (lines, name, typed) in [(V4, "pods4", "ip saddr"), (V6, "pods6", "ip6 saddr")] {
            self.inside(&mut rules, lines);
            let pods = self.plan.pods.iter().filter(|(address, _)| address.is_ipv4() == (lines.number == 4));
            let shown = |(address, value): (&std::net::IpAddr, &u32)| {
                let (bits, mut key) = (to_bits(*address), String::new());
                (lines.push)(&mut key, bits, bits);
                (key, verdict(*value, lines))
            };
            let elements: Vec<(String, String)> = pods.map(shown).collect();
            if !elements.is_empty() {
                push(&mut rules, format_args!("\t\t{typed} vmap @{name}\n"));
                self.map(name, typed, &elements);
            }
        }
        let lookups = self.plan.directories.iter().flat_map(|directory| [&directory.v4, &directory.v6]);
        if !self.maps.is_empty() {
            rules.push_str("\t\tjump live\n");
        }
        if !self.maps.is_empty() || lookups.into_iter().any(|lookup| !lookup.levels.is_empty()) {
            self.live();
        }
        rules.push_str("\t\tfib daddr type local accept\n");
        for (segments, lines) in [(&self.plan.addresses.v4, V4), (&self.plan.addresses.v6, V6)] {
            if !segments.is_empty() {
                let name = format!("s{}", lines.number);
                push(&mut rules, format_args!("\t\tmeta nfproto ipv{} jump {name}\n", lines.number));
                self.tree(&name, "saddr", segments, lines, |value| vec![verdict(value, lines).replace("jump", "goto")]);
            }
        }
        self.line(format_args!("\tchain judge {{\n{rules}\t}}"));
        self.allow();
        self.via();
    }

    /// Comes back while this generation is the current one; else has the packet judged once more.
    fn live(&mut self) {
        let elements = ["ipv4", "ipv6"].map(|family| (family.to_owned(), "return".to_owned()));
        self.map("live_generation", "meta nfproto", &elements);
        self.line(format_args!(
            "\tcounter judged_again {{ }}\n\tchain live {{\n\t\tmeta nfproto vmap @live_generation\n\
             \t\tcounter name judged_again meta priority set {OVERTAKEN} accept\n\t}}"
        ));
    }

    /// Where allowed flows end when they bear an epoch.
    fn allow(&mut self) {
        if let Some(epoch) = self.options.epoch {
            let mask = self.options.ct_mark_mask;
            let value = epoch << mask.trailing_zeros();
            // Without a connection the first rule ends early; the packet is accepted all the same.
            self.line(format_args!(
                "\tchain allow {{\n\t\tct mark set ct mark & {:#010x} | {value:#010x}\n\t\taccept\n\t}}",
                !mask
            ));
        }
    }

    /// Where flows through gateways end.
    fn via(&mut self) {
        let routes = self.routes;
        for (number, mark) in &routes.marks {
            self.line(format_args!(
                "\tchain via_{number} {{\n\t\tmeta mark set meta mark & {:#010x} | {mark:#010x}\n\t\taccept\n\t}}",
                !routes.mask
            ));
        }
    }

    /// Nobody but the policy chooses a gateway: whatever earlier hooks have set goes.
    fn clear(&mut self, hook: Hook) {
        let kept = !self.routes.mask;
        match (hook, self.options.interfaces.as_slice()) {
            _ if self.routes.mask == 0 => {}
            (Hook::Prerouting, interfaces @ [_, ..]) => {
                for interface in interfaces {
                    self.line(format_args!("\t\tiifname \"{interface}\" meta mark set meta mark & {kept:#010x}"));
                }
            }
            _ => self.line(format_args!("\t\tmeta mark set meta mark & {kept:#010x}")),
        }
    }

    /// Flows of the current epoch, which are nearly all packets, and replies.
    fn known_flows(&mut self) {
        if let Some(epoch) = self.options.epoch {
            let mask = self.options.ct_mark_mask;
            let value = epoch << mask.trailing_zeros();
            self.line(format_args!("\t\tct mark & {mask:#010x} == {value:#010x} accept"));
        }
        self.line(format_args!("\t\tct direction reply ct state established,related accept"));
    }

    /// Destinations inside the cluster: one look-up where the ranges are few prefixes of one length, else rules.
    fn inside(&mut self, rules: &mut String, lines: Lines) {
        let inside: &AddressSet = &self.program.cluster.inside;
        let ranges: Vec<(u128, u128)> = if lines.number == V4.number {
            inside.v4.ranges().iter().map(|&(start, end)| (start.into(), end.into())).collect()
        } else {
            inside.v6.ranges().to_vec()
        };
        // The bits below which no range begins or ends.
        let shift = ranges.iter().flat_map(|(start, end)| [start.trailing_zeros(), end.trailing_ones()]).min();
        let shift = shift.unwrap_or(0).min(lines.last().count_ones() - 1);
        let prefixes = || ranges.iter().map(|(start, end)| (start >> shift)..=(end >> shift));
        let count = prefixes().fold(0_u128, |count, keys| count.saturating_add(keys.end() - keys.start() + 1));
        if ranges.len() < 3 || count > MOST_INSIDE {
            for (start, end) in ranges {
                push_inside(rules, lines, start, end);
            }
            return;
        }
        let element = |key: u128| {
            let mut shown = String::new();
            (lines.push)(&mut shown, key << shift, key << shift);
            (shown, "accept".to_owned())
        };
        let elements: Vec<(String, String)> = prefixes().flatten().map(element).collect();
        let (name, typed) = if lines.number == V4.number { ("inside4", "ip daddr") } else { ("inside6", "ip6 daddr") };
        self.map(name, typed, &elements);
        rules.push_str("\t\t");
        let length = u8::try_from(lines.last().count_ones() - shift).unwrap_or(u8::MAX);
        push_look_up(rules, length, name, lines);
    }

    pub(super) fn base_chains(&mut self) {
        let mut note = format!("egressc generation {}", self.options.generation);
        if let Some(digest) = &self.options.source_digest {
            push(&mut note, format_args!(" source {digest}"));
        }
        let note = quotable(&note, 127);
        for &hook in self.hooks {
            let at = hook_name(hook);
            // A mark that is set by a chain of type `route` is asked for a route once more. The kernel never changes the
            // type of a chain, so that one of an earlier generation stays behind, empty.
            let (kind, name) = match hook {
                Hook::Output if self.routes.mask != 0 => ("route", "output_routed"),
                _ => ("filter", at),
            };
            self.line(format_args!("\tchain {name} {{\n\t\ttype {kind} hook {at} priority -90; policy accept;"));
            self.clear(hook);
            self.known_flows();
            self.line(match hook {
                Hook::Prerouting => format_args!("\t\ticmpv6 type {{ 133, 134, 135, 136 }} jump neighbours"),
                Hook::Output | Hook::Postrouting => format_args!(
                    "\t\toifname \"lo\" accept\n\
                     \t\ticmpv6 type {{ 133, 134, 135, 136 }} ip6 hoplimit 255 accept"
                ),
            });
            match (hook, self.options.interfaces.as_slice()) {
                (Hook::Output | Hook::Postrouting, _) | (_, []) => {
                    self.line(format_args!("\t\tjump judge comment \"{note}\""))
                }
                (Hook::Prerouting, interfaces) => {
                    for interface in interfaces {
                        self.line(format_args!("\t\tiifname \"{interface}\" jump judge comment \"{note}\""));
                    }
                }
            }
            self.line(format_args!(
                "\t}}\n\tchain {name}_again {{\n\t\ttype {kind} hook {at} priority -89; policy accept;\n\
                 \t\tmeta priority {OVERTAKEN} goto again\n\t}}"
            ));
        }
        if self.hooks.contains(&Hook::Prerouting) {
            self.line(format_args!(
                "\tchain neighbours {{\n\t\tip6 daddr fe80::/10 accept\n\t\tip6 daddr ff02::/16 accept\n\t}}"
            ));
        }
        self.line(format_args!("\tchain again {{\n\t\tmeta priority set 0:0\n\t\tjump judge\n\t}}"));
    }
}

fn push_inside(rules: &mut String, lines: Lines, start: u128, end: u128) {
    rules.push_str("\t\t");
    push_match(rules, "daddr", start, end, lines);
    rules.push_str(" accept\n");
}
