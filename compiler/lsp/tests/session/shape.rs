//! What editors draw: colours, folds, selections, links, hints, lenses, forms; and formatting.

use super::support::{Memory, Session, uri};
use serde_json::{Value, json};

const TEXT: &str = "\
## Who pays: ü𝄞.
workloads checkout = pods(app=checkout, tier in (web, api)) in namespace shop
destinations abusive = list \"l.txt\", 192.0.2.0/28
ports secure = 443/tcp
gateway fixed { nodes(zone=eu) address 203.0.113.7 managed }

# one
# two
policy shop {
  for checkout, pods(app=cart)
  owner \"team ü𝄞\"
  allow abusive except 192.0.2.1 on secure via fixed because \"ü\" until 2027-03-31
  deny host *.example.com
    log
}
control \"C 1\" \"nothing\" {
  assert checkout cannot reach host a.example.com
  assert all cannot reach 203.0.113.9
}
";

const INVENTORY: &str = r#"{ "kind": "List", "items": [
  { "kind": "Namespace", "metadata": { "name": "shop" } },
  { "kind": "Pod", "metadata": { "name": "c-1", "namespace": "shop", "labels": { "app": "checkout", "tier": "web" } },
    "spec": { "nodeName": "n" }, "status": { "phase": "Running", "podIP": "10.42.0.2" } },
  { "kind": "Pod", "metadata": { "name": "k-1", "namespace": "shop", "labels": { "app": "cart" } },
    "spec": { "nodeName": "n" }, "status": { "phase": "Running", "podIP": "10.42.0.3" } }
] }"#;

fn session(options: Value) -> Session {
    let world = Memory::of(&[("/w/a.egress", TEXT), ("/w/l.txt", "198.51.100.0/24\n"), ("/w/i.json", INVENTORY)]);
    let mut options = options;
    options["inventory"] = json!(["i.json"]);
    let mut session =
        Session::with(&world, json!({ "workspace": { "codeLens": { "refreshSupport": true } } }), options, &["/w"]);
    // The lenses of assertions are there once the prover is done, of which the client is told.
    session.until(|session| session.wanted.iter().filter(|it| it.method == "workspace/codeLens/refresh").count() >= 2);
    session
}

fn ask(session: &mut Session, method: &str, more: Value) -> Value {
    let mut params = json!({ "textDocument": { "uri": uri("/w/a.egress") } });
    params.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    session.ask(method, params).unwrap()
}

/// The text at a range that is counted in UTF-16.
fn text_at(text: &str, range: &Value) -> String {
    let lines: Vec<Vec<u16>> = text.split_inclusive('\n').map(|line| line.encode_utf16().collect()).collect();
    let at = |end: &str| {
        let number = |part: &str| usize::try_from(range[end][part].as_u64().unwrap()).unwrap();
        lines[..number("line")].iter().map(Vec::len).sum::<usize>() + number("character")
    };
    let all: Vec<u16> = lines.concat();
    String::from_utf16(&all[at("start")..at("end")]).unwrap()
}

#[test]
fn words_have_the_colours_of_what_they_are() {
    let mut session = session(json!({}));
    let legend = session.capabilities["semanticTokensProvider"]["legend"]["tokenTypes"].clone();
    let tokens = ask(&mut session, "textDocument/semanticTokens/full", json!({}));
    let (mut line, mut start, mut told) = (0, 0, String::new());
    for token in tokens["data"].as_array().unwrap().chunks(5) {
        let number = |at: usize| token[at].as_u64().unwrap();
        line += number(0);
        start = if number(0) == 0 { start + number(1) } else { number(1) };
        let range = json!({ "start": { "line": line, "character": start }, "end": { "line": line, "character": start + number(2) } });
        let kind = legend[usize::try_from(number(3)).unwrap()].as_str().unwrap();
        told += &format!("{:12} {}{}\n", kind, text_at(TEXT, &range), if number(4) == 1 { "  declared" } else { "" });
    }
    insta::assert_snapshot!(told);
    let part = json!({ "range": { "start": { "line": 8, "character": 0 }, "end": { "line": 9, "character": 0 } } });
    let part = ask(&mut session, "textDocument/semanticTokens/range", part);
    assert_eq!(part["data"].as_array().unwrap().len(), 2 * 5);
    session.end();
}

#[test]
fn blocks_comments_and_rules_fold() {
    let mut session = session(json!({}));
    let ranges = ask(&mut session, "textDocument/foldingRange", json!({}));
    let lines: Vec<(u64, u64)> = ranges
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["startLine"].as_u64().unwrap(), it["endLine"].as_u64().unwrap()))
        .collect();
    assert_eq!(lines, [(6, 7), (8, 14), (12, 13), (15, 18)]);
    session.end();
}

#[test]
fn selections_grow_from_the_word_to_the_file() {
    let mut session = session(json!({}));
    let position = json!({ "line": 1, "character": 33 });
    let mut range = ask(&mut session, "textDocument/selectionRange", json!({ "positions": [position] }))[0].clone();
    let mut grown = Vec::new();
    while !range.is_null() {
        grown.push(text_at(TEXT, &range["range"]));
        range = range["parent"].clone();
    }
    assert_eq!(grown[..2], ["checkout", "app=checkout"]);
    assert!(grown.contains(&"pods(app=checkout, tier in (web, api)) in namespace shop".to_owned()), "{grown:?}");
    assert_eq!(grown.last().unwrap(), TEXT);
    session.end();
}

#[test]
fn lists_link_to_their_files() {
    let mut session = session(json!({}));
    let links = ask(&mut session, "textDocument/documentLink", json!({}));
    assert_eq!(links.as_array().unwrap().len(), 1);
    assert_eq!(links[0]["target"], uri("/w/l.txt"));
    assert_eq!(text_at(TEXT, &links[0]["range"]), "l.txt");
    session.end();
}

