//! The tree of one `.egress` file, as written: nothing is resolved, merged or ordered.
//!
//! In: what the grammar recognised. Out: plain data that name resolution and the formatter
//! walk. Whatever the parser could not read is an *error node* (`Item::Error`,
//! `SetNode::Error`, `PortTerm::Error`, `Operator::Error`, a `Value` of `None`, an empty
//! `Name`); for each of them it has reported an error. The tree never holds source text
//! or meaning.

use std::net::IpAddr;

use crate::span::{Span, Spanned, Value};
use crate::value::{AddressRange, Date, HostPattern, PortRange, Prefix};

/// One source file: its declarations in the order written, which carries no meaning.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct File {
    /// The declarations.
    pub items: Vec<Item>,
}

/// A declaration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// `cluster NAME { … }`
    Cluster(Cluster),
    /// `workloads NAME = WSET`
    Workloads(Workloads),
    /// `destinations NAME = DSET`
    Destinations(Destinations),
    /// `ports NAME = PSET`
    Ports(Ports),
    /// `gateway NAME { … }`
    Gateway(Gateway),
    /// `policy NAME { … }`
    Policy(Policy),
    /// `guardrail NAME { … }`
    Guardrail(Policy),
    /// `assert …` outside of any control.
    Assert(Assert),
    /// `control "ID" "TITLE" { … }`
    Control(Control),
    /// Text that is no declaration.
    Error(Span),
}

impl Item {
    /// The whole declaration, without its documentation.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Cluster(it) => it.span,
            Self::Workloads(it) => it.span,
            Self::Destinations(it) => it.span,
            Self::Ports(it) => it.span,
            Self::Gateway(it) => it.span,
            Self::Policy(it) | Self::Guardrail(it) => it.span,
            Self::Assert(it) => it.span,
            Self::Control(it) => it.span,
            Self::Error(span) => *span,
        }
    }

    /// The destination sets written in it.
    #[must_use]
    pub fn destination_sets(&self) -> Vec<&DSet> {
        match self {
            Self::Destinations(it) => vec![&it.set],
            Self::Policy(it) | Self::Guardrail(it) => it.rules.iter().map(|rule| &rule.destinations).collect(),
            Self::Assert(it) => vec![&it.destinations],
            Self::Control(it) => it.asserts.iter().map(|assert| &assert.destinations).collect(),
            Self::Cluster(_) | Self::Workloads(_) | Self::Ports(_) | Self::Gateway(_) | Self::Error(_) => Vec::new(),
        }
    }
}

/// The `##` comment directly above a declaration, a rule or an assertion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doc {
    /// Its lines joined by `\n`, without the `##` and one space after it.
    pub text: String,
    /// From the first `##` to the end of the last line.
    pub span: Span,
}

/// A name that is declared or referred to: `[a-z][a-z0-9-]*`. One spelled otherwise is
/// reported and kept as written, so that it still finds its declaration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    /// The name as written; empty where it is missing.
    pub text: String,
    /// Its text; an empty span where the missing name belongs.
    pub span: Span,
}

impl Name {
    /// Whether no name was written (which has been reported).
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.text.is_empty()
    }
}

/// The ranges that are *inside*. A part not written is an empty list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cluster {
    /// The documentation above.
    pub doc: Option<Doc>,
    /// The cluster's name.
    pub name: Name,
    /// `pods`: the pods' address ranges.
    pub pods: Vec<Value<Prefix>>,
    /// `services`: the service address ranges.
    pub services: Vec<Value<Prefix>>,
    /// `nodes`: the nodes' address ranges.
    pub nodes: Vec<Value<Prefix>>,
    /// `dns`: the workloads that answer DNS.
    pub dns: Option<WSet>,
    /// From `cluster` to the closing brace.
    pub span: Span,
}

/// A named set of sources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workloads {
    /// The documentation above.
    pub doc: Option<Doc>,
    /// The set's name.
    pub name: Name,
    /// What it stands for.
    pub set: WSet,
    /// The whole declaration.
    pub span: Span,
}

/// A named set of destinations.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Destinations {
    /// The documentation above.
    pub doc: Option<Doc>,
    /// The set's name.
    pub name: Name,
    /// What it stands for.
    pub set: DSet,
    /// The whole declaration.
    pub span: Span,
}

/// A named set of protocols and ports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ports {
    /// The documentation above.
    pub doc: Option<Doc>,
    /// The set's name.
    pub name: Name,
    /// What it stands for.
    pub set: PSet,
    /// The whole declaration.
    pub span: Span,
}

