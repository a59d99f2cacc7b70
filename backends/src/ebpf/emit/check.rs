//! What a snapshot cannot say of a program, and what the user should know about one that was made.
//!
//! In: program, inventory, sources. Out: every refusal with the rule or the dimension and the way out, and notices.

use super::sources::Sources;
use super::tables::Built;
use crate::target::{EmitError, Level, Notice};
use egress_ir::{Action, Inventory, OriginId, Program, Rule, Workload};

/// A dimension that explodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TooLarge {
    /// More combinations of workload sets than this.
    Combinations(usize),
    /// Destination sets overlap too often.
    Overlaps,
    /// Rows and classes of destinations together.
    Cells,
    /// Ports.
    Ports,
    /// Rules for many ports that cover the same destinations in many ways.
    Profiles,
    /// The matrix from profile and port class to outcome.
    Actions,
    /// The matrix from row and class to profile.
    Decisions,
    /// The trees of addresses.
    Trees,
    /// Sets of names that do different things.
    Names,
}

impl TooLarge {
    /// The refusal.
    pub(super) fn error(self) -> EmitError {
        let (message, help) = match self {
            Self::Combinations(limit) => (
                format!("workload sets overlap in more than {limit} ways, each of which would be a kind of source"),
                "select by fewer labels that are independent of each other",
            ),
            Self::Overlaps => (
                "destination sets cover each other too many times over".to_owned(),
                "name fewer sets of destinations that overlap, or compile fewer policies for one node",
            ),
            Self::Cells => (
                "sources times destinations that rules tell apart are too many".to_owned(),
                "let rules share destination sets and workloads, or compile fewer policies for one node",
            ),
            Self::Ports => ("rules tell more than 65,000 kinds of ports apart".to_owned(), "let rules share port sets"),
            Self::Profiles | Self::Actions => (
                "destinations times ports that rules tell apart are too many".to_owned(),
                "let rules share port sets, or name fewer ranges of ports",
            ),
            Self::Decisions => (
                "the table of sources and destinations is larger than the tables may be".to_owned(),
                "let rules share destination sets and workloads, or compile fewer policies for one node",
            ),
            Self::Names => (
                "rules about names do more than 4 different things with flows to one destination".to_owned(),
                "let rules about names share gateway and `log`",
            ),
            Self::Trees => (
                "the trees of addresses are larger than the tables may be".to_owned(),
                "name fewer prefixes, or shorter ones",
            ),
        };
        EmitError { code: "egress::target::capacity", origin: None, message, help: help.to_owned() }
    }
}

/// Everything that makes the program impossible to emit, with what was found about gateways.
pub(super) fn refusals(program: &Program, of_gateways: Vec<EmitError>) -> Vec<EmitError> {
    let mut errors = of_gateways;
    for (id, rule) in program.rules.iter() {
        check_rule(program, rule, program.rule_name(id), &mut errors);
    }
    errors.sort();
    errors.dedup();
    errors
}

fn check_rule(program: &Program, rule: &Rule, name: &str, errors: &mut Vec<EmitError>) {
    let mut refuse = |code: &'static str, message: String, help: &str| {
        errors.push(EmitError { code, origin: Some(rule.origin), message, help: help.to_owned() });
    };
    let host = program.destination_sets.at(rule.destinations).hosts.first();
    if let Some(host) = host.filter(|_| rule.action == Action::Deny) {
        refuse(
            "egress::target::host-deny",
            format!("`{name}` denies the name `{host}`, and a name that nobody saw being asked for cannot be denied"),
            "deny the addresses, or allow only the names that are meant",
        );
    }
}

/// Pods of different rows that share an address.
pub(super) fn ambiguous_pods(sources: &Sources<'_>) -> Vec<EmitError> {
    let error = |(address, one, other): &(std::net::IpAddr, String, String)| EmitError {
        code: "egress::target::address",
        origin: None,
        message: format!("pods `{one}` and `{other}` have the address `{address}` but not the same policies"),
        help: "take the inventory again when both have settled".to_owned(),
    };
    sources.ambiguous.iter().map(error).collect()
}

