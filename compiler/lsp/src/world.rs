//! What the server asks of the world: files, the day, and what only the command can do.
//!
//! The command implements it over the disk; tests over memory. Nothing else in this package touches files or clocks.

use egress_compiler::{Compiled, Files};
use egress_ir::{Date, Inventory};
use std::sync::Arc;

/// The world around the server. All paths are absolute, their parts joined by `/`.
pub trait World: Send + Sync {
    /// Today in UTC: the day on which rules must not have expired.
    fn today(&self) -> Date;

    /// The policy files below a folder, sorted, as the command would find them; `deep` says whether also in folders of
    /// the folder.
    ///
    /// # Errors
    /// Why the folder cannot be read, in words.
    fn policies(&self, folder: &str, deep: bool) -> Result<Vec<String>, String>;

    /// The content of a policy or an inventory.
    ///
    /// # Errors
    /// Why it cannot be read, in words.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// Something that differs when the content of a file does, as size and time of its last change; nothing for a file
    /// that is not there.
    fn stamp(&self, path: &str) -> Option<(u64, u128)>;

    /// The list files of a unit with this root folder.
    fn lists(&self, root: &str) -> Arc<dyn Files + Send + Sync>;

    /// What a target would get.
    ///
    /// # Errors
    /// What the target cannot express or needs to know, in words.
    fn compile(&self, request: &Compile<'_>) -> Result<Preview, String>;

    /// The documentation of a finding's code, in Markdown.
    fn page(&self, code: &str) -> Option<&'static str>;
}

/// What is to be compiled.
#[derive(Clone, Copy, Debug)]
pub struct Compile<'c> {
    /// The program, free of errors, with the texts and lists that it was made from.
    pub compiled: &'c Compiled,
    /// What runs in the cluster.
    pub inventory: Option<&'c Inventory>,
    /// The target's name, as `--target` takes it.
    pub target: &'c str,
}

/// A text to look at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Preview {
    /// Its title.
    pub title: String,
    /// The language that it is written in, as editors name it.
    pub language: &'static str,
    /// The text.
    pub text: String,
}