/// Where chosen traffic leaves, and the source addresses that others see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gateway {
    /// The documentation above.
    pub doc: Option<Doc>,
    /// The gateway's name.
    pub name: Name,
    /// `nodes(SEL)`: the nodes it lives on; `None` where not written.
    pub selector: Option<Selector>,
    /// `address A, …`
    pub addresses: Vec<GatewayAddress>,
    /// The whole declaration.
    pub span: Span,
}

/// One source address of a gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GatewayAddress {
    /// The address.
    pub ip: Value<IpAddr>,
    /// The word `managed`: the enforcing plane brings the address up.
    pub managed: Option<Span>,
}

/// A `policy` or a `guardrail`; the item around it says which.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// The documentation above.
    pub doc: Option<Doc>,
    /// The policy's name.
    pub name: Name,
    /// `for`: the workloads it speaks about. An error node where missing.
    pub workloads: WSet,
    /// `owner "…"`
    pub owner: Option<Spanned<String>>,
    /// `mode audit`: the two words.
    pub audit: Option<Span>,
    /// The rules in the order written, which carries no meaning.
    pub rules: Vec<Rule>,
    /// From the first keyword to the closing brace.
    pub span: Span,
}

/// What a rule does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// `allow`
    Allow,
    /// `deny`
    Deny,
}

/// One rule of a policy or guardrail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// The documentation above.
    pub doc: Option<Doc>,
    /// `allow` or `deny`; always `deny` in a guardrail without errors.
    pub verdict: Spanned<Verdict>,
    /// Where to.
    pub destinations: DSet,
    /// `on PSET`; `None` is any protocol and port.
    pub ports: Option<PSet>,
    /// `via GATEWAY`; only on `allow` in a file without errors.
    pub via: Option<Name>,
    /// The word `log`.
    pub log: Option<Span>,
    /// `because "…"`
    pub because: Option<Spanned<String>>,
    /// `ticket "…"`
    pub ticket: Option<Spanned<String>>,
    /// `until YYYY-MM-DD`: the last day on which the rule holds.
    pub until: Option<Value<Date>>,
    /// From the verdict to the end of the last clause.
    pub span: Span,
}

/// What must be provable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assert {
    /// The documentation above.
    pub doc: Option<Doc>,
    /// Which of the five claims it makes.
    pub claim: Claim,
    /// The sources it speaks about.
    pub workloads: WSet,
    /// The destinations it speaks about.
    pub destinations: DSet,
    /// `on PSET`; `None` is any protocol and port.
    pub ports: Option<PSet>,
    /// `because "…"`
    pub because: Option<Spanned<String>>,
    /// From `assert` to the end of its last part.
    pub span: Span,
}

/// The five forms of an assertion over workloads W and destinations D.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claim {
    /// `W cannot reach D`: each flow is denied.
    CannotReach,
    /// `W can reach D`: each flow is allowed.
    CanReach,
    /// `only W can reach D`: each allowed flow into D comes from W.
    OnlySources,
    /// `W can reach only D`: each allowed flow of W ends in D.
    OnlyDestinations,
    /// `W can reach D only via G`: each allowed flow leaves through G.
    OnlyVia(Name),
}

/// Assertions grouped as evidence for one control.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Control {
    /// The documentation above.
    pub doc: Option<Doc>,
    /// The control's identifier, as `PCI-DSS 1.3.2`; empty where missing.
    pub id: Spanned<String>,
    /// Its title; empty where missing.
    pub title: Spanned<String>,
    /// Its assertions.
    pub asserts: Vec<Assert>,
    /// The whole declaration.
    pub span: Span,
}

/// A set expression over terms `T`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Set<T> {
    /// What it is.
    pub node: SetNode<T>,
    /// Its whole text.
    pub span: Span,
}

impl<T> Set<T> {
    /// Calls `visit` with every term, in the order written, whatever operators join them.
    pub fn each_term<'a>(&'a self, visit: &mut impl FnMut(&'a T)) {
        match &self.node {
            SetNode::Term(term) => visit(term),
            SetNode::Union(sets) => sets.iter().for_each(|set| set.each_term(visit)),
            SetNode::Except { base, minus } => {
                base.each_term(visit);
                minus.each_term(visit);
            }
            SetNode::Group(set) => set.each_term(visit),
            SetNode::Error => {}
        }
    }
}

/// A set of workloads.
pub type WSet = Set<WorkloadTerm>;

/// A set of destinations.
pub type DSet = Set<DestinationTerm>;

