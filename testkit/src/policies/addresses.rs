//! The address plan: providers with aggregates, prefixes within them, and a part of each that only denies use.
//!
//! The last sixteenth of an aggregate is set aside for denies, one slot for each of them. So no deny ever covers a whole
//! allow or another deny, unless that is wanted.

use crate::seed::Rng;
use egress_ir::{Family, Prefix};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Somebody whom the company talks to.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    /// The name of its destination set.
    pub(super) name: String,
    v4: Prefix,
    v6: Option<Prefix>,
    /// How many deny slots are taken.
    slots: u32,
}

/// The length of a deny slot.
const SLOT: u8 = 28;

/// How many slots of a provider are left to the blocklist.
const BLOCKED: u32 = 64;

/// `count` providers with disjoint aggregates: a few of /8 to /12, most of /16; every other one with IPv6.
pub(super) fn providers(rng: &mut Rng, count: usize) -> Vec<Provider> {
    let mut next = Ipv4Addr::new(20, 0, 0, 0).to_bits();
    let mut providers = Vec::with_capacity(count);
    for number in 0..u32::try_from(count).unwrap_or(u32::MAX) {
        let length = match (number, rng.below(40)) {
            (0..2, _) => 8,
            (2..20, 0..4) => 10,
            (_, 0) => 12,
            (_, 1) => 14,
            _ => 16,
        };
        let size = 1u32 << (32 - length);
        let first = next.div_ceil(size) * size;
        next = first + size;
        let bits = 0x2600_0000_u128 << 96 | u128::from(number + 1) << 96;
        let v6 = rng.chance(50).then(|| Prefix::containing(Ipv6Addr::from_bits(bits).into(), 32));
        let v4 = Prefix::containing(Ipv4Addr::from_bits(first).into(), length);
        providers.push(Provider { name: format!("provider-{number}"), v4, v6, slots: 0 });
    }
    providers
}

impl Provider {
    /// The right side of its declaration.
    pub(super) fn declaration(&self) -> String {
        self.v6.map_or_else(|| self.v4.to_string(), |v6| format!("{}, {v6}", self.v4))
    }

    /// A prefix of the provider, /20–/32 or /40–/128, outside of what denies use.
    pub(super) fn prefix(&self, rng: &mut Rng) -> Prefix {
        let family = if self.v6.is_some() && rng.chance(25) { Family::V6 } else { Family::V4 };
        let length = match (family, rng.below(10)) {
            (Family::V4, 0..3) => 32,
            (Family::V4, 3..7) => 24,
            (Family::V4, _) => u8::try_from(rng.between(20, 31)).unwrap_or(24),
            (Family::V6, 0..3) => 128,
            (Family::V6, 3..6) => 64,
            (Family::V6, _) => u8::try_from(rng.between(10, 16) * 4).unwrap_or(48),
        };
        Prefix::containing(self.address(rng, family), length)
    }

    /// A range `a-b` of a few addresses within one /20, outside of what denies use.
    pub(super) fn range(&self, rng: &mut Rng) -> String {
        let within = Prefix::containing(self.address(rng, Family::V4), 20);
        let first = place(within.address()) + u128::from(rng.between(0, 2000));
        let last = first + u128::from(rng.between(1, 2000));
        format!("{}-{}", v4(first), v4(last))
    }

    /// An address in the first fifteen sixteenths of an aggregate.
    fn address(&self, rng: &mut Rng, family: Family) -> IpAddr {
        let aggregate = if family == Family::V6 { self.v6.unwrap_or(self.v4) } else { self.v4 };
        let (first, last) = (place(aggregate.address()), place(aggregate.last()));
        let usable = (last - first) / 16 * 15;
        let bits = rng.between_wide(first, first + usable);
        if aggregate.address().is_ipv4() { v4(bits).into() } else { Ipv6Addr::from_bits(bits).into() }
    }

    /// Single addresses at the end of what denies use, at most [`BLOCKED`]: what the blocklist names.
    pub(super) fn blocked(&self, count: usize) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let last = place(self.v4.last());
        (0..BLOCKED).take(count).map(move |step| v4(last - 3 - u128::from(step) * 16))
    }

    /// A prefix that nobody else denies, or nothing when all are taken.
    pub(super) fn deny_slot(&mut self) -> Option<Prefix> {
        let reserved = Prefix::containing(self.v4.last(), self.v4.length() + 4);
        let slots = 1u32 << (SLOT - reserved.length());
        let slot = Some(self.slots).filter(|&slot| slot < slots - BLOCKED)?;
        self.slots += 1;
        Some(Prefix::containing(v4(place(reserved.address()) + (u128::from(slot) << (32 - SLOT))).into(), SLOT))
    }
}

/// One to three addresses of a deny slot.
pub(super) fn addresses_of(rng: &mut Rng, slot: Prefix) -> Vec<Prefix> {
    let count = u128::from(rng.between(1, 3));
    (0..count).map(|step| Prefix::host(v4(place(slot.address()) + step * 5).into())).collect()
}

/// The lower and upper half of a prefix; both are the whole when it is a single address.
pub(super) fn halves(prefix: Prefix) -> (Prefix, Prefix) {
    let length = prefix.length() + 1;
    (Prefix::containing(prefix.address(), length), Prefix::containing(prefix.last(), length))
}

fn place(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn v4(bits: u128) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX))
}
