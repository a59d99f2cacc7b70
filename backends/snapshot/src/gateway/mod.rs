//! Gateways as a node knows them: numbered, so that the mark of a packet says through which one it leaves.
//!
//! In: what the backend made of the program's gateways. Out: marks, the address of each family, the [`table()`] that sees
//! to source addresses, and the [`line`](Gateways::line) by which an nftables file tells agents of all that. Who holds a
//! gateway at an instant is not known here.

mod table;
#[cfg(test)]
mod tests;

pub use table::{TABLE, counter, interface, table};

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
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
        (1..=largest(mask)?).contains(&self.number).then_some(self.number << mask.trailing_zeros())
    }
}

/// The largest number that the bits of a mask hold, and so how many gateways there can be; nothing where the mask is not
/// one run of bits.
#[must_use]
pub fn largest(mask: u32) -> Option<u32> {
    let largest = mask.checked_shr(mask.trailing_zeros())?;
    (largest & largest.wrapping_add(1) == 0).then_some(largest)
}

/// The table of routes by which a node that does not hold the gateway of this number sends packets to the one that does.
#[must_use]
pub fn route_table(number: u32) -> u32 {
    95_000_u32.saturating_add(number)
}

/// What stands before the JSON of [`Gateways`] in an nftables file.
const LINE: &str = "# gateways: ";

/// Gateways and the mask of the mark that says which of them a packet leaves by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateways {
    /// The bits of the packet mark that hold a gateway's number.
    pub mask: u32,
    /// The gateways, in the order of their numbers.
    pub gateways: Vec<Gateway>,
}

impl Gateways {
    /// The line of an nftables file, a comment there, that says all of it; without an end of line.
    ///
    /// # Errors
    /// Those of serialising, which there are none of.
    pub fn line(&self) -> Result<String, GatewayError> {
        let json = serde_json::to_string(self).map_err(|error| GatewayError::Line(error.to_string()))?;
        Ok(format!("{LINE}{json}"))
    }

    /// Reads the line back out of a file; nothing where it has none, because no rule of its names a gateway.
    ///
    /// # Errors
    /// More than one such line, one that is damaged, and everything that [`table()`] refuses.
    pub fn of_file(text: &str) -> Result<Option<Self>, GatewayError> {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(LINE));
        let Some(line) = lines.next() else { return Ok(None) };
        if lines.next().is_some() {
            return Err(GatewayError::Line("there are two of them".to_owned()));
        }
        let read: Self = serde_json::from_str(line).map_err(|error| GatewayError::Line(error.to_string()))?;
        check(&read.gateways, read.mask)?;
        Ok(Some(read))
    }
}

/// Why gateways cannot be told apart, or their line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// The mask has holes, or no bits.
    #[error("the mask `{0:#010x}` of the packet mark is not one run of bits")]
    Mask(u32),
    /// A number that the mask has no room for, or 0.
    #[error("the mask `{mask:#010x}` of the packet mark has no room for the number {number} of gateway `{name}`")]
    Number {
        /// The gateway.
        name: String,
        /// Its number.
        number: u32,
        /// The mask.
        mask: u32,
    },
    /// Two gateways with one number.
    #[error("gateways `{0}` and `{1}` have one number")]
    SameNumber(String, String),
    /// Two gateways that the outside cannot tell apart.
    #[error("gateways `{one}` and `{other}` both have the address `{address}`")]
    SameAddress {
        /// The one.
        one: String,
        /// The other.
        other: String,
        /// Their address.
        address: IpAddr,
    },
    /// A name from which no counter's can be made.
    #[error("the name `{0}` of a gateway is longer than the kernel takes for a counter")]
    Name(String),
    /// The line of an nftables file.
    #[error("the line `# gateways:` is damaged: {0}")]
    Line(String),
}

/// Whether marks and addresses tell the gateways apart.
fn check(gateways: &[Gateway], mask: u32) -> Result<(), GatewayError> {
    if largest(mask).is_none() {
        return Err(GatewayError::Mask(mask));
    }
    let (mut numbers, mut addresses): (HashMap<u32, &str>, HashMap<IpAddr, &str>) = (HashMap::new(), HashMap::new());
    for gateway in gateways {
        let (name, number) = (gateway.name.clone(), gateway.number);
        if gateway.mark(mask).is_none() {
            return Err(GatewayError::Number { name, number, mask });
        }
        if table::counter(gateway).len() > 255 {
            return Err(GatewayError::Name(name));
        }
        if let Some(other) = numbers.insert(number, &gateway.name) {
            return Err(GatewayError::SameNumber(other.to_owned(), name));
        }
        for v6 in [false, true] {
            let Some(Address { address, .. }) = gateway.address(v6) else { continue };
            if let Some(other) = addresses.insert(address, &gateway.name) {
                return Err(GatewayError::SameAddress { one: other.to_owned(), other: name, address });
            }
        }
    }
    Ok(())
}
