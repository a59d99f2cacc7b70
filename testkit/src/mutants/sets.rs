//! Sets with one thing broken: addresses, ports, host names, workloads.
//!
//! In: a set. Out: other sets, each with the kind of change and what exactly it was.

use super::spread;
use egress_ir::{
    AddressSet, HostPattern, Operator, PodSelector, PortSet, Prefix, Requirement, Selector, WorkloadSet, protocol,
};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How many prefixes and ranges of one set are broken.
const MOST: usize = 8;

type Changes<T> = Vec<(&'static str, String, T)>;

/// Each prefix wider and narrower by one bit, each end of each range off by one, and each family as the other.
pub(super) fn addresses(set: &AddressSet) -> Changes<AddressSet> {
    let mut changes = Vec::new();
    for prefix in spread(&set.prefixes(), MOST) {
        let own = AddressSet::from_prefixes([prefix]);
        if let Some(length) = prefix.length().checked_sub(1) {
            let wider = Prefix::containing(prefix.address(), length);
            let changed = set.union(&AddressSet::from_prefixes([wider]));
            changes.push(("widen-prefix", format!("{prefix} is {wider}"), changed));
        }
        if prefix.address() != prefix.last() {
            let narrower = Prefix::containing(prefix.address(), prefix.length() + 1);
            let changed = set.difference(&own).union(&AddressSet::from_prefixes([narrower]));
            changes.push(("narrow-prefix", format!("{prefix} is {narrower}"), changed));
        }
    }
    for (first, last) in spread(&set.ranges().collect::<Vec<_>>(), MOST) {
        let of = |first, last| AddressSet::from_ranges([(first, last)]);
        let ends = [(before(first), true), (after(last), true), (Some(first), false), (Some(last), false)];
        for (address, is_added) in ends.into_iter().filter_map(|(address, added)| Some((address?, added))) {
            let (changed, verb) = match is_added {
                true => (set.union(&of(address, address)), "with"),
                false => (set.difference(&of(address, address)), "without"),
            };
            changes.push(("address-off-by-one", format!("{first}-{last} {verb} {address}"), changed));
        }
    }
    changes.extend(other_family(set));
    changes
}

/// The IPv4 part as IPv6 addresses with the same leading bits, and the other way about.
fn other_family(set: &AddressSet) -> Changes<AddressSet> {
    let up = |bits: u32| IpAddr::V6(Ipv6Addr::from_bits(u128::from(bits) << 96));
    let down = |bits: u128| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap_or(0)));
    let moved_up = AddressSet::from_ranges(set.v4.ranges().iter().map(|&(first, last)| (up(first), up(last))));
    let moved_down = AddressSet::from_ranges(set.v6.ranges().iter().map(|&(first, last)| (down(first), down(last))));
    let v4 = AddressSet { v4: set.v4.clone(), ..AddressSet::empty() };
    let v6 = AddressSet { v6: set.v6.clone(), ..AddressSet::empty() };
    let mut changes = Vec::new();
    if !v4.is_empty() {
        changes.push(("wrong-family", "IPv4 became IPv6".to_owned(), v6.union(&moved_up)));
    }
    if !v6.is_empty() {
        changes.push(("wrong-family", "IPv6 became IPv4".to_owned(), v4.union(&moved_down)));
    }
    changes
}

fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4.to_bits().checked_sub(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_sub(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

/// Each end of each range off by one, each range gone or in another protocol, and every port.
pub(super) fn ports(set: &PortSet) -> Changes<PortSet> {
    let mut changes = Vec::new();
    if set.is_any() {
        changes.push(("narrow-ports", "any port is tcp".to_owned(), PortSet::protocol(protocol::TCP)));
        return changes;
    }
    let mut push = |kind, changed: PortSet| changes.push((kind, format!("{set} is {changed}"), changed));
    push("widen-ports", PortSet::any());
    for &(first, last) in set.line_ranges() {
        let of = |first, last| PortSet::from_line_ranges([(first, last)]);
        let own = of(first, last);
        push("drop-ports", set.difference(&own));
        for end in [first.checked_sub(1), Some(last + 1).filter(|&end| end <= PortSet::LAST)].into_iter().flatten() {
            push("port-off-by-one", set.union(&of(end, end)));
        }
        push("port-off-by-one", set.difference(&of(first, first)));
        push("port-off-by-one", set.difference(&of(last, last)));
        for (this, other) in [(protocol::TCP, protocol::UDP), (protocol::UDP, protocol::TCP)] {
            let part = own.intersection(&PortSet::protocol(this));
            let moved = part.per_protocol().map(|(_, first, last)| PortSet::numbers(other, first, last));
            let changed = moved.fold(set.difference(&part), |sum, part| sum.union(&part));
            if !part.is_empty() {
                push("wrong-protocol", changed);
            }
        }
    }
    changes
}

/// Each pattern gone, or with another number of labels.
pub(super) fn hosts(set: &BTreeSet<HostPattern>) -> Changes<BTreeSet<HostPattern>> {
    let mut changes = Vec::new();
    for pattern in set {
        let mut rest = set.clone();
        rest.remove(pattern);
        changes.push(("drop-host", format!("{pattern} is gone"), rest.clone()));
        let other = match pattern {
            HostPattern::Exact(name) => HostPattern::OneLabel(name.clone()),
            HostPattern::OneLabel(suffix) => HostPattern::AnyLabels(suffix.clone()),
            HostPattern::AnyLabels(suffix) => HostPattern::OneLabel(suffix.clone()),
        };
        let what = format!("{pattern} is {other}");
        rest.insert(other);
        changes.push(("other-host", what, rest));
    }
    changes
}

/// Everybody, without each part of the set, and with each condition gone or turned round.
pub(super) fn workloads(set: &WorkloadSet) -> Changes<WorkloadSet> {
    let mut changes = Vec::new();
    if *set != WorkloadSet::All {
        changes.push(("widen-for", "everybody".to_owned(), WorkloadSet::All));
    }
    changes.extend(parts(set).into_iter().map(|(kind, changed)| (kind, format!("{changed:?}"), changed)));
    changes
}

fn parts(set: &WorkloadSet) -> Vec<(&'static str, WorkloadSet)> {
    match set {
        WorkloadSet::All => Vec::new(),
        WorkloadSet::Pods(selector) => {
            selectors(selector).into_iter().map(|(kind, changed)| (kind, WorkloadSet::Pods(changed))).collect()
        }
        WorkloadSet::Address(prefix) => {
            let lengths =
                [("widen-for", prefix.length().checked_sub(1)), ("narrow-for", prefix.length().checked_add(1))];
            let other = |length| WorkloadSet::Address(Prefix::containing(prefix.address(), length));
            lengths.into_iter().filter_map(|(kind, length)| Some((kind, other(length?)))).collect()
        }
        WorkloadSet::Union(sets) => {
            let without = |place: usize| {
                let rest = sets.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, set)| set.clone());
                ("narrow-for", WorkloadSet::Union(rest.collect()))
            };
            (0..sets.len()).map(without).collect()
        }
        WorkloadSet::Except(set, out) => {
            let mut changes = vec![("widen-for", (**set).clone())];
            let inner =
                parts(set).into_iter().map(|(kind, set)| (kind, WorkloadSet::Except(Box::new(set), out.clone())));
            changes.extend(inner);
            changes
        }
    }
}

fn selectors(selector: &PodSelector) -> Vec<(&'static str, PodSelector)> {
    let mut changes = Vec::new();
    for (place, Requirement { key, operator }) in selector.labels.0.iter().enumerate() {
        let mut rest = selector.labels.0.clone();
        rest.remove(place);
        changes.push(("widen-for", PodSelector { labels: Selector(rest.clone()), ..selector.clone() }));
        let operator = match operator.clone() {
            Operator::In(values) => Operator::NotIn(values),
            Operator::NotIn(values) => Operator::In(values),
            Operator::Exists => Operator::DoesNotExist,
            Operator::DoesNotExist => Operator::Exists,
        };
        rest.insert(place, Requirement { key: key.clone(), operator });
        changes.push(("other-for", PodSelector { labels: Selector(rest), ..selector.clone() }));
    }
    if selector.namespace != egress_ir::NamespaceSelector::Any {
        let namespace = egress_ir::NamespaceSelector::Any;
        changes.push(("widen-for", PodSelector { namespace, ..selector.clone() }));
    }
    if selector.service_account.is_some() {
        changes.push(("widen-for", PodSelector { service_account: None, ..selector.clone() }));
    }
    changes
}
