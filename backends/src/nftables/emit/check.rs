//! What nftables cannot say of a program: found before anything is emitted.
//!
//! In: program, inventory, options. Out: every refusal, with the rule or block and the way out, and the notices.

use super::sources::Sources;
use super::words::{LONGEST_NAME, identifier};
use crate::nftables::model::Hook;
use crate::nftables::options::Options;
use crate::target::{EmitError, Level, Notice};
use egress_ir::{Action, AddressSet, Block, Inventory, OriginId, Prefix, Program, Rule, Workload, WorkloadSet};
use egress_snapshot::names::set_name;

/// Everything that makes the program impossible to emit.
pub(super) fn refusals(
    program: &Program,
    inventory: Option<&Inventory>,
    options: &Options,
    hooks: &[Hook],
) -> Vec<EmitError> {
    let mut errors = Vec::new();
    check_options(options, &mut errors);
    for block in program.blocks.values() {
        check_block(program, block, inventory.is_some(), hooks, &mut errors);
    }
    for (id, rule) in program.rules.iter() {
        check_rule(program, rule, program.rule_name(id), &mut errors);
    }
    errors
}

/// Pods of different policies that share an address, which no filter on addresses can tell apart.
pub(super) fn ambiguous_pods(sources: &Sources) -> Vec<EmitError> {
    let error = |(address, one, other): &(std::net::IpAddr, String, String)| EmitError {
        code: "egress::target::address",
        origin: None,
        message: format!("pods `{one}` and `{other}` have the address `{address}` but not the same policies"),
        help: "take the inventory again when both have settled".to_owned(),
    };
    sources.ambiguous.iter().map(error).collect()
}

fn refuse(code: &'static str, origin: OriginId, message: String, help: &str) -> EmitError {
    EmitError { code, origin: Some(origin), message, help: help.to_owned() }
}

fn check_options(options: &Options, errors: &mut Vec<EmitError>) {
    let mut wrong = |message: String, help: &str| {
        errors.push(EmitError { code: "egress::target::option", origin: None, message, help: help.to_owned() });
    };
    let mask = options.ct_mark_mask;
    let largest = mask.checked_shr(mask.trailing_zeros()).unwrap_or(0);
    if mask == 0 || largest & largest.wrapping_add(1) != 0 {
        wrong(
            format!("the connection mark's mask `{mask:#010x}` is not one run of bits"),
            "use a mask such as `0x00ff0000`",
        );
    } else if options.epoch.is_some_and(|epoch| epoch == 0 || epoch > largest) {
        wrong(
            format!("the policy epoch does not fit the mask `{mask:#010x}`"),
            &format!("use a number from 1 to {largest}"),
        );
    }
    if options.hooks.contains(&Hook::Postrouting) {
        wrong("flows are not judged at postrouting, where it is too late".to_owned(), "hook `prerouting` or `output`");
    }
    if options.log_rate == 0 {
        wrong("a log rate of 0 would say nothing".to_owned(), "allow at least one line a second");
    }
    for name in &options.interfaces {
        let stem = name.strip_suffix('*').unwrap_or(name);
        let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '*' | '/' | '\\' | '$' | ':');
        if stem.is_empty() || name.len() > 15 || !stem.chars().all(fits) {
            wrong(format!("`{name}` is no interface name"), "name an interface, or the beginning of some and a `*`");
        }
    }
    if options.source_digest.as_ref().is_some_and(|digest| !digest.chars().all(|c| c.is_ascii_graphic())) {
        wrong("the source digest has characters that a comment cannot hold".to_owned(), "use `sha256:` and hex digits");
    }
}

fn check_block(program: &Program, block: &Block, has_inventory: bool, hooks: &[Hook], errors: &mut Vec<EmitError>) {
    let name = &block.name;
    let workloads = program.workloads_of(block);
    if !has_inventory && workloads.names_pods() {
        errors.push(refuse(
            "egress::target::inventory",
            block.origin,
            format!("`{name}` chooses pods by labels, and nftables knows addresses only"),
            "give the pods of the cluster with `--inventory`, or use the target `cilium`",
        ));
    }
    let on_nodes = named_addresses(workloads).intersection(&program.cluster.nodes);
    if let Some(address) = on_nodes.first().filter(|_| !hooks.contains(&Hook::Output)) {
        errors.push(refuse(
            "egress::target::hook",
            block.origin,
            format!("`{name}` speaks about the node `{address}`, whose own traffic the ruleset does not see"),
            "hook `output` too, or leave the nodes out of the policy",
        ));
    }
    check_name(&format!("audit_{}", identifier(name)), name, block.origin, errors);
}

