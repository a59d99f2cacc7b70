//! Publishing: what is wrong with a unit, as the client is told.
//!
//! In: what names and the prover's stages found, each as of the edit that it is about. Out: for each file what is wrong with
//! it now, sent only where that has changed. Findings of an earlier edit move with the text around them until the prover has
//! newer ones, and go where the text that they are about is touched.

use super::Server;
use super::state::Known;
use crate::features::diagnostics::{Shown, shown, shown_at};
use crate::unit::{Moves, Unit};
use crate::view::{Uris, uri_of};
use egress_compiler::{Diagnostic, Fix, Label};
use gen_lsp_types::{DiagnosticSeverity, PublishDiagnosticsParams};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// The most findings of one file that a client is told of.
const MOST_SHOWN: usize = 1000;

impl Server {
    /// Tells the client what is wrong with a unit, as far as that is news.
    pub(super) fn publish(&mut self, key: &str) {
        let elsewhere = self.state.inventory_path(key);
        let related = self.state.client.related;
        let Some(known) = self.state.units.get(key) else { return };
        let Some(unit) = known.unit() else { return };
        let fallback = elsewhere.or_else(|| unit.files.first().map(|file| file.source.path.clone()));
        let told = by_file(unit, known, &self.state.uris, related, fallback.as_deref());
        let paths: BTreeSet<&String> = told.keys().chain(known.published.keys()).collect();
        let nothing = Vec::new();
        for path in paths {
            let (now, before) = (told.get(path).unwrap_or(&nothing), known.published.get(path).unwrap_or(&nothing));
            if now != before {
                self.send_diagnostics(path, now.clone());
            }
        }
        if let Some(known) = self.state.units.get_mut(key) {
            known.published = told;
        }
    }

    /// Tells the client that nothing is wrong with these files any more: their unit is gone.
    pub(super) fn take_back(&self, paths: Vec<String>) {
        paths.iter().for_each(|path| self.send_diagnostics(path, Vec::new()));
    }

    fn send_diagnostics(&self, path: &str, diagnostics: Vec<gen_lsp_types::Diagnostic>) {
        let uri = uri_of(&self.state.uris, path);
        let version = self.state.uris.get(path).map(|open| open.version);
        let params = PublishDiagnosticsParams { uri, version, diagnostics };
        match serde_json::to_value(params) {
            Ok(params) => self.tell("textDocument/publishDiagnostics", params),
            Err(error) => self.tell("window/logMessage", Value::String(error.to_string())),
        }
    }
}

/// All findings by the path of the file that they are shown in; those about no file are shown at the start of `fallback`.
fn by_file(
    unit: &Unit,
    known: &Known,
    uris: &Uris,
    related: bool,
    fallback: Option<&str>,
) -> BTreeMap<String, Vec<gen_lsp_types::Diagnostic>> {
    let mut told: BTreeMap<String, Vec<gen_lsp_types::Diagnostic>> = BTreeMap::new();
    let mut add = |Shown { path, diagnostic }| {
        if let Some(path) = path.or_else(|| fallback.map(str::to_owned)) {
            told.entry(path).or_default().push(diagnostic);
        }
    };
    let at_once = unit.named.diagnostics.iter().chain(&known.faults);
    at_once.for_each(|finding| add(shown(unit, uris, related, finding)));
    for (findings, moves) in known.layers_now(unit) {
        for finding in findings {
            match &moves {
                None => add(shown(unit, uris, related, finding)),
                Some(moves) => {
                    let places: Option<Vec<_>> = finding.labels.iter().map(|label| moves.label(label)).collect();
                    places.iter().for_each(|places| add(shown_at(unit, uris, related, finding, places)));
                }
            }
        }
    }
    told.values_mut().for_each(shorten);
    told
}

/// Leaves what an editor can show of very many findings, and says how many more there are.
fn shorten(told: &mut Vec<gen_lsp_types::Diagnostic>) {
    told.sort_by_key(|it| (it.range.start, it.range.end, severity_rank(it)));
    let left_out = told.len().saturating_sub(MOST_SHOWN);
    told.truncate(MOST_SHOWN);
    if let Some(last) = told.last_mut().filter(|_| left_out > 0) {
        let message = format!("{left_out} more findings are not shown; mend some of these first");
        let (range, severity) = (last.range, Some(DiagnosticSeverity::Information));
        let source = Some("egressc".to_owned());
        told.push(gen_lsp_types::Diagnostic { range, severity, source, message: message.into(), ..Default::default() });
    }
}

/// Errors first.
fn severity_rank(diagnostic: &gen_lsp_types::Diagnostic) -> u8 {
    match diagnostic.severity {
        Some(DiagnosticSeverity::Error) => 0,
        Some(DiagnosticSeverity::Warning) => 1,
        _ => 2,
    }
}

impl Known {
    /// What each of the prover's stages found, and where its places are now if it is about an earlier text.
    fn layers_now(&self, unit: &Unit) -> Vec<(&[Diagnostic], Option<Rc<Moves>>)> {
        let mut layers: Vec<(&[Diagnostic], Option<Rc<Moves>>)> = Vec::new();
        let mut last: Option<&Arc<Unit>> = None;
        for (about, findings) in self.layers.iter().flatten() {
            // Stages are mostly about the same text.
            let moves = match layers.last() {
                Some((_, moves)) if last.is_some_and(|last| Arc::ptr_eq(last, about)) => moves.clone(),
                _ => (!std::ptr::eq(&**about, unit)).then(|| Rc::new(Moves::between(&about.files, unit))),
            };
            layers.push((findings, moves));
            last = Some(about);
        }
        layers
    }

    /// What the prover's stages found, at its places in the unit as it is now.
    pub(super) fn findings_now(&self, unit: &Unit) -> Vec<Diagnostic> {
        let now = |(findings, moves): (&[Diagnostic], Option<Rc<Moves>>)| match moves {
            None => findings.to_vec(),
            Some(moves) => findings.iter().filter_map(|finding| moved(finding, &moves)).collect(),
        };
        self.layers_now(unit).into_iter().flat_map(now).collect()
    }
}

/// A finding at the places where its texts are now; nothing where one of them has changed.
fn moved(finding: &Diagnostic, moves: &Moves) -> Option<Diagnostic> {
    let label = |label: &Label| {
        let place = moves.label(label)?;
        Some(Label { source: place.source, span: place.span, ..label.clone() })
    };
    let labels = finding.labels.iter().map(label).collect::<Option<Vec<_>>>()?;
    let fix = |fix: &Fix| Some(Fix { place: moves.place(fix.place)?, ..fix.clone() });
    let fixes = finding.fixes.iter().filter_map(fix).collect();
    Some(Diagnostic { labels, fixes, ..finding.clone() })
}
