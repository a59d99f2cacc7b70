//! Amounts in words: how many addresses, hosts, pods; the first few of them.
//!
//! In: sets. Out: a few words. The same words stand in hovers and in hints.

use egress_answers::counted;
use egress_ir::{AddressSet, DestinationSet, Inventory, Pod, Workload, WorkloadSet};
use std::net::IpAddr;

/// `4,096`
#[must_use]
pub fn number(number: u128) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `4,096 addresses`, or `1 address`.
#[must_use]
pub fn count(count: u128, what: &str, many: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{} {many}", number(count)) }
}

/// `4,096 addresses`; where both families are there, or IPv6 alone, it says so: `2 IPv4 and 2^64 IPv6 addresses`.
#[must_use]
pub fn addresses(set: &AddressSet) -> String {
    let v4: u128 = set.v4.ranges().iter().map(|&(first, last)| u128::from(last - first) + 1).sum();
    let v6 =
        set.v6.ranges().iter().try_fold(0u128, |sum, &(first, last)| sum.checked_add((last - first).checked_add(1)?));
    match (v4, v6) {
        (0, Some(0)) => "no address".to_owned(),
        (_, Some(0)) => count(v4, "address", "addresses"),
        (0, Some(1)) => "1 IPv6 address".to_owned(),
        (0, _) => format!("{} IPv6 addresses", wide(v6)),
        _ => format!("{} IPv4 and {} IPv6 addresses", number(v4), wide(v6)),
    }
}

/// A number of IPv6 addresses: powers of two beyond a million as such, other great numbers about. Nothing is all of them.
fn wide(number_of: Option<u128>) -> String {
    match number_of {
        None => "2^128".to_owned(),
        Some(many) if many < 1 << 20 => number(many),
        Some(many) if many.is_power_of_two() => format!("2^{}", many.trailing_zeros()),
        Some(many) => format!("about 2^{}", many.ilog2()),
    }
}

/// `4,096 addresses, 2 hosts`
#[must_use]
pub fn destinations(set: &DestinationSet) -> String {
    let hosts = || counted(set.hosts.len(), "host");
    match (set.addresses.is_empty(), set.hosts.is_empty()) {
        (true, false) => hosts(),
        (false, false) => format!("{}, {}", addresses(&set.addresses), hosts()),
        (_, true) => addresses(&set.addresses),
    }
}

/// The first few ranges, as prefixes where they are ones, and whether there are more.
#[must_use]
pub fn ranges(set: &AddressSet, most: usize) -> (Vec<String>, bool) {
    let range = |(first, last): (IpAddr, IpAddr)| {
        let prefixes = AddressSet::from_ranges([(first, last)]).prefixes();
        match prefixes.as_slice() {
            _ if first == last => first.to_string(),
            [only] => only.to_string(),
            _ => format!("{first}-{last}"),
        }
    };
    let mut ranges = set.ranges();
    let first = ranges.by_ref().take(most).map(range).collect();
    (first, ranges.next().is_some())
}

/// The first few words in back-ticks, and how many more there are.
#[must_use]
pub fn listed(words: &[String], all: usize) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match all.saturating_sub(words.len()) {
        0 => quoted.join(", "),
        more => format!("{} and {} more", quoted.join(", "), number(more as u128)),
    }
}

/// The pods of an inventory that are in a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// How many that have an address of their own.
    pub count: usize,
    /// The first of them, as `shop/checkout`.
    pub first: Vec<String>,
    /// How many that are on their node's network, where no set can tell them from the node.
    pub on_host: usize,
}

/// How many pods are named.
const NAMED: usize = 5;

/// Counts the pods of a set.
#[must_use]
pub fn pods(inventory: &Inventory, set: &WorkloadSet) -> Pods {
    pods_that(inventory, |pod| has_pod(set, pod))
}

/// Counts the pods for which a condition holds.
#[must_use]
pub fn pods_that(inventory: &Inventory, holds: impl Fn(&Pod) -> bool) -> Pods {
    let mut pods = Pods::default();
    for running in inventory.pods.iter().filter(|running| holds(&running.identity)) {
        if running.host_network {
            pods.on_host += 1;
            continue;
        }
        pods.count += 1;
        if pods.first.len() < NAMED {
            pods.first.push(Workload::Pod(running.identity.clone()).to_string());
        }
    }
    pods
}

/// Whether a pod is in a set; as [`WorkloadSet::contains`], without a copy of the pod.
#[must_use]
pub fn has_pod(set: &WorkloadSet, pod: &Pod) -> bool {
    match set {
        WorkloadSet::All => true,
        WorkloadSet::Pods(selector) => selector.matches(pod),
        WorkloadSet::Address(_) => false,
        WorkloadSet::Union(sets) => sets.iter().any(|set| has_pod(set, pod)),
        WorkloadSet::Except(set, out) => has_pod(set, pod) && !has_pod(out, pod),
    }
}

impl Pods {
    /// `12 pods of the inventory: …`
    #[must_use]
    pub fn told(&self) -> String {
        let mut told = format!("{} of the inventory", count(self.count as u128, "pod", "pods"));
        if !self.first.is_empty() {
            told = format!("{told}: {}", listed(&self.first, self.count));
        }
        if self.on_host > 0 {
            let more = count(self.on_host as u128, "more pod is", "more pods are");
            told = format!("{told}; {more} on the node's network, where policies see the node");
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_ir::Prefix;

    fn set(prefixes: &[&str]) -> AddressSet {
        let prefix = |text: &&str| {
            let (address, length) = text.split_once('/').unwrap();
            Prefix::containing(address.parse().unwrap(), length.parse().unwrap())
        };
        AddressSet::from_prefixes(prefixes.iter().map(prefix))
    }

    #[test]
    fn amounts_read_as_people_count() {
        assert_eq!([0, 7, 999, 1000, 1_048_576].map(number), ["0", "7", "999", "1,000", "1,048,576"]);
        assert_eq!(addresses(&set(&[])), "no address");
        assert_eq!(addresses(&set(&["10.0.0.0/20"])), "4,096 addresses");
        assert_eq!(addresses(&set(&["10.0.0.1/32"])), "1 address");
        assert_eq!(addresses(&set(&["fd00::1/128"])), "1 IPv6 address");
        assert_eq!(addresses(&set(&["10.0.0.1/32", "fd00::/64"])), "1 IPv4 and 2^64 IPv6 addresses");
        assert_eq!(addresses(&AddressSet::full()), "4,294,967,296 IPv4 and 2^128 IPv6 addresses");
    }

    #[test]
    fn ranges_are_prefixes_where_they_can_be() {
        let of = set(&["10.0.0.0/8", "192.0.2.1/32", "192.0.2.2/31", "fd00::/8"]);
        let (first, more) = ranges(&of, 2);
        assert_eq!((first.join(" "), more), ("10.0.0.0/8 192.0.2.1-192.0.2.3".to_owned(), true));
        assert_eq!(listed(&first, 7), "`10.0.0.0/8`, `192.0.2.1-192.0.2.3` and 5 more");
    }
}
