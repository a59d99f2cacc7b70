//! Gateways by Cilium: a case that people read, what is refused, and what is said aloud.

use std::path::Path;

use crate::build::{Unit, host, pods, set};
use crate::schema::Schemas;
use egress_backends::cilium::{Options, VipService, decode, emit};
use egress_backends::{EmitError, Level, Notice, Routing};
use egress_ir::{
    Action, BlockKind, DestinationSet, Flow, Inventory, Node, Outcome, Plane, Pod, PortSet, Program, RunningPod,
    Workload, WorkloadSet,
};

fn https() -> PortSet {
    PortSet::numbers(6, 443, 443)
}

fn web() -> WorkloadSet {
    pods(&[("app", &["web"])], Some("shop"), None)
}

/// A shop that reaches its partners through a gateway, and everything else by its own nodes.
fn shop() -> Program {
    let mut unit = Unit::new();
    let eu = unit.gateway("eu-fixed", &["203.0.113.10", "2001:db8:ffff::10"]);
    let us = unit.gateway("us-fixed", &["198.51.100.10"]);
    let never = unit.block(BlockKind::Guardrail, "never", WorkloadSet::All);
    unit.rule(never, Action::Deny, set(&["169.254.169.254/32"]), PortSet::any());
    let checkout = pods(&[("app", &["checkout"])], Some("shop"), None);
    let shop = unit.block(BlockKind::Policy, "shop", checkout);
    let partners = unit.rule(shop, Action::Allow, set(&["10.0.0.0/8", "2001:db8:40::/44"]), https());
    unit.because(partners, "partners let in one address", "SEC-7");
    unit.via(partners, eu);
    let bank = unit.rule(shop, Action::Allow, set(&["20.0.0.0/16"]), https());
    unit.via(bank, us);
    unit.rule(shop, Action::Allow, set(&["20.1.0.0/16"]), PortSet::numbers(17, 123, 123));
    let batch = pods(&[("tier", &["etl", "ml"])], Some("jobs"), Some("batch"));
    let etl = unit.block(BlockKind::Policy, "etl", batch);
    let all = unit.rule(etl, Action::Allow, host(&["api.example.com"]), https());
    unit.via(all, eu);
    unit.program
}

#[test]
fn a_shop_with_gateways_reads_like_its_source() {
    let artifact = emit(&shop(), None, &Options::default()).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let text = String::from_utf8(artifact.bytes).expect("text");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cilium/emit/gateways.yaml");
    if std::env::var_os("EGRESS_BLESS").is_some() {
        std::fs::write(&path, &text).expect("a file");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, expected, "{} differs; EGRESS_BLESS=1 accepts what there is now", path.display());
    let (count, wrong) = Schemas::read().check(&text);
    assert!(count > 0 && wrong.is_empty(), "{wrong:?}");
}

#[test]
fn without_routing_of_its_own_there_are_no_gateway_policies() {
    let options = Options { routing: Routing::Elsewhere, ..Options::default() };
    let artifact = emit(&shop(), None, &options).expect("filters only");
    let model = decode(&artifact.bytes).expect("our own output");
    assert!(model.gateways.is_empty() && !model.policies.is_empty());
    // What would be refused for its gateways is not, either.
    let (program, _) = disagreement();
    assert!(emit(&program, None, &options).is_ok());
}

