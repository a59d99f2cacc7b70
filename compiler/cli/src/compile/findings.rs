//! What targets say, as findings.
//!
//! In: refusals and notices of backends, and what nft refuses. Out: diagnostics with the places of the rules.

use super::options::Target;
use egress_backends::{EmitError, Level, Notice};
use egress_compiler::source::Place;
use egress_compiler::{Diagnostic, Label, Severity};
use egress_ir::{OriginId, Program};
use egress_lang::span::Span;

/// A target cannot express something.
pub(super) fn refusal(program: &Program, target: Target, error: &EmitError) -> Diagnostic {
    let finding = Diagnostic::error(error.code, error.message.clone());
    about(finding, program, target, error.origin).help(error.help.clone())
}

/// A target does something in its own way.
pub(super) fn notice(program: &Program, target: Target, notice: &Notice) -> Diagnostic {
    let severity = match notice.level {
        Level::Warning => Severity::Warning,
        Level::Note => Severity::Note,
    };
    let finding = Diagnostic::new(notice.code, severity, notice.message.clone());
    let mut finding = about(finding, program, target, notice.origin);
    finding.help.clone_from(&notice.help);
    finding
}

/// nft refuses an artifact: a defect of the emitter, or a kernel that lacks something.
pub(super) fn refused_by_nft(said: &str) -> Diagnostic {
    Diagnostic::error("egress::target::nft-check", "nft refuses the artifact, so nothing was written")
        .fact(format!("nft says: {said}"))
        .help("please report this with the policy; `--no-nft-check` writes the artifact all the same")
}

fn about(finding: Diagnostic, program: &Program, target: Target, origin: Option<OriginId>) -> Diagnostic {
    let entry = origin.and_then(|origin| program.origins.entries.get(origin));
    match entry {
        Some(entry) => {
            let place = Place::new(entry.source, Span::new(entry.start, entry.end));
            finding.label(Label::primary(place, format!("target {}", target.name())))
        }
        None => finding.fact(format!("target {}", target.name())),
    }
}
