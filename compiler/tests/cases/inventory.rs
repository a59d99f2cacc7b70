//! Inventories: `testdata/inventory/{ok,err}/NAME.json`.

use egress_compiler::Diagnostic;
use egress_compiler::inventory::read;
use egress_ir::Inventory;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

fn render(result: Result<Inventory, Vec<egress_compiler::inventory::InventoryError>>) -> String {
    let mut text = String::new();
    match result {
        Ok(inventory) => write!(text, "{inventory:#?}").expect("to a string"),
        Err(errors) => {
            for found in errors.into_iter().map(Diagnostic::from) {
                assert!(found.help.is_some());
                writeln!(text, "{}: {}", found.code, found.message).expect("to a string");
            }
        }
    }
    text
}

#[test]
fn inventories() {
    let mut seen = 0;
    for verdict in ["ok", "err"] {
        let folder = crate::units::testdata().join("inventory").join(verdict);
        let entries = fs::read_dir(&folder).expect("the folder of the cases");
        let mut cases: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        cases.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        cases.sort();
        for case in cases {
            let result = read(&fs::read(&case).expect("a case"));
            assert_eq!(result.is_ok(), verdict == "ok", "{}: {result:?}", case.display());
            let mut settings = insta::Settings::clone_current();
            settings.set_snapshot_path(&folder);
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            let name = case.file_stem().expect("a name").to_string_lossy().into_owned();
            settings.bind(|| insta::assert_snapshot!(name, render(result)));
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} inventories were read");
}