#[test]
fn hints_count_pods_and_addresses() {
    let mut session = session(json!({}));
    let all = json!({ "range": { "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } } });
    let hints = ask(&mut session, "textDocument/inlayHint", all);
    let told: Vec<String> = hints
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{}: {}", it["position"]["line"], it["label"].as_str().unwrap()))
        .collect();
    assert_eq!(told, ["1: 1 pod", "2: 272 addresses", "9: 2 pods"]);
    let part = json!({ "range": { "start": { "line": 2, "character": 0 }, "end": { "line": 3, "character": 0 } } });
    assert_eq!(ask(&mut session, "textDocument/inlayHint", part).as_array().unwrap().len(), 1);
    session.end();
}

#[test]
fn lenses_say_what_is_proved() {
    let mut session = session(json!({ "clientCommands": true }));
    let lenses = ask(&mut session, "textDocument/codeLens", json!({}));
    let titles: Vec<String> = lenses
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            format!(
                "{}: {} [{}]",
                it["range"]["start"]["line"],
                it["command"]["title"].as_str().unwrap(),
                it["command"]["command"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        titles,
        [
            "1: show coverage [egress.coverage]",
            "1: compile preview [egress.compile]",
            "8: 2 rules []",
            "8: explain a flow [egress.explain]",
            "15: 1 assertion proved, 1 assertion refuted []",
            "16: proved []",
            "17: refuted []",
        ]
        .map(str::to_owned)
    );
    session.end();
    let world = Memory::of(&[("/w/a.egress", "assert all cannot reach 192.0.2.1\n")]);
    let mut without = Session::start(&world, json!({ "proofs": false }));
    let lenses = ask(&mut without, "textDocument/codeLens", json!({}));
    assert_eq!(lenses[0]["command"]["command"], "egress.server.coverage");
    assert_eq!(lenses[1]["command"]["title"], "not proved: the prover is switched off");
    without.end();
}

#[test]
fn the_form_of_a_rule_is_shown_while_it_is_written() {
    let mut session = session(json!({}));
    let text = "policy p {\n  for all\n  allow 192.0.2.1 on \n}\nworkloads w = \n";
    session.open("/w/b.egress", text);
    let mut at = |needle: &str| {
        let help = session.ask_at("textDocument/signatureHelp", "/w/b.egress", (text, needle, needle.len()), json!({}));
        let signature = &help["signatures"][0];
        let active = usize::try_from(help["activeParameter"].as_u64().unwrap_or(99)).unwrap();
        signature["parameters"][active]["label"].as_str().map(str::to_owned)
    };
    assert_eq!(at("allow ").as_deref(), Some("allow DESTINATIONS"));
    assert_eq!(at("192.0.2.1 on ").as_deref(), Some("on PORTS"));
    assert_eq!(at("for all").as_deref(), Some("for WORKLOADS"));
    assert_eq!(at("workloads w = ").as_deref(), Some("= SET"));
    session.end();
}

/// Applies edits as editors do, from the last to the first.
fn applied(text: &str, edits: &Value) -> String {
    let mut units: Vec<u16> = text.encode_utf16().collect();
    let mut edits: Vec<Value> = edits.as_array().unwrap().clone();
    let place = |units: &[u16], position: &Value| {
        let line = usize::try_from(position["line"].as_u64().unwrap()).unwrap();
        let starts = std::iter::once(0)
            .chain(units.iter().enumerate().filter(|(_, unit)| **unit == u16::from(b'\n')).map(|(at, _)| at + 1));
        starts
            .clone()
            .nth(line)
            .map_or(units.len(), |start| start + usize::try_from(position["character"].as_u64().unwrap()).unwrap())
    };
    edits.reverse();
    for edit in edits {
        let (start, end) = (place(&units, &edit["range"]["start"]), place(&units, &edit["range"]["end"]));
        units.splice(start..end, edit["newText"].as_str().unwrap().encode_utf16());
    }
    String::from_utf16(&units).unwrap()
}

#[test]
fn formatting_is_that_of_the_command_and_touches_few_lines() {
    let mut session = session(json!({}));
    let texts = [
        TEXT.to_owned(),
        TEXT.replace('\n', "\r\n"),
        TEXT.replace("  ", " ").replace(" = ", "="),
        "policy   p {for all}".to_owned(),
        format!("{TEXT}\n\n\npolicy   p {{for all}}"),
        String::new(),
        "# ü𝄞\n\n\n\n# x".to_owned(),
    ];
    for (version, text) in (2..).zip(&texts) {
        session.open("/w/a.egress", text);
        session.replace("/w/a.egress", version, text);
        let edits =
            ask(&mut session, "textDocument/formatting", json!({ "options": { "tabSize": 4, "insertSpaces": false } }));
        assert_eq!(applied(text, &edits), egress_lang::format(text).unwrap(), "{edits}");
    }
    let broken = "policy   p {for all";
    session.replace("/w/a.egress", 90, broken);
    assert_eq!(ask(&mut session, "textDocument/formatting", json!({})), json!([]));
    let two = "policy   a {for all}\n\npolicy   b {for all}\n";
    session.replace("/w/a.egress", 91, two);
    let part = json!({ "range": { "start": { "line": 2, "character": 3 }, "end": { "line": 2, "character": 4 } } });
    let edits = ask(&mut session, "textDocument/rangeFormatting", part);
    assert_eq!(applied(two, &edits), "policy   a {for all}\n\npolicy b { for all }\n");
    session.end();
}
