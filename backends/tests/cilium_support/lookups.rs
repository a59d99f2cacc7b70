//! Look-ups of gateways against recordings of the real engine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::recordings::{admission, cases, environment, find, text};
use egress_backends::cilium::decode::decode_as;
use egress_backends::cilium::{Environment, GatewayAction, GatewayLookup, Model};
use serde_json::Value;

/// The recorded words for what we found.
fn word(action: &GatewayAction) -> &'static str {
    match action {
        GatewayAction::None => "none",
        GatewayAction::SkipInCluster => "skip-in-cluster",
        GatewayAction::Excluded => "excluded",
        GatewayAction::DropNoGateway => "drop-no-gateway",
        GatewayAction::Redirect { .. } => "redirect",
        GatewayAction::Ambiguous => "ambiguous",
    }
}

/// Names of policies that a recording has.
fn policies(recorded: &Value) -> BTreeSet<String> {
    let rivals = recorded["matches"].as_array().into_iter().flatten().map(|rival| text(rival, "policy"));
    let agreed = recorded["policies"].as_array().into_iter().flatten().filter_map(Value::as_str);
    rivals.chain(agreed).map(str::to_owned).collect()
}

/// What differs from the recording.
fn differences(found: &GatewayLookup, to: IpAddr, recorded: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, ours: Option<String>, theirs: Option<&str>| {
        if ours.as_deref() != theirs {
            wrong.push(format!("{what}: {ours:?} and not {theirs:?}"));
        }
    };
    same("action", Some(word(&found.action).to_owned()), recorded["action"].as_str());
    let rival = &recorded["matches"][0];
    let prefix = recorded["dstCIDR"].as_str().or(rival["dstCIDR"].as_str());
    same("prefix", found.prefix.map(|prefix| prefix.to_string()), prefix);
    let table = found.action.table_address(to.is_ipv6());
    same("address", table.map(|address| address.to_string()), recorded["egressIP"].as_str());
    if let GatewayAction::Redirect { gateway, address, interface } = &found.action {
        same("gateway", Some(gateway.to_string()), recorded["gateway"].as_str());
        same("interface", interface.clone(), recorded["interface"].as_str());
        same("drop", address.is_none().then(|| "no-egress-ip".to_owned()), recorded["drop"].as_str());
    }
    let ours: BTreeSet<String> = found.policies.iter().map(|object| object.name.clone()).collect();
    let theirs = policies(recorded);
    // Of entries that say the same, the recording names one; of rivals, all.
    let agree = if recorded["action"] == "ambiguous" { ours == theirs } else { theirs.is_subset(&ours) };
    if !agree {
        wrong.push(format!("policies: {ours:?} and not {theirs:?}"));
    }
    wrong
}

fn looked_up(model: &Model, environment: &Environment, recorded: &Value) -> (IpAddr, GatewayLookup) {
    let to: IpAddr = text(recorded, "to").parse().expect("an address");
    (to, model.look_up_gateway(environment, find(environment, text(recorded, "from")), to))
}

/// What the engine leaves to the order of a map must be found in the text alone.
#[test]
fn every_recorded_ambiguity_is_a_finding() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for case in &cases() {
        let lookups = case["egressLookups"].as_array().into_iter().flatten();
        let ambiguous: Vec<&Value> = lookups.filter(|recorded| recorded["action"] == "ambiguous").collect();
        if ambiguous.is_empty() {
            continue;
        }
        let found = egress_backends::cilium::lint(text(case, "policies"), None);
        for recorded in ambiguous {
            seen += 1;
            let prefix = format!("`{}`", text(&recorded["matches"][0], "dstCIDR"));
            let names: Vec<String> =
                policies(recorded).iter().map(|name| format!("CiliumEgressGatewayPolicy/{name}")).collect();
            let tells = |finding: &egress_backends::lint::Finding| {
                let about = names.iter().filter(|name| finding.message.contains(&format!("`{name}`"))).count();
                let itself = names.len() == 1 && names.contains(&finding.object);
                finding.code == "CG001" && finding.message.contains(&prefix) && (about >= 2 || itself)
            };
            if !found.iter().any(tells) {
                wrong.push(format!("{}: {recorded}", text(case, "id")));
            }
        }
    }
    println!("{seen} ambiguous look-ups, {} not found", wrong.len());
    assert!(wrong.is_empty() && seen > 0, "{}", wrong.join("\n"));
}

#[test]
fn every_recorded_look_up_is_answered_right() {
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut wrong = Vec::new();
    let cases = cases();
    for case in &cases {
        let lookups = case["egressLookups"].as_array().map(Vec::as_slice).unwrap_or_default();
        if lookups.is_empty() {
            continue;
        }
        let model = decode_as(text(case, "policies").as_bytes(), admission(case))
            .unwrap_or_else(|error| panic!("{}: accepted by the engine: {error}", text(case, "id")));
        let environment = environment(case);
        for recorded in lookups {
            let (to, found) = looked_up(&model, &environment, recorded);
            *counts.entry(word(&found.action)).or_default() += 1;
            let found = differences(&found, to, recorded);
            if !found.is_empty() {
                wrong.push(format!("{}: {} in {recorded}", text(case, "id"), found.join(", ")));
            }
        }
    }
    let total: usize = counts.values().sum();
    println!("{total} look-ups: {counts:?}, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(total > 0, "nothing was looked up");
    for action in ["none", "skip-in-cluster", "excluded", "drop-no-gateway", "redirect", "ambiguous"] {
        assert!(counts.contains_key(action), "no look-up is {action}");
    }
}
