//! Which gateway of the program a packet's mark leads to, by the addresses that packets then leave with.
//!
//! In: a snapshot's gateways, and the program's. Out: [`Ways`]. A snapshot's names say nothing: only addresses are seen by
//! others. Of several addresses of one family the first is used, as [`egress_snapshot::gateway::Gateway::address`] has it.

use super::unclear;
use crate::ebpf::decode::Decoded;
use egress_ir::{GatewayId, Outcome, Program, Unclear};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What happens to packets by the number that their mark has, in IPv4 and IPv6.
#[derive(Clone, Debug, Default)]
pub(super) struct Ways(BTreeMap<u32, [Outcome; 2]>);

impl Ways {
    /// Looks for the addresses of the snapshot's gateways among those of the program's.
    pub(super) fn of(decoded: &Decoded, program: &Program) -> Result<Self, Unclear> {
        let mut ways = BTreeMap::new();
        for gateway in &decoded.meta.gateways {
            let mut families = [Outcome::Dropped; 2];
            for (way, v6) in families.iter_mut().zip([false, true]) {
                if let Some(source) = gateway.address(v6) {
                    *way = leaving_with(source.address, program)?;
                }
            }
            ways.insert(gateway.number, families);
        }
        Ok(Self(ways))
    }

    /// What happens to packets that pass with this number in their mark, or 0. One of a family that its gateway has no
    /// address of is stopped, as is one whose number nobody has.
    pub(super) fn way(&self, number: u32, v6: bool) -> Outcome {
        if number == 0 {
            return Outcome::Passes(None);
        }
        let families = self.0.get(&number).copied().unwrap_or([Outcome::Dropped; 2]);
        let [v4, six] = families;
        if v6 { six } else { v4 }
    }
}

/// What it is called to leave with an address.
fn leaving_with(source: IpAddr, program: &Program) -> Result<Outcome, Unclear> {
    let has = |gateway: &egress_ir::Gateway| gateway.addresses.iter().any(|one| one.address == source);
    let found: Vec<GatewayId> = program.gateways.iter().filter(|(_, gateway)| has(gateway)).map(|(id, _)| id).collect();
    match found.as_slice() {
        [] => Ok(Outcome::Misrouted),
        [gateway] => Ok(Outcome::Passes(Some(*gateway))),
        _ => Err(unclear(format!("several gateways of the policy have the address {source}"))),
    }
}
