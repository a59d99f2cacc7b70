//! The node is kept as its gateways demand: who holds one has its address, everybody else routes to whoever has.
//!
//! In: gateways, and whether this node may hold now. Out: macvlan interfaces with addresses that the kernel takes away by
//! itself, rules, routes. Everything can be done again and again; what is there already stays.

use super::announce::announce;
use super::net::{Net, Way};
use super::source::{Gateways, Reached};
use crate::failure::Failure;
use egress_snapshot::gateway::{Gateway, interface};
use nix::net::if_::if_nametoindex;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an address stays without somebody who holds it, where no lease says less. Kernels count in seconds.
pub(super) const LASTS: Duration = Duration::from_secs(3);
/// How often neighbours are told of an address again. Bridges learn from it too where the hardware address is, which an
/// interface that a killed agent left behind on another node may just have told them otherwise.
const EVERY: Duration = Duration::from_secs(1);

/// What this node does for its gateways.
pub(super) struct Keeper {
    net: Net,
    /// The interface of the nodes' common segment.
    over: Option<String>,
    /// When each address came up here, and how often that was announced.
    held: BTreeMap<IpAddr, (Instant, usize)>,
    /// Interfaces that were made here.
    links: BTreeSet<u32>,
}

/// What is so now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Present {
    /// Addresses of gateways that this node has.
    pub(super) here: BTreeSet<IpAddr>,
    /// Those of them that this agent brought up.
    pub(super) held: BTreeSet<IpAddr>,
}

impl Keeper {
    pub(super) fn new(over: Option<String>) -> Result<Self, Failure> {
        over.as_deref().map_or(Ok(()), |over| set(&parent(over)))?;
        Ok(Self { net: Net::open()?, over, held: BTreeMap::new(), links: BTreeSet::new() })
    }

    /// Brings up what is to be held until `until`, takes down what is not, and routes the rest to others. `until` is asked
    /// of each gateway; nothing: this node may not hold it.
    pub(super) fn keep(
        &mut self,
        gateways: &Gateways,
        until: impl Fn(&Gateway) -> Option<Instant>,
    ) -> Result<Present, Failure> {
        for gateway in &gateways.all {
            match until(gateway).and_then(lifetime) {
                Some(seconds) => self.hold(gateway, seconds)?,
                None => self.withdraw(gateway)?,
            }
        }
        self.follow(gateways)
    }

    /// Whether the interface of the nodes' segment has a carrier; where there is none, nobody is reached.
    pub(super) fn has_carrier(&mut self) -> bool {
        let over = self.over.as_deref().and_then(|over| index(over).ok());
        over.is_some_and(|over| self.net.has_carrier(over).unwrap_or(false))
    }

    /// Takes down everything that was brought up here.
    pub(super) fn withdraw_all(&mut self, gateways: &Gateways) -> Result<(), Failure> {
        gateways.all.iter().try_for_each(|gateway| self.withdraw(gateway))
    }

    fn hold(&mut self, gateway: &Gateway, seconds: u32) -> Result<(), Failure> {
        let managed: Vec<IpAddr> = managed(gateway).collect();
        let (Some(over), false) = (self.over.clone(), managed.is_empty()) else { return Ok(()) };
        let name = interface(gateway.number);
        if self.links.insert(gateway.number) || if_nametoindex(name.as_str()).is_err() {
            self.net.add_macvlan(&name, index(&over)?, mac(gateway))?;
            set(&child(&name))?;
        }
        let at = index(&name)?;
        for address in managed {
            self.net.put_address(at, address, seconds)?;
            let (since, told) = self.held.entry(address).or_insert_with(|| (Instant::now(), 0));
            let due = told.checked_sub(1).is_none_or(|again| {
                let later = u32::try_from(again).unwrap_or(u32::MAX).saturating_add(1);
                since.elapsed() >= EVERY.saturating_mul(later)
            });
            if due {
                *told += 1;
                announce(&name, address)?;
            }
        }
        Ok(())
    }

    fn withdraw(&mut self, gateway: &Gateway) -> Result<(), Failure> {
        for address in managed(gateway) {
            self.held.remove(&address);
        }
        if self.links.remove(&gateway.number) {
            self.net.delete_link(&interface(gateway.number))?;
        }
        Ok(())
    }

    /// Rules and routes, as the presence of addresses demands.
    fn follow(&mut self, gateways: &Gateways) -> Result<Present, Failure> {
        let mine = self.net.addresses()?;
        let mut present = Present { here: BTreeSet::new(), held: self.held.keys().copied().collect() };
        for gateway in &gateways.all {
            for way in ways(gateway, gateways) {
                if mine.contains_key(&way.address) {
                    present.here.insert(way.address);
                    self.net.remove_way(way)?;
                    if let Some(over) = &self.over {
                        self.net.forget_neighbour(way, index(over)?)?;
                    }
                } else if let (Some(over), true) = (&self.over, gateway.nodes.is_some()) {
                    self.net.add_way(way, index(over)?)?;
                }
            }
        }
        Ok(present)
    }

