//! The gateways of a status: what the kernel has of them now, and what the process that keeps them wrote last.

use crate::failure::Failure;
use crate::gateway::net::Net;
use crate::gateway::source::Gateways as Known;
use crate::gateway::{Record, recorded, table, ways};
use crate::generations;
use crate::state::State;
use egress_agent::kernel::Kernel;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

/// All of them.
#[derive(Debug, Serialize)]
pub(super) struct Gateways {
    /// Whether the table that sees to source addresses is there; without it, packets leave with their node's address.
    pub(super) table: bool,
    /// Whether the process that keeps them runs.
    pub(super) kept: bool,
    /// Who holds the lease, as that process knew last.
    pub(super) lease_holder: Option<String>,
    pub(super) gateways: Vec<Gateway>,
    /// What left with a gateway's address and may not any more, or named no gateway, and was stopped: packets.
    pub(super) dropped: u64,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct Gateway {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) nodes: Option<String>,
    pub(super) addresses: Vec<Address>,
    /// Packets that its guard stopped.
    pub(super) dropped: u64,
}

/// An address of one.
#[derive(Debug, Serialize)]
pub(super) struct Address {
    pub(super) address: IpAddr,
    pub(super) managed: bool,
    /// Whether this node has it, and whether the agent brought it up.
    pub(super) here: bool,
    pub(super) held: bool,
    /// Whether packets are routed to whoever has it.
    pub(super) routed: bool,
}

/// Gathers them; nothing where there are none.
pub(super) fn gateways(state: &State, bpffs: &Path) -> Result<Option<Gateways>, Failure> {
    let record = recorded(state.folder())?;
    let known = match &record {
        Some(record) => Known { all: record.gateways.clone(), mask: record.mask, ..Known::default() },
        None => enforced(state, bpffs)?,
    };
    if known.all.is_empty() {
        return Ok(None);
    }
    let record = record.unwrap_or_default();
    let counters = table::dropped()?;
    let (mut net, counted) = (Net::open()?, counters.clone().unwrap_or_default());
    let mine = net.addresses()?;
    let of = |gateway: &egress_snapshot::gateway::Gateway| one(gateway, &known, &record, (&mut net, &mine), &counted);
    let all: Result<Vec<Gateway>, Failure> = known.all.iter().map(of).collect();
    Ok(Some(Gateways {
        table: counters.is_some(),
        kept: is_kept(&record),
        lease_holder: record.lease_holder.clone(),
        gateways: all?,
        dropped: counted.get("dropped").copied().unwrap_or(0),
    }))
}

fn enforced(state: &State, bpffs: &Path) -> Result<Known, Failure> {
    let Some(kernel) = Kernel::look(bpffs)? else { return Ok(Known::default()) };
    let active = generations::at(&kernel, state, kernel.active()?)?;
    Ok(active.and_then(|active| active.snapshot).map(|snapshot| Known::of(&snapshot)).unwrap_or_default())
}

fn is_kept(record: &Record) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{}/comm", record.process));
    name.is_ok_and(|name| name.trim() == "egress-agent")
}

fn one(
    gateway: &egress_snapshot::gateway::Gateway,
    known: &Known,
    record: &Record,
    (net, mine): (&mut Net, &BTreeMap<IpAddr, u32>),
    counted: &BTreeMap<String, u64>,
) -> Result<Gateway, Failure> {
    let mut addresses = Vec::new();
    for way in ways(gateway, known) {
        let written = gateway.addresses.iter().find(|one| one.address == way.address);
        addresses.push(Address {
            address: way.address,
            managed: written.is_some_and(|one| one.managed),
            here: mine.contains_key(&way.address),
            held: record.held.contains(&way.address),
            routed: net.has_way(way)?,
        });
    }
    Ok(Gateway {
        name: gateway.name.clone(),
        number: gateway.number,
        nodes: gateway.nodes.clone(),
        addresses,
        dropped: counted.get(&egress_snapshot::gateway::counter(gateway)).copied().unwrap_or(0),
    })
}

impl Gateways {
    /// Lines for people.
    pub(super) fn text(&self, out: &mut String) {
        let kept = if self.kept { "" } else { "; nobody keeps them: run `egress-agent gateway`" };
        let table = if self.table { "" } else { "; the table `inet egressc_gateways` is missing" };
        let _ = writeln!(out, "\ngateways{kept}{table}");
        for gateway in &self.gateways {
            for address in &gateway.addresses {
                let state = match (address.here, address.held, address.routed) {
                    (true, true, _) => "held here",
                    (true, false, _) => "on this node",
                    (false, _, true) => "elsewhere, routed there",
                    (false, _, false) => "not on this node",
                };
                let _ = writeln!(out, "  {} {}: {state}", gateway.name, address.address);
            }
            let _ = writeln!(out, "  {} stopped {} packets", gateway.name, gateway.dropped);
        }
        if let Some(holder) = &self.lease_holder {
            let _ = writeln!(out, "  the lease is `{holder}`'s");
        }
    }
}
