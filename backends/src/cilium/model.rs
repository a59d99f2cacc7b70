//! What an artifact makes Cilium do, as plain data.
//!
//! In: what [`super::decode()`] read. Out: the [`Model`] that [`super::judge`] evaluates. Fields stay close to the API, so that
//! each can be held against its documentation; traps of the API are resolved while decoding, and said here.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::{Range, RangeInclusive};

use egress_ir::{Labels, Prefix, Selector};

use super::labels::LabelSelector;
use super::names::NamePattern;

/// Everything that the objects of one artifact ask Cilium to enforce.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Policies, in the order of the text.
    pub policies: Vec<Policy>,
    /// CIDR groups by name.
    pub groups: BTreeMap<String, CidrGroup>,
    /// Egress gateway policies, in the order of the text. They choose source addresses and never verdicts.
    pub gateways: Vec<GatewayPolicy>,
}

/// Which object something came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; nothing for objects of the whole cluster.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// The kinds of objects that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `CiliumNetworkPolicy`, in one namespace.
    Policy,
    /// `CiliumClusterwideNetworkPolicy`.
    ClusterPolicy,
    /// `CiliumCIDRGroup`.
    CidrGroup,
    /// `CiliumEgressGatewayPolicy`.
    Gateway,
}

/// A `CiliumNetworkPolicy` or `CiliumClusterwideNetworkPolicy`: its `spec` and its `specs` together.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Which object.
    pub object: ObjectName,
    /// The specifications; each stands for itself.
    pub specs: Vec<Spec>,
}

/// One specification, as far as it concerns egress.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Whom it is about.
    pub subject: Subject,
    /// Whether what nothing allows is denied. Only counts when `allows` or `denies` has an entry: without any, the
    /// specification does not enforce egress, whatever `enableDefaultDeny.egress` says.
    pub default_deny: bool,
    /// `egress`.
    pub allows: Vec<Rule>,
    /// `egressDeny`.
    pub denies: Vec<Rule>,
}

/// Whom a specification is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// `endpointSelector`; a namespaced policy has its namespace as a requirement.
    Pods(LabelSelector),
    /// `nodeSelector`: the node itself. Pods on the host network count as the node, other pods never.
    Nodes,
}

/// One entry of `egress` or `egressDeny`: matches what both parts match.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// To whom.
    pub peers: Peers,
    /// On which ports.
    pub ports: Ports,
}

/// The L3 part of a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Peers {
    /// Matches nobody: an empty `toCIDR`, `toCIDRSet`, `toEndpoints` or `toEntities`, or a rule without any part.
    Nobody,
    /// Matches everybody: no L3 field beside ports, or an empty `toFQDNs`, `toServices`, `toGroups` (which *fails open*).
    Everybody,
    /// Matches whom any of these matches.
    Any(Vec<Peer>),
}

/// One way to match a destination.
#[derive(Clone, Debug, PartialEq)]
pub enum Peer {
    /// An entry of `toEndpoints`, with the namespace that Cilium adds; it names a cluster or a reserved identity itself.
    Endpoints(LabelSelector),
    /// An entry of `toEndpoints`, with the namespace that Cilium adds, within the local cluster.
    LocalEndpoints(LabelSelector),
    /// An entry of `toEntities`.
    Entity(Entity),
    /// An entry of `toCIDR`, or of `toCIDRSet` with `cidr`; `except` lies inside `cidr` and is no deny.
    Cidr {
        /// Addresses that match.
        cidr: Prefix,
        /// Addresses that do not.
        except: Vec<Prefix>,
    },
    /// `cidrGroupRef`: the group of this name; matches nothing while there is none.
    Group {
        /// The group's name.
        name: String,
        /// Addresses that do not match.
        except: Vec<Prefix>,
    },
    /// `cidrGroupSelector`: groups by their labels. An empty selector matches *everything*; one that asks only for the
    /// absence of labels also matches every address of the world outside all groups.
    Groups {
        /// Which groups.
        selector: LabelSelector,
        /// Addresses that do not match.
        except: Vec<Prefix>,
    },
    /// An entry of `toFQDNs`: addresses that a matching name resolved to.
    Name(NamePattern),
}

/// Well-known groups of destinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// Everything.
    All,
    /// Everything outside the cluster.
    World,
    /// Everything outside the cluster over IPv4 (known to the agent, not to the API server).
    WorldIpv4,
    /// Everything outside the cluster over IPv6 (known to the agent, not to the API server).
    WorldIpv6,
    /// Pods of the local cluster, all nodes, and the API servers.
    Cluster,
    /// The local node.
    Host,
    /// The other nodes.
    RemoteNode,
    /// The API servers, in the cluster or not.
    KubeApiServer,
    /// Endpoints that have no identity yet.
    Init,
    /// Cilium's own ingress.
    Ingress,
    /// Endpoints that Cilium does not manage.
    Unmanaged,
    /// Cilium's health endpoints.
    Health,
    /// Nothing.
    None,
}

