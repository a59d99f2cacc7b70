//! Trouble: malformed requests, cancelled ones, large files, many files.

use super::support::{Memory, Session, uri};
use egress_testkit::policies::{PolicyShape, generate};
use lsp_server::ErrorCode;
use serde_json::{Value, json};

/// Every method that the server answers.
const METHODS: [&str; 8] = [
    "textDocument/definition",
    "textDocument/references",
    "textDocument/documentHighlight",
    "textDocument/prepareRename",
    "textDocument/rename",
    "textDocument/documentSymbol",
    "workspace/symbol",
    "workspace/executeCommand",
];

#[test]
fn malformed_requests_are_refused_and_the_session_goes_on() {
    let world = Memory::of(&[("/w/a.egress", "policy p { for all }\n")]);
    let mut session = Session::start(&world, json!({}));
    let document = json!({ "uri": uri("/w/a.egress") });
    let far = json!({ "line": u32::MAX, "character": u32::MAX });
    let malformed = [
        Value::Null,
        json!([]),
        json!(7),
        json!({}),
        json!({ "textDocument": 7 }),
        json!({ "textDocument": { "uri": 7 } }),
        json!({ "textDocument": document, "position": { "line": -1, "character": 0 } }),
        json!({ "textDocument": document, "position": "here" }),
        json!({ "query": [] }),
        json!({ "command": "egress.server.compile", "arguments": [7] }),
        json!({ "command": "rm" }),
    ];
    for method in METHODS {
        for params in &malformed {
            let answer = session.ask(method, params.clone());
            let lenient = answer
                .as_ref()
                .is_ok_and(|_| method == "textDocument/documentSymbol" && params.get("position").is_some());
            assert!(answer.is_err() || lenient, "{method} {params}: {answer:?}");
        }
        let unknown = session.ask(
            method,
            json!({ "textDocument": { "uri": "file:///nowhere.egress" }, "position": far, "context": {} }),
        );
        assert!(unknown.is_err() || unknown == Ok(Value::Null), "{method}: {unknown:?}");
        let beyond = json!({ "textDocument": document, "position": far, "newName": "x", "context": { "includeDeclaration": true } });
        let _refused_or_not = session.ask(method, beyond);
    }
    let missing = session.ask("textDocument/levitate", json!({}));
    assert_eq!(missing.unwrap_err().0, ErrorCode::MethodNotFound as i32);
    for method in [
        "textDocument/didOpen",
        "textDocument/didChange",
        "textDocument/didClose",
        "$/setTrace",
        "$/cancelRequest",
        "workspace/didChangeWorkspaceFolders",
        "workspace/didChangeConfiguration",
    ] {
        malformed.iter().for_each(|params| session.tell(method, params.clone()));
    }
    // A change of a document that was never opened is nothing.
    session.replace("/w/a.egress", 1, "policy p { for nobody }\n");
    session.open("/w/a.egress", "policy p { for nobody }\n");
    session.until_codes("/w/a.egress", &["egress::name::unknown"]);
    session.end();
}

#[test]
fn cancelled_requests_are_answered_once() {
    let world = Memory::of(&[("/w/a.egress", &generate(1, &PolicyShape::of(2000)))]);
    let mut session = Session::start(&world, json!({}));
    let params = || json!({ "textDocument": { "uri": uri("/w/a.egress") } });
    // While the server is busy with the first, the others wait for their turn and can be cancelled.
    let ids: Vec<_> = (0..50).map(|_| session.send("textDocument/documentSymbol", params())).collect();
    for id in &ids[1..] {
        session.tell("$/cancelRequest", json!({ "id": serde_json::to_value(id).unwrap() }));
    }
    let mut cancelled = 0;
    for id in &ids {
        match session.answer(id) {
            Ok(symbols) => assert!(symbols.as_array().is_some_and(|symbols| !symbols.is_empty())),
            Err((code, _)) => {
                assert_eq!(code, ErrorCode::RequestCanceled as i32);
                cancelled += 1;
            }
        }
    }
    assert!(cancelled > 0, "none of 49 requests was cancelled before its turn");
    session.tell("$/cancelRequest", json!({ "id": 1 }));
    session.tell("$/cancelRequest", json!({ "id": "never asked" }));
    session.end();
}

