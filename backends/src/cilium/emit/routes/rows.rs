//! How many entries Cilium's egress gateway maps need.
//!
//! Each agent has one map a family with an entry for every prefix, destination or exclusion, of every pod of the cluster.

use egress_ir::Inventory;

use super::super::super::super::target::Level;
use super::super::Emitter;
use super::super::capacity::TABLE_SIZE;
use super::super::cover::Cover;
use super::super::selectors::Conjunct;

/// What the policies put into the maps.
#[derive(Default)]
pub(super) struct Rows {
    /// For each policy its pods, its family and its entries for each of these pods.
    policies: Vec<(Conjunct, bool, u64)>,
}

impl Rows {
    pub(super) fn add(&mut self, pods: &Conjunct, v6: bool, prefixes: &[Cover]) {
        let entries: usize = prefixes.iter().map(|(_, except)| 1 + except.len()).sum();
        self.policies.push((pods.clone(), v6, u64::try_from(entries).unwrap_or(u64::MAX)));
    }

    /// Says how many entries there are, and warns before they are too many.
    pub(super) fn tell(&self, emitter: &mut Emitter<'_>, inventory: Option<&Inventory>) {
        for v6 in [false, true] {
            let family = if v6 { "IPv6" } else { "IPv4" };
            if !self.policies.iter().any(|(_, of, _)| *of == v6) {
                continue;
            }
            let (level, message) = match inventory {
                Some(inventory) => self.of_pods(inventory, v6, family),
                None => self.of_each_pod(v6, family),
            };
            let help = "name fewer prefixes or pods, or raise `egress-gateway-policy-map-max`";
            let help = if level == Level::Warning { help } else { "" };
            emitter.notice(level, "egress::target::capacity", None, message, help);
        }
    }

    fn of_pods(&self, inventory: &Inventory, v6: bool, family: &str) -> (Level, String) {
        let sends = |pod: &&egress_ir::RunningPod| {
            let has_address = pod.addresses.iter().any(|address| address.is_ipv6() == v6);
            !pod.host_network && (has_address || pod.addresses.is_empty())
        };
        let pods: Vec<_> = inventory.pods.iter().filter(sends).collect();
        let mut rows = 0_u64;
        for (conjunct, _, entries) in self.policies.iter().filter(|(_, of, _)| *of == v6) {
            let selected = pods.iter().filter(|pod| conjunct.contains(&pod.identity)).count();
            rows = rows.saturating_add(entries.saturating_mul(u64::try_from(selected).unwrap_or(u64::MAX)));
        }
        let level = if rows.saturating_mul(4) >= TABLE_SIZE * 3 { Level::Warning } else { Level::Note };
        let message = format!(
            "the running pods take {rows} of the {TABLE_SIZE} entries of Cilium's egress gateway map for {family}"
        );
        (level, message)
    }

    fn of_each_pod(&self, v6: bool, family: &str) -> (Level, String) {
        let mut most = 0_u64;
        for (own, _, _) in self.policies.iter().filter(|(_, of, _)| *of == v6) {
            let sum = self.policies.iter().filter(|(other, of, _)| *of == v6 && other.and(own).is_some());
            most = most.max(sum.map(|(_, _, entries)| *entries).fold(0, u64::saturating_add));
        }
        let room = TABLE_SIZE.checked_div(most).unwrap_or(TABLE_SIZE);
        let level = if room < FEW_PODS { Level::Warning } else { Level::Note };
        let message = format!(
            "a pod takes up to {most} of the {TABLE_SIZE} entries of Cilium's egress gateway map for {family}, which has \
             room for {room} such pods; an inventory shows how many there are"
        );
        (level, message)
    }
}

/// Room for fewer pods than this is worth a warning where nobody knows how many there are.
const FEW_PODS: u64 = 256;
