//! Documents: opened, changed, closed, on the disk and off it.

use super::support::{Memory, Session};
use lsp_server::Notification;
use serde_json::json;

const UNKNOWN: &str = "egress::name::unknown";

#[test]
fn what_the_editor_has_counts_and_not_what_the_disk_has() {
    let world = Memory::of(&[("/w/a.egress", "policy a { for b }\n"), ("/w/b.egress", "workloads b = all\n")]);
    let mut session = Session::start(&world, json!({ "proofs": false }));
    session.open("/w/a.egress", "policy a { for c }\n");
    session.until_codes("/w/a.egress", &[UNKNOWN]);
    session.change(
        "/w/a.egress",
        2,
        &json!([{ "range": { "start": { "line": 0, "character": 15 }, "end": { "line": 0, "character": 16 } }, "text": "b" }]),
    );
    session.until_codes("/w/a.egress", &[]);
    session.replace("/w/a.egress", 3, "policy a { for d }\n");
    session.until_codes("/w/a.egress", &[UNKNOWN]);
    session.tell("textDocument/didClose", json!({ "textDocument": { "uri": "file:///w/a.egress" } }));
    session.until_codes("/w/a.egress", &[]);
    session.end();
}

#[test]
fn files_that_change_on_the_disk_are_read_again() {
    let world = Memory::of(&[("/w/a.egress", "policy a { for b }\n")]);
    let mut session = Session::start(&world, json!({ "proofs": false }));
    session.until_codes("/w/a.egress", &[UNKNOWN]);
    world.write("/w/deep/b.egress", "workloads b = all\n");
    session.tell("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    session.until_codes("/w/a.egress", &[]);
    world.remove("/w/deep/b.egress");
    session.tell("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    session.until_codes("/w/a.egress", &[UNKNOWN]);
    world.remove("/w/a.egress");
    session.tell("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    session.until_codes("/w/a.egress", &[]);
    session.end();
}

#[test]
fn each_folder_and_each_unit_of_the_settings_has_names_of_its_own() {
    let world = Memory::of(&[
        ("/w/a.egress", "workloads a = all\npolicy p { for a }\n"),
        ("/w/sub/a.egress", "policy p { for a }\n"),
        ("/v/a.egress", "policy p { for a }\n"),
    ]);
    let mut session = Session::with(&world, json!({}), json!({ "units": ["sub"] }), &["/w", "/v"]);
    session.until_codes("/w/sub/a.egress", &[UNKNOWN]);
    session.until_codes("/v/a.egress", &[UNKNOWN]);
    let duplicate = "egress::name::duplicate";
    session.tell("workspace/didChangeConfiguration", json!({ "settings": { "egress": {} } }));
    session.until_codes("/w/sub/a.egress", &[duplicate]);
    let removed = json!({ "event": { "added": [], "removed": [{ "uri": "file:///v", "name": "v" }] } });
    session.tell("workspace/didChangeWorkspaceFolders", removed);
    session.until_codes("/v/a.egress", &[]);
    session.end();
}

#[test]
fn a_document_that_is_no_file_stands_alone() {
    let world = Memory::of(&[("/w/a.egress", "workloads b = all\npolicy p { for b }\n")]);
    let mut session = Session::start(&world, json!({}));
    session.open("untitled:Untitled-1", "policy p { for b }\n");
    session.until_codes("untitled:Untitled-1", &[UNKNOWN]);
    session.open("/elsewhere/x.egress", "policy p { for b }\n");
    session.until_codes("/elsewhere/x.egress", &[UNKNOWN]);
    session.end();
}

#[test]
fn lists_and_inventories_are_watched_and_read_again() {
    let world = Memory::of(&[
        ("/w/a.egress", "policy p { for all allow list \"l.txt\" }\n"),
        ("/w/inventory.json", "{ \"kind\": \"List\", \"items\": [] }"),
    ]);
    let watches = json!({ "workspace": { "didChangeWatchedFiles": { "dynamicRegistration": true } } });
    let mut session = Session::with(&world, watches, json!({ "inventory": ["inventory.json"] }), &["/w"]);
    session.until_codes("/w/a.egress", &["egress::list::unreadable"]);
    session.until(|session| {
        let all: String = session.wanted.iter().map(|request| request.params.to_string()).collect();
        all.contains("/w/l.txt") && all.contains("/w/inventory.json") && all.contains("**/*.egress")
    });
    world.write("/w/l.txt", "192.0.2.0/24\n");
    session.tell("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    session.until_codes("/w/a.egress", &[]);
    world.write("/w/inventory.json", "{");
    session.tell("workspace/didChangeWatchedFiles", json!({ "changes": [] }));
    session.until_codes("/w/inventory.json", &["egress::inventory::format"]);
    session.end();
}

#[test]
fn edits_are_as_the_client_takes_them() {
    let text = "workloads w = all\npolicy p { for w }\n";
    let world = Memory::of(&[("/w/a.egress", text)]);
    let plain = json!({ "workspace": { "workspaceEdit": { "documentChanges": false } } });
    let mut session = Session::with(&world, plain, json!({}), &["/w"]);
    let renamed = session.ask_at("textDocument/rename", "/w/a.egress", (text, "w = all", 0), json!({ "newName": "v" }));
    assert_eq!(renamed["changes"]["file:///w/a.egress"].as_array().unwrap().len(), 2, "{renamed}");
    assert_eq!(renamed.get("documentChanges"), None);
    session.end();
}

#[test]
fn a_client_without_commands_is_shown_what_a_command_says() {
    let world = Memory::of(&[("/w/a.egress", "policy p { for all }\n")]);
    for (options, shown) in [(json!({}), 1), (json!({ "clientCommands": true }), 0)] {
        let mut session = Session::start(&world, options);
        let command = json!({ "command": "egress.server.coverage", "arguments": [{ "uri": "file:///w/a.egress" }] });
        let answer = session.ask("workspace/executeCommand", command).unwrap();
        let messages: Vec<&Notification> = session.told.iter().filter(|it| it.method == "window/showMessage").collect();
        assert_eq!(messages.len(), shown);
        assert!(messages.iter().all(|message| message.params["message"] == answer["text"]));
        session.end();
    }
}
