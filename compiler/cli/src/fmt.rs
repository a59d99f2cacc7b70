//! `egressc fmt`: writes policies in the one style.
//!
//! In: files, folders or standard input. Out: the files in place, or what would change. A file with syntax errors is
//! left as it is and its errors are reported. Each file is replaced whole, see [`crate::write`].

use crate::arguments::Format;
use crate::disk;
use crate::exit::{Failure, Outcome};
use crate::render::{self, Report};
use crate::terminal::{self, Colour};
use crate::unit;
use crate::write;
use egress_compiler::{Diagnostic, Source, diagnostic};
use egress_ir::{Arena, SourceId};
use egress_lang::SyntaxError;
use similar::TextDiff;
use std::path::PathBuf;

/// The options of `fmt`.
#[derive(Debug, clap::Args)]
pub(crate) struct Fmt {
    /// Policy files, or folders that are searched for *.egress; - formats standard input to standard output
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<String>,
    /// Change nothing; name the files that are not formatted and end with exit code 1 if there are any
    #[arg(long)]
    check: bool,
    /// Change nothing; show what would change, and end with exit code 1 if anything would
    #[arg(long)]
    diff: bool,
    /// The form in which syntax errors are shown
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// Formats.
pub(crate) fn run(options: &Fmt, colour: Colour) -> Result<Outcome, Failure> {
    let mut work = Work::default();
    for path in unit::files(&options.paths)? {
        work.file(path)?;
    }
    let dry = options.check || options.diff;
    let mut output = work.to_stdout(dry);
    if options.diff {
        output.extend(work.changes.iter().map(Change::diff));
    } else if options.check {
        output.extend(work.changes.iter().map(|change| format!("{}\n", change.path)));
    } else {
        let files = work.changes.iter().filter(|change| change.path != "-");
        let files: Vec<_> = files.map(|change| (PathBuf::from(&change.path), change.after.clone().into())).collect();
        write::all(&files)?;
    }
    terminal::print(&output)?;
    if !work.findings.is_empty() {
        diagnostic::sort(&mut work.findings);
        let (sources, findings) = (&work.sources, &work.findings);
        let report = Report {
            verb: "fmt",
            subject: "not formatted",
            sources,
            findings,
            made: &[],
            proofs: &[],
            coverage: &[],
            work: None,
        };
        terminal::complain(&render::render(&report, options.format, colour.on_stderr()));
        return Ok(Outcome::Findings);
    }
    Ok(if dry && !work.changes.is_empty() { Outcome::Findings } else { Outcome::Holds })
}

/// What became of the files so far.
#[derive(Default)]
struct Work {
    changes: Vec<Change>,
    unchanged_stdin: Option<String>,
    sources: Arena<SourceId, Source>,
    findings: Vec<Diagnostic>,
}

/// A file whose text is not formatted.
struct Change {
    path: String,
    before: String,
    after: String,
}

impl Change {
    fn diff(&self) -> String {
        let diff = TextDiff::from_lines(&self.before, &self.after);
        diff.unified_diff().header(&self.path, &self.path).to_string()
    }
}

impl Work {
    fn file(&mut self, path: String) -> Result<(), Failure> {
        let bytes = disk::read_given(&path, disk::SOURCE_LIMIT)?;
        match formatted(bytes) {
            Ok((before, after)) if before != after => self.changes.push(Change { path, before, after }),
            Ok((before, _)) if path == "-" => self.unchanged_stdin = Some(before),
            Ok(_) => {}
            Err((text, errors)) => {
                let id = self.sources.push(Source::new(path, text));
                self.findings.extend(errors.iter().map(|error| Diagnostic::from((id, error))));
            }
        }
        Ok(())
    }

    /// What formatting standard input prints.
    fn to_stdout(&self, dry: bool) -> String {
        let changed = self.changes.iter().find(|change| change.path == "-").map(|change| change.after.clone());
        if dry { String::new() } else { changed.or_else(|| self.unchanged_stdin.clone()).unwrap_or_default() }
    }
}

/// The text before and after, or the text as far as there is one and what is wrong with it.
fn formatted(bytes: Vec<u8>) -> Result<(String, String), (String, Vec<SyntaxError>)> {
    let before = egress_lang::source_text(&bytes).map_err(|error| (String::new(), vec![error]))?.to_owned();
    match egress_lang::format(&before) {
        Ok(after) => Ok((before, after)),
        Err(errors) => Err((before, errors)),
    }
}
