//! Writes the parser in `src/` anew from `grammar.js`. Wants `node` to read the grammar.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tree_sitter_generate::{ABI_VERSION_MAX, OptLevel, generate_parser_in_directory};

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut notes = Vec::new();
    let made = generate_parser_in_directory(
        folder,
        None::<PathBuf>,
        Some(folder.join("grammar.js")),
        ABI_VERSION_MAX,
        None,
        Some("node"),
        true,
        OptLevel::default(),
        &mut notes,
    );
    for note in notes {
        eprintln!("{note}");
    }
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
