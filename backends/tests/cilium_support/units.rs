//! The units of `testdata` that have no errors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use egress_compiler::{Input, MemoryFiles, Options, SourceText};
use egress_ir::{Inventory, Program};

/// Each unit's name and program, with the inventory of the retailer.
pub(crate) fn all() -> Vec<(String, Program, Inventory)> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let bytes = std::fs::read(testdata.join("retailer/inventory.json")).expect("the inventory");
    let inventory = egress_compiler::inventory::read(&bytes).expect("an inventory");
    let mut folders = vec![testdata.join("retailer"), testdata.join("retailer-names")];
    for kind in ["lists", "lowering", "names"] {
        let entries = std::fs::read_dir(testdata.join(kind).join("ok")).expect("cases");
        folders.extend(entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()));
    }
    folders.sort();
    folders.iter().map(|folder| (folder.display().to_string(), program(folder), inventory.clone())).collect()
}

fn program(folder: &Path) -> Program {
    let mut files = BTreeMap::new();
    read(folder, folder, &mut files);
    let sources = files.iter().filter(|(path, _)| path.ends_with(".egress"));
    let sources = sources.map(|(path, bytes)| SourceText { path: path.clone(), bytes: bytes.clone() }).collect();
    let input = Input { sources, root: ".".into() };
    let compiled = egress_compiler::compile(input, &MemoryFiles(files.clone()), &Options::default());
    compiled.program.unwrap_or_else(|| panic!("{}: {:?}", folder.display(), compiled.diagnostics))
}

fn read(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    for path in entries.collect::<Vec<PathBuf>>() {
        if path.is_dir() {
            read(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("within the unit").to_string_lossy().into_owned();
            files.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
}
