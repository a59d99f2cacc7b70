//! Blocks of flows in words: who, to where, on which ports, by which names, what should happen and what does.
//!
//! In: blocks of a proof that was refuted, and the programs whose names people know. Out: [`Told`] blocks, for every
//! form of output. Never decides anything.

mod destinations;
mod people;

pub use destinations::{addresses, ports};
pub use people::People;

use crate::counted;
use crate::objects::flow as flow_as_json;
use destinations::ranges;
use egress_ir::{Flow, GatewayId, Outcome, Program};
use egress_verifier::Block;
use serde_json::{Value, json};

/// The most members of a list that are written out for people.
const LISTED: usize = 4;

/// What blocks are told in.
pub struct Words<'w> {
    /// Everybody who sends, with the names that people know them by.
    pub people: People<'w>,
    /// The programs that declare names.
    pub programs: Vec<&'w Program>,
    /// What a gateway is called.
    pub gateway: Box<dyn Fn(GatewayId) -> String + 'w>,
}

/// A block in words.
#[derive(Clone, Debug)]
pub struct Told<'b> {
    /// Who sends.
    pub who: String,
    /// Who of them runs now, as `namespace/name`, sorted; nothing without an inventory.
    pub pods: Vec<String>,
    /// To where.
    pub to: String,
    /// The same in full: prefixes, and ranges where these are shorter.
    pub ranges: Vec<String>,
    /// On which ports.
    pub on: String,
    /// By which names the address must have been learned, if by any.
    pub names: &'b [String],
    /// What happens on the left: before, or by the policy.
    pub left: Way,
    /// What happens on the right: after, or by the artifact.
    pub right: Way,
    /// One of the flows.
    pub witness: &'b Flow,
}

/// What happens to a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is stopped.
    Denied,
    /// It passes, through the gateway if one is named.
    Passes(Option<String>),
    /// It passes with a source address that no gateway has.
    Misrouted,
}

impl Words<'_> {
    /// Tells a block.
    pub fn tell<'b>(&self, block: &'b Block) -> Told<'b> {
        Told {
            who: self.people.who(block),
            pods: self.people.pods(block),
            to: addresses(&block.addresses, &self.programs),
            ranges: ranges(&block.addresses),
            on: ports(&block.ports, &block.addresses),
            names: &block.names,
            left: self.way(block.left),
            right: self.way(block.right),
            witness: &block.witness,
        }
    }

    fn way(&self, outcome: Outcome) -> Way {
        match outcome {
            Outcome::Dropped => Way::Denied,
            Outcome::Passes(gateway) => Way::Passes(gateway.map(|id| (self.gateway)(id))),
            Outcome::Misrouted => Way::Misrouted,
        }
    }
}

impl Told<'_> {
    /// `checkout → 203.0.113.0/24 on 443/tcp as api.example.com`
    pub fn line(&self) -> String {
        format!("{} → {}{}", self.who, self.to, self.tail())
    }

    /// ` on 443/tcp as api.example.com`
    fn tail(&self) -> String {
        let names = if self.names.is_empty() { String::new() } else { format!(" as {}", self.named()) };
        if self.on == "any port" { names } else { format!(" on {}{names}", self.on) }
    }

    /// The names by which the address must have been learned.
    pub fn named(&self) -> String {
        self.names.join(" and ")
    }

    /// `12 pods, such as shop/checkout-1`; nothing without an inventory.
    pub fn running(&self) -> Option<String> {
        match self.pods.as_slice() {
            [] => None,
            [only] => Some(format!("1 pod, {only}")),
            [first, ..] => Some(format!("{}, such as {first}", counted(self.pods.len(), "pod"))),
        }
    }

    /// As an object, see `docs/json.md`; `left` and `right` are what the sides are called.
    pub fn json(&self, left: &str, right: &str) -> Value {
        json!({
            "from": { "text": self.who, "pods": self.pods },
            "to": { "text": self.to, "ranges": self.ranges },
            "ports": self.on,
            "names": self.names,
            left: self.left.json(),
            right: self.right.json(),
            "witness": flow_as_json(self.witness),
        })
    }
}

impl Way {
    fn json(&self) -> Value {
        match self {
            Self::Denied => json!({ "passes": false, "gateway": null }),
            Self::Passes(gateway) => json!({ "passes": true, "gateway": gateway }),
            Self::Misrouted => json!({ "passes": true, "gateway": null, "misrouted": true }),
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Denied => f.write_str("denied"),
            Self::Passes(None) => f.write_str("passes"),
            Self::Passes(Some(gateway)) => write!(f, "passes through gateway {gateway}"),
            Self::Misrouted => f.write_str("passes with an address of no gateway"),
        }
    }
}

/// The first few, and how many more there are.
pub fn shortened(all: &[String]) -> String {
    let first = all.get(..LISTED).filter(|_| all.len() > LISTED + 1);
    match first {
        None => all.join(", "),
        Some(first) => format!("{} and {} more", first.join(", "), all.len() - first.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_counted() {
        let list = |length: u32| shortened(&(1..=length).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(list(5), "1, 2, 3, 4, 5");
        assert_eq!(list(9), "1, 2, 3, 4 and 5 more");
        assert_eq!(list(0), "");
    }
}
