//! What a policy says of names: which patterns a name has, who may use them, and which addresses no name may have.
//!
//! In: [`Names`], exceptions from the defence against rebinding. Out: for a client, a name and an address, the pairs that the
//! kernel may know, or why there are none.

use super::Reason;
use egress_ir::{AddressSet, HostPattern, Prefix};
use egress_snapshot::names::{Names, set_name};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names that may have addresses which names else may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebindOk {
    /// Which names.
    pub pattern: HostPattern,
    /// Which addresses; nothing: any that is a place in the network.
    pub prefix: Option<Prefix>,
}

/// Why a policy's names cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A text is no pattern that the kernel could have a set for.
    #[error("`{0}` is no host pattern that can be learned")]
    Pattern(String),
    /// A text is no prefix.
    #[error("`{0}` is no prefix")]
    Prefix(String),
    /// Clients name a pattern that there is not.
    #[error("there is no pattern {0}")]
    Place(u32),
}

/// A policy's names, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    hosts: Vec<String>,
    exact: BTreeMap<String, u32>,
    one_label: BTreeMap<String, u32>,
    any_labels: BTreeMap<String, u32>,
    groups: Vec<BTreeSet<u32>>,
    /// The addresses of each workload.
    workloads: Vec<Vec<IpAddr>>,
    /// By address: groups and workloads.
    by_address: BTreeMap<IpAddr, (Vec<usize>, Vec<usize>)>,
    by_prefix: Vec<(Prefix, usize)>,
    inside: AddressSet,
    rebind_ok: Vec<RebindOk>,
}

impl Policy {
    /// Reads it.
    ///
    /// # Errors
    /// What it says cannot be used.
    pub fn new(names: &Names, rebind_ok: Vec<RebindOk>) -> Result<Self, PolicyError> {
        let mut policy = Self { hosts: names.hosts.clone(), rebind_ok, ..Self::default() };
        for (place, host) in (0..).zip(&names.hosts) {
            let pattern = host.parse::<HostPattern>().ok().filter(|_| set_name(host, true).is_some());
            match pattern.ok_or_else(|| PolicyError::Pattern(host.clone()))? {
                HostPattern::Exact(name) => policy.exact.insert(name, place),
                HostPattern::OneLabel(suffix) => policy.one_label.insert(suffix, place),
                HostPattern::AnyLabels(suffix) => policy.any_labels.insert(suffix, place),
            };
        }
        policy.inside =
            AddressSet::from_prefixes(names.inside.iter().map(|text| prefix(text)).collect::<Result<Vec<_>, _>>()?);
        for clients in &names.clients {
            if let Some(wrong) = clients.hosts.iter().find(|host| **host as usize >= names.hosts.len()) {
                return Err(PolicyError::Place(*wrong));
            }
            let group = policy.groups.len();
            policy.groups.push(clients.hosts.iter().copied().collect());
            for workload in &clients.workloads {
                policy.add_workload(group, workload);
            }
            for text in &clients.prefixes {
                policy.by_prefix.push((prefix(text)?, group));
            }
        }
        // The longest comes first.
        policy.by_prefix.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.length()));
        Ok(policy)
    }

    fn add_workload(&mut self, group: usize, addresses: &[IpAddr]) {
        let workload = self.workloads.len();
        self.workloads.push(addresses.to_vec());
        for address in addresses {
            let (groups, workloads) = self.by_address.entry(*address).or_default();
            groups.push(group);
            workloads.push(workload);
        }
    }

    /// The cluster's own addresses.
    #[must_use]
    pub fn inside(&self) -> &AddressSet {
        &self.inside
    }

    /// The patterns, by their places.
    #[must_use]
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The pattern of a place.
    #[must_use]
    pub fn host(&self, place: u32) -> Option<&str> {
        self.hosts.get(place as usize).map(String::as_str)
    }

    /// The patterns that a name has, sorted: those that [`HostPattern::matches`] says.
    #[must_use]
    pub fn patterns(&self, name: &str) -> BTreeSet<u32> {
        let mut found: BTreeSet<u32> = self.exact.get(name).copied().into_iter().collect();
        let mut labels_before = 0;
        let mut rest = name;
        while let Some((label, suffix)) = rest.split_once('.') {
            if label.is_empty() {
                break;
            }
            labels_before += 1;
            if labels_before == 1 {
                found.extend(self.one_label.get(suffix));
            }
            found.extend(self.any_labels.get(suffix));
            rest = suffix;
        }
        found
    }

    /// Whether a client may use a pattern.
    #[must_use]
    pub fn may_use(&self, client: IpAddr, host: u32) -> bool {
        self.groups_of(client).is_some_and(|groups| groups.iter().any(|group| self.has(*group, host)))
    }

    fn has(&self, group: usize, host: u32) -> bool {
        self.groups.get(group).is_some_and(|hosts| hosts.contains(&host))
    }

    fn groups_of(&self, client: IpAddr) -> Option<Vec<usize>> {
        if let Some((groups, _)) = self.by_address.get(&client) {
            return Some(groups.clone());
        }
        let longest = self.by_prefix.iter().find(|(prefix, _)| prefix.contains(client))?.0;
        let same = self.by_prefix.iter().filter(|(prefix, _)| *prefix == longest);
        Some(same.map(|(_, group)| *group).collect())
    }

    /// All addresses of those who asked, the client's own among them; nothing where the policy does not know it.
    #[must_use]
    pub fn together(&self, client: IpAddr) -> Option<BTreeSet<IpAddr>> {
        self.groups_of(client)?;
        let workloads = self.by_address.get(&client).map(|(_, workloads)| workloads.as_slice()).unwrap_or_default();
        let addresses = workloads.iter().filter_map(|workload| self.workloads.get(*workload)).flatten().copied();
        Some(addresses.chain([client]).collect())
    }

    /// Whether a name may have an address.
    ///
    /// # Errors
    /// Why it may not: the defence against rebinding.
    pub fn may_have(&self, name: &str, address: IpAddr, own: &BTreeSet<IpAddr>) -> Result<(), Reason> {
        if !is_a_place(address) {
            return Err(Reason::NotUnicast);
        }
        let is_ok =
            |ok: &&RebindOk| ok.pattern.matches(name) && ok.prefix.is_none_or(|prefix| prefix.contains(address));
        if self.rebind_ok.iter().any(|ok| is_ok(&ok)) {
            return Ok(());
        }
        let reached = [Some(address), embedded(address)].into_iter().flatten();
        for address in reached {
            if self.inside.contains(address) {
                return Err(Reason::Inside);
            }
            if own.contains(&address) {
                return Err(Reason::OwnAddress);
            }
            if AddressSet::private().contains(address) || is_site_local(address) {
                return Err(Reason::Private);
            }
            if !is_a_place(address) {
                return Err(Reason::NotUnicast);
            }
        }
        Ok(())
    }

    /// Whether some name of a pattern may have an address: all that can be said of one whose name nobody remembers.
    #[must_use]
    pub fn some_name_may_have(&self, host: u32, address: IpAddr, own: &BTreeSet<IpAddr>) -> bool {
        let pattern = self.host(host).and_then(|host| host.parse::<HostPattern>().ok());
        pattern.is_some_and(|pattern| {
            let excepted = self.rebind_ok.iter().map(|ok| a_name_of(&ok.pattern)).filter(|name| pattern.matches(name));
            excepted.chain([a_name_of(&pattern)]).any(|name| self.may_have(&name, address, own).is_ok())
        })
    }
}

