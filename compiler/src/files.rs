//! The files that lists live in: the one thing the compiler asks of the world.
//!
//! In: a path relative to the unit's root folder. Out: bytes, or why there are none. The disk itself is the caller's.

use std::collections::BTreeMap;

/// Gives the compiler the content of list files.
///
/// Paths are relative to the unit's root folder, normalised: parts joined by `/`, none of them empty, `.` or `..`.
/// The compiler resolves `..` by text alone, so an implementation over a disk must refuse to follow a symbolic link
/// out of the root, and answer with [`ReadError::Refused`].
pub trait Files {
    /// The whole content of a file.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError>;
}

/// Why a file cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("there is no such file")]
    NotFound,
    /// The file lies outside of the unit's root folder once symbolic links are followed.
    #[error("it leads out of the root folder by a symbolic link")]
    Outside,
    /// The file must not be read: it is a folder or a device, or too large. The text says which, as `it is a folder`.
    #[error("{0}")]
    Refused(String),
    /// Reading failed; the text is the system's reason.
    #[error("reading failed: {0}")]
    Failed(String),
}

/// Files held in memory, by normalised path.
#[derive(Clone, Default, Debug)]
pub struct MemoryFiles(pub BTreeMap<String, Vec<u8>>);

impl Files for MemoryFiles {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.0.get(path).cloned().ok_or(ReadError::NotFound)
    }
}
