//! The node's network as far as gateways need it, over rtnetlink: addresses, macvlan interfaces, rules, routes.
//!
//! In: names, addresses, marks. Out: what the kernel has, and changes of it that may be asked for again and again. Never
//! decides anything.

use crate::failure::Failure;
use egress_snapshot::gateway::interface as interface_of;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoMacVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

/// Where rules about marks stand among others: before those that routing daemons and network plugins usually make, behind
/// that of the node's own addresses.
const PRIORITY: u32 = 110;
/// The first routing table; a gateway's number is added.
const TABLES: u32 = 0x6567_7700;
/// What is taken where there is no better route: larger than any other metric.
const LAST: u32 = u32::MAX - 1;

/// A connection to the kernel.
pub(crate) struct Net {
    socket: Socket,
    sequence: u32,
}

/// What changes on the node, as something to wait for.
pub(crate) struct Changes(Socket);

/// The rule by which packets of a gateway are routed on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// The gateway's number.
    pub(crate) number: u32,
    /// What stands in the masked bits of the mark.
    pub(crate) mark: u32,
    /// The bits of the mark that count.
    pub(crate) mask: u32,
    /// The gateway's address, which is the next hop.
    pub(crate) address: IpAddr,
    /// The hardware address of whoever has it; nothing: it is asked for.
    pub(crate) mac: Option<[u8; 6]>,
}

impl Way {
    fn table(self) -> u32 {
        TABLES.wrapping_add(self.number)
    }

    fn family(self) -> AddressFamily {
        family(self.address)
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet }
}

fn whole(address: IpAddr) -> u8 {
    if address.is_ipv6() { 128 } else { 32 }
}

fn cannot(what: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("cannot {what}: {why}"))
}

impl Changes {
    /// Waits for changes of addresses and interfaces.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let fails = |error: std::io::Error| cannot("listen to changes of the network", error);
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(fails)?;
        socket.bind_auto().map_err(fails)?;
        // RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR.
        [1, 5, 9].into_iter().try_for_each(|group| socket.add_membership(group)).map_err(fails)?;
        socket.set_non_blocking(true).map_err(fails)?;
        Ok(Self(socket))
    }

    /// Forgets what has come; afterwards everything is looked at anyway.
    pub(crate) fn drain(&self) {
        // An overrun is an error too, and means the same: something has changed.
        while self.0.recv_from_full().is_ok() {}
    }
}

