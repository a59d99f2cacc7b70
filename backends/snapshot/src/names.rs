//! What a node must know to learn names for a policy: which host patterns there are, and who may use which.
//!
//! Kernels see addresses, policies speak of names. A target whose kernel side knows addresses only keeps, for each host
//! pattern, the pairs of a client's and a destination's address that a client learned by a name of the pattern; the
//! agent fills them from DNS answers. What it needs for that is [`Names`]: part of a snapshot's meta, and a comment line
//! at the head of an nftables file.
//!
//! With nftables, a pattern has a set of each family, whose name says the pattern ([`set_name`]) and whose elements are
//! `client . destination` with a timeout.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// Everything about a policy that learning depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Host patterns in their normal form (`x.example`, `*.x.example`, `**.x.example`), sorted; named by their places.
    pub hosts: Vec<String>,
    /// The cluster's own prefixes: a name that resolves to one of them is not believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inside: Vec<String>,
    /// Addresses of the pods and services that the policy declares as resolvers, as far as they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resolvers: Vec<IpAddr>,
    /// Who may use which patterns. A client's address that stands in no `workloads` is looked up in `prefixes`, the
    /// longest of which counts; one that stands nowhere may use none.
    pub clients: Vec<Clients>,
}

/// Clients that may use the same patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// The addresses of each workload: what one of them learns holds for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Vec<IpAddr>>,
    /// Clients that are known by their address alone; each address is a workload of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefixes: Vec<String>,
    /// The patterns, by their places, sorted.
    pub hosts: Vec<u32>,
}

/// The id by which tables and kernel know a set of patterns: the first eight bytes of SHA-256 over the patterns, each
/// ended by a line break. It depends on nothing else, so that what was learned for a set holds for every generation.
#[must_use]
pub fn set_id<'h>(hosts: impl IntoIterator<Item = &'h str>) -> u64 {
    let mut hasher = Sha256::new();
    for host in hosts {
        hasher.update(host);
        hasher.update("\n");
    }
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hasher.finalize());
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// How the comment line of an nftables file begins.
const LINE: &str = "# egressc-names ";

impl Names {
    /// The comment line, without its line break.
    #[must_use]
    pub fn to_line(&self) -> String {
        // Maps with keys that are no strings are what JSON cannot say; there are none here.
        let json = serde_json::to_string(self).unwrap_or_default();
        format!("{LINE}{json}")
    }

    /// What a file says in its comment line; nothing if it has none.
    ///
    /// # Errors
    /// The line is not what [`Names::to_line`] writes.
    pub fn from_text(text: &str) -> Result<Option<Self>, serde_json::Error> {
        let line = text.lines().find_map(|line| line.strip_prefix(LINE));
        line.map(serde_json::from_str).transpose()
    }
}

/// The most bytes that the kernel takes for the name of a set (`NFT_SET_MAXNAMELEN`, less the final zero).
const LONGEST_SET: usize = 255;

/// The name of the nftables set of a pattern and a family: `host4/api.example.com`, `host6/one/example.com` for
/// `*.example.com`, `host4/any/example.com` for `**.example.com`. Nothing if the kernel would not take it.
#[must_use]
pub fn set_name(host: &str, v6: bool) -> Option<String> {
    let family = if v6 { "host6" } else { "host4" };
    let name = match (host.strip_prefix("**."), host.strip_prefix("*.")) {
        (Some(suffix), _) => format!("{family}/any/{suffix}"),
        (None, Some(suffix)) => format!("{family}/one/{suffix}"),
        (None, None) => format!("{family}/{host}"),
    };
    let fits = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'/');
    (name.len() <= LONGEST_SET && name.bytes().all(fits)).then_some(name)
}

/// The pattern and the family (whether IPv6) that a set's name says; nothing if it is no set of names.
#[must_use]
pub fn host_of_set(name: &str) -> Option<(String, bool)> {
    let (family, rest) = name.split_once('/')?;
    let v6 = match family {
        "host4" => false,
        "host6" => true,
        _ => return None,
    };
    let host = match rest.split_once('/') {
        None => rest.to_owned(),
        Some(("one", suffix)) => format!("*.{suffix}"),
        Some(("any", suffix)) => format!("**.{suffix}"),
        Some(_) => return None,
    };
    Some((host, v6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_named_by_its_pattern() {
        for host in ["api.example.com", "*.example.com", "**.example.com", "one.any"] {
            for v6 in [false, true] {
                let name = set_name(host, v6).unwrap_or_default();
                assert_eq!(host_of_set(&name), Some((host.to_owned(), v6)), "{name}");
            }
        }
        assert_eq!(set_name("*.example.com", true).as_deref(), Some("host6/one/example.com"));
        assert_eq!(set_name(&"a".repeat(250), false), None);
        assert_eq!(host_of_set("host4/two/example.com"), None);
        assert_eq!(host_of_set("pods4"), None);
    }

    #[test]
    fn a_line_is_read_back() {
        let clients = Clients {
            workloads: vec![vec![IpAddr::from([10, 42, 0, 5])]],
            prefixes: vec!["10.9.0.0/24".to_owned()],
            hosts: vec![0],
        };
        let names = Names { hosts: vec!["api.example.com".to_owned()], clients: vec![clients], ..Names::default() };
        let text = format!("#!/usr/sbin/nft -f\n{}\ntable inet x {{}}\n", names.to_line());
        assert_eq!(Names::from_text(&text).ok(), Some(Some(names)));
        assert_eq!(Names::from_text("table inet x {}").ok(), Some(None));
        assert!(Names::from_text("# egressc-names {").is_err());
    }
}
