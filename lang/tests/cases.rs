//! Every file of `testdata/syntax`: those in `ok/` parse and are formatted, those in `err/`
//! are refused with the errors of the snapshot beside them.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its cases has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use egress_lang::{SyntaxError, format, parse};
use miette::{GraphicalReportHandler, GraphicalTheme, NamedSource, Report};

fn cases(verdict: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/syntax").join(verdict);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "egress"));
    files.sort();
    assert!(files.len() >= 7, "too few cases in {verdict}");
    files
}

fn snapshot(path: &Path, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(path.parent().unwrap());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(path.file_stem().unwrap().to_str().unwrap(), text));
}

fn rendered(path: &Path, text: &str, errors: &[SyntaxError]) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut out = String::new();
    for error in errors {
        let report = Report::new(error.clone()).with_source_code(NamedSource::new(name, text.to_owned()));
        handler.render_report(&mut out, report.as_ref()).unwrap();
        out.push('\n');
    }
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn good_files_are_formatted() {
    for path in cases("ok") {
        let text = fs::read_to_string(&path).unwrap();
        let parsed = parse(&text);
        assert!(parsed.errors.is_empty(), "{}", rendered(&path, &text, &parsed.errors));
        let formatted = format(&text).unwrap_or_else(|errors| panic!("{}", rendered(&path, &text, &errors)));
        assert_eq!(format(&formatted).as_ref(), Ok(&formatted), "{} is not stable", path.display());
        snapshot(&path, &formatted);
    }
}

#[test]
fn bad_files_are_refused_with_every_error() {
    for path in cases("err") {
        let text = fs::read_to_string(&path).unwrap();
        let errors = parse(&text).errors;
        assert!(!errors.is_empty(), "{} has no errors", path.display());
        assert_eq!(format(&text), Err(errors.clone()));
        snapshot(&path, &rendered(&path, &text, &errors));
    }
}