impl AsFd for Changes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Net {
    pub(crate) fn open() -> Result<Self, Failure> {
        let fails = |error: std::io::Error| cannot("open a netlink socket", error);
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(fails)?;
        socket.bind_auto().map_err(fails)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(fails)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Every address of the node with the index of its interface.
    pub(crate) fn addresses(&mut self) -> Result<BTreeMap<IpAddr, u32>, Failure> {
        let answers =
            self.ask("list addresses", RouteNetlinkMessage::GetAddress(AddressMessage::default()), NLM_F_DUMP)?;
        let mut found = BTreeMap::new();
        for answer in answers {
            let RouteNetlinkMessage::NewAddress(message) = answer else { continue };
            let local = message.attributes.iter().find_map(|one| match one {
                AddressAttribute::Local(address) => Some(*address),
                _ => None,
            });
            let plain = message.attributes.iter().find_map(|one| match one {
                AddressAttribute::Address(address) => Some(*address),
                _ => None,
            });
            found.extend(local.or(plain).map(|address| (address, message.header.index)));
        }
        Ok(found)
    }

    /// Whether an interface is up and has a carrier.
    pub(crate) fn has_carrier(&mut self, index: u32) -> Result<bool, Failure> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let answers = self.ask("look at an interface", RouteNetlinkMessage::GetLink(message), NLM_F_ACK)?;
        Ok(answers.iter().any(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
            _ => false,
        }))
    }

    /// Makes a macvlan interface over another one, up; one of that name that is there stays.
    pub(crate) fn add_macvlan(&mut self, name: &str, parent: u32, mac: [u8; 6]) -> Result<(), Failure> {
        let mut message = LinkMessage::default();
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        let data = InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Private)]);
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Link(parent),
            LinkAttribute::Address(mac.to_vec()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::MacVlan), LinkInfo::Data(data)]),
        ];
        let request = RouteNetlinkMessage::NewLink(message);
        self.change(&format!("make the interface `{name}`"), request, NLM_F_CREATE | NLM_F_EXCL, Some(Errno::EEXIST))
    }

    /// Removes an interface with its addresses; one that is not there is no error.
    pub(crate) fn delete_link(&mut self, name: &str) -> Result<(), Failure> {
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        let request = RouteNetlinkMessage::DelLink(message);
        self.change(&format!("remove the interface `{name}`"), request, 0, Some(Errno::ENODEV))
    }

    /// Gives an interface an address that the kernel takes away again after so many seconds, or counts them anew.
    pub(crate) fn put_address(&mut self, index: u32, address: IpAddr, seconds: u32) -> Result<(), Failure> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = whole(address);
        message.header.index = index;
        let mut lifetime = CacheInfo::default();
        (lifetime.ifa_valid, lifetime.ifa_preferred) = (seconds, seconds);
        message.attributes = vec![
            AddressAttribute::Local(address),
            AddressAttribute::Address(address),
            AddressAttribute::CacheInfo(lifetime),
        ];
        if address.is_ipv6() {
            // Who held it before may still be there for an instant: nobody asks whether it is free.
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let request = RouteNetlinkMessage::NewAddress(message);
        self.change(&format!("bring up `{address}`"), request, NLM_F_CREATE | NLM_F_REPLACE, None)
    }

    /// Packets of a gateway go to whoever has its address, over an interface, or nowhere.
    pub(crate) fn add_way(&mut self, way: Way, interface: u32) -> Result<(), Failure> {
        for route in [unreachable(way), towards(way, interface)] {
            let what = format!("route packets to `{}`", way.address);
            self.change(&what, RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_REPLACE, None)?;
        }
        if let Some(neighbour) = neighbour(way, interface) {
            let what = format!("say where `{}` is", way.address);
            self.change(&what, RouteNetlinkMessage::NewNeighbour(neighbour), NLM_F_CREATE | NLM_F_REPLACE, None)?;
        }
        for rule in [stray(way), rule(way)] {
            let request = RouteNetlinkMessage::NewRule(rule);
            self.change("make a routing rule", request, NLM_F_CREATE | NLM_F_EXCL, Some(Errno::EEXIST))?;
        }
        Ok(())
    }

    /// Forgets what was said of where a gateway is.
    pub(crate) fn forget_neighbour(&mut self, way: Way, interface: u32) -> Result<(), Failure> {
        let Some(neighbour) = neighbour(way, interface) else { return Ok(()) };
        self.change("forget a neighbour", RouteNetlinkMessage::DelNeighbour(neighbour), 0, Some(Errno::ENOENT))
    }

    /// Packets of a gateway are routed like all others.
    pub(crate) fn remove_way(&mut self, way: Way) -> Result<(), Failure> {
        [rule(way), stray(way)].into_iter().try_for_each(|rule| {
            self.change("remove a routing rule", RouteNetlinkMessage::DelRule(rule), 0, Some(Errno::ENOENT))
        })
    }

    /// Whether the rule of a gateway is there.
    pub(crate) fn has_way(&mut self, way: Way) -> Result<bool, Failure> {
        let mut message = RuleMessage::default();
        message.header.family = way.family();
        let rules = self.ask("list routing rules", RouteNetlinkMessage::GetRule(message), NLM_F_DUMP)?;
        Ok(rules.iter().any(|found| match found {
            RouteNetlinkMessage::NewRule(found) => {
                found.attributes.contains(&RuleAttribute::Table(way.table()))
                    && found.attributes.contains(&RuleAttribute::FwMark(way.mark))
            }
            _ => false,
        }))
    }

    /// Asks for a change; `done` is the error that says that there is nothing left to do.
    fn change(
        &mut self,
        what: &str,
        request: RouteNetlinkMessage,
        flags: u16,
        done: Option<Errno>,
    ) -> Result<(), Failure> {
        match self.exchange(request, flags | NLM_F_ACK) {
            Err(error) if error.raw_os_error().map(Errno::from_raw) == done && done.is_some() => Ok(()),
            Err(error) => Err(cannot(what, error)),
            Ok(_) => Ok(()),
        }
    }

    fn ask(
        &mut self,
        what: &str,
        request: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Failure> {
        self.exchange(request, flags).map_err(|error| cannot(what, error))
    }

    fn exchange(&mut self, request: RouteNetlinkMessage, flags: u16) -> std::io::Result<Vec<RouteNetlinkMessage>> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (NLM_F_REQUEST | flags, self.sequence);
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut answers = Vec::new();
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            if read(&bytes, self.sequence, &mut answers)? {
                return Ok(answers);
            }
        }
    }
}

