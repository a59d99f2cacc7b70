//! One version of a policy.
//!
//! In: a folder, a file, standard input, or a revision of git. Out: what it means, or what is wrong with it.

use super::git::Tree;
use crate::arguments::RootArgument;
use crate::exit::Failure;
use crate::unit::{self, Unit};
use egress_answers::counted;
use egress_compiler::{Compiled, Diagnostic, Files, Input, Options, Severity, Source};
use egress_ir::{Arena, Date, Program, SourceId};

/// A version.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// As the user named it.
    pub(super) label: String,
    /// What it means, unless errors leave that open.
    pub(super) program: Option<Program>,
    /// The files that it was read from.
    pub(super) sources: Arena<SourceId, Source>,
    /// What is wrong with it.
    pub(super) findings: Vec<Diagnostic>,
}

impl Side {
    /// Reads and compiles a version.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read(label: &str, root: Option<&str>, as_of: Date) -> Result<Self, Failure> {
        match label.strip_prefix("git:") {
            Some(named) => {
                let tree = Tree::read(named, root)?;
                let input = tree.input()?;
                let mut side = Self::compiled(label, input, &tree, as_of);
                side.call_files(&tree.revision);
                Ok(side)
            }
            None => {
                let root = RootArgument { root: root.map(str::to_owned) };
                let Unit { input, disk } = unit::read(&[label.to_owned()], &root)?;
                Ok(Self::compiled(label, input, &disk, as_of))
            }
        }
    }

    fn compiled(label: &str, input: Input, files: &dyn Files, as_of: Date) -> Self {
        let options = Options { as_of: Some(as_of), ..Options::default() };
        let Compiled { program, diagnostics, sources, .. } = egress_compiler::compile(input, files, &options);
        Self { label: label.to_owned(), program, sources, findings: diagnostics }
    }

    /// What makes the version doubtful.
    pub(super) fn doubt(&self) -> Option<String> {
        let errors = self.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        let errors = (errors > 0).then(|| counted(errors, "error"))?;
        Some(format!("`{}` has {errors}, which `egressc check` shows", self.label))
    }

    /// Names files as git does: `REV:path`.
    fn call_files(&mut self, revision: &str) {
        let ids: Vec<SourceId> = self.sources.ids().collect();
        for id in ids {
            if let Some(source) = self.sources.get_mut(id) {
                source.path = format!("{revision}:{}", source.path);
            }
            if let Some(name) = self.program.as_mut().and_then(|program| program.origins.sources.get_mut(id)) {
                *name = format!("{revision}:{name}");
            }
        }
    }
}
