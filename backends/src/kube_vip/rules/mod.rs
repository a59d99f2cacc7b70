//! What kube-vip installs in the kernel for the Services of a file: one chain of source translation for each.
//!
//! In: a [`Model`], the inventory that says which pods are behind its Services, and how kube-vip is set up. Out: for
//! each Service its [`Chain`], or why there is none, or why nobody can say. A chain is data, and by `Display` the text
//! that `nft -f` takes. What is modelled is the nftables mode; of iptables mode nothing is said.

mod build;
mod text;

use super::model::Model;
use super::settings::Settings;
use egress_ir::{Inventory, Port, PortSet};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The most expressions that one rule may have (`NFT_RULE_MAXEXPRS` of Linux); the kernel refuses the batch otherwise.
pub const MAX_EXPRESSIONS: usize = 128;

/// The priority of the chains: that of every other source translation, such as a CNI's masquerade. Of several chains
/// of one priority the kernel asks the one registered last first, and the first that translates decides.
pub const PRIORITY: i32 = 100;

/// What is installed for the Services of a file that ask for egress, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// `Service/namespace/name`, and what is installed for it.
    pub services: Vec<(String, Installed)>,
}

/// What is installed for one Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    /// This chain.
    Chain(Chain),
    /// Nothing: its pods leave with their node's address. Why, in lower case without a full stop.
    Nothing(String),
    /// Nobody can say from manifests and inventory alone. Why, in lower case without a full stop.
    Unclear(String),
}

/// A base chain at postrouting, of type nat, with [`PRIORITY`] and the policy to accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Whether it is in a table of IPv6 rather than IPv4.
    pub v6: bool,
    /// The table's name.
    pub table: String,
    /// The chain's name. In a cluster it ends in the Service's UID, here in its namespace and name.
    pub name: String,
    /// The rules; the first that matches decides.
    pub rules: Vec<SnatRule>,
}

/// Rewrites the source address of what it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnatRule {
    /// The pod's address.
    pub source: IpAddr,
    /// Protocol and destination ports; nothing for every packet.
    pub ports: Option<(u8, BTreeSet<u16>)>,
    /// Destinations that it does not match, as inclusive ranges.
    pub except: Vec<(IpAddr, IpAddr)>,
    /// The destinations that it matches, as an inclusive range; nothing for all.
    pub within: Option<(IpAddr, IpAddr)>,
    /// The new source address.
    pub to: IpAddr,
}

/// What kube-vip installs.
#[must_use]
pub fn rules(model: &Model, inventory: &Inventory, settings: &Settings) -> Rules {
    let services = model.services.iter().filter(|service| service.has_egress());
    let installed = |service| match build::chain(service, inventory, settings) {
        Ok(chain) => Installed::Chain(chain),
        Err(build::Stop::Nothing(why)) => Installed::Nothing(why),
        Err(build::Stop::Unclear(why)) => Installed::Unclear(why),
    };
    Rules { services: services.map(|service| (service.object(), installed(service))).collect() }
}

impl Rules {
    /// The chains that are installed.
    pub fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.services.iter().filter_map(|(_, installed)| match installed {
            Installed::Chain(chain) => Some(chain),
            Installed::Nothing(_) | Installed::Unclear(_) => None,
        })
    }
}

impl Chain {
    /// The new source address of a new connection's first packet, if it gets one.
    #[must_use]
    pub fn translate(&self, source: IpAddr, destination: IpAddr, port: Port) -> Option<IpAddr> {
        let of_family = source.is_ipv6() == self.v6 && destination.is_ipv6() == self.v6;
        let rule = self.rules.iter().find(|rule| of_family && rule.matches(source, destination, port));
        rule.map(|rule| rule.to)
    }
}

impl SnatRule {
    /// Whether a packet is rewritten.
    #[must_use]
    pub fn matches(&self, source: IpAddr, destination: IpAddr, port: Port) -> bool {
        let by_port = self
            .ports
            .as_ref()
            .is_none_or(|(protocol, numbers)| port.protocol() == *protocol && numbers.contains(&port.number()));
        self.source == source && by_port && self.reaches(destination)
    }

    /// Whether packets to there are rewritten, as far as destinations matter.
    #[must_use]
    pub fn reaches(&self, destination: IpAddr) -> bool {
        let holds = |&(first, last): &(IpAddr, IpAddr)| first <= destination && destination <= last;
        self.within.as_ref().is_none_or(holds) && !self.except.iter().any(holds)
    }

    /// The ports whose packets are rewritten.
    #[must_use]
    pub fn port_set(&self) -> PortSet {
        match &self.ports {
            None => PortSet::any(),
            Some((protocol, numbers)) => PortSet::from_line_ranges(numbers.iter().map(|&number| {
                let place = Port::new(*protocol, number).line();
                (place, place)
            })),
        }
    }

    /// How many expressions the kernel counts: two each for the source, a range and the translation, four for ports.
    #[must_use]
    pub fn expressions(&self) -> usize {
        let ports = if self.ports.is_some() { 4 } else { 0 };
        2 + ports + 2 * self.except.len() + 2 * usize::from(self.within.is_some()) + 2
    }
}
