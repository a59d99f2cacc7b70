//! `egressc lsp` as editors start it: frames over standard input and output, exit codes, files on a disk.
#![expect(clippy::unwrap_used, reason = "what is not as expected must stop the test")]

#[cfg(test)]
mod support;

use lsp_server::Message;
use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use support::Folder;

struct Server {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_egressc"))
            .arg("lsp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, input, output: BufReader::new(output) }
    }

    fn send(&mut self, body: &str) {
        write!(self.input, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        self.input.flush().unwrap();
    }

    fn initialize(&mut self, folder: &Folder) -> Value {
        let folders = json!([{ "uri": format!("file://{}", folder.path().display()), "name": "w" }]);
        let params = json!({ "processId": null, "rootUri": null, "capabilities": {}, "workspaceFolders": folders });
        self.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }).to_string());
        let result = self.until(|message| matches!(message, Message::Response(_)));
        self.send(r#"{ "jsonrpc": "2.0", "method": "initialized", "params": {} }"#);
        result
    }

    /// Reads until a message is as wanted; its params or its result.
    fn until(&mut self, wanted: impl Fn(&Message) -> bool) -> Value {
        loop {
            let message = Message::read(&mut self.output).unwrap().unwrap();
            if wanted(&message) {
                return match message {
                    Message::Response(response) => response.response_result.unwrap_or_else(|error| json!(error.code)),
                    Message::Notification(notification) => notification.params,
                    Message::Request(request) => request.params,
                };
            }
        }
    }

    fn diagnostics(&mut self) -> Value {
        self.until(
            |message| matches!(message, Message::Notification(it) if it.method == "textDocument/publishDiagnostics"),
        )
    }

    /// Waits for the end, while the client still listens and could speak.
    fn end(mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    /// Goes away, and waits for the end.
    fn leave(mut self) -> Option<i32> {
        drop(self.input);
        self.process.wait().unwrap().code()
    }
}

#[test]
fn a_session_over_the_disk_ends_in_order() {
    let folder =
        Folder::new(&[("a.egress", "policy p { for nobody }\n"), (".hidden/b.egress", "policy p { for all }\n")]);
    let mut server = Server::start();
    let result = server.initialize(&folder);
    assert_eq!(result["capabilities"]["positionEncoding"], "utf-16");
    assert_eq!(result["serverInfo"]["name"], "egressc");
    let told = server.diagnostics();
    assert!(told["uri"].as_str().unwrap().ends_with("/a.egress"));
    assert_eq!(told["diagnostics"][0]["code"], "egress::name::unknown");
    server.send(r#"{ "jsonrpc": "2.0", "id": 2, "method": "shutdown" }"#);
    assert_eq!(server.until(|message| matches!(message, Message::Response(_))), Value::Null);
    // What comes after shutdown is refused.
    server.send(r#"{ "jsonrpc": "2.0", "id": 3, "method": "workspace/symbol", "params": { "query": "" } }"#);
    assert_eq!(server.until(|message| matches!(message, Message::Response(_))), json!(-32600));
    server.send(r#"{ "jsonrpc": "2.0", "method": "exit" }"#);
    assert_eq!(server.end(), Some(0));
}

#[test]
fn messages_that_are_none_do_not_end_the_session() {
    let folder = Folder::new(&[("a.egress", "policy p { for all }\n")]);
    let mut server = Server::start();
    server.send("{ this is no JSON");
    server.initialize(&folder);
    for garbage in ["", "[]", "\u{0}", "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":{}}", "{\"method\":7}"] {
        server.send(garbage);
    }
    server.send(r#"{ "jsonrpc": "2.0", "id": 2, "method": "workspace/symbol", "params": { "query": "p" } }"#);
    let symbols = server.until(|message| matches!(message, Message::Response(it) if it.id == 2.into()));
    assert_eq!(symbols[0]["name"], "p");
    server.send(r#"{ "jsonrpc": "2.0", "method": "exit" }"#);
    assert_eq!(server.end(), Some(1), "exit without shutdown");
}

#[test]
fn a_client_that_goes_away_ends_the_server() {
    let folder = Folder::new(&[("a.egress", "policy p { for all }\n")]);
    let mut server = Server::start();
    server.initialize(&folder);
    assert_eq!(server.leave(), Some(1));
    assert_eq!(Server::start().leave(), Some(1));
}