/// The L4 part of a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Ports {
    /// No `toPorts` and no `icmps`, or empty ones: every protocol.
    All,
    /// Matches what any of these matches; none: nothing.
    Any(Vec<PortMatch>),
}

/// One port or range of a rule, or one ICMP type.
#[derive(Clone, Debug, PartialEq)]
pub struct PortMatch {
    /// Protocols; `ANY` and an omitted protocol mean TCP, UDP and SCTP.
    pub protocols: Vec<Protocol>,
    /// Numbers.
    pub numbers: Numbers,
    /// What a proxy decides after this.
    pub proxy: Option<Proxy>,
}

/// Port numbers, or ICMP types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Port 0, with or without `endPort`, and ICMP type 0: every number.
    Every,
    /// From and to, both included; an `endPort` below `port` leaves the single port.
    Range(RangeInclusive<u16>),
    /// A port by the name that pods give it.
    Named(String),
}

/// Protocols that Cilium's rules can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP for IPv4.
    Icmp,
    /// ICMP for IPv6.
    Icmpv6,
    /// Any other, by its IP protocol number: matched by rules without `toPorts` alone.
    Other(u8),
}

/// Rules above L4: matching flows are allowed to a proxy, which decides on.
#[derive(Clone, Debug, PartialEq)]
pub enum Proxy {
    /// `rules.dns`: queries for these names are forwarded, and their answers learned.
    Dns(Vec<NamePattern>),
    /// `rules.http`: not modelled.
    Http,
}

/// A `CiliumCIDRGroup`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CidrGroup {
    /// Its labels.
    pub labels: Labels,
    /// Its prefixes.
    pub prefixes: Vec<Prefix>,
}

/// A `CiliumEgressGatewayPolicy`: from which address pods reach some destinations.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayPolicy {
    /// Which object.
    pub object: ObjectName,
    /// Where its name stands, in bytes of the text.
    pub place: Range<usize>,
    /// Whose flows it is about: those of pods that some entry matches.
    pub sources: Vec<GatewaySource>,
    /// `destinationCIDRs`.
    pub destinations: Vec<Placed<Prefix>>,
    /// `excludedCIDRs`: addresses that this policy leaves alone. They are entries of the same table as destinations, so
    /// one takes addresses away from a broader destination of *any* policy for the same pod.
    pub excluded: Vec<Placed<Prefix>>,
    /// `egressGateways`, or `egressGateway` where that list is empty. Of several, each pod has one, by its UID.
    pub gateways: Vec<GatewayNode>,
}

/// An entry of `selectors`.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewaySource {
    /// Pods by the labels of their identity: `namespaceSelector` and `podSelector` together.
    pub pods: LabelSelector,
    /// `nodeSelector`, about the labels of the pod's node. Cilium keeps these of all entries in *one* list for the whole
    /// policy: a pod must run on a node that some of them matches, whichever entry matches the pod.
    pub nodes: Option<Selector>,
    /// Where the entry stands, in bytes of the text.
    pub place: Range<usize>,
}

/// The node through which flows leave, and their source address there.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayNode {
    /// Which nodes; the first of them by name is taken, and nobody looks whether it is well.
    pub nodes: Selector,
    /// The source address.
    pub address: GatewayAddress,
    /// Where the entry stands, in bytes of the text.
    pub place: Range<usize>,
}

/// Which source address a gateway node gives to flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayAddress {
    /// `egressIP`. Flows of the other family have the first address of that family on the same interface.
    Fixed(IpAddr),
    /// `interface`: its first address of the flow's family.
    Interface(String),
    /// Neither: the first address of the flow's family on the interface with the default route.
    DefaultRoute,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Its place, in bytes of the text.
    pub place: Range<usize>,
}

impl Kind {
    /// The `kind` in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "CiliumNetworkPolicy",
            Self::ClusterPolicy => "CiliumClusterwideNetworkPolicy",
            Self::CidrGroup => "CiliumCIDRGroup",
            Self::Gateway => "CiliumEgressGatewayPolicy",
        }
    }
}

impl fmt::Display for ObjectName {
    /// `CiliumNetworkPolicy/shop/checkout`, without the namespace where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.kind.as_str(), self.name),
            None => write!(f, "{}/{}", self.kind.as_str(), self.name),
        }
    }
}

impl Protocol {
    /// The IP protocol number (IANA).
    #[must_use]
    pub fn number(self) -> u8 {
        use egress_ir::protocol;
        match self {
            Self::Tcp => protocol::TCP,
            Self::Udp => protocol::UDP,
            Self::Sctp => protocol::SCTP,
            Self::Icmp => protocol::ICMP,
            Self::Icmpv6 => protocol::ICMPV6,
            Self::Other(number) => number,
        }
    }

    /// The protocol of an IP protocol number.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        use egress_ir::protocol;
        match number {
            protocol::TCP => Self::Tcp,
            protocol::UDP => Self::Udp,
            protocol::SCTP => Self::Sctp,
            protocol::ICMP => Self::Icmp,
            protocol::ICMPV6 => Self::Icmpv6,
            other => Self::Other(other),
        }
    }
}
