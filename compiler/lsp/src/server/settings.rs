//! What the user has set, and what the client can do.

use crate::text::Encoding;
use crate::view::unversioned;
use egress_ir::Date;
use gen_lsp_types::WorkspaceEdit;
use serde::Deserialize;
use serde_json::Value;

/// The user's settings: the initialization options, or the section `egress` of the client's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Settings {
    /// The inventory's files, relative to the workspace folder.
    pub(crate) inventory: Vec<String>,
    /// Folders each of which is a unit of its own, relative to the workspace folder; the others of it are one more.
    pub(crate) units: Vec<String>,
    /// The day on which rules must not have expired; today unless given.
    pub(crate) as_of: Option<String>,
    /// Makes workloads that no policy governs an error.
    pub(crate) strict: bool,
    /// Whether the prover runs.
    pub(crate) proofs: bool,
    /// Whether code lenses name the client's own commands.
    pub(crate) client_commands: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            inventory: Vec::new(),
            units: Vec::new(),
            as_of: None,
            strict: false,
            proofs: true,
            client_commands: false,
        }
    }
}

impl Settings {
    /// Reads them; what is not given is as by default.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub(crate) fn read(value: Value) -> Result<Self, String> {
        if value.is_null() {
            return Ok(Self::default());
        }
        let settings: Self =
            serde_json::from_value(value).map_err(|error| format!("the settings of egress are malformed: {error}"))?;
        settings.day()?;
        Ok(settings)
    }

    /// The day asked about.
    ///
    /// # Errors
    /// It is no day.
    pub(crate) fn day(&self) -> Result<Option<Date>, String> {
        let read = |text: &str| {
            egress_lang::value::date(text)
                .map(|date| Date { year: date.year, month: date.month, day: date.day })
                .map_err(|fault| format!("`egress.asOf`: {fault}"))
        };
        self.as_of.as_deref().filter(|text| !text.is_empty()).map(read).transpose()
    }
}

/// What the client can do, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Client {
    /// How columns are counted.
    pub(crate) encoding: Encoding,
    /// It can be asked for its configuration.
    pub(crate) configuration: bool,
    /// It tells of changed files once asked to.
    pub(crate) watches: bool,
    /// It asks again for inlay hints and lenses when told to.
    pub(crate) refreshes_hints: bool,
    /// The same of code lenses.
    pub(crate) refreshes_lenses: bool,
    /// It shows related information.
    pub(crate) related: bool,
    /// It takes edits with the versions of documents.
    pub(crate) versioned_edits: bool,
    /// It completes snippets.
    pub(crate) snippets: bool,
}

impl Client {
    /// Changes as this client takes them.
    pub(crate) fn edit(self, edit: WorkspaceEdit) -> WorkspaceEdit {
        if self.versioned_edits { edit } else { unversioned(edit) }
    }

    /// Reads the capabilities of the initialize request; whatever is not there or not of its form is not there.
    pub(crate) fn of(capabilities: &Value) -> Self {
        let can = |path: &str| capabilities.pointer(path) == Some(&Value::Bool(true));
        let encodings = capabilities.pointer("/general/positionEncodings").and_then(Value::as_array);
        let counts = |name: &str| encodings.is_some_and(|known| known.iter().any(|known| known == name));
        let encoding = match (counts("utf-8"), counts("utf-16"), counts("utf-32")) {
            (true, ..) => Encoding::Utf8,
            (false, false, true) => Encoding::Utf32,
            (false, ..) => Encoding::Utf16,
        };
        Self {
            encoding,
            configuration: can("/workspace/configuration"),
            watches: can("/workspace/didChangeWatchedFiles/dynamicRegistration"),
            refreshes_hints: can("/workspace/inlayHint/refreshSupport"),
            refreshes_lenses: can("/workspace/codeLens/refreshSupport"),
            related: can("/textDocument/publishDiagnostics/relatedInformation"),
            versioned_edits: can("/workspace/workspaceEdit/documentChanges"),
            snippets: can("/textDocument/completion/completionItem/snippetSupport"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_read_as_they_are_written() {
        let read = Settings::read(json!({ "inventory": ["i.json"], "asOf": "2027-01-31", "strict": true })).unwrap();
        assert_eq!(read.day(), Ok(Some(Date { year: 2027, month: 1, day: 31 })));
        assert!(read.strict && read.proofs && read.inventory == ["i.json"]);
        assert_eq!(Settings::read(Value::Null), Ok(Settings::default()));
        for wrong in [json!({ "inventory": "i.json" }), json!({ "asOf": "tomorrow" }), json!(7)] {
            assert!(Settings::read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