/// The forms of a set expression. It nests at most `MAX_NESTING` deep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SetNode<T> {
    /// A single term.
    Term(T),
    /// `a, b, …`: two or more, never itself unions or differences.
    Union(Vec<Set<T>>),
    /// `base except minus`
    Except {
        /// What it starts from: a term, a union or a group.
        base: Box<Set<T>>,
        /// What is taken away: a term, a union or a group.
        minus: Box<Set<T>>,
    },
    /// `( … )`
    Group(Box<Set<T>>),
    /// Text that is no set; its span is empty where a set is missing.
    Error,
}

/// A term of a workload set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WorkloadTerm {
    /// `all`: every workload, pods and addresses alike.
    All,
    /// A declared workload set.
    Name(Name),
    /// `pods …`
    Pods(Pods),
    /// `address PREFIX`
    Address(Value<Prefix>),
}

/// `pods[(SEL)] [in namespace N | in namespaces(SEL)] [as serviceaccount N]`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pods {
    /// The pods' labels; `None` is every pod.
    pub selector: Option<Selector>,
    /// Their namespaces; `None` is every namespace.
    pub namespace: Option<Namespace>,
    /// Their service account: a DNS subdomain (RFC 1123); empty text where missing.
    pub service_account: Option<Spanned<String>>,
}

/// Which namespaces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Namespace {
    /// `in namespace N`: a DNS label (RFC 1123); empty text where missing.
    Named(Spanned<String>),
    /// `in namespaces(SEL)`
    Selected(Selector),
}

/// A Kubernetes label selector: all its requirements hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selector {
    /// The requirements, at least one in a file without errors.
    pub requirements: Vec<Requirement>,
    /// With its parentheses.
    pub span: Span,
}

/// One requirement on a label.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    /// The label's key, `[prefix/]name`.
    pub key: Spanned<String>,
    /// How values are compared.
    pub operator: Operator,
    /// One value for `=` and `!=` (possibly empty), one or more for `in` and `notin`,
    /// none otherwise.
    pub values: Vec<Spanned<String>>,
    /// The whole requirement.
    pub span: Span,
}

/// The operators of `kubectl -l`. A label that is absent satisfies `!=`, `notin` and `!`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operator {
    /// `a=b` or `a==b`
    Equals,
    /// `a!=b`
    NotEquals,
    /// `a in (b, c)`
    In,
    /// `a notin (b, c)`
    NotIn,
    /// `a`
    Exists,
    /// `!a`
    NotExists,
    /// The requirement was refused (key, operator or a value); skip it.
    Error,
}

/// A term of a destination set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DestinationTerm {
    /// A declared destination set.
    Name(Name),
    /// An address (a prefix of full length) or a prefix.
    Prefix(Value<Prefix>),
    /// `a-b`, both included.
    Range(Value<AddressRange>),
    /// `host NAME` or `host PATTERN`; the span is the pattern's.
    Host(Value<HostPattern>),
    /// `list "FILE" [(key=value, …)]`
    List(List),
    /// `world`: everything outside the cluster.
    World,
    /// `private`: RFC 1918, RFC 6598, RFC 4193 and link-local.
    Private,
}

/// A file of addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct List {
    /// Path relative to the file that names it; empty where missing.
    pub path: Spanned<String>,
    /// All must hold; empty takes every entry.
    pub filters: Vec<Filter>,
}

/// `key=value` on a list's own fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// The field's name as the publisher spells it.
    pub key: Spanned<String>,
    /// The value it must have.
    pub value: Spanned<String>,
}

/// A set of protocols and ports: the union of its terms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PSet {
    /// At least one in a file without errors.
    pub terms: Vec<Spanned<PortTerm>>,
    /// Its whole text.
    pub span: Span,
}

/// A term of a port set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PortTerm {
    /// A declared port set.
    Name(Name),
    /// `any`: every protocol and port.
    Any,
    /// `443/tcp`, `6432-6440/udp`, or `sctp` for every port of it.
    Transport {
        /// The protocol.
        protocol: Transport,
        /// The ports; `None` is every port.
        ports: Option<PortRange>,
    },
    /// `icmp`, `icmp/8`, `icmpv6`, `icmpv6/128`.
    Icmp {
        /// ICMP for IPv4 or for IPv6.
        version: IcmpVersion,
        /// The message type; `None` is every type.
        kind: Option<u8>,
    },
    /// Text that is no port.
    Error,
}

/// A protocol with ports.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// `tcp`
    Tcp,
    /// `udp`
    Udp,
    /// `sctp`
    Sctp,
}

/// Which ICMP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IcmpVersion {
    /// `icmp` (RFC 792), IPv4.
    V4,
    /// `icmpv6` (RFC 4443), IPv6.
    V6,
}
