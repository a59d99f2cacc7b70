//! Gateways as a node knows them: numbered, so that the mark of a packet says through which one it leaves.
//!
//! In: what the backend made of the program's gateways. Out: marks, and the address of each family. Who holds a gateway
//! at an instant is not known here.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The bits of a packet's mark that hold a gateway's number, unless somebody chooses others.
pub const MASK: u32 = 0x00ff_0000;

/// A gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// The declared name.
    pub name: String,
    /// What the mark of a packet calls it, counted from 1.
    pub number: u32,
    /// The nodes that may hold it, as a label selector in Kubernetes' own writing; nothing: whatever node judges a packet
    /// holds the gateway itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<String>,
    /// Its source addresses, as they were written.
    pub addresses: Vec<Address>,
}

/// A source address of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Whether whoever holds the gateway brings the address up, rather than somebody by hand.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub managed: bool,
}

impl Gateway {
    /// The address that the packets of a family leave with; nothing when the gateway has none.
    #[must_use]
    pub fn address(&self, v6: bool) -> Option<Address> {
        self.addresses.iter().copied().find(|one| one.address.is_ipv6() == v6)
    }

    /// What stands in the masked bits of the mark; nothing where the number does not fit or the mask is not one run of bits.
    #[must_use]
    pub fn mark(&self, mask: u32) -> Option<u32> {
        let shift = mask.trailing_zeros();
        let largest = mask.checked_shr(shift)?;
        let is_one_run = largest & largest.wrapping_add(1) == 0;
        (is_one_run && (1..=largest).contains(&self.number)).then_some(self.number << shift)
    }
}
