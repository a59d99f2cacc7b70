//! What can be written at a place.

use super::support::{Memory, Session};
use serde_json::{Value, json};

const WORLD: &str = "\
workloads shop = pods(app=shop)
## The books.
destinations ledger = 10.20.0.0/16, list \"lists/bad.txt\"
ports db = 5432/tcp
gateway eu { address 203.0.113.10 }
";

const INVENTORY: &str = r#"{ "kind": "List", "items": [
  { "kind": "Namespace", "metadata": { "name": "web", "labels": { "team": "a" } } },
  { "kind": "Node", "metadata": { "name": "n1", "labels": { "zone": "eu" } } },
  { "kind": "Pod", "metadata": { "name": "shop-1", "namespace": "web", "labels": { "app": "shop" } }, "spec": { "serviceAccountName": "payer" }, "status": {} }
] }"#;

/// The labels offered at the `|` of a text.
fn offered(session: &mut Session, version: i32, marked: &str) -> Vec<String> {
    let at = marked.find('|').unwrap();
    let text = marked.replacen('|', "", 1);
    session.replace("/w/b.egress", version, &text);
    let line = text[..at].matches('\n').count();
    let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    let position = json!({ "line": line, "character": text[start..at].encode_utf16().count() });
    let params = json!({ "textDocument": { "uri": "file:///w/b.egress" }, "position": position });
    let items = session.ask("textDocument/completion", params).unwrap();
    items.as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_fits_is_offered_in_the_middle_of_broken_text() {
    let world = Memory::of(&[("/w/a.egress", WORLD), ("/w/i.json", INVENTORY)]);
    let mut session = Session::start(&world, json!({ "proofs": false, "inventory": ["i.json"] }));
    session.open("/w/b.egress", "");
    let cases: [(&str, &[&str], &[&str]); 27] = [
        ("|", &["policy", "workloads"], &["allow", "policy …"]),
        ("pol|", &["policy"], &["allow"]),
        ("policy |", &[], &["policy", "for"]),
        ("policy p { |", &["for", "owner", "mode", "allow", "deny"], &["ledger", "on"]),
        ("policy p { for |", &["shop", "all", "pods"], &["ledger", "for"]),
        ("policy p { for shop |", &["except", "owner", "allow"], &["for", "shop", "on"]),
        ("policy p { for shop allow |", &["ledger", "host", "world"], &["shop", "on"]),
        ("policy p { for shop allow ledger |", &["on", "via", "log", "allow", "except"], &["ledger", "for"]),
        ("policy p { for shop allow ledger on |", &["db", "tcp", "443/tcp"], &["ledger", "via"]),
        ("policy p { for shop allow ledger on db |", &["via", "because", "deny"], &["on", "db"]),
        ("policy p { for shop allow ledger on db via |", &["eu"], &["on", "db"]),
        ("policy p { for shop allow ledger via eu |", &["on", "log"], &["via"]),
        ("policy p { for shop allow ledger because |", &[], &["on"]),
        ("guardrail p { for all deny ledger |", &["on", "deny"], &["via", "allow"]),
        ("policy p { for pods(|", &["app"], &["shop", "team", "zone"]),
        ("policy p { for pods(app=|", &["shop"], &["app"]),
        ("policy p { for pods(app in (|", &["shop"], &["app"]),
        ("policy p { for pods(app) in namespace |", &["web"], &["shop"]),
        ("policy p { for pods in namespaces(team=|", &["a"], &["web"]),
        ("policy p { for pods as serviceaccount |", &["payer"], &["web"]),
        ("gateway g { nodes(|", &["zone"], &["app"]),
        ("destinations d = list \"|", &["lists/bad.txt"], &["ledger"]),
        ("destinations d = list \"x.json\" (|", &["region", "service", "key"], &["ledger"]),
        ("destinations d = ledger, |\npolicy q { for all }", &["ledger", "private"], &["shop"]),
        ("assert |", &["shop", "only", "all"], &["ledger", "reach"]),
        ("assert shop can reach |", &["ledger", "only", "world"], &["shop"]),
        ("# 漢字 𝄞\r\nassert shop can reach ledger only via |", &["eu"], &["ledger"]),
    ];
    for (version, (marked, wanted, unwanted)) in (2..).zip(cases) {
        let labels = offered(&mut session, version, marked);
        for label in wanted {
            assert!(labels.contains(&(*label).to_owned()), "{marked}: no {label} in {labels:?}");
        }
        for label in unwanted {
            assert!(!labels.contains(&(*label).to_owned()), "{marked}: {label} in {labels:?}");
        }
    }
    assert_eq!(offered(&mut session, 99, "# pol|"), Vec::<String>::new());
    session.end();
}

#[test]
fn items_replace_the_word_and_say_what_they_are() {
    let world = Memory::of(&[("/w/a.egress", WORLD)]);
    let snippets = json!({ "textDocument": { "completion": { "completionItem": { "snippetSupport": true } } } });
    let mut session = Session::with(&world, snippets, json!({ "proofs": false }), &["/w"]);
    let text = "policy p { for shop /*𝄞*/ allow led }";
    session.open("/w/b.egress", text);
    let items = session.ask_at("textDocument/completion", "/w/b.egress", (text, "led", 2), Value::Null);
    let ledger = items.as_array().unwrap().iter().find(|item| item["label"] == "ledger").unwrap();
    let range = json!({ "start": { "line": 0, "character": 33 }, "end": { "line": 0, "character": 36 } });
    assert_eq!(ledger["textEdit"], json!({ "range": range, "newText": "ledger" }));
    assert_eq!(ledger["documentation"]["value"], "The books.");
    session.replace("/w/b.egress", 2, "");
    let items = session.ask_at("textDocument/completion", "/w/b.egress", ("x", "x", 0), Value::Null);
    let snippet = items.as_array().unwrap().iter().find(|item| item["label"] == "policy …").unwrap();
    assert_eq!(snippet["insertTextFormat"], 2);
    session.end();
}
