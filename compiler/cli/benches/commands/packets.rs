//! What the loaded ruleset costs a packet, against no ruleset, a list of rules, and connection tracking alone.
//!
//! In: nothing. Out: nanoseconds and ratios. Packets go from a pod through a node to the outside, all of them in
//! network namespaces made for it; every packet that is timed is one that the policy allows, and that it arrives under
//! each ruleset is seen first.

use crate::linear;
use crate::support::{self, Outcome, Unit};
use crate::table::{self, Figure, Goal};
use crate::verbs;
use egress_ir::{Flow, Program, Verdict, Workload, eval, protocol};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::lab::{Candidate, Cost, Lab, LabError, Probe, ProbeKind, Range, Topology};
use egress_testkit::seed::Rng;
use std::fs;

/// The sizes of the policies, with the goals for emitted against none and for a list against emitted.
const SIZES: [(usize, f64, f64); 2] = [(1_000, 1.35, 4.0), (10_000, 1.5, 25.0)];
/// Different flows.
const FLOWS: usize = 256;
/// Packets for each ruleset and round, and rounds.
const PACKETS: (usize, usize) = (4_096, 7);
/// A ruleset that does nothing but look at connections.
const TRACKING: &str = "table inet t {
  chain pre {
    type filter hook prerouting priority -90; policy accept;
    ct state invalid drop
  }
}
";

/// Measures, where this machine can hold a lab.
pub(crate) fn measure() -> Outcome<()> {
    table::heading("a packet through the node", ["CPU", "to no rules", "beside"]);
    for (rules, forwarding, list) in SIZES {
        let lab = match Lab::new(&topology()?) {
            Err(LabError::Unavailable(why)) => {
                table::note(&format!("  SKIPPED: {why}"));
                return Ok(());
            }
            built => built?,
        };
        let texts = support::clean(rules);
        let unit = support::unit(&texts)?;
        let folder = tempfile::tempdir()?;
        let emitted = fs::read_to_string(verbs::artifact(folder.path(), &texts, &[])?)?;
        let with_epoch = fs::read_to_string(verbs::artifact(folder.path(), &texts, &["--epoch", "1"])?)?;
        let linear = linear::ruleset(&unit);
        let candidates =
            [("none", ""), ("tracking", TRACKING), ("emitted", &emitted), ("epoch", &with_epoch), ("linear", &linear)]
                .map(|(name, ruleset)| Candidate { name, ruleset });
        let probes = allowed(&lab, &unit)?;
        for candidate in &candidates {
            all_arrive(&lab, candidate, &probes)?;
        }
        let (packets, rounds) = PACKETS;
        report(rules, &lab.compare_costs(&candidates, &probes, packets, rounds)?, forwarding, list)?;
    }
    Ok(())
}

/// A pod that holds every address of the generated cluster's pods.
fn topology() -> Outcome<Topology> {
    let range = |network: &str, length| Ok::<_, std::net::AddrParseError>(Range { network: network.parse()?, length });
    Ok(Topology { pods: vec![vec![range("10.32.0.0", 12)?, range("fd00:42::", 48)?]] })
}

/// Probes of flows that the policy allows and that arrive where there are no rules.
fn allowed(lab: &Lab, unit: &Unit) -> Outcome<Vec<Probe>> {
    lab.node().nft("flush ruleset\n")?;
    let mut rng = Rng::new(support::SEED, 7);
    let mut probes = Vec::new();
    for _ in 0..FLOWS * 200 {
        let flow = biased_flow(&mut rng, &unit.program, Sources::Inventory(&unit.inventory));
        let Some(probe) = probe(unit, &flow).filter(|_| is_allowed(&unit.program, &flow)) else { continue };
        if lab.probe(probe)?.arrived() {
            probes.push(probe);
        }
        if probes.len() == FLOWS {
            return Ok(probes);
        }
    }
    Err(format!("only {} flows are allowed", probes.len()).into())
}

fn is_allowed(program: &Program, flow: &Flow) -> bool {
    matches!(eval(program, flow).verdict, Verdict::Allowed(_))
}

/// The flow's first packet; nothing for what the lab's pod cannot send.
fn probe(unit: &Unit, flow: &Flow) -> Option<Probe> {
    let Workload::Pod(pod) = &flow.workload else { return None };
    let to = flow.destination.address;
    let running = unit.inventory.pods.iter().find(|running| running.identity == *pod)?;
    let from = running.addresses.iter().copied().find(|address| address.is_ipv4() == to.is_ipv4())?;
    let kind = match flow.port.protocol() {
        protocol::TCP => ProbeKind::Tcp(flow.port.number()),
        protocol::UDP => ProbeKind::Udp(flow.port.number()),
        _ => return None,
    };
    Some(Probe { from, to, kind })
}

fn all_arrive(lab: &Lab, candidate: &Candidate<'_>, probes: &[Probe]) -> Outcome<()> {
    lab.node().nft(&format!("flush ruleset\n{}", candidate.ruleset))?;
    let outcomes = lab.probe_all(probes)?;
    match probes.iter().zip(outcomes).find(|(_, outcome)| !outcome.arrived()) {
        Some((probe, _)) => Err(format!("under the ruleset `{}` {probe:?} does not arrive", candidate.name).into()),
        None => Ok(()),
    }
}

fn report(rules: usize, costs: &[Cost], forwarding: f64, list: f64) -> Outcome<()> {
    let cost = |name: &str| costs.iter().find(|cost| cost.name == name).ok_or("a cost is missing");
    let (none, tracking, emitted) = (cost("none")?, cost("tracking")?, cost("emitted")?);
    let (epoch, linear) = (cost("epoch")?, cost("linear")?);
    let size = table::grouped(rules);
    line(&format!("{size} rules: no ruleset"), none, None, &[]);
    line(&format!("{size} rules: connection tracking alone"), tracking, None, &[]);
    let goal = Goal::AtMost(Figure::Times(emitted.ratio), Figure::Times(forwarding));
    line(&format!("{size} rules: emitted"), emitted, Some(("tracking", emitted.nanos / tracking.nanos)), &[goal]);
    let times = epoch.nanos / tracking.nanos;
    let goal = Goal::AtMost(Figure::Times(times), Figure::Times(1.05));
    line(&format!("{size} rules: emitted, known by the epoch"), epoch, Some(("tracking", times)), &[goal]);
    let times = linear.nanos / emitted.nanos;
    let goal = Goal::AtLeast(Figure::Times(times), Figure::Times(list));
    line(&format!("{size} rules: list by hand"), linear, Some(("emitted", times)), &[goal]);
    Ok(())
}

fn line(what: &str, cost: &Cost, beside: Option<(&str, f64)>, goals: &[Goal]) {
    let beside = beside.map(|(other, times)| format!("{} of {other}", Figure::Times(times)));
    let figures = [Some(Figure::Nanos(cost.nanos).to_string()), Some(Figure::Times(cost.ratio).to_string()), beside];
    table::line(&format!("  {what}"), figures, goals);
}
