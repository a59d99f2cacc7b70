//! Small programs beside the files that are made of them, to be read as a reviewer reads.

use egress_backends::nftables::{Hook, LogTarget, Options, emit};
use egress_ir::{
    Action, AddressSet, Block, BlockKind, Cluster, DestinationSet, HostPattern, Inventory, Operator, Origin, Pod,
    PodSelector, Port, PortSet, Prefix, Program, Requirement, Rule, RunningPod, Selector, SourceId, WorkloadSet,
};
use std::collections::BTreeSet;

fn prefix(text: &str) -> Prefix {
    let (address, length) = text.split_once('/').unwrap();
    Prefix::containing(address.parse().unwrap(), length.parse().unwrap())
}

fn addresses(texts: &[&str]) -> AddressSet {
    AddressSet::from_prefixes(texts.iter().map(|text| prefix(text)))
}

fn app(name: &str) -> WorkloadSet {
    let operator = Operator::In(BTreeSet::from([name.to_owned()]));
    let labels = Selector(vec![Requirement { key: "app".into(), operator }]);
    WorkloadSet::Pods(PodSelector { labels, ..PodSelector::default() })
}

/// One rule: what, where to, on what, and whether it is logged.
type Line<'t> = (Action, &'t [&'t str], PortSet, bool);

fn add_block(program: &mut Program, name: &str, kind: BlockKind, audit: bool, who: WorkloadSet, lines: &[Line<'_>]) {
    let source = source(program);
    let mut origin = Origin::at(name, source, 0, 1, 1);
    origin.owner = Some(format!("team-{name}"));
    let origin = program.origins.entries.push(origin);
    let workloads = program.intern_workloads(who);
    let block = program.blocks.push(Block { name: name.into(), kind, workloads, audit, rules: Vec::new(), origin });
    for (number, (action, to, ports, log)) in lines.iter().enumerate() {
        let mut origin = Origin::at(format!("{name}#{}", number + 1), source, 0, 1, 1);
        origin.ticket = Some("SEC-1042".into());
        origin.because = Some("card \"payments\" for $5*".into());
        let rule = Rule {
            block,
            action: *action,
            destinations: program
                .intern_destinations(DestinationSet { addresses: addresses(to), ..DestinationSet::default() }),
            ports: program.intern_ports(ports.clone()),
            gateway: None,
            log: *log,
            origin: program.origins.entries.push(origin),
        };
        let rule = program.rules.push(rule);
        program.blocks.get_mut(block).unwrap().rules.push(rule);
    }
}

fn source(program: &mut Program) -> SourceId {
    let known = program.origins.sources.ids().next();
    known.unwrap_or_else(|| program.origins.sources.push("shop.egress".into()))
}

fn pod(name: &str, label: &str, addresses: &[&str]) -> RunningPod {
    let labels = [("app".to_owned(), label.to_owned())].into();
    RunningPod {
        identity: Pod { namespace: "shop".into(), name: Some(name.into()), labels, ..Pod::default() },
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        node: None,
        host_network: false,
    }
}

fn cluster() -> Cluster {
    let nodes = addresses(&["192.168.10.0/24"]);
    Cluster::new(Some("prod".into()), addresses(&["10.42.0.0/16", "fd00:42::/56"]), addresses(&["10.43.0.0/16"]), nodes)
}

fn shop() -> (Program, Inventory) {
    let mut program = Program { cluster: cluster(), ..Program::default() };
    let https = PortSet::numbers(6, 443, 443);
    let database = PortSet::numbers(6, 5432, 5432).union(&PortSet::numbers(6, 6432, 6440));
    let any = PortSet::any();
    let deny: Line<'_> = (Action::Deny, &["169.254.169.254/32", "fd00:ec2::254/128"], any.clone(), true);
    add_block(&mut program, "never", BlockKind::Guardrail, false, WorkloadSet::All, &[deny]);
    let lines: [Line<'_>; 3] = [
        (Action::Allow, &["203.0.113.0/26", "2001:db8:1::/48"], https.clone(), true),
        (Action::Allow, &["10.20.0.0/16"], database, false),
        (Action::Deny, &["10.20.99.0/24"], any.clone(), false),
    ];
    add_block(&mut program, "shop", BlockKind::Policy, false, app("checkout"), &lines);
    let tried: [Line<'_>; 2] =
        [(Action::Deny, &["203.0.113.0/28"], https, false), (Action::Allow, &["198.51.100.7/32"], any, false)];
    add_block(&mut program, "tried", BlockKind::Policy, true, app("checkout"), &tried);
    let inventory = Inventory {
        pods: vec![
            pod("checkout-1", "checkout", &["10.42.1.5", "fd00:42::1:5"]),
            pod("checkout-2", "checkout", &["10.42.2.5"]),
            pod("web-1", "web", &["10.42.1.6"]),
            pod("pending", "checkout", &[]),
            RunningPod { host_network: true, ..pod("agent", "checkout", &["192.168.10.4"]) },
        ],
        ..Inventory::default()
    };
    (program, inventory)
}

fn host() -> Program {
    let mut program = Program::default();
    let names = PortSet::numbers(17, 53, 53).union(&PortSet::numbers(6, 53, 53));
    let pings =
        PortSet::icmp_type(1, 8).union(&PortSet::icmp_type(58, 128)).union(&PortSet::numbers(1, 0x0304, 0x0304));
    let all: [Line<'_>; 2] = [
        (Action::Allow, &["192.0.2.53/32", "2001:db8::53/128"], names, false),
        (Action::Allow, &["0.0.0.0/0", "::/0"], pings, false),
    ];
    add_block(&mut program, "lockdown", BlockKind::Policy, false, WorkloadSet::All, &all);
    let legacy = WorkloadSet::Address(prefix("10.9.0.0/24"));
    let tunnels = PortSet::protocol(47).union(&PortSet::protocol(50));
    add_block(
        &mut program,
        "legacy",
        BlockKind::Policy,
        false,
        legacy,
        &[(Action::Allow, &["198.51.100.0/24"], tunnels, false)],
    );
    program
}

fn snapshot(name: &str, content: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../testdata/nftables");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, content));
}

#[test]
fn a_cluster_with_audit_and_logs() {
    let (program, inventory) = shop();
    let options = Options { source_digest: Some("sha256:9f2c41".into()), generation: 7, ..Options::default() };
    let artifact = emit(&program, Some(&inventory), &options).unwrap();
    let notices: Vec<String> =
        artifact.notices.iter().map(|n| format!("# {:?} {}: {}\n", n.level, n.code, n.message)).collect();
    snapshot("cluster", &(notices.concat() + &String::from_utf8(artifact.bytes).unwrap()));
}

#[test]
fn a_host_with_an_epoch() {
    let options = Options {
        epoch: Some(3),
        ct_mark_mask: 0x0000_ff00,
        log: LogTarget::Kernel,
        interfaces: vec!["eth1".into(), "wg*".into()],
        ..Options::default()
    };
    let artifact = emit(&host(), None, &options).unwrap();
    snapshot("host", &String::from_utf8(artifact.bytes).unwrap());
}

#[test]
fn a_cluster_with_gateways() {
    let (mut program, inventory) = shop();
    let block = program.blocks.ids().nth(1).unwrap();
    let (first, second) = (program.blocks.at(block).rules[0], program.blocks.at(block).rules[1]);
    let origin = program.rules.at(first).origin;
    let mut gateway = |name: &str, nodes, addresses: &[(&str, bool)]| {
        let address = |(address, managed): &(&str, bool)| egress_ir::GatewayAddress {
            address: address.parse().unwrap(),
            managed: *managed,
        };
        let addresses = addresses.iter().map(address).collect();
        program.gateways.push(egress_ir::Gateway { name: name.into(), nodes, addresses, origin })
    };
    let operator = Operator::In(BTreeSet::from(["eu".into()]));
    let zone = Selector(vec![Requirement { key: "egress-zone".into(), operator }]);
    let eu = gateway("eu fixed", Some(zone), &[("192.168.10.200", true), ("fd00:10::200", true)]);
    let database = gateway("database", None, &[("192.168.10.201", false)]);
    program.rules.get_mut(first).unwrap().gateway = Some(eu);
    program.rules.get_mut(second).unwrap().gateway = Some(database);
    let hooks = vec![Hook::Prerouting, Hook::Output];
    let options = Options { interfaces: vec!["cali*".into()], hooks, epoch: Some(1), ..Options::default() };
    let artifact = emit(&program, Some(&inventory), &options).unwrap();
    snapshot("gateways", &String::from_utf8(artifact.bytes).unwrap());
}

#[test]
fn what_the_target_cannot_say_is_refused() {
    let (mut program, mut inventory) = shop();
    let block = program.blocks.ids().nth(1).unwrap();
    let first = program.blocks.at(block).rules[0];
    let hosts = BTreeSet::from([HostPattern::Exact("api.stripe.com".into())]);
    program.rules.get_mut(first).unwrap().destinations =
        program.intern_destinations(DestinationSet { hosts, ..DestinationSet::default() });
    program.rules.get_mut(first).unwrap().action = Action::Deny;
    let origin = program.rules.at(first).origin;
    let gateway = egress_ir::Gateway { name: "eu".into(), nodes: None, addresses: Vec::new(), origin };
    let second = program.blocks.at(block).rules[1];
    program.rules.get_mut(second).unwrap().gateway = Some(program.gateways.push(gateway));
    let node = WorkloadSet::Address(prefix("192.168.10.7/32"));
    add_block(&mut program, "nodes", BlockKind::Policy, false, node, &[]);
    let long = "n".repeat(251);
    add_block(&mut program, &long, BlockKind::Policy, false, WorkloadSet::All, &[]);
    let options = Options { epoch: Some(256), log_rate: 0, interfaces: vec!["a\"b".into()], ..Options::default() };
    let mut shown = String::new();
    for error in emit(&program, None, &options).unwrap_err() {
        let name = error.origin.map_or("", |origin| &program.origins.entries.at(origin).name);
        shown += &format!(
            "{} at {name:.20}\n  {}\n  help: {}\n",
            error.code,
            error.message.replace(&long, "n…"),
            error.help
        );
    }
    inventory.pods.push(pod("twin", "web", &["10.42.1.5"]));
    let (program, _) = shop();
    for error in emit(&program, Some(&inventory), &Options::default()).unwrap_err() {
        shown += &format!("{}\n  {}\n  help: {}\n", error.code, error.message, error.help);
    }
    snapshot("refused", &shown);
}

#[test]
fn the_bytes_are_a_function_of_the_arguments() {
    let (program, inventory) = shop();
    let make = || emit(&program, Some(&inventory), &Options::default()).unwrap();
    assert_eq!(make(), make());
    assert!(program.port_sets.values().any(|ports| ports.contains(Port::tcp(443))));
}
