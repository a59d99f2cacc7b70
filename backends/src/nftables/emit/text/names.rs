//! Sets of names and look-ups in them, as text.
//!
//! What a set means is in its name; what it holds is for whoever learns names. A set is made anew with every file, because
//! who may use which names, and whose address it is, may have changed: whoever loads the file adds what is still true
//! in the same transaction. Old rules keep what the old set held until they are gone.

use super::super::named::Hit;
use super::super::ports;
use super::super::words::push;
use super::lookups::after;
use super::{Lines, V4, V6, Writer};
use crate::nftables::decode::TABLE;
use egress_ir::PortSet;
use egress_snapshot::names::{Names, set_name};
use std::net::IpAddr;

/// How many destinations a client may know by the names of a pattern, when clients share a set.
const DESTINATIONS: usize = 32;
/// Bounds for the size of a set; the kernel makes room for so many at once.
const SIZES: (usize, usize) = (1 << 10, 1 << 16);
/// So many rules stand in the place of a jump to them.
const INLINE: usize = 2;

impl Writer<'_> {
    /// A set of each family for each pattern.
    pub(super) fn name_sets(&mut self) {
        for (place, host) in self.names.hosts.iter().enumerate() {
            for lines in [V4, V6] {
                if let Some(name) = set_name(host, lines.number == V6.number) {
                    let (size, body) = (size(self.names, place, lines), body(lines));
                    self.line(format_args!("\tset {name} {{ {body} size {size}; }}"));
                }
            }
        }
    }

    /// The chain of hits in a family, which is written later.
    pub(super) fn hit_chain(&mut self, hits: usize, lines: Lines) -> String {
        self.hit_chains.insert((hits, lines.number));
        format!("n{hits}_{}", lines.number)
    }

    /// Asks for names by ports. Whoever has none of them comes back.
    pub(super) fn ask_names(&mut self, asked: &[(PortSet, usize)], lines: Lines) {
        for (ports, hits) in asked {
            let mut matches = ports::matches(ports, &PortSet::empty(), &self.port_sets);
            matches.retain(|found| may_hold(found, lines));
            let rules = self.hits(*hits, lines);
            let rules = if matches.len() * rules.len() <= INLINE {
                rules
            } else {
                vec![format!("jump {}", self.hit_chain(*hits, lines))]
            };
            for rule in matches.iter().flat_map(|found| rules.iter().map(move |rule| after(found, rule))) {
                self.line(format_args!("\t\t{rule}"));
            }
        }
    }

    /// The chains of hits that something jumps to.
    pub(super) fn hit_chains(&mut self) {
        for (hits, number) in std::mem::take(&mut self.hit_chains) {
            let lines = if number == V4.number { V4 } else { V6 };
            let rules = self.hits(hits, lines).join("\n\t\t");
            self.line(format_args!("\tchain n{hits}_{number} {{\n\t\t{rules}\n\t}}"));
        }
    }

    fn hits(&self, number: usize, lines: Lines) -> Vec<String> {
        let hits: &[Hit] = self.plan.named.get(number).map_or(&[], Vec::as_slice);
        let look_up = |place: &usize| {
            let set = set_name(self.names.hosts.get(*place)?, lines.number == V6.number)?;
            Some(format!("{0} saddr . {0} daddr @{set}", lines.protocol))
        };
        let rule = |(patterns, outcome): &Hit| {
            let conditions: Vec<String> = patterns.iter().filter_map(look_up).collect();
            // INVARIANT: every pattern has a set. Without one a rule would say more than it may, so it is left out.
            (conditions.len() == patterns.len()).then(|| after(&conditions.join(" "), &self.reach(*outcome)))
        };
        hits.iter().filter_map(rule).collect()
    }
}

/// Whether packets of the family can meet a condition on ports; nft refuses a rule that asks for both families.
pub(super) fn may_hold(condition: &str, lines: Lines) -> bool {
    let foreign = if lines.number == V4.number { "icmpv6 " } else { "icmp " };
    !condition.starts_with(foreign)
}

/// The comment line for whoever learns names.
pub(super) fn header(names: &Names) -> String {
    if names.hosts.is_empty() {
        return String::new();
    }
    format!(
        "# The sets host4/… and host6/… are filled by `egress-agent names` with what clients learn of names.\n{}\n",
        names.to_line()
    )
}

/// Removes the sets whether they are there or not.
pub(super) fn push_removals(text: &mut String, names: &Names) {
    for host in &names.hosts {
        for lines in [V4, V6] {
            if let Some(name) = set_name(host, lines.number == V6.number) {
                let body = body(lines);
                push(text, format_args!("add set inet {TABLE} {name} {{ {body} }}\ndelete set inet {TABLE} {name}\n"));
            }
        }
    }
}

/// What is the same of all sets of a family.
fn body(lines: Lines) -> String {
    format!("typeof {0} saddr . {0} daddr; flags timeout; counter;", lines.protocol)
}

/// As many elements as a set may hold: some for each client that may use the pattern.
fn size(names: &Names, place: usize, lines: Lines) -> usize {
    let is_v6 = lines.number == V6.number;
    let may = |hosts: &[u32]| hosts.iter().any(|host| usize::try_from(*host).is_ok_and(|host| host == place));
    let using = || names.clients.iter().filter(|clients| may(&clients.hosts));
    let addresses = using().flat_map(|clients| clients.workloads.iter().flatten());
    let pods = addresses.filter(|address: &&IpAddr| address.is_ipv6() == is_v6).count();
    let ranges = using().flat_map(|clients| &clients.prefixes).filter(|prefix| prefix.contains(':') == is_v6);
    let clients = ranges.map(|prefix| held(prefix, is_v6)).fold(pods, usize::saturating_add);
    let wanted = clients.saturating_mul(DESTINATIONS).min(SIZES.1);
    wanted.next_power_of_two().clamp(SIZES.0, SIZES.1)
}

/// How many addresses a prefix has; one for what has no length.
fn held(prefix: &str, v6: bool) -> usize {
    let length = prefix.split_once('/').and_then(|(_, length)| length.parse::<u32>().ok());
    let free = length.and_then(|length| (if v6 { 128_u32 } else { 32 }).checked_sub(length)).unwrap_or(0);
    1_usize.checked_shl(free).unwrap_or(usize::MAX)
}
