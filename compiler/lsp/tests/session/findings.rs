//! Findings of the checker and the prover, as they come and go while people type.

use super::support::{Memory, Session, uri};
use serde_json::json;

const POLICY: &str = "\
guardrail never { for all deny 169.254.169.254 because \"credentials\" }
policy shop { for all allow 169.254.0.0/16 on tcp }
assert all cannot reach 169.254.1.1
";

#[test]
fn findings_have_their_witness_and_every_rule_involved() {
    let world = Memory::of(&[("/w/a.egress", POLICY)]);
    let related = json!({ "textDocument": { "publishDiagnostics": { "relatedInformation": true } } });
    let mut session = Session::with(&world, related, json!({}), &["/w"]);
    session.until_codes("/w/a.egress", &["egress::assert::failed", "egress::rule::overridden"]);
    let found = &session.diagnostics[&uri("/w/a.egress")];
    let of = |code: &str| found.iter().find(|it| it["code"] == code).unwrap().clone();
    let overridden = of("egress::rule::overridden");
    let message = overridden["message"].as_str().unwrap();
    assert!(message.contains("witness: ") && message.contains("→ 169.254.169.254:"), "{message}");
    let related = overridden["relatedInformation"].as_array().unwrap();
    assert_eq!(related[0]["location"]["range"]["start"], json!({ "line": 0, "character": 26 }));
    assert!(related[0]["message"].as_str().unwrap().contains("because \"credentials\""));
    let failed = of("egress::assert::failed");
    assert!(failed["message"].as_str().unwrap().contains("→ 169.254.1.1"), "{failed}");
    assert_eq!(failed["severity"], 1);
    session.end();
}

#[test]
fn findings_move_with_their_text_and_go_when_it_is_mended() {
    let world = Memory::of(&[]);
    let mut session = Session::start(&world, json!({}));
    session.open("/w/a.egress", POLICY);
    session.until_codes("/w/a.egress", &["egress::assert::failed", "egress::rule::overridden"]);
    // An error elsewhere leaves the meaning open: what was found before stays, at its new place.
    session.change("/w/a.egress", 2, &json!([{ "range": { "start": { "line": 0, "character": 0 }, "end": { "line": 0, "character": 0 } }, "text": "\n\npolicy x { for nobody }\n" }]));
    session
        .until_codes("/w/a.egress", &["egress::assert::failed", "egress::name::unknown", "egress::rule::overridden"]);
    let line = |session: &Session, code: &str| {
        let found = &session.diagnostics[&uri("/w/a.egress")];
        found.iter().find(|it| it["code"] == code).unwrap()["range"]["start"]["line"].clone()
    };
    assert_eq!(line(&session, "egress::assert::failed"), 5);
    assert_eq!(line(&session, "egress::rule::overridden"), 4);
    session.replace(
        "/w/a.egress",
        3,
        "policy shop { for all allow 192.0.2.0/24 }\nassert all cannot reach 198.51.100.1\n",
    );
    session.until_codes("/w/a.egress", &[]);
    session.end();
}

#[test]
fn without_the_prover_the_checker_speaks_alone() {
    let world = Memory::of(&[("/w/a.egress", POLICY)]);
    let mut session = Session::start(&world, json!({ "proofs": false }));
    session.until_codes("/w/a.egress", &["egress::rule::overridden"]);
    session.end();
}
