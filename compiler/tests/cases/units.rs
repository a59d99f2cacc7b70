//! Units: `testdata/{names,lists,lowering}/{ok,err}/CASE/`.

use crate::render;
use egress_compiler::{Compiled, Files, Input, Options, ReadError, SourceText, compile};
use egress_ir::Date;
use std::fs;
use std::path::{Path, PathBuf};

/// The lists of a case, read from its folder.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Files for Folder {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        fs::read(self.0.join(path)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ReadError::NotFound,
            _ => ReadError::Failed(error.kind().to_string()),
        })
    }
}

pub(crate) fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata")
}

/// Compiles the folder of a case; the day is the one after Christmas 2026.
pub(crate) fn compile_folder(folder: &Path) -> Compiled {
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder of a case") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "egress") {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            sources.push(SourceText { path: name, bytes: fs::read(&path).expect("a file of the case") });
        }
    }
    assert!(!sources.is_empty(), "{} holds no .egress file", folder.display());
    let as_of = Some(Date { year: 2026, month: 12, day: 26 });
    let options = Options { as_of, ..Options::default() };
    compile(Input { sources, root: ".".to_owned() }, &Folder(folder.to_owned()), &options)
}

/// Runs every case of a folder of `testdata/`.
fn run(what: &str) {
    let mut seen = 0;
    for verdict in ["ok", "err"] {
        let folder = testdata().join(what).join(verdict);
        let cases = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut cases: Vec<PathBuf> = cases.map(|entry| entry.expect("an entry").path()).collect();
        cases.retain(|path| path.is_dir());
        cases.sort();
        for case in cases {
            one(&case, verdict == "ok");
            seen += 1;
        }
    }
    assert!(seen >= 4, "{what} has only {seen} cases");
}

fn one(case: &Path, ok: bool) {
    let compiled = compile_folder(case);
    assert_eq!(compiled.has_errors(), !ok, "{}: {:#?}", case.display(), compiled.diagnostics);
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(case);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::assert_snapshot!("diagnostics", render::compiled(&compiled));
        if ok {
            let program = compiled.program.as_ref().expect("a unit without errors has a meaning");
            insta::assert_snapshot!("program", render::program(program));
        }
    });
}

#[test]
fn names() {
    run("names");
}

#[test]
fn lists() {
    run("lists");
}

#[test]
fn lowering() {
    run("lowering");
}
