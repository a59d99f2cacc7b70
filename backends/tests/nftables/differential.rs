//! Random programs, emitted, read back and judged packet by packet: the same as their meaning, `egress_ir::eval`.

use crate::common::{Setting, emitted, is_neighbour_discovery, packet_of, program_of, settings};
use egress_backends::nftables::judge::{Translated, Way};
use egress_backends::nftables::{Hook, Judge, Options, Packet, decode};
use egress_ir::{Program, Verdict, Workload, eval};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::programs::random_inventory;
use egress_testkit::seed::{Rng, cases, seed};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

const FLOWS: u64 = 40;

/// How often each kind of flow was judged.
type Seen = BTreeMap<&'static str, u64>;

#[test]
fn emitted_files_mean_what_their_programs_mean() {
    let (seed, cases) = (seed(), cases(600));
    let mut seen = Seen::new();
    for case in 0..cases {
        let mut rng = Rng::new(seed, case);
        let setting = settings(case);
        let program = program_of(&mut rng, setting);
        let inventory = random_inventory(&mut rng, &program);
        check(&mut rng, &program, &inventory, setting, &format!("seed {seed} case {case}"), &mut seen);
    }
    let judged: u64 = seen
        .iter()
        .filter(|(kind, _)| !matches!(**kind, "audit" | "log" | "named" | "intricate") && !kind.starts_with("form"))
        .map(|(_, count)| count)
        .sum();
    println!("{judged} flows of {cases} programs judged: {seen:?}");
    assert!(judged >= cases * FLOWS / 2, "hardly any flow was judged: {seen:?}");
    if cases >= 300 {
        for kind in ["inside", "ungoverned", "allowed", "via", "conflict", "denied", "audit", "log", "named"] {
            assert!(seen.get(kind).is_some_and(|&count| count > 30), "too few flows of kind {kind}: {seen:?}");
        }
        for form in ["form: look-up", "form: shared look-up", "form: tree", "form: exact"] {
            assert!(seen.get(form).is_some_and(|&count| count > 10), "too few files of {form}: {seen:?}");
        }
    }
}

fn check(
    rng: &mut Rng,
    program: &Program,
    inventory: &egress_ir::Inventory,
    setting: Setting,
    at: &str,
    seen: &mut Seen,
) {
    let known = setting.has_inventory.then_some(inventory);
    let epoch = setting.epoch.then_some(7);
    let options = Options { hooks: vec![Hook::Prerouting, Hook::Output], epoch, ..Options::default() };
    let Some(artifact) = emitted(program, known, &options) else {
        *seen.entry("intricate").or_default() += 1;
        return;
    };
    let text = String::from_utf8(artifact.bytes.clone()).unwrap();
    let ruleset = decode(&artifact.bytes).unwrap_or_else(|error| panic!("{at}: {error}\n{text}"));
    for form in forms(&ruleset) {
        *seen.entry(form).or_default() += 1;
    }
    let sources = if setting.has_inventory { Sources::Inventory(inventory) } else { Sources::Addresses };
    for _ in 0..FLOWS {
        let flow = biased_flow(rng, program, sources);
        let Some(mut packet) = packet_of(&flow, inventory) else { continue };
        packet.hook = if rng.chance(80) { Hook::Prerouting } else { Hook::Output };
        if is_neighbour_discovery(&packet) {
            continue;
        }
        // Whatever earlier hooks have set.
        packet.packet_mark = u32::try_from(rng.below(1 << 30)).unwrap();
        let decision = eval(program, &flow);
        let judge = Judge::new(&ruleset);
        let judgement = judge.judge(&packet);
        let shown = || format!("{at}: {flow}\n{decision:?}\n{judgement:?}\n{packet:?}\n{text}");
        assert_eq!(judgement.passes, decision.verdict.passes(), "{}", shown());
        check_counters(program, &decision, &judgement.counters, &shown);
        check_logs(&decision, &judgement.logs, &shown);
        if judgement.passes && ruleset.gateways.is_some() {
            assert_eq!(judgement.packet_mark & !0x00ff_0000, packet.packet_mark & !0x00ff_0000, "{}", shown());
            let source = judge.leave(&packet, judgement.packet_mark, &way_out(program, &packet));
            assert_eq!(source, Some(expected_source(program, &decision.verdict, &packet)), "{}", shown());
        }
        if let Some(epoch) = epoch {
            let marked = matches!(decision.verdict, egress_ir::Verdict::Allowed(None));
            assert_eq!(judgement.mark, if marked { epoch << 16 } else { 0 }, "{}", shown());
        }
        let by_name = |rule: &egress_ir::RuleId| {
            let set = program.destination_sets.at(program.rules.at(*rule).destinations);
            !set.addresses.contains(flow.destination.address)
        };
        if !decision.rules.is_empty() && decision.rules.iter().all(by_name) {
            *seen.entry("named").or_default() += 1;
        }
        for kind in kinds(&decision) {
            *seen.entry(kind).or_default() += 1;
        }
    }
}

/// The first address of a gateway in the family of another address.
fn address_of(program: &Program, gateway: egress_ir::GatewayId, like: IpAddr) -> IpAddr {
    let addresses = program.gateways.at(gateway).addresses.iter().map(|one| one.address);
    addresses.into_iter().find(|address| address.is_ipv4() == like.is_ipv4()).unwrap()
}

/// The source address with which a flow's packet must leave a node that has every gateway's address.
fn expected_source(program: &Program, verdict: &Verdict, packet: &Packet) -> IpAddr {
    match verdict {
        Verdict::Allowed(Some(gateway)) => address_of(program, *gateway, packet.destination),
        _ => packet.source,
    }
}

