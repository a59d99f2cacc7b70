//! The lab's map: pods – node – outside, its addresses and links.
//!
//! In: which address ranges the pods hold. Out: namespaces, joined by veth pairs, with routes.
//! Every pod answers on every address of its ranges, and the outside on every address there is
//! (Linux's "AnyIP": a `local` route), so that thousands of addresses cost nothing to set up.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::LabError;
use super::namespace::Namespace;

/// The node's address on the link to the outside: the source of host-mode probes.
pub const NODE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// The node's v6 address on the link to the outside.
pub const NODE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xfeed, 0, 0, 0, 0, 1));
/// The outside's own addresses, besides which it answers to all others.
pub(super) const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xfeed, 0, 0, 0, 0, 2))];
/// The node's interface towards the outside.
pub const OUTSIDE_LINK: &str = "out0";

/// An address range: a network address and the length of its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub network: IpAddr,
    /// Prefix length, 0–32 or 0–128.
    pub length: u8,
}

impl Range {
    /// The lowest address of the range that a host may have.
    pub(super) fn first_host(&self) -> IpAddr {
        match self.network {
            IpAddr::V4(network) => Ipv4Addr::from_bits(network.to_bits() | 1).into(),
            IpAddr::V6(network) => Ipv6Addr::from_bits(network.to_bits() | 1).into(),
        }
    }

    /// Whether `address` is of the same family and inside.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (width, network, other) = match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(other)) => {
                (32, u128::from(network.to_bits()), u128::from(other.to_bits()))
            }
            (IpAddr::V6(network), IpAddr::V6(other)) => (128, network.to_bits(), other.to_bits()),
            _ => return false,
        };
        let host_bits = u32::from(width - self.length.min(width));
        (network ^ other).checked_shr(host_bits).unwrap_or(0) == 0
    }
}

/// Which pods there are, each with the address ranges it holds.
#[derive(Debug, Clone)]
pub struct Topology {
    /// Pod `i` is reached over the node's interface `pod{i}`.
    pub pods: Vec<Vec<Range>>,
}

impl Default for Topology {
    /// One pod that holds 10.0.0.0/8 and fd00:10::/32, reached over `pod0`.
    fn default() -> Self {
        let v4 = Range { network: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), length: 8 };
        let v6 = Range { network: IpAddr::V6(Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 0)), length: 32 };
        Self { pods: vec![vec![v4, v6]] }
    }
}

/// The node's interface towards pod number `index`.
#[must_use]
pub fn pod_link(index: usize) -> String {
    format!("pod{index}")
}

/// The namespaces of a topology, joined and addressed.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) pods: Vec<(Namespace, Vec<Range>)>,
    pub(super) node: Namespace,
    pub(super) outside: Namespace,
}

impl Network {
    pub(super) fn build(topology: &Topology) -> Result<Self, LabError> {
        let node = quiet_namespace("node")?;
        for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            node.sysctl(key, "1")?;
        }
        let outside = quiet_namespace("outside")?;
        join_outside(&node, &outside)?;
        let mut pods = Vec::new();
        for (index, ranges) in topology.pods.iter().enumerate() {
            let pod = quiet_namespace("pod")?;
            join_pod(&node, &pod, &outside, index, ranges)?;
            pods.push((pod, ranges.clone()));
        }
        Ok(Self { pods, node, outside })
    }
}

pub(super) fn quiet_namespace(role: &str) -> Result<Namespace, LabError> {
    let namespace = Namespace::new(role)?;
    for (key, value) in [
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
        ("net/ipv4/ip_nonlocal_bind", "1"),
        ("net/ipv6/ip_nonlocal_bind", "1"),
        ("net/ipv6/conf/default/accept_dad", "0"),
        ("net/ipv6/conf/default/accept_ra", "0"),
    ] {
        namespace.sysctl(key, value)?;
    }
    Ok(namespace)
}

fn join_outside(node: &Namespace, outside: &Namespace) -> Result<(), LabError> {
    node.ip(&format!(
        "link add {OUTSIDE_LINK} type veth peer name eth0 netns {}\n\
         addr add {NODE_V4}/24 dev {OUTSIDE_LINK}\n\
         addr add {NODE_V6}/64 dev {OUTSIDE_LINK} nodad\n\
         link set {OUTSIDE_LINK} up\n",
        outside.path(),
    ))?;
    // The `local` routes live in the main table: in the table `local` they would win over the
    // routes back to the pods.
    let [v4, v6] = OUTSIDE;
    outside.ip(&format!(
        "addr add {v4}/24 dev eth0\n\
         addr add {v6}/64 dev eth0 nodad\n\
         link set eth0 up\n\
         route add local 0.0.0.0/0 dev lo table main\n\
         route add local ::/0 dev lo table main\n"
    ))?;
    node.ip(&format!("route add default via {v4}\nroute add default via {v6}\n"))
}

fn join_pod(
    node: &Namespace,
    pod: &Namespace,
    outside: &Namespace,
    index: usize,
    ranges: &[Range],
) -> Result<(), LabError> {
    let link = pod_link(index);
    let subnet = u8::try_from(index).map_err(|_| LabError::Impossible("a topology has at most 256 pods".to_owned()))?;
    let (v4, v6) = (format!("169.254.{subnet}"), format!("fd00:feed:{subnet:x}:"));
    node.ip(&format!(
        "link add {link} type veth peer name eth0 netns {}\n\
         addr add {v4}.1/24 dev {link}\n\
         addr add {v6}:1/64 dev {link} nodad\n\
         link set {link} up\n",
        pod.path(),
    ))?;
    pod.ip(&format!(
        "addr add {v4}.2/24 dev eth0\n\
         addr add {v6}:2/64 dev eth0 nodad\n\
         link set eth0 up\n\
         route add default via {v4}.1\n\
         route add default via {v6}:1\n",
    ))?;
    let (mut inside, mut towards, mut back) = (String::new(), String::new(), String::new());
    for Range { network, length } in ranges {
        let (via, home) = match network {
            IpAddr::V4(_) => (format!("{v4}.2"), NODE_V4),
            IpAddr::V6(_) => (format!("{v6}:2"), NODE_V6),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(inside, "route add local {network}/{length} dev lo");
        let _ = writeln!(towards, "route add {network}/{length} via {via}");
        let _ = writeln!(back, "route add {network}/{length} via {home}");
    }
    pod.ip(&inside)?;
    node.ip(&towards)?;
    outside.ip(&back)
}
