//! The memory of proofs: a file in a folder that is safe to delete.
//!
//! In: a folder. Out: what earlier runs proved, whatever their verb. Damaged files are worth nothing and do
//! no harm; files that cannot be read or written are a warning.

use crate::disk;
use egress_compiler::Diagnostic;
use egress_verifier::Cache;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// The most bytes that are read.
const LIMIT: u64 = 256 << 20;

/// Where proofs are remembered.
#[derive(Clone, Debug)]
pub(super) struct File {
    path: PathBuf,
}

impl File {
    /// In a folder that the user chose.
    pub(super) fn chosen(folder: &Path) -> Self {
        Self { path: folder.join("proofs") }
    }

    /// In the user's own cache, apart for each working folder; nothing where the user has none.
    pub(super) fn usual() -> Option<Self> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
        let here = std::env::current_dir().ok()?;
        let digest = Sha256::digest(here.as_os_str().as_encoded_bytes());
        let place: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Some(Self { path: base.join("egressc").join(format!("proofs-{place}")) })
    }

    /// What is remembered; nothing if there is no such file yet.
    pub(super) fn read(&self) -> Result<Cache, Box<Diagnostic>> {
        let bytes = match fs::File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Cache::default()),
            Err(error) => Err(error),
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(LIMIT).read_to_end(&mut bytes).map(|_| bytes)
            }
        };
        bytes.map(|bytes| Cache::from_bytes(&bytes)).map_err(|error| self.warning("read", &error))
    }

    /// Replaces the file as a whole.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), Box<Diagnostic>> {
        self.replace(bytes).map_err(|error| self.warning("written", &error))
    }

    fn replace(&self, bytes: &[u8]) -> std::io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut temporary = tempfile::Builder::new().prefix(".proofs-").tempfile_in(folder)?;
        temporary.write_all(bytes)?;
        temporary.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }

    fn warning(&self, what: &str, error: &std::io::Error) -> Box<Diagnostic> {
        let message = format!("proofs cannot be {what} in `{}`: {}", self.path.display(), disk::spoken(error));
        let help = "everything was proved all the same; name another folder with `--cache`, or give `--no-cache`";
        Box::new(Diagnostic::warning("egress::proof::cache", message).help(help))
    }
}