/// The way of a first packet out of a node that has every gateway's address.
fn way_out(program: &Program, packet: &Packet) -> Way {
    let local = program.gateways.values().flat_map(|gateway| gateway.addresses.iter().map(|one| one.address));
    let next_hop = if packet.source.is_ipv4() { "198.18.0.1" } else { "3fff::1" }.parse().unwrap();
    Way { next_hop, local: local.collect(), translated: Translated::NotYet, labels: 0, masquerade: None }
}

/// Which ways of finding a destination a file uses.
fn forms(ruleset: &egress_backends::nftables::Ruleset) -> Vec<&'static str> {
    let mut uses: BTreeMap<&str, u64> = BTreeMap::new();
    for statement in ruleset.chains.values().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.statements) {
        if let egress_backends::nftables::model::Statement::VerdictMap { map, .. } = statement {
            *uses.entry(map).or_default() += 1;
        }
    }
    let directories = || uses.iter().filter(|(map, _)| map.starts_with("d4_") || map.starts_with("d6_"));
    let mut forms = Vec::new();
    forms.extend(directories().next().map(|_| "form: look-up"));
    forms.extend(directories().find(|(_, uses)| **uses > 1).map(|_| "form: shared look-up"));
    forms.extend(ruleset.chains.keys().any(|name| name.starts_with('t')).then_some("form: tree"));
    forms.extend(ruleset.chains.keys().any(|name| name.starts_with('e')).then_some("form: exact"));
    forms
}

/// Some rule that decides counts and none that does not; the same for policies by default.
fn check_counters(program: &Program, decision: &egress_ir::Decision, counted: &[String], shown: &impl Fn() -> String) {
    let counted: BTreeSet<&str> =
        counted.iter().map(String::as_str).filter(|name| !name.starts_with("audit_")).collect();
    let rules: BTreeSet<String> =
        decision.rules.iter().map(|rule| format!("rule_{}", program.rule_name(*rule).replace('#', "."))).collect();
    let (defaults, counted_rules): (Vec<&str>, Vec<&str>) =
        counted.into_iter().partition(|name| name.starts_with("default_"));
    assert!(counted_rules.iter().all(|rule| rules.contains(*rule)), "{}", shown());
    assert_eq!(counted_rules.is_empty(), rules.is_empty(), "{}", shown());
    let by_default = decision.verdict == egress_ir::Verdict::Denied && decision.rules.is_empty();
    assert_eq!(!defaults.is_empty(), by_default, "{}", shown());
}

/// A log for every default deny, for what a rule wants logged, and for what audit mode would change.
fn check_logs(
    decision: &egress_ir::Decision,
    logs: &[egress_backends::nftables::model::Log],
    shown: &impl Fn() -> String,
) {
    let starting = |start: &str| logs.iter().filter(|log| log.prefix.starts_with(start)).count();
    let by_default = decision.verdict == egress_ir::Verdict::Denied && decision.rules.is_empty();
    let expected = usize::from(by_default || decision.log);
    assert_eq!(starting("egressc allow ") + starting("egressc deny "), expected, "{}", shown());
    let audit = decision.audit.as_ref().map(egress_ir::Verdict::passes);
    assert_eq!(starting("egressc audit allow "), usize::from(audit == Some(true)), "{}", shown());
    assert_eq!(starting("egressc audit deny "), usize::from(audit == Some(false)), "{}", shown());
    assert!(logs.iter().all(|log| log.group == Some(5) && log.prefix.len() <= 126), "{}", shown());
}

fn kinds(decision: &egress_ir::Decision) -> Vec<&'static str> {
    let verdict = match decision.verdict {
        Verdict::Inside => "inside",
        Verdict::Ungoverned => "ungoverned",
        Verdict::Allowed(None) => "allowed",
        Verdict::Allowed(Some(_)) => "via",
        Verdict::Conflict(_) => "conflict",
        Verdict::Denied if decision.rules.is_empty() => "default",
        Verdict::Denied => "denied",
    };
    let mut kinds = vec![verdict];
    kinds.extend(decision.audit.is_some().then_some("audit"));
    kinds.extend(decision.log.then_some("log"));
    kinds
}

#[test]
fn a_flow_of_an_unknown_pod_is_judged_by_its_address() {
    let mut rng = Rng::new(seed(), 0);
    let mut checked = 0;
    for case in 0..50 {
        let mut rng_case = Rng::new(seed(), case);
        let program = program_of(&mut rng_case, settings(case));
        let options = Options { hooks: vec![Hook::Prerouting, Hook::Output], ..Options::default() };
        let Some(artifact) = emitted(&program, Some(&egress_ir::Inventory::default()), &options) else { continue };
        let ruleset = decode(&artifact.bytes).unwrap();
        for address in ["10.42.7.7", "fd00:42::7:7"].map(|text| text.parse::<std::net::IpAddr>().unwrap()) {
            let destination = egress_ir::Destination::unnamed(
                biased_flow(&mut rng, &program, Sources::Addresses).destination.address,
            );
            let flow =
                egress_ir::Flow { workload: Workload::Address(address), destination, port: egress_ir::Port::tcp(443) };
            if !flow.is_well_formed() {
                continue;
            }
            let packet =
                egress_backends::nftables::Packet::new(Hook::Prerouting, address, flow.destination.address, flow.port);
            assert_eq!(ruleset.judge(&packet).passes, eval(&program, &flow).verdict.passes(), "{flow}");
            checked += 1;
        }
    }
    assert!(checked > 20);
}
