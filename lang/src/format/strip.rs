//! A tree without its places, to compare two trees by what they say.
//!
//! Every type lists all its fields, so that a new one cannot be forgotten here.

use std::net::IpAddr;

use crate::ast::*;
use crate::span::{Span, Spanned};
use crate::value::{AddressRange, Date, HostPattern, PortRange, Prefix};

/// Clears all spans.
pub(super) trait Strip {
    fn strip(&mut self);
}

impl Strip for Span {
    fn strip(&mut self) {
        *self = Self::default();
    }
}

impl<T: Strip> Strip for Option<T> {
    fn strip(&mut self) {
        self.iter_mut().for_each(Strip::strip);
    }
}

impl<T: Strip> Strip for Vec<T> {
    fn strip(&mut self) {
        self.iter_mut().for_each(Strip::strip);
    }
}

impl<T: Strip> Strip for Box<T> {
    fn strip(&mut self) {
        self.as_mut().strip();
    }
}

macro_rules! plain {
    ($($ty:ty),*) => { $(impl Strip for $ty { fn strip(&mut self) {} })* };
}

macro_rules! fields {
    ($($ty:ty { $($field:ident),* })*) => {
        $(impl Strip for $ty {
            fn strip(&mut self) {
                let Self { $($field),* } = self;
                $($field.strip();)*
            }
        })*
    };
}

plain!(
    String,
    IpAddr,
    Prefix,
    AddressRange,
    PortRange,
    Date,
    HostPattern,
    Verdict,
    Operator,
    Transport,
    IcmpVersion,
    u8
);

fields! {
    File { items }
    Doc { text, span }
    Name { text, span }
    Cluster { doc, name, pods, services, nodes, dns, span }
    Workloads { doc, name, set, span }
    Destinations { doc, name, set, span }
    Ports { doc, name, set, span }
    Gateway { doc, name, selector, addresses, span }
    GatewayAddress { ip, managed }
    Policy { doc, name, workloads, owner, audit, rules, span }
    Rule { doc, verdict, destinations, ports, via, log, because, ticket, until, span }
    Assert { doc, claim, workloads, destinations, ports, because, span }
    Control { doc, id, title, asserts, span }
    Pods { selector, namespace, service_account }
    Selector { requirements, span }
    Requirement { key, operator, values, span }
    List { path, filters }
    Filter { key, value }
    PSet { terms, span }
}

impl<T: Strip> Strip for Spanned<T> {
    fn strip(&mut self) {
        let Self { node, span } = self;
        node.strip();
        span.strip();
    }
}

impl<T: Strip> Strip for Set<T> {
    fn strip(&mut self) {
        let Self { node, span } = self;
        node.strip();
        span.strip();
    }
}

impl<T: Strip> Strip for SetNode<T> {
    fn strip(&mut self) {
        match self {
            Self::Term(term) => term.strip(),
            Self::Union(parts) => parts.strip(),
            Self::Except { base, minus } => {
                base.strip();
                minus.strip();
            }
            Self::Group(inner) => inner.strip(),
            Self::Error => {}
        }
    }
}

impl Strip for Item {
    fn strip(&mut self) {
        match self {
            Self::Cluster(it) => it.strip(),
            Self::Workloads(it) => it.strip(),
            Self::Destinations(it) => it.strip(),
            Self::Ports(it) => it.strip(),
            Self::Gateway(it) => it.strip(),
            Self::Policy(it) | Self::Guardrail(it) => it.strip(),
            Self::Assert(it) => it.strip(),
            Self::Control(it) => it.strip(),
            Self::Error(span) => span.strip(),
        }
    }
}

impl Strip for Claim {
    fn strip(&mut self) {
        match self {
            Self::OnlyVia(gateway) => gateway.strip(),
            Self::CannotReach | Self::CanReach | Self::OnlySources | Self::OnlyDestinations => {}
        }
    }
}

impl Strip for WorkloadTerm {
    fn strip(&mut self) {
        match self {
            Self::Name(name) => name.strip(),
            Self::Pods(pods) => pods.strip(),
            Self::Address(prefix) => prefix.strip(),
            Self::All => {}
        }
    }
}

impl Strip for Namespace {
    fn strip(&mut self) {
        match self {
            Self::Named(name) => name.strip(),
            Self::Selected(selector) => selector.strip(),
        }
    }
}

impl Strip for DestinationTerm {
    fn strip(&mut self) {
        match self {
            Self::Name(name) => name.strip(),
            Self::Prefix(prefix) => prefix.strip(),
            Self::Range(range) => range.strip(),
            Self::Host(host) => host.strip(),
            Self::List(list) => list.strip(),
            Self::World | Self::Private => {}
        }
    }
}

impl Strip for PortTerm {
    fn strip(&mut self) {
        match self {
            Self::Name(name) => name.strip(),
            Self::Transport { protocol, ports } => {
                protocol.strip();
                ports.strip();
            }
            Self::Icmp { version, kind } => {
                version.strip();
                kind.strip();
            }
            Self::Any | Self::Error => {}
        }
    }
}
