//! Which request is which feature, and what notifications do.

use super::{Server, commands};
use crate::features::{
    actions, completion, definition, folding, format, hints, hover, lenses, links, rename, selection, semantic,
    signature, symbols,
};
use crate::uri;
use crate::view::View;
use egress_lang::span::Span;
use gen_lsp_types::{
    CodeActionParams, DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams,
    DocumentHighlightParams, ReferenceParams, RenameParams, SelectionRangeParams, SemanticTokens,
    TextDocumentPositionParams, WorkspaceSymbolParams,
};
use lsp_server::{ErrorCode, Notification, Request, RequestId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// An answer that was worked out on another thread.
pub(super) struct Answer {
    pub(super) id: RequestId,
    pub(super) result: Result<Value, String>,
}

/// Answers a request, or has it answered later.
pub(super) fn answer(server: &mut Server, request: Request) {
    let Request { id, method, params } = request;
    let outcome = match method.as_str() {
        "textDocument/hover" => server.at(params, |view, at, _: Value| hover::hover(view, at)),
        "textDocument/definition" => {
            server.at(params, |view, at, _: TextDocumentPositionParams| definition::definition(view, at))
        }
        "textDocument/references" => server.at(params, |view, at, params: ReferenceParams| {
            definition::references(view, at, params.context.include_declaration)
        }),
        "textDocument/documentHighlight" => {
            server.at(params, |view, at, _: DocumentHighlightParams| definition::highlights(view, at))
        }
        "textDocument/prepareRename" => server.at(params, |view, at, _: TextDocumentPositionParams| {
            rename::prepare(view, at).map(|(range, placeholder)| json!({ "range": range, "placeholder": placeholder }))
        }),
        "textDocument/rename" => {
            let client = server.state.client;
            server.try_at(params, |view, at, params: RenameParams| {
                rename::rename(view, at, &params.new_name).map(|edit| client.edit(edit))
            })
        }
        "textDocument/documentSymbol" => server.on(params, |view, _: Value| symbols::document(view)),
        "textDocument/completion" => {
            let snippets = server.state.client.snippets;
            server.at(params, |view, at, _: Value| completion::completion(view, at, snippets))
        }
        "textDocument/formatting" => server.on(params, |view, _: Value| format::edits(view, None)),
        "textDocument/rangeFormatting" => server.within(params, |view, part| format::edits(view, Some(part))),
        "textDocument/foldingRange" => server.on(params, |view, _: Value| folding::ranges(view)),
        "textDocument/selectionRange" => {
            server.on(params, |view, params: SelectionRangeParams| selection::ranges(view, &params.positions))
        }
        "textDocument/documentLink" => server.on(params, |view, _: Value| links::links(view)),
        "textDocument/codeLens" => {
            let (own, proofs) = (server.state.settings.client_commands, server.state.settings.proofs);
            server.on(params, |view, _: Value| lenses::lenses(view, own, proofs))
        }
        "textDocument/inlayHint" => server.within(params, hints::hints),
        "textDocument/signatureHelp" => {
            server.at(params, |view, at, _: TextDocumentPositionParams| signature::help(view, at))
        }
        "textDocument/semanticTokens/full" => {
            server.on(params, |view, _: Value| SemanticTokens { result_id: None, data: semantic::tokens(view, None) })
        }
        "textDocument/semanticTokens/range" => server
            .within(params, |view, part| SemanticTokens { result_id: None, data: semantic::tokens(view, Some(part)) }),
        "textDocument/codeAction" => server.code_actions(params),
        "workspace/symbol" => server.workspace_symbols(params),
        "workspace/executeCommand" => return commands::execute(server, id, params),
        _ => Err((ErrorCode::MethodNotFound, format!("there is no method `{method}`"))),
    };
    match outcome {
        Ok(result) => server.reply(id, result),
        Err((code, why)) => server.fail(id, code, why),
    }
}

type Outcome = Result<Value, (ErrorCode, String)>;

impl Server {
    /// A feature that looks at a document; nothing for one that is not known.
    fn on<P: DeserializeOwned, R: Serialize>(&self, params: Value, feature: impl FnOnce(&View<'_>, P) -> R) -> Outcome {
        let uri = params.pointer("/textDocument/uri").and_then(Value::as_str).map(|uri| uri::path(&uri.into()));
        let path = uri.ok_or((ErrorCode::InvalidParams, "the request names no document".to_owned()))?;
        let params = read(params)?;
        let result = self.state.view(&path).map(|view| feature(&view, params));
        write(result)
    }

    /// A feature that looks at a place in a document.
    fn at<P: DeserializeOwned, R: Serialize>(
        &self,
        params: Value,
        feature: impl FnOnce(&View<'_>, u32, P) -> R,
    ) -> Outcome {
        let position = read(params.get("position").cloned().unwrap_or_default())?;
        self.on(params, |view, params| feature(view, view.offset(position), params))
    }

    /// A feature that looks at a part of a document.
    fn within<R: Serialize>(&self, params: Value, feature: impl FnOnce(&View<'_>, Span) -> R) -> Outcome {
        let range = read(params.get("range").cloned().unwrap_or_default())?;
        self.on(params, |view, _: Value| feature(view, view.span(range)))
    }

    /// The same for one that can refuse.
    fn try_at<P: DeserializeOwned, R: Serialize>(
        &self,
        params: Value,
        feature: impl FnOnce(&View<'_>, u32, P) -> Result<R, String>,
    ) -> Outcome {
        let mut refused = None;
        let outcome =
            self.at(params, |view, at, params| feature(view, at, params).map_err(|why| refused = Some(why)).ok());
        match refused {
            Some(why) => Err((ErrorCode::RequestFailed, why)),
            None => outcome,
        }
    }

    fn code_actions(&self, params: Value) -> Outcome {
        let state = &self.state;
        self.on(params, |view, params: CodeActionParams| {
            let mut findings = view.unit.named.diagnostics.clone();
            if let Some((_, known)) = state.unit_of(&view.file.source.path) {
                findings.extend(known.findings_now(view.unit));
            }
            let (span, only) = (view.span(params.range), params.context.only.as_deref());
            let related = state.client.related;
            let asked = actions::Asked { span, only, findings: &findings, uris: &state.uris, related };
            let mut actions = actions::actions(view, &asked);
            actions.iter_mut().for_each(|action| action.edit = action.edit.take().map(|edit| state.client.edit(edit)));
            actions
        })
    }

    fn workspace_symbols(&self, params: Value) -> Outcome {
        let params: WorkspaceSymbolParams = read(params)?;
        let units = self.state.units.values().filter_map(|known| known.unit());
        write(units.flat_map(|unit| symbols::workspace(unit, &self.state.uris, &params.query)).collect::<Vec<_>>())
    }

    pub(super) fn notification(&mut self, notification: Notification) {
        let Notification { method, params } = notification;
        let done = match method.as_str() {
            "textDocument/didOpen" => read(params).map(|params: DidOpenTextDocumentParams| {
                let document = params.text_document;
                self.state.open(&document.uri, document.version, document.text);
            }),
            "textDocument/didChange" => read(params).map(|params: DidChangeTextDocumentParams| {
                let document = params.text_document;
                let uri = document.text_document_identifier.uri;
                self.state.change(&uri, document.version, params.content_changes);
            }),
            "textDocument/didClose" => {
                read(params).map(|params: DidCloseTextDocumentParams| self.state.close(&params.text_document.uri))
            }
            "textDocument/didSave" | "workspace/didChangeWatchedFiles" => {
                self.state.look_again();
                Ok(())
            }
            "workspace/didChangeConfiguration" => {
                self.change_configuration(&params);
                Ok(())
            }
            "workspace/didChangeWorkspaceFolders" => {
                self.change_folders(&params);
                Ok(())
            }
            // Notifications that nobody knows are to be ignored.
            _ => Ok(()),
        };
        if let Err((_, why)) = done {
            self.tell("window/logMessage", json!({ "type": 1, "message": format!("egressc: {method}: {why}") }));
        }
    }

    /// Takes over the settings that came with the notification, or asks for them.
    fn change_configuration(&mut self, params: &Value) {
        if self.state.client.configuration {
            self.ask_configuration();
        } else if let Some(section) = params.pointer("/settings/egress") {
            self.set(section.clone());
        }
    }

    fn change_folders(&mut self, params: &Value) {
        let of = |list: &str| {
            let folders = params.pointer(&format!("/event/{list}")).and_then(Value::as_array).into_iter().flatten();
            folders.filter_map(|folder| uri::file_path(&folder.get("uri")?.as_str()?.into())).collect::<Vec<_>>()
        };
        let (added, removed) = (of("added"), of("removed"));
        removed.iter().for_each(|folder| {
            self.state.folders.remove(folder);
        });
        self.state.folders.extend(added);
        let told = self.state.reload();
        self.take_back(told);
    }
}

/// Reads parameters.
pub(super) fn read<P: DeserializeOwned>(params: Value) -> Result<P, (ErrorCode, String)> {
    serde_json::from_value(params).map_err(|error| (ErrorCode::InvalidParams, error.to_string()))
}

fn write(result: impl Serialize) -> Outcome {
    serde_json::to_value(result).map_err(|error| (ErrorCode::InternalError, error.to_string()))
}
