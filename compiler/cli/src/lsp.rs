//! `egressc lsp`: the language server, over standard input and output.
//!
//! In: a client's messages, files as the client needs them. Out: answers. What the server asks of the world is given here:
//! the disk, the day, and what only the command knows, targets among it.

use crate::clock;
use crate::codes;
use crate::compile;
use crate::diagnose;
use crate::disk::{self, Disk};
use crate::exit::{Failure, Outcome};
use crate::unit;
use egress_compiler::{Compiled, Files};
use egress_ir::Date;
use egress_lsp::{Compile, Ending, Preview, World};
use std::fs;
use std::io::{BufReader, stdin, stdout};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// The options of `lsp`.
#[derive(Debug, clap::Args)]
pub(crate) struct Lsp {
    /// Speak over standard input and output, which is the only way there is
    #[arg(long, hide = true)]
    stdio: bool,
}

/// Serves until the client goes.
pub(crate) fn run(options: &Lsp) -> Result<Outcome, Failure> {
    let Lsp { stdio: _ } = options;
    let cannot = |error: std::io::Error| Failure::new(format!("the server cannot start: {error}"));
    let (connection, threads) = egress_lsp::connect(BufReader::new(stdin()), stdout()).map_err(cannot)?;
    let ending = egress_lsp::serve(connection, Arc::new(Here)).map_err(cannot)?;
    match ending {
        Ending::Orderly => {
            threads.finish().map_err(|error| Failure::new(format!("the client went away: {error}")))?;
            Ok(Outcome::Holds)
        }
        // The protocol wants exit code 1 for a client that leaves without shutdown.
        Ending::Abrupt => Ok(Outcome::Findings),
    }
}

/// This machine.
struct Here;

impl World for Here {
    fn today(&self) -> Date {
        clock::today()
    }

    fn policies(&self, folder: &str, deep: bool) -> Result<Vec<String>, String> {
        unit::policies(folder, deep).map_err(|failure| failure.to_string())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        disk::read_named(path, disk::INVENTORY_LIMIT).map_err(|failure| failure.to_string())
    }

    fn stamp(&self, path: &str) -> Option<(u64, u128)> {
        let about = fs::metadata(path).ok()?;
        let changed = about.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some((about.len(), changed.as_nanos()))
    }

    fn lists(&self, root: &str) -> Arc<dyn Files + Send + Sync> {
        Arc::new(Disk::below(root))
    }

    fn compile(&self, request: &Compile<'_>) -> Result<Preview, String> {
        let digest = digest(request.compiled);
        let (text, language) = compile::preview(request.compiled, request.inventory, request.target, &digest)?;
        Ok(Preview { title: format!("preview for {}", request.target), language, text })
    }

    fn page(&self, code: &str) -> Option<&'static str> {
        codes::page(code)
    }
}

/// The digest of texts and lists, saved or not.
fn digest(compiled: &Compiled) -> String {
    let sources = compiled.sources.values();
    let sources =
        sources.map(|source| format!("{} source {}", diagnose::hexadecimal(source.text.as_bytes()), source.path));
    let lists = compiled.lists.iter().map(|list| format!("{} list {}", list.sha256, list.path));
    diagnose::digest(sources.chain(lists).collect())
}