#[test]
fn commands_are_cancelled_while_they_run() {
    let world = Memory::of(&[("/w/a.egress", "policy p { for all }\n")]);
    let mut session = Session::start(&world, json!({ "proofs": false }));
    let argument = json!({ "uri": uri("/w/a.egress"), "target": "nftables" });
    let compile = json!({ "command": "egress.server.compile", "arguments": [argument] });
    // The first waits until it is known what the text means.
    assert_eq!(session.ask("workspace/executeCommand", compile.clone()).unwrap()["text"], "0 rules");
    let held = world.gate.lock().unwrap();
    let id = session.send("workspace/executeCommand", compile);
    session.ask("workspace/symbol", json!({ "query": "x" })).unwrap();
    session.tell("$/cancelRequest", json!({ "id": serde_json::to_value(&id).unwrap() }));
    assert_eq!(session.answer(&id).unwrap_err().0, ErrorCode::RequestCanceled as i32);
    drop(held);
    session.end();
}

#[test]
fn commands_say_why_they_cannot_be() {
    let world = Memory::of(&[("/w/a.egress", "policy p { for all }\n")]);
    let mut session = Session::start(&world, json!({}));
    let explain = |to: &str| {
        let argument = json!({ "uri": uri("/w/a.egress"), "from": "10.0.0.1", "to": to });
        json!({ "command": "egress.server.explain", "arguments": [argument] })
    };
    let explained = session.ask("workspace/executeCommand", explain("192.0.2.1:443/tcp")).unwrap();
    assert!(explained["text"].as_str().unwrap().contains("nothing allows the flow"), "{explained}");
    let refused = session.ask("workspace/executeCommand", explain("somewhere")).unwrap_err();
    assert!(refused.1.contains("`somewhere`"), "{refused:?}");
    session.open("/w/a.egress", "policy p { for nobody }\n");
    let refused = session.ask("workspace/executeCommand", explain("192.0.2.1:443/tcp")).unwrap_err();
    assert!(refused.1.contains("errors"), "{refused:?}");
    session.end();
}

#[test]
fn a_file_of_five_megabytes_is_served() {
    let policy = generate(1, &PolicyShape::of(3000));
    let text = policy.clone() + &format!("# {}\n", "ü𝄞".repeat(1000)).repeat(5_000_000 / 6000);
    assert!(text.len() > 5_000_000);
    let mut session = Session::start(&Memory::default(), json!({ "proofs": false }));
    session.open("/w/large.egress", &text);
    let lines = text.lines().count();
    for (version, with) in (2..).zip(["policy x { for nobody }\n", "# gone\n"]) {
        let start = json!({ "line": lines - 1, "character": 3 });
        let change = json!([{ "range": { "start": start, "end": start }, "text": format!("\n{with}#") }]);
        session.change("/w/large.egress", version, &change);
        session.until(|session| session.codes("/w/large.egress").contains(&"egress::name::unknown".to_owned()));
    }
    session.replace("/w/large.egress", 9, &"(".repeat(5_000_000));
    session.until(|session| session.codes("/w/large.egress").iter().any(|code| code.starts_with("egress::syntax::")));
    let misspelt: String = (0..5000).map(|number| format!("policy p{number} {{ for nobody }}\n")).collect();
    session.replace("/w/large.egress", 10, &misspelt);
    session.until(|session| {
        let found = &session.diagnostics[&uri("/w/large.egress")];
        found.len() == 1001 && found[1000]["message"].as_str().is_some_and(|it| it.contains("more findings"))
    });
    session.replace("/w/large.egress", 11, &policy);
    session.until(|session| !session.codes("/w/large.egress").iter().any(|code| code.starts_with("egress::syntax::")));
    session.end();
}

#[test]
fn a_thousand_files_are_one_unit() {
    let world = Memory::default();
    for number in 0..1000 {
        let next = (number + 1) % 1000;
        world.write(
            &format!("/w/team-{:02}/{number}.egress", number % 50),
            &format!("workloads w{number} = pods(app=a{number}) in namespace n\npolicy p{number} {{ for w{next} allow 192.0.2.{} }}\n", number % 250),
        );
    }
    let mut session = Session::start(&world, json!({ "proofs": false }));
    let symbols = session.ask("workspace/symbol", json!({ "query": "w999" })).unwrap();
    assert_eq!(symbols[0]["location"]["uri"], uri("/w/team-49/999.egress"));
    session.open("/w/team-00/0.egress", "policy p0 { for w1 }\n");
    session.until_codes("/w/team-49/999.egress", &["egress::name::unknown"]);
    let text = "workloads w0 = pods(app=a0) in namespace n\npolicy p0 { for w1 }\n";
    session.replace("/w/team-00/0.egress", 2, text);
    session.until_codes("/w/team-49/999.egress", &[]);
    let renamed =
        session.ask_at("textDocument/rename", "/w/team-00/0.egress", (text, "w0", 1), json!({ "newName": "zero" }));
    assert_eq!(renamed["documentChanges"].as_array().unwrap().len(), 2);
    session.end();
}