fn check_rule(program: &Program, rule: &Rule, name: &str, errors: &mut Vec<EmitError>) {
    let hosts = &program.destination_sets.at(rule.destinations).hosts;
    if let Some(host) = hosts.first().filter(|_| rule.action == Action::Deny) {
        errors.push(refuse(
            "egress::target::host-deny",
            rule.origin,
            format!("`{name}` denies the name `{host}`, and whoever did not ask for it would pass"),
            "deny the addresses, or allow only the names that are meant",
        ));
    }
    if let Some(host) = hosts.iter().find(|host| set_name(&host.to_string(), true).is_none()) {
        errors.push(refuse(
            "egress::target::name",
            rule.origin,
            format!("the name `{host}` of `{name}` is longer than the kernel takes for a set"),
            "use a name of at most 240 letters, or a wildcard",
        ));
    }
    check_name(&format!("audit_{}", identifier(name)), name, rule.origin, errors);
}

fn check_name(identifier: &str, name: &str, origin: OriginId, errors: &mut Vec<EmitError>) {
    if identifier.len() > LONGEST_NAME {
        errors.push(refuse(
            "egress::target::name",
            origin,
            format!("the name `{name}` is longer than the kernel takes for a counter"),
            "use a name of at most 200 letters",
        ));
    }
}

/// The addresses that a set names itself, rather than by `all`.
fn named_addresses(set: &WorkloadSet) -> AddressSet {
    match set {
        WorkloadSet::All | WorkloadSet::Pods(_) => AddressSet::empty(),
        WorkloadSet::Address(prefix) => AddressSet::from_prefixes([*prefix]),
        WorkloadSet::Union(sets) => sets.iter().fold(AddressSet::empty(), |all, set| all.union(&named_addresses(set))),
        WorkloadSet::Except(set, out) => named_addresses(set).difference(&out.addresses()),
    }
}

/// What the user should know about an artifact that was made.
pub(super) fn notices(program: &Program, inventory: Option<&Inventory>, hooks: &[Hook]) -> Vec<Notice> {
    let mut notices = Vec::new();
    let note = |origin, message: String, help: &str| Notice {
        level: Level::Note,
        code: "egress::target::inventory",
        origin,
        message,
        help: Some(help.to_owned()),
    };
    let pods = inventory.map_or(&[][..], |inventory| &inventory.pods);
    let without_address = pods.iter().filter(|pod| pod.host_network || pod.addresses.is_empty());
    let without_address: Vec<(bool, Workload)> =
        without_address.map(|pod| (pod.host_network, Workload::Pod(pod.identity.clone()))).collect();
    for block in program.blocks.values() {
        let set = program.workloads_of(block);
        let of = |on_host: bool| {
            let chosen = without_address.iter().filter(move |(host, pod)| *host == on_host && set.contains(pod));
            (chosen.clone().count(), chosen.map(|(_, pod)| pod).next())
        };
        if let (count, Some(first)) = of(true)
            && set.names_pods()
        {
            let who = format!("`{}` does not reach {} on a node's network", block.name, pods_shown(count));
            let help = "such pods send as their node; govern its address instead";
            let what = note(Some(block.origin), format!("{who}, such as `{first}`"), help);
            notices.push(Notice { level: Level::Warning, ..what });
        }
        if let (count, Some(first)) = of(false) {
            let who = format!("{} of `{}` without an address", pods_shown(count), block.name);
            let help = "compile again when they run; until then their addresses are judged as unknown ones";
            notices.push(note(Some(block.origin), format!("{who}, such as `{first}`"), help));
        }
    }
    notices.extend(unknown_sources(program, hooks));
    notices.extend(crate::names::notice(program));
    notices.sort();
    notices.dedup();
    notices
}

fn pods_shown(count: usize) -> String {
    if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") }
}

/// What becomes of sources in the pod ranges that no inventory names, and of the nodes themselves.
fn unknown_sources(program: &Program, hooks: &[Hook]) -> Vec<Notice> {
    let governed = program.blocks.values().filter(|block| !block.audit && block.kind == egress_ir::BlockKind::Policy);
    let governed = governed.fold(AddressSet::empty(), |all, block| all.union(&program.workloads_of(block).addresses()));
    let mut notices = Vec::new();
    let mut note = |message: String, help: &str| {
        notices.push(Notice {
            level: Level::Note,
            code: "egress::target::coverage",
            origin: None,
            message,
            help: Some(help.to_owned()),
        });
    };
    let loose: Vec<Prefix> = program.cluster.pods.difference(&governed).prefixes();
    if let Some(first) = loose.first() {
        note(
            format!("a pod in `{first}` that the inventory does not name passes"),
            "compile again when pods come and go, or put a policy `for all` beneath the others",
        );
    }
    if let Some(first) = program.cluster.nodes.first().filter(|_| !hooks.contains(&Hook::Output)) {
        note(
            format!("what nodes such as `{first}` send themselves is not judged"),
            "hook `output` too if nodes are to be governed",
        );
    }
    notices
}