/// The shortest name that a pattern matches, if one letter stands for a wildcard: of two patterns that have a name in
/// common, one matches that of the other.
fn a_name_of(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::OneLabel(suffix) | HostPattern::AnyLabels(suffix) => format!("a.{suffix}"),
    }
}

/// Reads a prefix; an address is one too.
pub(super) fn prefix(text: &str) -> Result<Prefix, PolicyError> {
    let wrong = || PolicyError::Prefix(text.to_owned());
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv6() { 128 } else { 32 };
    let length: u8 = if text.contains('/') { length.parse().map_err(|_| wrong())? } else { most };
    if length > most { Err(wrong()) } else { Ok(Prefix::containing(address, length)) }
}

/// Whether an address can be a destination somewhere else: no loopback, multicast, unspecified, reserved or mapped one.
fn is_a_place(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, ..] = v4.octets();
            first != 0 && first < 224 && !v4.is_loopback()
        }
        IpAddr::V6(v6) => {
            // `::/96` has the loopback, the unspecified and the old compatible addresses.
            let is_compatible = v6.segments().first_chunk::<6>() == Some(&[0; 6]);
            !is_compatible && !v6.is_multicast() && v6.to_ipv4_mapped().is_none()
        }
    }
}

/// `fec0::/10`, which RFC 3879 took out of use and some networks still have.
fn is_site_local(address: IpAddr) -> bool {
    Prefix::containing(Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0).into(), 10).contains(address)
}