/// Two rules for one destination that leave in different ways, and their names.
fn disagreement() -> (Program, [&'static str; 2]) {
    let mut unit = Unit::new();
    let eu = unit.gateway("eu-fixed", &["203.0.113.10"]);
    let shop = unit.block(BlockKind::Policy, "shop", web());
    let rule = unit.rule(shop, Action::Allow, set(&["10.0.0.0/8"]), https());
    unit.via(rule, eu);
    let base = unit.block(BlockKind::Policy, "base", pods(&[], Some("shop"), None));
    unit.rule(base, Action::Allow, set(&["10.8.0.0/16"]), PortSet::numbers(6, 80, 80));
    (unit.program, ["shop#1", "base#1"])
}

fn refused(program: &Program, options: &Options) -> Vec<EmitError> {
    let errors = emit(program, None, options).expect_err("it cannot be said");
    for error in &errors {
        assert_eq!(error.code, "egress::target::gateway", "{error:?}");
        assert!(error.origin.is_some() && !error.help.is_empty() && !error.message.ends_with('.'), "{error:?}");
    }
    errors
}

#[test]
fn gateways_that_depend_on_ports_are_refused_with_both_rules() {
    let (program, [own, other]) = disagreement();
    let errors = refused(&program, &Options::default());
    let [error] = errors.as_slice() else { panic!("{errors:?}") };
    for part in [own, other, "eu-fixed", "443/tcp", "80/tcp", "10.8.0.0/16"] {
        assert!(error.message.contains(part), "{part}: {error:?}");
    }
    assert!(error.help.contains("let `base#1` leave via `eu-fixed` too, or take 10.8.0.0/16 out"), "{error:?}");
    assert_eq!(program.origins.entries.at(error.origin.expect("a rule")).name, own);
}

/// What a deny stops needs no gateway, and neither do ports that another rule already sends through it.
#[test]
fn ports_that_never_pass_do_not_disagree() {
    let (mut program, _) = disagreement();
    let plain = program.rules.ids().last().expect("a rule");
    let https = program.intern_ports(https());
    program.rules.get_mut(plain).expect("a rule").ports = https;
    assert!(emit(&program, None, &Options::default()).is_ok());
    let mut unit = Unit::new();
    let eu = unit.gateway("eu-fixed", &["203.0.113.10"]);
    let shop = unit.block(BlockKind::Policy, "shop", web());
    let rule = unit.rule(shop, Action::Allow, set(&["10.0.0.0/8"]), PortSet::numbers(6, 443, 443));
    unit.via(rule, eu);
    unit.rule(shop, Action::Allow, set(&["10.8.0.0/16"]), PortSet::numbers(6, 80, 80));
    let never = unit.block(BlockKind::Guardrail, "never", WorkloadSet::All);
    unit.rule(never, Action::Deny, set(&["10.8.0.0/16"]), PortSet::numbers(6, 80, 80));
    assert!(emit(&unit.program, None, &Options::default()).is_ok());
}

/// One rule through a gateway, beside another rule of the same pods.
fn beside(to: DestinationSet, addresses: &[&str], other: Option<(DestinationSet, Option<&[&str]>)>) -> Program {
    let mut unit = Unit::new();
    let eu = unit.gateway("eu", addresses);
    let shop = unit.block(BlockKind::Policy, "shop", web());
    let rule = unit.rule(shop, Action::Allow, to, https());
    unit.via(rule, eu);
    if let Some((to, through)) = other {
        let rule = unit.rule(shop, Action::Allow, to, PortSet::numbers(6, 25, 25));
        if let Some(addresses) = through {
            let us = unit.gateway("us", addresses);
            unit.via(rule, us);
        }
    }
    unit.program
}

#[test]
fn what_gateways_cannot_do_is_refused() {
    let both: [&str; 2] = ["203.0.113.10", "2001:db8:ffff::10"];
    let range = || set(&["10.0.0.0/8"]);
    let name = || host(&["api.example.com"]);
    let without_nodes = || {
        let mut program = beside(range(), &both, None);
        let id = program.gateways.ids().next().expect("a gateway");
        program.gateways.get_mut(id).expect("a gateway").nodes = None;
        program
    };
    let managed = || {
        let mut program = beside(range(), &both, None);
        let id = program.gateways.ids().next().expect("a gateway");
        program.gateways.get_mut(id).expect("a gateway").addresses[0].managed = true;
        program
    };
    let cases = [
        ("names and addresses disagree", 1, beside(name(), &both, Some((set(&["20.0.0.0/8"]), None)))),
        ("names and names disagree", 1, beside(name(), &both, Some((host(&["mail.example.com"]), None)))),
        ("two gateways", 2, beside(range(), &both, Some((range(), Some(&["198.51.100.1"]))))),
        ("no address of the family", 1, beside(set(&["2001:db8:40::/44"]), &["203.0.113.10"], None)),
        ("names may be of either family", 1, beside(name(), &["203.0.113.10"], None)),
        ("no nodes", 1, without_nodes()),
        ("managed by nobody", 1, managed()),
        ("one address for two", 2, beside(range(), &both, Some((set(&["20.0.0.0/8"]), Some(&["203.0.113.10"]))))),
    ];
    for (what, count, program) in cases {
        let errors = refused(&program, &Options::default());
        assert_eq!(errors.len(), count, "{what}: {errors:#?}");
    }
    assert!(
        emit(&beside(name(), &both, None), None, &Options::default()).is_ok(),
        "every flow leaves through one gateway"
    );
}

#[test]
fn a_managed_address_follows_the_node_that_has_it() {
    let mut program = beside(set(&["10.0.0.0/8", "2001:db8:40::/44"]), &["203.0.113.10", "2001:db8:ffff::10"], None);
    let id = program.gateways.ids().next().expect("a gateway");
    let gateway = program.gateways.get_mut(id).expect("a gateway");
    gateway.addresses.iter_mut().for_each(|address| address.managed = true);
    let service = |name: &str| VipService { namespace: "egress".to_owned(), name: name.to_owned() };
    let services = [("203.0.113.10", "eu"), ("2001:db8:ffff::10", "eu-v6")];
    let managed_by_kube_vip =
        services.map(|(address, name)| (address.parse().expect("an address"), service(name))).into();
    let options = Options { managed_by_kube_vip, ..Options::default() };
    let artifact = emit(&program, None, &options).unwrap_or_else(|errors| panic!("{errors:?}"));
    let text = String::from_utf8(artifact.bytes).expect("text");
    for part in [
        "service-provided.kube-vip.io/eu.egress: \"203.0.113.10\"",
        "service-provided.kube-vip.io/eu-v6.egress: \"20010db8ffff00000000000000000010\"",
        "egress-zone: eu",
        "enable_node_labeling",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let (_, wrong) = Schemas::read().check(&text);
    assert!(wrong.is_empty(), "{wrong:?}");
    let model = decode(text.as_bytes()).expect("our own output");
    let plane = egress_backends::cilium::plane::plane(&model, &program, None).expect("clear");
    let pod =
        Pod { namespace: "shop".to_owned(), labels: [("app".to_owned(), "web".to_owned())].into(), ..Pod::default() };
    let sender = plane.senders().iter().position(|sender| {
        let Workload::Pod(one) = &sender.workload else { return false };
        one.labels.get("app") == Some(&"web".to_owned()) && one.namespace == "shop"
    });
    let destination = egress_ir::Destination::unnamed("10.1.2.3".parse().expect("an address"));
    let flow = Flow { workload: Workload::Pod(pod), destination, port: egress_ir::Port::tcp(443) };
    assert_eq!(plane.replay(sender.expect("a sender"), &flow), Ok(Outcome::Passes(Some(id))));
}

fn node(name: &str, zone: &str, addresses: &[&str]) -> Node {
    let labels = [("egress-zone".to_owned(), zone.to_owned())].into();
    let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    Node { name: name.to_owned(), labels, addresses }
}

fn running(number: u32) -> RunningPod {
    let labels = [("app".to_owned(), "web".to_owned())].into();
    let identity = Pod { namespace: "shop".to_owned(), name: Some(format!("web-{number}")), labels, ..Pod::default() };
    let address = std::net::Ipv4Addr::from_bits(0x0a2a_0000 + number).into();
    RunningPod { identity, addresses: vec![address], node: None, host_network: false }
}

fn told(program: &Program, inventory: &Inventory) -> (String, Vec<Notice>) {
    let artifact = emit(program, Some(inventory), &Options::default()).unwrap_or_else(|errors| panic!("{errors:?}"));
    (String::from_utf8(artifact.bytes).expect("text"), artifact.notices)
}

#[test]
fn an_inventory_shows_nodes_that_are_missing() {
    let program = beside(set(&["10.0.0.0/8"]), &["203.0.113.10"], None);
    let own = ["203.0.113.10"];
    let cases: [(&[Node], &[&str], bool); 5] = [
        (&[], &["no node is one of `eu`"], true),
        (&[node("a", "eu", &own)], &["`a` is the only node of `eu`"], false),
        (&[node("a", "eu", &own), node("b", "eu", &[])], &[], false),
        (&[node("a", "eu", &[]), node("b", "eu", &[])], &[], true),
        (&[node("a", "eu", &[]), node("b", "eu", &own)], &["on the node `b`, and Cilium chooses `a`"], true),
    ];
    for (nodes, expected, assumes) in cases {
        let inventory = Inventory { nodes: nodes.to_vec(), ..Inventory::default() };
        let (text, notices) = told(&program, &inventory);
        let found: Vec<&Notice> = notices.iter().filter(|notice| notice.code == "egress::target::gateway").collect();
        assert_eq!(found.len(), expected.len(), "{nodes:?}: {found:?}");
        for (notice, part) in found.iter().zip(expected) {
            assert!(notice.message.contains(part) && notice.level == Level::Warning, "{notice:?}");
        }
        assert_eq!(text.contains("egressc/assumes"), assumes, "{nodes:?}\n{text}");
    }
}

#[test]
fn entries_of_the_maps_are_counted() {
    let program = beside(set(&["10.0.0.0/8", "20.0.0.0/32", "30.0.0.0/32"]), &["203.0.113.10"], None);
    let nodes = vec![node("a", "eu", &["203.0.113.10"]), node("b", "eu", &[])];
    let of = |notices: &[Notice]| {
        let about = |notice: &&Notice| notice.code == "egress::target::capacity";
        let found: Vec<Notice> = notices.iter().filter(about).cloned().collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    };
    for (count, rows, level) in [(10, 10 * 4, Level::Note), (4096, 4096 * 4, Level::Warning)] {
        let inventory =
            Inventory { pods: (1..=count).map(running).collect(), nodes: nodes.clone(), ..Inventory::default() };
        let notice = of(&told(&program, &inventory).1);
        assert!(notice.message.contains(&format!("take {rows} of the 16384")), "{notice:?}");
        assert_eq!(notice.level, level);
    }
    let artifact = emit(&program, None, &Options::default()).expect("it can be said");
    let notice = of(&artifact.notices);
    assert!(
        notice.message.contains("a pod takes up to 4 of the 16384") && notice.message.contains("room for 4096"),
        "{notice:?}"
    );
}
