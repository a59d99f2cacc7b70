//! Writes the parser in `src/` anew from `grammar.js`. Wants `node` to read the grammar.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tree_sitter_generate::{OptLevel, generate_parser_in_directory};

/// Understood by the editors of the last years too, as 15 is not.
const ABI: usize = 14;

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut notes = Vec::new();
    let made = generate_parser_in_directory(
        folder,
        None::<PathBuf>,
        Some(folder.join("grammar.js")),
        ABI,
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
