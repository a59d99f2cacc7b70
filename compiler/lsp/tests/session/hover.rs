//! What stands under the pointer.

use super::support::{Memory, Session};
use serde_json::{Value, json};

const TEXT: &str = "\
cluster prod { pods 10.42.0.0/16 }\r
## Where the books are: \u{1D11E}\r
destinations ledger = 10.20.0.0/16 except 10.20.99.0/24\r
destinations cards = host *.cards.example\r
destinations bad = list \"bad.txt\"\r
workloads shop = pods(app=shop) in namespace web\r
ports db = 5432/tcp, more\r
ports more = 6432-6440/tcp\r
gateway eu { nodes(zone=eu) address 203.0.113.10 }\r
guardrail never { for all deny private except ledger deny bad }\r
policy buy { for shop owner \"team\" /*\u{1D11E}*/ allow ledger on db via eu allow 10.20.1.0/24 on 5432/tcp via eu allow cards }\r
control \"C1\" \"Books\" { assert shop can reach ledger on db }\r
assert all cannot reach 10.20.1.1\r
";

const INVENTORY: &str = r#"{ "kind": "List", "items": [
  { "kind": "Namespace", "metadata": { "name": "web", "labels": { "team": "a" } } },
  { "kind": "Node", "metadata": { "name": "n1", "labels": { "zone": "eu" } } },
  { "kind": "Pod", "metadata": { "name": "shop-1", "namespace": "web", "labels": { "app": "shop" } }, "spec": {}, "status": {} },
  { "kind": "Pod", "metadata": { "name": "shop-2", "namespace": "web", "labels": { "app": "shop" } }, "spec": { "hostNetwork": true }, "status": {} }
] }"#;

fn text() -> String {
    TEXT.replace("/*\u{1D11E}*/", "because").replace("owner \"team\" because", "owner \"team \u{1D11E}\"")
}

fn session() -> Session {
    let world = Memory::of(&[
        ("/w/a.egress", &text()),
        ("/w/bad.txt", "192.0.2.0/25\n198.51.100.7\n"),
        ("/w/i.json", INVENTORY),
    ]);
    let mut session = Session::start(&world, json!({ "inventory": ["i.json"] }));
    session.until(|session| session.codes("/w/a.egress").contains(&"egress::assert::failed".to_owned()));
    session
}

fn said(session: &mut Session, needle: &str, inside: usize) -> String {
    let answer = session.ask_at("textDocument/hover", "/w/a.egress", (&text(), needle, inside), Value::Null);
    answer["contents"]["value"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn everything_says_what_it_means() {
    let mut session = session();
    let places = [
        ("ledger on db", 2),
        ("cards }", 1),
        ("bad =", 0),
        ("for shop", 5),
        ("db via", 0),
        ("eu allow", 0),
        ("never", 0),
        ("buy", 0),
        ("prod", 0),
        ("\"C1\"", 2),
        ("allow ledger", 2),
        ("allow 10.20.1", 2),
        ("deny private", 2),
        ("assert shop", 2),
        ("assert all", 2),
        ("10.20.99.0/24", 4),
        ("*.cards", 1),
        ("list", 1),
        ("app=", 1),
        ("namespace web", 11),
        ("guardrail", 1),
        ("private", 2),
        ("203.0", 1),
    ];
    let mut all = String::new();
    for (needle, inside) in places {
        all += &format!("=== {needle}\n{}\n\n", said(&mut session, needle, inside).replace('\r', ""));
    }
    insta::assert_snapshot!("hover", all);
    session.end();
}

#[test]
fn the_meaning_of_an_earlier_text_is_called_so() {
    let mut session = session();
    let broken = format!("{}policy x {{ for nobody }}\n", text());
    session.open("/w/a.egress", &text());
    session.replace("/w/a.egress", 2, &broken);
    session.until(|session| session.codes("/w/a.egress").contains(&"egress::name::unknown".to_owned()));
    let told = said(&mut session, "ledger on db", 2);
    assert!(told.contains("65,280 addresses") && told.contains("As of the last version without errors"), "{told}");
    session.end();
}
