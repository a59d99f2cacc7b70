//! Records as Hubble's exporter writes flows: one JSON object a line, with `flow`, `time` and, beside them, `egressc`.
//!
//! Names and forms are those of Cilium's `flow.proto` in its JSON mapping. Never says what is not known.

use super::meaning::Meaning;
use egress_agent::kernel::Event;
use egress_snapshot::meta::Identity;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// One record.
pub(super) fn json(time: &Timestamp, event: &Event, meaning: &Meaning<'_>) -> Value {
    let verdict = match (event.passed, meaning.outcome.and_then(|outcome| outcome.audit)) {
        (false, _) => "DROPPED",
        (true, Some(_)) => "AUDIT",
        (true, None) => "FORWARDED",
    };
    let mut flow = Map::new();
    let mut put = |key: &str, value: Value| flow.insert(key.to_owned(), value);
    put("time", json!(time.to_string()));
    put("verdict", json!(verdict));
    put("Type", json!("L3_L4"));
    put("traffic_direction", json!("EGRESS"));
    if !event.passed {
        let reason = if event.outcome.is_some() { "POLICY_DENIED" } else { "INVALID_PACKET_DROPPED" };
        put("drop_reason_desc", json!(reason));
    }
    if let (Some(source), Some(destination)) = (event.source, event.destination) {
        let version = if matches!(destination, IpAddr::V4(_)) { "IPv4" } else { "IPv6" };
        put("IP", json!({ "source": source, "destination": destination, "ipVersion": version }));
        if let Some(l4) = l4(event) {
            put("l4", l4);
        }
    }
    if let Some(identity) = meaning.sender {
        put("source", endpoint(identity));
    }
    json!({ "flow": flow, "time": time.to_string(), "egressc": ours(event, meaning) })
}

/// How many records were lost, in Hubble's form of it.
pub(super) fn lost(count: u64) -> Value {
    // Numbers of 64 bits are strings in this mapping.
    json!({ "lost_events": { "source": "HUBBLE_RING_BUFFER", "num_events_lost": count.to_string() } })
}

/// Later fragments have no ports.
fn l4(event: &Event) -> Option<Value> {
    let ports = json!({ "source_port": event.source_number, "destination_port": event.number });
    let [kind, code] = event.number.to_be_bytes();
    let message = json!({ "type": kind, "code": code });
    match (event.protocol, event.fragment) {
        (6, false) => Some(json!({ "TCP": ports })),
        (17, false) => Some(json!({ "UDP": ports })),
        (132, false) => Some(json!({ "SCTP": ports })),
        (1, false) => Some(json!({ "ICMPv4": message })),
        (58, false) => Some(json!({ "ICMPv6": message })),
        _ => None,
    }
}

fn endpoint(identity: &Identity) -> Value {
    let own = identity.labels.iter().map(|(key, value)| format!("k8s:{key}={value}"));
    let labels = own.chain([format!("k8s:io.kubernetes.pod.namespace={}", identity.namespace)]);
    let labels: Vec<String> = labels.collect();
    let mut endpoint = json!({ "namespace": identity.namespace, "labels": labels });
    if let (Some(name), Value::Object(endpoint)) = (&identity.name, &mut endpoint) {
        endpoint.insert("pod_name".to_owned(), json!(name));
    }
    endpoint
}

