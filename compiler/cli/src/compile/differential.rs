//! The self-check: reads an artifact back from its bytes and holds it against the source, flow by flow.
//!
//! In: a program, an inventory, the bytes. Out: on how many flows they agree, or the first on which they do not. This
//! is no proof; it stops an artifact that says something else before anybody loads it.

use super::sample::{self, Sample, Sender};
use egress_backends::{cilium, nftables};
use egress_ir::classes::possible_sources;
use egress_ir::{Flow, Inventory, Pod, Program, Speaking, Workload, protocol};
use std::collections::BTreeSet;
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
    let resolver = resolver(program, inventory);
    compare(program, inventory, |_| {
        |sample: &Sample| {
            let flow = &sample.flow;
            // What is inside has another identity than the world, and names need a resolver to be learned by.
            let inside = program.cluster.contains(flow.destination.address);
            if inside || resolver.is_none() && !flow.destination.names.is_empty() {
                return None;
            }
            let judged = model.judge_program_flow(flow, resolver.as_ref())?;
            Some(judged.verdict == cilium::Verdict::Allowed)
        }
    })
}

/// A pod that resolves names for others: one that runs, or else one that could.
fn resolver(program: &Program, inventory: Option<&Inventory>) -> Option<Pod> {
    let id = program.cluster.dns?;
    let set = program.workload_sets.at(id);
    let mut running = inventory.iter().flat_map(|inventory| &inventory.pods).map(|pod| &pod.identity);
    let running = running.find(|pod| set.contains(&Workload::Pod((*pod).clone()))).cloned();
    running.or_else(|| {
        let classes = possible_sources(program, &BTreeSet::from([id]), sample::CLASSES).ok()?;
        classes.into_iter().find(|class| class.sets.contains(&id)).and_then(|class| class.pod)
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

#[cfg(test)]
mod tests {
    use super::*;
    use egress_compiler::{Input, MemoryFiles, SourceText};

    fn program(text: &str) -> Program {
        let source = SourceText { path: "p.egress".into(), bytes: text.into() };
        let input = Input { sources: vec![source], root: ".".into() };
        let compiled = egress_compiler::compile(input, &MemoryFiles::default(), &egress_compiler::Options::default());
        compiled.program.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
    }

    fn mutated(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        text.replace(from, to).into_bytes()
    }

    #[test]
    fn a_changed_ruleset_is_found_out() {
        let program = program("policy p { for address 10.9.0.0/24 allow 192.0.2.0/24, 198.51.100.7 on 443/tcp }");
        let options = nftables::Options::default();
        let bytes = nftables::emit(&program, None, &options).unwrap().bytes;
        let check = |bytes: &[u8]| nftables(&program, None, &options, bytes);
        assert!(matches!(check(&bytes), SelfCheck::Agrees(flows) if flows > 20), "{:?}", check(&bytes));
        for (from, to) in [("443", "444"), ("198.51.100.7", "198.51.100.8")] {
            let judged = check(&mutated(&bytes, from, to));
            assert!(matches!(judged, SelfCheck::Differs { .. }), "{from} for {to}: {judged:?}");
        }
        assert!(matches!(check(b"table inet other { }"), SelfCheck::Unreadable(_)));
    }

    #[test]
    fn changed_objects_are_found_out() {
        let program = program(
            "cluster c { pods 10.42.0.0/16 dns pods(k8s-app=kube-dns) in namespace kube-system }\n\
             policy p { for pods(app=a) in namespace shop allow 192.0.2.0/24 on 443/tcp allow host api.example.com deny private }",
        );
        let bytes = cilium::emit(&program, &cilium::Options::default()).unwrap().bytes;
        let check = |bytes: &[u8]| cilium(&program, None, bytes);
        assert!(matches!(check(&bytes), SelfCheck::Agrees(flows) if flows > 20), "{:?}", check(&bytes));
        for (from, to) in
            [("192.0.2.0/24", "192.0.2.0/25"), ("\"443\"", "\"444\""), ("api.example.com", "api.example.org")]
        {
            let judged = check(&mutated(&bytes, from, to));
            assert!(matches!(judged, SelfCheck::Differs { .. }), "{from} for {to}: {judged:?}");
        }
        assert!(matches!(check(b"kind: Pod"), SelfCheck::Unreadable(_)));
    }
}
