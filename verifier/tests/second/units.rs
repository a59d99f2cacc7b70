//! The units of `testdata/` that have no errors.

use egress_compiler::{Input, MemoryFiles, Options, SourceText};
use egress_ir::{Date, Program};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Each unit that has no errors.
pub(crate) fn all() -> Vec<(String, Program)> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let mut folders: Vec<PathBuf> =
        ["retailer", "retailer-names", "retailer-findings"].iter().map(|name| testdata.join(name)).collect();
    for kind in ["lists", "lowering", "names"] {
        let entries = std::fs::read_dir(testdata.join(kind).join("ok")).unwrap();
        folders.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()));
    }
    folders.sort();
    let name = |folder: &Path| folder.strip_prefix(&testdata).unwrap().display().to_string();
    let units: Vec<(String, Program)> =
        folders.iter().filter_map(|folder| Some((name(folder), program(folder)?))).collect();
    assert!(units.len() >= 10, "{} units", units.len());
    units
}

/// How many ranges of addresses the destinations of a program hold.
pub(crate) fn ranges(program: &Program) -> usize {
    program.destination_sets.values().map(|set| set.addresses.ranges().count()).sum()
}

fn program(folder: &Path) -> Option<Program> {
    let mut files = BTreeMap::new();
    read(folder, folder, &mut files);
    let sources = files.iter().filter(|(path, _)| path.ends_with(".egress"));
    let sources = sources.map(|(path, bytes)| SourceText { path: path.clone(), bytes: bytes.clone() }).collect();
    let input = Input { sources, root: ".".into() };
    let as_of = Some(Date { year: 2026, month: 12, day: 26 });
    let options = Options { as_of, ..Options::default() };
    egress_compiler::compile(input, &MemoryFiles(files.clone()), &options).program
}

fn read(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<PathBuf>>() {
        if path.is_dir() {
            read(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
}