/// What Hubble has no place for. The first rule that decides, and all of their names.
fn ours(event: &Event, meaning: &Meaning<'_>) -> Value {
    let first = meaning.rules.first();
    let all: Vec<&str> = meaning.rules.iter().map(|rule| rule.name.as_str()).collect();
    let members = [
        ("generation", json!(event.generation)),
        ("rule", json!(first.map(|rule| &rule.name))),
        ("rules", json!(all)),
        ("owner", json!(first.and_then(|rule| rule.owner.as_ref()))),
        ("ticket", json!(first.and_then(|rule| rule.ticket.as_ref()))),
        ("because", json!(first.and_then(|rule| rule.because.as_ref()))),
        ("would_be", json!(meaning.outcome.and_then(|outcome| outcome.audit))),
        ("protocol", json!(event.protocol)),
        ("fragment", json!(event.fragment)),
        ("point", json!(meaning.point)),
        ("slot", json!(event.slot)),
        ("row", json!(event.row)),
        ("outcome", json!(event.outcome)),
        ("left_out", json!(event.left_out)),
        ("pid", json!(event.pid)),
        ("command", json!(event.command)),
    ];
    let said = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(said.map(|(key, value)| (key.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_snapshot::meta::{Outcome, Rule, Verdict};

    fn event() -> Event {
        Event {
            time: 0,
            generation: 7,
            left_out: 3,
            slot: 2,
            row: Some(1),
            class: Some(4),
            outcome: Some(5),
            interface: 1,
            length: 60,
            number: 443,
            source_number: 4242,
            protocol: 6,
            fragment: false,
            passed: false,
            late: false,
            source: Some("10.0.0.1".parse().unwrap()),
            destination: Some("1.2.3.4".parse().unwrap()),
            pid: None,
            command: None,
        }
    }

    #[test]
    fn a_denied_flow_reads_as_hubble_has_it() {
        let rule = Rule {
            name: "never#1".to_owned(),
            file: "a.egress".to_owned(),
            line: 1,
            start: 0,
            end: 1,
            allow: false,
            owner: Some("sec".to_owned()),
            because: Some("nobody, ever".to_owned()),
            ticket: None,
            until: None,
        };
        let outcome = Outcome {
            verdict: Verdict::Denied,
            rules: vec![0],
            audit: None,
            log: true,
            fragment: false,
            by_name: None,
        };
        let mut identity =
            Identity { namespace: "shop".to_owned(), name: Some("till".to_owned()), ..Identity::default() };
        identity.labels.insert("app".to_owned(), "checkout".to_owned());
        let meaning = Meaning {
            outcome: Some(&outcome),
            rules: vec![&rule],
            sender: Some(&identity),
            point: Some("iface veth1".to_owned()),
        };
        let time: Timestamp = "2027-01-02T03:04:05.5Z".parse().unwrap();
        let expected = json!({
            "flow": {
                "time": "2027-01-02T03:04:05.5Z",
                "verdict": "DROPPED",
                "Type": "L3_L4",
                "traffic_direction": "EGRESS",
                "drop_reason_desc": "POLICY_DENIED",
                "IP": { "source": "10.0.0.1", "destination": "1.2.3.4", "ipVersion": "IPv4" },
                "l4": { "TCP": { "source_port": 4242, "destination_port": 443 } },
                "source": {
                    "namespace": "shop",
                    "pod_name": "till",
                    "labels": ["k8s:app=checkout", "k8s:io.kubernetes.pod.namespace=shop"],
                },
            },
            "time": "2027-01-02T03:04:05.5Z",
            "egressc": {
                "generation": 7, "rule": "never#1", "rules": ["never#1"], "owner": "sec", "because": "nobody, ever",
                "protocol": 6, "fragment": false, "point": "iface veth1", "slot": 2, "row": 1, "outcome": 5, "left_out": 3,
            },
        });
        assert_eq!(json(&time, &event(), &meaning), expected);
        let line = super::super::human::line(&time, &event(), &meaning);
        assert_eq!(
            line,
            "2027-01-02T03:04:05.5Z denied  shop/till (app=checkout) 10.0.0.1 4242 → 1.2.3.4 443/tcp by never#1 \
             (a.egress:1, owner \"sec\", because \"nobody, ever\"), at iface veth1, 3 like it left out\n"
        );
    }

    #[test]
    fn what_is_not_known_is_not_said() {
        let malformed = Event { source: None, destination: None, outcome: None, row: None, class: None, ..event() };
        let said = json(&Timestamp::UNIX_EPOCH, &malformed, &Meaning::default());
        assert_eq!(said["flow"]["drop_reason_desc"], "INVALID_PACKET_DROPPED");
        for key in ["IP", "l4", "source"] {
            assert!(said["flow"].get(key).is_none(), "{key}");
        }
        assert!(said["egressc"].get("rule").is_none());
        let fragment = Event { fragment: true, passed: true, ..event() };
        let said = json(&Timestamp::UNIX_EPOCH, &fragment, &Meaning::default());
        assert_eq!((&said["flow"]["verdict"], said["flow"].get("l4")), (&json!("FORWARDED"), None));
    }
}
