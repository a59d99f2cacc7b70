//! The disk: reads files of bounded size, and answers the compiler's questions about lists.
//!
//! In: paths. Out: bytes, or why there are none. Lists are read below the unit's root folder only, whatever symbolic
//! links say; folders, devices and files over the limit are refused. Never writes.

use crate::exit::Failure;
use egress_compiler::{Files, ReadError};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, stdin};
use std::path::{Path, PathBuf};

/// The most bytes that a policy file may have.
pub(crate) const SOURCE_LIMIT: u64 = 64 << 20;
/// The most bytes that a list may have.
pub(crate) const LIST_LIMIT: u64 = 256 << 20;
/// The most bytes that a snapshot may have.
pub(crate) const SNAPSHOT_LIMIT: u64 = 1 << 30;
/// The most bytes that an inventory may have.
pub(crate) const INVENTORY_LIMIT: u64 = 1 << 30;

/// List files below the unit's root folder.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    root: PathBuf,
}

impl Disk {
    /// The files below `root`.
    pub(crate) fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

impl Files for Disk {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let file = contained(&self.root, &self.root.join(path))?;
        let about = fs::metadata(&file).map_err(reason)?;
        if about.is_dir() {
            return Err(ReadError::Refused("it is a folder".into()));
        }
        if !about.is_file() {
            return Err(ReadError::Refused("it is neither a file nor a link to one".into()));
        }
        let bytes = take(File::open(&file).map_err(reason)?, LIST_LIMIT).map_err(reason)?;
        bytes.ok_or_else(|| ReadError::Refused(too_large(LIST_LIMIT)))
    }
}

/// Where `path` leads once symbolic links are followed, if that is below `root`.
pub(crate) fn contained(root: &Path, path: &Path) -> Result<PathBuf, ReadError> {
    let root = fs::canonicalize(root).map_err(reason)?;
    let file = fs::canonicalize(path).map_err(reason)?;
    if file.starts_with(&root) { Ok(file) } else { Err(ReadError::Outside) }
}

/// The content of a file that the user named; pipes will do.
///
/// # Errors
/// It cannot be read, or has more than `limit` bytes.
pub(crate) fn read_named(path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
    let cannot = |why: &str| Failure::new(format!("`{path}` cannot be read: {why}"));
    let about = fs::metadata(path).map_err(|error| cannot(&spoken(&error)))?;
    if about.is_dir() {
        return Err(cannot("it is a folder"));
    }
    let file = File::open(path).map_err(|error| cannot(&spoken(&error)))?;
    let bytes = take(file, limit).map_err(|error| cannot(&spoken(&error)))?;
    bytes.ok_or_else(|| cannot(&too_large(limit)))
}

/// A file that the user named, or standard input for `-`.
///
/// # Errors
/// As [`read_named`] and [`read_stdin`].
pub(crate) fn read_given(path: &str, limit: u64) -> Result<Vec<u8>, Failure> {
    if path == "-" { read_stdin(limit) } else { read_named(path, limit) }
}

/// Everything on standard input.
///
/// # Errors
/// It cannot be read, or has more than `limit` bytes.
pub(crate) fn read_stdin(limit: u64) -> Result<Vec<u8>, Failure> {
    let cannot = |why: &str| Failure::new(format!("standard input cannot be read: {why}"));
    let bytes = take(stdin().lock(), limit).map_err(|error| cannot(&spoken(&error)))?;
    bytes.ok_or_else(|| cannot(&too_large(limit)))
}

/// The system's reason in the words of this program.
pub(crate) fn spoken(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such file".into(),
        ErrorKind::PermissionDenied => "permission is denied".into(),
        _ => error.to_string(),
    }
}

/// The whole content, or nothing when it is longer than `limit`.
fn take(from: impl Read, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= limit);
    Ok(fits.then_some(bytes))
}

fn too_large(limit: u64) -> String {
    format!("it is larger than {} MiB", limit >> 20)
}

fn reason(error: std::io::Error) -> ReadError {
    match error.kind() {
        ErrorKind::NotFound => ReadError::NotFound,
        _ => ReadError::Failed(spoken(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn lists_stay_below_the_root_whatever_links_say() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("unit");
        fs::create_dir_all(root.join("lists")).unwrap();
        fs::write(root.join("lists/real.txt"), "10.0.0.0/8\n").unwrap();
        fs::write(folder.path().join("secret"), "no").unwrap();
        symlink("real.txt", root.join("lists/inside.txt")).unwrap();
        symlink("../../secret", root.join("lists/outside.txt")).unwrap();
        symlink(folder.path(), root.join("up")).unwrap();
        let disk = Disk::below(&root);
        assert_eq!(disk.read("lists/real.txt").unwrap(), b"10.0.0.0/8\n");
        assert_eq!(disk.read("lists/inside.txt").unwrap(), b"10.0.0.0/8\n");
        assert_eq!(disk.read("lists/outside.txt"), Err(ReadError::Outside));
        assert_eq!(disk.read("up/secret"), Err(ReadError::Outside));
        assert_eq!(disk.read("lists/none.txt"), Err(ReadError::NotFound));
        assert!(matches!(disk.read("lists"), Err(ReadError::Refused(_))));
    }

    #[test]
    fn devices_are_refused_and_endless_input_ends() {
        let disk = Disk::below("/dev");
        assert!(matches!(disk.read("zero"), Err(ReadError::Refused(_))));
        assert!(read_named("/dev/zero", 1 << 16).unwrap_err().to_string().contains("larger than"));
        assert_eq!(take(&b"abc"[..], 3).unwrap(), Some(b"abc".to_vec()));
        assert_eq!(take(&b"abcd"[..], 3).unwrap(), None);
    }
}
