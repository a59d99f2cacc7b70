//! The rule by which pods learn names: queries to the cluster's resolver go through Cilium's DNS proxy.

use egress_ir::Program;

use super::Emitter;
use super::render::{Yaml, map, text};

/// The `egress` entry that sends queries through the proxy, if the program names a resolver that can be selected.
///
/// Every name is let through: which names may be *reached* is for `toFQDNs` to say, and lookups inside the cluster must go on.
pub(super) fn resolver(emitter: &mut Emitter<'_>) -> Option<Yaml> {
    let program: &Program = emitter.program;
    let id = program.cluster.dns?;
    let uses_names = |rule: &&egress_ir::Rule| !program.destination_sets.at(rule.destinations).hosts.is_empty();
    let origin = program.rules.values().find(uses_names)?.origin;
    let conjuncts = emitter.conjuncts(program.workload_sets.at(id), origin, "the cluster's `dns`");
    let mut endpoints = Vec::new();
    for conjunct in conjuncts {
        match conjunct.selector(false) {
            Ok(selector) => endpoints.push(selector),
            Err(why) => emitter.error(
                "egress::target::label",
                origin,
                format!("the cluster's `dns`: {}", why.message),
                why.help,
            ),
        }
    }
    let ports = Yaml::list([map([("port", text("53")), ("protocol", text("ANY"))])]);
    let rules = map([("dns", Yaml::list([map([("matchPattern", text("*"))])]))]);
    (!endpoints.is_empty()).then(|| {
        map([
            ("toEndpoints", Yaml::list(endpoints)),
            ("toPorts", Yaml::list([map([("ports", ports), ("rules", rules)])])),
        ])
    })
}
