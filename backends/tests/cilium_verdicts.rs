//! The decoder against recordings of the real engine.
//!
//! `CILIUM_VERDICTS` names the folder (default: the copy in `testdata`): `cases-*.jsonl` with policies, clusters and
//! flows with their verdicts, and `rejected/objects.jsonl` with single objects that the engine accepts or refuses.
//! Every flow is judged; a wrong answer fails, a refusal is counted by the feature that was refused. So is every look-up of
//! a gateway, without refusals.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a recording that cannot be read must stop the test, and the counts are its result"
)]

#[path = "cilium_support/lookups.rs"]
mod lookups;
#[path = "cilium_support/recordings.rs"]
mod recordings;

use std::collections::{BTreeMap, BTreeSet};

use egress_backends::cilium::decode::{Admission, decode_as};
use egress_backends::cilium::{Environment, Model, Stage, Verdict};
use recordings::{admission, cases, environment, find, flow, folder, lines, text};
use serde_json::Value;

/// What is wrong with our judgement of one recorded flow.
fn differences(model: &Model, environment: &Environment, recorded: &Value) -> Vec<String> {
    let from = find(environment, text(recorded, "from"));
    let flow = flow(environment, recorded);
    let ours = model.judge(environment, from, &flow);
    let mut wrong = Vec::new();
    let verdict = if text(recorded, "verdict") == "allowed" { Verdict::Allowed } else { Verdict::Denied };
    if ours.verdict != verdict {
        wrong.push(format!("verdict {:?}", ours.verdict));
    }
    if recorded["enforced"] != ours.enforced {
        wrong.push(format!("enforced {}", ours.enforced));
    }
    if (recorded["l7"] == "dns") != ours.dns_proxy {
        wrong.push(format!("DNS proxy {}", ours.dns_proxy));
    }
    if let (true, Some(query), Some(allowed)) =
        (ours.dns_proxy, recorded["dnsQuery"].as_str(), recorded["dnsQueryAllowed"].as_bool())
        && model.forwards_query(environment, from, &flow, query) != allowed
    {
        wrong.push(format!("query {query} {}", !allowed));
    }
    let ours: BTreeSet<String> = ours.objects.iter().map(ToString::to_string).collect();
    let theirs = recorded["rules"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for object in theirs.filter(|object| !object.starts_with("reserved/")) {
        if !ours.contains(object) {
            wrong.push(format!("{object} is not among the deciding {ours:?}"));
        }
    }
    wrong
}

#[test]
fn every_recorded_flow_is_judged_right() {
    let (mut judged, mut allowed, mut refused) = (0, 0, BTreeMap::<String, usize>::new());
    let mut wrong = Vec::new();
    let cases = cases();
    for case in &cases {
        let flows = case["flows"].as_array().expect("flows");
        let model = match decode_as(text(case, "policies").as_bytes(), admission(case)) {
            Ok(model) => model,
            Err(error) if error.is_unsupported() => {
                let features: BTreeSet<&str> = error.problems.iter().map(|problem| problem.message.as_str()).collect();
                for feature in features {
                    *refused.entry(feature.to_owned()).or_default() += flows.len();
                }
                continue;
            }
            Err(error) => panic!("{}: accepted by the engine: {error}", text(case, "id")),
        };
        let environment = environment(case);
        for recorded in flows {
            judged += 1;
            allowed += usize::from(text(recorded, "verdict") == "allowed");
            let found = differences(&model, &environment, recorded);
            if !found.is_empty() {
                wrong.push(format!(
                    "{} {}: {} in {recorded}",
                    text(case, "id"),
                    text(recorded, "id"),
                    found.join(", ")
                ));
            }
        }
    }
    let total: usize = refused.values().sum();
    println!(
        "{} cases, {judged} flows judged ({allowed} allowed), {total} refused, {} wrong",
        cases.len(),
        wrong.len()
    );
    for (feature, flows) in &refused {
        println!("  refused, {flows} flows: {feature}");
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.iter().take(40).cloned().collect::<Vec<_>>().join("\n")
    );
    assert!(judged > 0 && allowed > 0 && allowed < judged, "nothing was judged");
}

#[test]
fn objects_are_accepted_and_rejected_as_recorded() {
    let objects = lines(&folder().join("rejected/objects.jsonl"));
    let (mut agreed, mut unsupported, mut wrong) = (BTreeMap::<String, usize>::new(), Vec::new(), Vec::new());
    for object in &objects {
        let decoded = decode_as(text(object, "yaml").as_bytes(), Admission::ApiServer);
        let stage = object["stage"].as_str().unwrap_or("accepted");
        match (&decoded, object["accepted"] == true) {
            (Ok(_), true) => *agreed.entry("accepted".to_owned()).or_default() += 1,
            (Err(error), true) if error.is_unsupported() => {
                unsupported.push(format!("{}: {error}", text(object, "topic")))
            }
            (Err(error), false) if error.problems.iter().any(|problem| problem.stage != Stage::Unsupported) => {
                *agreed.entry(format!("rejected at {stage}")).or_default() += 1;
            }
            (Err(error), _) => wrong.push(format!("{} {stage}: {error}", text(object, "topic"))),
            (Ok(_), false) => wrong.push(format!("{} {stage}: accepted", text(object, "topic"))),
        }
    }
    println!("{} objects: {agreed:?}; refused by name {unsupported:?}", objects.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(agreed.values().sum::<usize>() > 0, "nothing was checked");
}