/// The IPv4 address that a translator or a tunnel takes an IPv6 address for: NAT64 (RFC 6052, RFC 8215) and 6to4 (RFC 3056).
fn embedded(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = address else { return None };
    let bits = v6.to_bits();
    let v4 = |bits: u128| Ipv4Addr::from_bits((bits & u128::from(u32::MAX)) as u32).into();
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => Some(v4(bits)),
        [0x2002, ..] => Some(v4(bits >> 80)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_snapshot::names::Clients;

    fn policy(hosts: &[&str], rebind_ok: Vec<RebindOk>) -> Policy {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let all = (0..hosts.len() as u32).collect();
        let names = Names {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            inside: vec!["198.19.0.0/16".to_owned()],
            clients: vec![
                Clients { workloads: vec![vec![ip("10.42.0.5"), ip("fd00::5")]], hosts: all, ..Clients::default() },
                Clients { prefixes: vec!["10.9.0.0/16".to_owned()], hosts: vec![0], ..Clients::default() },
                Clients { prefixes: vec!["10.9.1.0/24".to_owned()], hosts: vec![], ..Clients::default() },
            ],
            ..Names::default()
        };
        Policy::new(&names, rebind_ok).unwrap()
    }

    /// The index finds what the patterns' own words match, over all names of few labels.
    #[test]
    fn the_index_agrees_with_the_patterns() {
        let hosts = ["**.b", "**.b.a", "*.a", "*.b.a", "a", "a.b", "a.b.a", "b.a"];
        let policy = policy(&hosts, Vec::new());
        let mut names = vec![String::new()];
        for _ in 0..4 {
            let more: Vec<String> = names
                .iter()
                .flat_map(|name| {
                    ["a", "b", "c", ""].map(|label| format!("{label}.{name}").trim_end_matches('.').to_owned())
                })
                .collect();
            names.extend(more);
        }
        let mut matched = 0;
        for name in &names {
            let expected: BTreeSet<u32> = (0..)
                .zip(hosts)
                .filter(|(_, host)| host.parse::<HostPattern>().unwrap().matches(name))
                .map(|(place, _)| place)
                .collect();
            // A name with an empty label is on no wire.
            if !name.split('.').any(str::is_empty) {
                assert_eq!(policy.patterns(name), expected, "{name}");
                matched += expected.len();
            }
        }
        assert!(matched > 100);
    }

    #[test]
    fn the_longest_prefix_counts_and_a_workload_is_one() {
        let policy = policy(&["a", "b"], Vec::new());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(policy.together(ip("fd00::5")), Some([ip("10.42.0.5"), ip("fd00::5")].into()));
        assert_eq!(policy.together(ip("10.9.0.1")), Some([ip("10.9.0.1")].into()));
        assert!(policy.may_use(ip("10.42.0.5"), 1) && policy.may_use(ip("10.9.0.1"), 0));
        assert!(!policy.may_use(ip("10.9.0.1"), 1) && !policy.may_use(ip("10.9.1.1"), 0));
        assert_eq!(policy.together(ip("10.8.0.1")), None);
    }

    #[test]
    fn a_name_has_no_address_that_is_somewhere_within() {
        let ok = vec![
            RebindOk { pattern: "int.example".parse().unwrap(), prefix: Some(prefix("10.1.0.0/16").unwrap()) },
            RebindOk { pattern: "any.example".parse().unwrap(), prefix: None },
        ];
        let (policy, own) = (policy(&["a"], ok), BTreeSet::from(["192.0.2.1".parse().unwrap()]));
        let may = |name: &str, address: &str| policy.may_have(name, address.parse().unwrap(), &own);
        for (address, reason) in [
            ("169.254.169.254", Reason::Private),
            ("10.0.0.1", Reason::Private),
            ("100.64.0.1", Reason::Private),
            ("fd00::1", Reason::Private),
            ("fe80::1", Reason::Private),
            ("fec0::1", Reason::Private),
            ("198.19.3.4", Reason::Inside),
            ("192.0.2.1", Reason::OwnAddress),
            ("127.0.0.1", Reason::NotUnicast),
            ("0.0.0.0", Reason::NotUnicast),
            ("224.0.0.1", Reason::NotUnicast),
            ("255.255.255.255", Reason::NotUnicast),
            ("::", Reason::NotUnicast),
            ("::1", Reason::NotUnicast),
            ("ff02::1", Reason::NotUnicast),
            ("::ffff:198.18.0.1", Reason::NotUnicast),
            ("::198.18.0.1", Reason::NotUnicast),
            ("64:ff9b::10.0.0.1", Reason::Private),
            ("64:ff9b::127.0.0.1", Reason::NotUnicast),
            ("64:ff9b:1::198.19.0.1", Reason::Inside),
            ("2002:a9fe:a9fe::1", Reason::Private),
        ] {
            assert_eq!(may("a.example", address), Err(reason), "{address}");
        }
        for address in ["198.18.0.1", "2001:db8::1", "64:ff9b::198.18.0.1"] {
            assert_eq!(may("a.example", address), Ok(()), "{address}");
        }
        assert_eq!(may("int.example", "10.1.0.1"), Ok(()));
        assert_eq!(may("int.example", "10.2.0.1"), Err(Reason::Private));
        assert_eq!(
            (may("any.example", "10.2.0.1"), may("any.example", "127.0.0.1")),
            (Ok(()), Err(Reason::NotUnicast))
        );
    }
}
