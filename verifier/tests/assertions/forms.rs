//! Each form of assertion, where it holds, fails and says nothing.

use super::program;
use egress_ir::{Inventory, Outcome, Pod, Program, RunningPod, Workload};
use egress_verifier::assertions::{Breach, Conclusion, Empty, Fix, Population, prove};
use egress_verifier::{Answer, Prover};

const COMMON: &str = r#"
cluster prod { pods 10.42.0.0/16  services 10.43.0.0/16 }
workloads checkout = pods(app=checkout) in namespace shop
workloads etl = pods(app=etl) in namespace data
destinations ledger = 10.20.0.0/16
gateway eu { address 203.0.113.10 }
gateway us { address 203.0.113.11 }
"#;

fn conclusions(text: &str) -> (Program, Vec<Conclusion>) {
    let program = program(&format!("{COMMON}{text}"));
    let report = prove(&program, Population::Possible(None), &mut Prover::default()).expect("no fault");
    let conclusions = report.verdicts.into_iter().map(|verdict| verdict.conclusion).collect();
    (program, conclusions)
}

/// The only assertion of a text.
fn one(text: &str) -> (Program, Conclusion) {
    let (program, mut conclusions) = conclusions(text);
    assert_eq!(conclusions.len(), 1);
    (program, conclusions.remove(0))
}

fn assert_holds(text: &str) {
    let (_, conclusion) = one(text);
    assert_eq!(conclusion, Conclusion::Answer(Answer::Proved), "{text}");
}

fn breach(text: &str) -> (Program, Breach) {
    match one(text) {
        (program, Conclusion::Answer(Answer::Refuted(breach))) => (program, *breach),
        (_, other) => panic!("{text}: {other:?}"),
    }
}

fn vacuous(text: &str) -> Empty {
    match one(text).1 {
        Conclusion::Vacuous(empty) => empty,
        other => panic!("{text}: {other:?}"),
    }
}

