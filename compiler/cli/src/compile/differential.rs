//! The self-check: reads an artifact back from its bytes and holds it against the source, flow by flow.
//!
//! In: a program, an inventory, the bytes. Out: on how many flows they agree, or the first on which they do not. This
//! is no proof; it stops an artifact that says something else before anybody loads it.

use super::sample::{self, Sample, Sender};
use egress_backends::{cilium, nftables};
use egress_ir::{Flow, Inventory, Pod, Port, Program, Speaking, Workload, protocol};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What the self-check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SelfCheck {
    /// Artifact and source agree on this many flows.
    Agrees(usize),
    /// They do not agree on this flow, which passes by the source if `passes`.
    Differs {
        /// The flow.
        flow: Box<Flow>,
        /// Whether it passes by the source.
        passes: bool,
    },
    /// The artifact cannot be read back.
    Unreadable(String),
}

/// Holds an nftables file against its source.
pub(super) fn nftables(
    program: &Program,
    inventory: Option<&Inventory>,
    options: &nftables::Options,
    bytes: &[u8],
) -> SelfCheck {
    let ruleset = match nftables::decode(bytes) {
        Ok(ruleset) => ruleset,
        Err(error) => return SelfCheck::Unreadable(error.to_string()),
    };
    let hook = match options.hooks.as_slice() {
        [nftables::Hook::Output] => nftables::Hook::Output,
        _ => nftables::Hook::Prerouting,
    };
    let interface = options.interfaces.first().map(|name| name.replace('*', "0"));
    compare(program, inventory, |_| {
        |sample: &Sample| {
            let source = sample.source?;
            let flow = &sample.flow;
            if is_neighbour_discovery(flow) {
                return None;
            }
            let mut packet = nftables::Packet::new(hook, source, flow.destination.address, flow.port);
            if let (nftables::Hook::Prerouting, Some(interface)) = (hook, &interface) {
                packet.input.clone_from(interface);
            }
            Some(ruleset.judge(&packet).passes)
        }
    })
}

/// Holds Cilium objects against their source.
pub(super) fn cilium(program: &Program, inventory: Option<&Inventory>, bytes: &[u8]) -> SelfCheck {
    let model = match cilium::decode(bytes) {
        Ok(model) => model,
        Err(error) => return SelfCheck::Unreadable(error.to_string()),
    };
    compare(program, inventory, |sender| {
        let pod = match &sender.workload {
            Workload::Pod(pod) => Some(pod.clone()),
            Workload::Address(_) => None,
        };
        let model = &model;
        move |sample: &Sample| {
            let pod = pod.as_ref()?;
            let destination = &sample.flow.destination;
            // What is inside has another identity than the world, which this environment does not know.
            if program.cluster.contains(destination.address) {
                return None;
            }
            let (known, environment) = environment(pod, destination.address, &destination.names);
            let flow = cilium_flow(destination.address, sample.flow.port);
            Some(model.judge(&environment, &known, &flow).verdict == cilium::Verdict::Allowed)
        }
    })
}

/// Judges sample flows of every sender by both; a flow of which the target cannot speak is left out.
fn compare<J: Fn(&Sample) -> Option<bool>>(
    program: &Program,
    inventory: Option<&Inventory>,
    judge_of: impl Fn(&Sender) -> J,
) -> SelfCheck {
    let mut agreed = 0;
    for (seed, sender) in (1..).zip(sample::senders(program, inventory)) {
        let speaking = Speaking::about(program, &sender.workload);
        let judge = judge_of(&sender);
        for sample in sample::flows(program, &sender, seed) {
            let Some(judged) = judge(&sample) else { continue };
            let passes = speaking.decide(&sample.flow, |_| true).verdict.passes();
            if passes != judged {
                return SelfCheck::Differs { flow: Box::new(sample.flow), passes };
            }
            agreed += 1;
        }
    }
    SelfCheck::Agrees(agreed)
}

/// Whether the ruleset lets the flow pass whatever policies say, because a node loses its neighbours without.
fn is_neighbour_discovery(flow: &Flow) -> bool {
    let IpAddr::V6(address) = flow.destination.address else { return false };
    let kind = flow.port.number() >> 8;
    let is_local = address.is_unicast_link_local() || address.segments().first() == Some(&0xff02);
    flow.port.protocol() == protocol::ICMPV6 && (133..=136).contains(&kind) && is_local
}

/// A cluster of one pod, where `names` resolved to `address`.
fn environment(pod: &Pod, address: IpAddr, names: &BTreeSet<String>) -> (cilium::KnownPod, cilium::Environment) {
    let known = cilium::KnownPod {
        namespace: pod.namespace.clone(),
        name: pod.name.clone().unwrap_or_else(|| "pod".to_owned()),
        labels: pod.labels.clone(),
        service_account: pod.service_account.clone(),
        ..cilium::KnownPod::default()
    };
    let environment = cilium::Environment {
        cluster_name: "default".to_owned(),
        dual_stack: true,
        namespaces: BTreeMap::from([(pod.namespace.clone(), pod.namespace_labels.clone())]),
        pods: vec![known.clone()],
        names: names.iter().map(|name| (name.clone(), BTreeSet::from([address]))).collect(),
        ..cilium::Environment::default()
    };
    (known, environment)
}

fn cilium_flow(to: IpAddr, port: Port) -> cilium::CiliumFlow {
    use cilium::model::Protocol;
    let number = port.number();
    let (protocol, number) = match port.protocol() {
        protocol::TCP => (Protocol::Tcp, number),
        protocol::UDP => (Protocol::Udp, number),
        protocol::SCTP => (Protocol::Sctp, number),
        protocol::ICMP => (Protocol::Icmp, number >> 8),
        protocol::ICMPV6 => (Protocol::Icmpv6, number >> 8),
        other => (Protocol::Other(other), 0),
    };
    cilium::CiliumFlow { to, protocol, number }
}