/// What the user should know.
pub(super) fn notices(program: &Program, inventory: Option<&Inventory>, built: &Built) -> Vec<Notice> {
    let mut notices = form(built);
    notices.extend(on_the_host(program, inventory));
    notices.extend(crate::names::notice(program));
    notices
}

fn note(origin: Option<OriginId>, code: &'static str, message: String, help: Option<&str>) -> Notice {
    Notice { level: Level::Note, code, origin, message, help: help.map(str::to_owned) }
}

/// What the tables take in the kernel.
pub(super) fn size(built: &Built) -> String {
    let (sizes, layout) = (built.sizes, built.layout);
    format!(
        "{} in the kernel (addresses {}, ports {}, decisions {}, actions {}, both {}, outcomes {}) for {} kinds of sources, {} of \
         destinations, {} of ports",
        bytes(built.bytes.len()),
        bytes(sizes.trees),
        bytes(sizes.ports),
        bytes(sizes.decisions),
        bytes(sizes.actions),
        bytes(sizes.direct),
        bytes(sizes.outcomes),
        layout.row_count,
        layout.class_count,
        layout.port_class_count,
    )
}

/// What is not in its fastest form.
fn form(built: &Built) -> Vec<Notice> {
    let layout = built.layout;
    let mut notices = Vec::new();
    let help = Some("nothing is wrong: a packet takes a few nanoseconds more");
    if layout.wide == 1 {
        let message = "more than 65,536 kinds of something: numbers take 32 bits instead of 16".to_owned();
        notices.push(note(None, "egress::target::form", message, help));
    }
    for (paged, what) in [(layout.decisions_paged, "sources and destinations"), (layout.actions_paged, "ports")] {
        if paged == 1 {
            let message = format!("the table of {what} shares its lines, because it would be large otherwise");
            notices.push(note(None, "egress::target::form", message, help));
        }
    }
    notices
}

fn bytes(count: usize) -> String {
    match count {
        0..=9_999 => format!("{count} bytes"),
        10_000..=9_999_999 => format!("{} KiB", count.div_ceil(1024)),
        _ => format!("{} MiB", count.div_ceil(1 << 20)),
    }
}

/// Pods that send as their node.
fn on_the_host(program: &Program, inventory: Option<&Inventory>) -> Vec<Notice> {
    let pods = inventory.map_or(&[][..], |inventory| &inventory.pods);
    let on_host: Vec<Workload> =
        pods.iter().filter(|pod| pod.host_network).map(|pod| Workload::Pod(pod.identity.clone())).collect();
    let mut notices = Vec::new();
    for block in program.blocks.values() {
        let set = program.workloads_of(block);
        let mut chosen = on_host.iter().filter(|pod| set.names_pods() && set.contains(pod));
        let Some(first) = chosen.next() else { continue };
        let count = chosen.count() + 1;
        let pods = if count == 1 { "1 pod".to_owned() } else { format!("{count} pods") };
        let message = format!("`{}` does not reach {pods} on a node's network, such as `{first}`", block.name);
        let help = "such pods send as their node; govern its address instead";
        let what = note(Some(block.origin), "egress::target::inventory", message, Some(help));
        notices.push(Notice { level: Level::Warning, ..what });
    }
    notices
}

/// What test vectors do not reach, because there would be too many of them.
pub(super) fn untested(missed: [usize; 3]) -> Option<Notice> {
    let [outcomes, classes, rows] = missed;
    let message = format!(
        "no test vector reaches {outcomes} outcomes, {classes} kinds of destinations and {rows} kinds of sources"
    );
    let help = "the proof speaks about all of them; the test before a switch tries a part";
    (classes + rows > 0).then(|| note(None, "egress::target::vectors", message, Some(help)))
}
