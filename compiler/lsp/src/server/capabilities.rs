//! What the server can do, as it tells the client.

use super::settings::Client;
use crate::features::{actions, semantic};
use crate::text::Encoding;
use serde_json::{Value, json};

/// The server's capabilities for this client.
pub(super) fn of(client: Client) -> Value {
    let encoding = match client.encoding {
        Encoding::Utf8 => "utf-8",
        Encoding::Utf16 => "utf-16",
        Encoding::Utf32 => "utf-32",
    };
    json!({
        "positionEncoding": encoding,
        "textDocumentSync": { "openClose": true, "change": 2, "save": {} },
        "hoverProvider": true,
        "completionProvider": { "triggerCharacters": [" ", "(", ",", "=", "\"", "{", "!"] },
        "definitionProvider": true,
        "referencesProvider": true,
        "documentHighlightProvider": true,
        "renameProvider": { "prepareProvider": true },
        "documentSymbolProvider": true,
        "workspaceSymbolProvider": true,
        "documentFormattingProvider": true,
        "documentRangeFormattingProvider": true,
        "foldingRangeProvider": true,
        "selectionRangeProvider": true,
        "documentLinkProvider": { "resolveProvider": false },
        "codeLensProvider": { "resolveProvider": false },
        "inlayHintProvider": { "resolveProvider": false },
        "signatureHelpProvider": { "triggerCharacters": [" "] },
        "semanticTokensProvider": {
            "legend": { "tokenTypes": semantic::TYPES, "tokenModifiers": semantic::MODIFIERS },
            "full": true,
            "range": true,
        },
        "codeActionProvider": { "codeActionKinds": actions::KINDS },
        "executeCommandProvider": { "commands": super::commands::NAMES },
        "workspace": { "workspaceFolders": { "supported": true, "changeNotifications": true } },
    })
}