    /// Takes away the rules of these gateways.
    pub(super) fn forget(&mut self, gateways: &Gateways) -> Result<(), Failure> {
        for gateway in &gateways.all {
            ways(gateway, gateways).try_for_each(|way| self.net.remove_way(way))?;
        }
        Ok(())
    }
}

/// The addresses of a gateway that whoever holds it brings up: the first of each family, if it is managed.
pub(super) fn managed(gateway: &Gateway) -> impl Iterator<Item = IpAddr> {
    let of = |v6| gateway.address(v6).filter(|one| one.managed).map(|one| one.address);
    [of(false), of(true)].into_iter().flatten()
}

/// The ways of a gateway, one for each family that it has an address of.
pub(crate) fn ways(gateway: &Gateway, gateways: &Gateways) -> impl Iterator<Item = Way> {
    let (mask, mac) = (gateways.mask, gateways.reached.mac(gateway));
    let (number, mark) = (gateway.number, gateway.mark(mask));
    let way = move |v6| Some(Way { number, mark: mark?, mask, address: gateway.address(v6)?.address, mac });
    [way(false), way(true)].into_iter().flatten()
}

/// The kernel's lifetime of an address that is held until then: whole seconds, and its timer may be a quarter of one late.
/// Nothing where that leaves less than one.
fn lifetime(until: Instant) -> Option<u32> {
    let left = until.checked_duration_since(Instant::now())?.checked_sub(Duration::from_millis(250))?;
    u32::try_from(left.as_secs()).ok().filter(|seconds| *seconds > 0)
}

pub(super) fn index(name: &str) -> Result<u32, Failure> {
    if_nametoindex(name).map_err(|_| {
        Failure::new(format!("there is no interface `{name}`")).help("`ip link` lists those of this network namespace")
    })
}

impl Reached {
    /// The hardware address of whoever holds a gateway; nothing where it must be asked for.
    fn mac(self, gateway: &Gateway) -> Option<[u8; 6]> {
        match self {
            Self::Own => Some(mac(gateway)),
            // RFC 9568, section 7.3: of IPv4's virtual routers, and of those of IPv6.
            Self::Vrrp => {
                let family = if gateway.address(false).is_some() { 1 } else { 2 };
                u8::try_from(gateway.number).ok().map(|number| [0, 0, 0x5e, 0, family, number])
            }
            Self::Asked => None,
        }
    }
}

/// A hardware address of the gateway, the same on every node, so that packets for it come in on its interface alone: locally
/// administered, and as different as addresses are.
fn mac(gateway: &Gateway) -> [u8; 6] {
    let [a, b, c, d] = match gateway.addresses.first().map(|one| one.address) {
        Some(IpAddr::V4(address)) => address.octets(),
        Some(IpAddr::V6(address)) => {
            let octets = address.octets();
            let (words, _) = octets.as_chunks::<4>();
            let fold = |sum: u32, word: &[u8; 4]| sum.wrapping_mul(31).wrapping_add(u32::from_be_bytes(*word));
            words.iter().fold(0, fold).to_be_bytes()
        }
        None => [0; 4],
    };
    [0x02, 0x65, a, b, c, d]
}

/// A setting of the network: its file below `/proc/sys/net`, and what it must say.
type Setting = (String, &'static str);

/// Of the interface of the nodes' segment: it neither answers for addresses that other interfaces have, nor names them when
/// it asks for others. Else neighbours would learn its hardware address for a gateway's, and what they send for the gateway
/// would be forwarded as it came, with the pod's own address.
fn parent(over: &str) -> [Setting; 2] {
    [(format!("ipv4/conf/{over}/arp_ignore"), "1"), (format!("ipv4/conf/{over}/arp_announce"), "2")]
}

/// Of the interface that has a gateway's address: only for that it answers, and what comes in there goes on.
fn child(name: &str) -> [Setting; 8] {
    [
        (format!("ipv4/conf/{name}/arp_ignore"), "1"),
        (format!("ipv4/conf/{name}/arp_announce"), "2"),
        (format!("ipv4/conf/{name}/arp_filter"), "0"),
        (format!("ipv4/conf/{name}/rp_filter"), "2"),
        (format!("ipv4/conf/{name}/forwarding"), "1"),
        (format!("ipv6/conf/{name}/forwarding"), "1"),
        (format!("ipv6/conf/{name}/accept_dad"), "0"),
        (format!("ipv6/conf/{name}/accept_ra"), "0"),
    ]
}

fn set(settings: &[Setting]) -> Result<(), Failure> {
    for (key, value) in settings {
        let path = format!("/proc/sys/net/{key}");
        // A kernel without IPv6 has no settings of it.
        if Path::new(&path).exists() {
            std::fs::write(&path, value).map_err(|error| Failure::new(format!("cannot write `{path}`: {error}")))?;
        }
    }
    Ok(())
}