/// Takes the messages of one datagram; whether the last one has come.
fn read(mut bytes: &[u8], sequence: u32, answers: &mut Vec<RouteNetlinkMessage>) -> std::io::Result<bool> {
    while !bytes.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes)
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        let length = (message.header.length as usize).next_multiple_of(4);
        if message.header.sequence_number == sequence {
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(true),
                NetlinkPayload::Error(error) => {
                    return match error.code {
                        None => Ok(true),
                        Some(code) => Err(std::io::Error::from_raw_os_error(code.get().saturating_abs())),
                    };
                }
                NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                _ => {}
            }
        }
        bytes = bytes.get(length.max(1)..).unwrap_or_default();
    }
    Ok(false)
}

fn rule(way: Way) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = way.family();
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![
        RuleAttribute::Priority(PRIORITY),
        RuleAttribute::FwMark(way.mark),
        RuleAttribute::FwMask(way.mask),
        RuleAttribute::Table(way.table()),
        RuleAttribute::Protocol(RouteProtocol::Static),
    ];
    message
}

/// What comes in for a gateway that this node does not hold goes nowhere: a bridge sent it to all, because it does not know
/// yet who does. Else nodes that may hold it would send it to each other, and remember it as a connection of theirs.
fn stray(way: Way) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = way.family();
    message.header.action = RuleAction::Blackhole;
    message.attributes = vec![
        RuleAttribute::Priority(PRIORITY - 1),
        RuleAttribute::Iifname(interface_of(way.number)),
        RuleAttribute::Protocol(RouteProtocol::Static),
    ];
    message
}

fn route(way: Way, kind: RouteType) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = way.family();
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Universe;
    message.header.kind = kind;
    message.attributes = vec![RouteAttribute::Table(way.table())];
    message
}

fn towards(way: Way, interface: u32) -> RouteMessage {
    let mut message = route(way, RouteType::Unicast);
    // Whoever has the address is a neighbour, whatever prefix the interface has.
    message.header.flags = RouteFlags::Onlink;
    let hop = match way.address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    };
    message.attributes.extend([
        RouteAttribute::Gateway(hop),
        RouteAttribute::Oif(interface),
        RouteAttribute::Priority(1),
    ]);
    message
}

/// Whoever has the gateway's address has this hardware address too, whatever neighbours say.
fn neighbour(way: Way, interface: u32) -> Option<NeighbourMessage> {
    let mut message = NeighbourMessage::default();
    message.header.family = way.family();
    message.header.ifindex = interface;
    message.header.state = NeighbourState::Permanent;
    message.header.kind = RouteType::Unicast;
    let address = match way.address {
        IpAddr::V4(address) => NeighbourAddress::Inet(address),
        IpAddr::V6(address) => NeighbourAddress::Inet6(address),
    };
    let mac = way.mac?.to_vec();
    message.attributes = vec![NeighbourAttribute::Destination(address), NeighbourAttribute::LinkLayerAddress(mac)];
    Some(message)
}

fn unreachable(way: Way) -> RouteMessage {
    let mut message = route(way, RouteType::Unreachable);
    message.attributes.push(RouteAttribute::Priority(LAST));
    message
}