/// The names of the rules to remove.
fn removed(program: &Program, breach: &Breach) -> Vec<String> {
    match &breach.fix {
        Fix::Remove(rules) => rules.iter().map(|&rule| program.rule_name(rule).to_owned()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn cannot_reach() {
    assert_holds("policy all-of-them { for all } assert all cannot reach ledger");
    assert_holds(
        "policy p { for all allow ledger } guardrail g { for all deny ledger } assert all cannot reach ledger",
    );
    let (program, breach) = breach(
        "policy p { for checkout allow 10.0.0.0/8 on 443/tcp allow ledger on 80/tcp allow 192.0.2.0/24 }
         policy lockdown { for all } assert all cannot reach ledger",
    );
    assert_eq!(breach.witness.to_string(), "shop/{app=checkout} → 10.20.0.0:443/tcp");
    assert_eq!(removed(&program, &breach), ["p#1", "p#2"]);
    assert_eq!(breach.blocks.len(), 1);
    assert_eq!(breach.blocks[0].ports.to_string(), "80/tcp, 443/tcp");
    assert_eq!(breach.blocks[0].addresses.prefixes()[0].to_string(), "10.20.0.0/16");
    assert_eq!(breach.rules.iter().map(|&rule| program.rule_name(rule)).collect::<Vec<_>>(), ["p#1"]);
}

#[test]
fn ungoverned_flows_pass() {
    let (_, found) = breach("policy p { for checkout } assert all cannot reach ledger");
    assert!(matches!(found.fix, Fix::NoPolicy(_)), "{:?}", found.fix);
    assert_eq!(found.rules, []);
    let (_, found) = breach("policy p { for checkout allow ledger } assert only checkout can reach ledger");
    assert!(matches!(found.fix, Fix::NoPolicy(_)));
    let (_, found) = breach("policy p { for checkout } assert etl can reach only ledger");
    assert!(matches!(found.fix, Fix::NoPolicy(_)));
    let (_, found) = breach("policy p { for checkout } assert etl can reach ledger only via eu");
    assert!(matches!(found.fix, Fix::NoPolicy(_)));
    assert_holds("policy p { for checkout } assert etl can reach ledger");
}

#[test]
fn can_reach() {
    assert_holds("policy p { for checkout allow ledger on tcp } assert checkout can reach ledger on 5432/tcp");
    let (program, found) = breach(
        "policy p { for checkout allow ledger deny 10.20.1.0/24 } guardrail g { for all deny 10.20.0.0/24, 198.51.100.1 }
         guardrail other { for all deny 203.0.113.0/24 } assert checkout can reach ledger on 443/tcp",
    );
    assert_eq!(removed(&program, &found), ["p#2", "g#1"]);
    assert_eq!(found.blocks[0].addresses.prefixes()[0].to_string(), "10.20.0.0/23");
    assert_eq!(found.blocks[0].right, Outcome::Dropped);
    let (_, found) = breach("policy p { for checkout allow ledger } assert checkout can reach 10.0.0.0/8 on 443/tcp");
    assert!(matches!(found.fix, Fix::NoAllow(_)), "{:?}", found.fix);
}

#[test]
fn only_can_reach() {
    assert_holds(
        "policy p { for checkout allow ledger } policy rest { for all } assert only checkout can reach ledger",
    );
    let (program, found) = breach(
        "policy p { for checkout allow ledger } policy rest { for all allow 10.20.5.0/24 on 80/tcp }
         assert only checkout can reach ledger",
    );
    assert_eq!(removed(&program, &found), ["rest#1"]);
    assert_eq!(found.witness.to_string(), "shop/{} → 10.20.5.0:80/tcp");
    assert!(found.blocks.iter().all(|block| block.senders.len() == 1));
}

#[test]
fn can_reach_only() {
    assert_holds("policy p { for checkout allow ledger } assert checkout can reach only ledger");
    assert_holds("policy p { for checkout allow ledger on 443/tcp } assert checkout can reach only ledger on 443/tcp");
    let (program, found) = breach(
        "policy p { for checkout allow ledger allow 192.0.2.0/24 on 443/tcp deny 192.0.2.0/25 }
         assert checkout can reach only ledger",
    );
    assert_eq!(removed(&program, &found), ["p#2"]);
    assert_eq!(found.witness.to_string(), "shop/{app=checkout} → 192.0.2.128:443/tcp");
}

#[test]
fn the_ports_of_can_reach_only_are_part_of_what_may_be_reached() {
    let text =
        "policy p { for checkout allow ledger on 443/tcp, 22/tcp } assert checkout can reach only ledger on 443/tcp";
    let (_, found) = breach(text);
    assert_eq!(found.witness.to_string(), "shop/{app=checkout} → 10.20.0.0:22/tcp");
}

#[test]
fn only_via() {
    assert_holds(
        "policy p { for checkout allow ledger via eu allow 192.0.2.1 } assert checkout can reach ledger only via eu",
    );
    let (program, found) = breach(
        "policy p { for checkout allow ledger on 443/tcp via eu allow ledger on 80/tcp allow ledger on 22/tcp via us }
         assert checkout can reach ledger only via eu",
    );
    assert_eq!(removed(&program, &found), ["p#2", "p#3"]);
    let eu = program.gateways.ids().next().expect("a gateway");
    assert!(found.blocks.iter().all(|block| block.left == Outcome::Passes(Some(eu)) && block.right != block.left));
}

#[test]
fn hosts_are_reached_at_public_addresses() {
    let allow = "policy p { for checkout allow host api.stripe.com }";
    let ask = "assert checkout can reach host api.stripe.com";
    assert_holds(&format!("{allow} {ask}"));
    assert_holds(&format!("{allow} guardrail g {{ for all deny private }} {ask}"));
    assert_holds(&format!("{allow} guardrail g {{ for all deny private, 127.0.0.0/8, 224.0.0.0/4 }} {ask} on 443/tcp"));
    let (program, found) = breach(&format!("{allow} guardrail g {{ for all deny private, 198.51.100.0/24 }} {ask}"));
    assert_eq!(found.witness.to_string(), "shop/{app=checkout} → 198.51.100.0:443/tcp as api.stripe.com");
    assert_eq!(removed(&program, &found), ["g#1"]);
    let (_, found) = breach(&format!("{allow} assert checkout can reach host *.stripe.com"));
    assert!(matches!(found.fix, Fix::NoAllow(_)));
}

#[test]
fn names_open_what_addresses_do_not() {
    let lockdown = "policy lockdown { for all }";
    let (program, found) = breach(&format!(
        "policy p {{ for checkout allow host x.example }} {lockdown} assert all cannot reach 169.254.169.254"
    ));
    assert_eq!(found.witness.to_string(), "shop/{app=checkout} → 169.254.169.254:443/tcp as x.example");
    assert_eq!(removed(&program, &found), ["p#1"]);
    assert_holds(&format!(
        "policy p {{ for checkout allow host x.example deny private }} {lockdown} assert all cannot reach 169.254.169.254"
    ));
    assert_holds(&format!(
        "policy p {{ for checkout allow host **.example }} {lockdown} assert checkout can reach only host **.example"
    ));
    let text = format!(
        "policy p {{ for checkout allow host **.example, host a.test on 443/tcp }} {lockdown} assert checkout can reach only host **.example"
    );
    assert_eq!(breach(&text).1.witness.to_string(), "shop/{app=checkout} → 128.0.0.0:443/tcp as a.test");
    // The name is asked for by address too: whoever is looked up by it may lie anywhere.
    let text =
        format!("policy p {{ for checkout allow ledger on 80/tcp }} {lockdown} assert all cannot reach host x.example");
    assert_eq!(breach(&text).1.witness.to_string(), "shop/{app=checkout} → 10.20.0.0:80/tcp as x.example");
    assert_holds(&format!(
        "policy p {{ for checkout allow ledger deny host x.example }} {lockdown} assert all cannot reach host x.example"
    ));
}

#[test]
fn conflicts_are_stopped_and_need_a_choice() {
    let rules = "allow ledger on 443/tcp via eu allow 10.0.0.0/8 on 443/tcp via us";
    let (program, found) =
        breach(&format!("policy p {{ for checkout {rules} }} assert checkout can reach ledger on 443/tcp"));
    assert_eq!(removed(&program, &found).len(), 1);
    // Removing what lets some flows pass lets others out of their conflict: all must go.
    let (program, found) = breach(
        "policy p { for checkout allow ledger on 443/tcp via eu allow 10.20.0.0/24 on 443/tcp via us }
         assert checkout cannot reach ledger",
    );
    assert_eq!(removed(&program, &found), ["p#1", "p#2"]);
}

#[test]
fn an_assertion_about_nothing_is_no_proof() {
    let p = "policy p { for all }";
    assert_eq!(vacuous(&format!("{p} assert pods(a, !a) cannot reach ledger")), Empty::Workloads);
    assert_eq!(vacuous(&format!("{p} assert only pods(a, !a) can reach ledger")), Empty::Workloads);
    assert_eq!(vacuous(&format!("{p} assert only all can reach ledger")), Empty::Others);
    assert_eq!(vacuous(&format!("{p} assert all cannot reach ledger except 10.0.0.0/8")), Empty::Destinations);
    assert_eq!(vacuous(&format!("{p} assert etl can reach only ledger except 10.0.0.0/8")), Empty::Destinations);
    assert_eq!(vacuous(&format!("{p} assert all cannot reach 10.42.7.0/24, 10.43.0.1")), Empty::Outside);
    assert_eq!(vacuous(&format!("{p} assert etl can reach only world")), Empty::Elsewhere);
    assert_eq!(vacuous(&format!("{p} assert address 10.9.0.0/24 cannot reach 2001:db8::1")), Empty::Common);
    assert_eq!(vacuous(&format!("{p} assert all cannot reach ledger on icmpv6")), Empty::Common);
}

#[test]
fn only_pods_that_run_are_spoken_about_if_asked() {
    let program = program(&format!(
        "{COMMON} policy p {{ for checkout }} assert etl cannot reach ledger assert pods cannot reach ledger"
    ));
    let identity = Pod {
        namespace: "shop".into(),
        name: Some("checkout-1".into()),
        labels: [("app".to_owned(), "checkout".to_owned())].into(),
        service_account: "default".into(),
        ..Pod::default()
    };
    let pod = RunningPod { identity, addresses: Vec::new(), node: None, host_network: false };
    let inventory = Inventory { pods: vec![pod], ..Inventory::default() };
    let report = prove(&program, Population::Running(&inventory), &mut Prover::default()).expect("no fault");
    let found: Vec<Conclusion> = report.verdicts.into_iter().map(|verdict| verdict.conclusion).collect();
    assert_eq!(found, [Conclusion::Vacuous(Empty::Workloads), Conclusion::Answer(Answer::Proved)]);
    assert_eq!(report.senders.iter().filter(|sender| matches!(sender.workload, Workload::Pod(_))).count(), 1);
    let report = prove(&program, Population::Possible(Some(&inventory)), &mut Prover::default()).expect("no fault");
    assert!(report.verdicts.iter().all(|verdict| matches!(verdict.conclusion, Conclusion::Answer(Answer::Refuted(_)))));
}
