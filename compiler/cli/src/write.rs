//! Writing files: whole or not at all.
//!
//! In: paths and contents. Out: files, each replaced by renaming a temporary file that lies beside it, once *all*
//! temporary files are written and on the disk. Never leaves a temporary file behind, nor half of a file.

use crate::disk;
use crate::exit::Failure;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Permissions of a file that was not there before, before the process's umask.
const NEW_FILE: u32 = 0o666;

/// Writes all files, or none if one of them cannot be written.
///
/// Symbolic links are followed, so that a link stays a link; permissions and owner of a file that is there are kept.
///
/// # Errors
/// A folder is missing, or writing failed; then every file is as it was before. Only where the system fails between
/// two renames can some be new and others old, and the message says so.
pub(crate) fn all(files: &[(PathBuf, Vec<u8>)]) -> Result<(), Failure> {
    let staged = files.iter().map(|(path, bytes)| stage(path, bytes)).collect::<Result<Vec<_>, _>>()?;
    for (done, (temporary, target)) in staged.into_iter().enumerate() {
        temporary.persist(&target).map_err(|error| cannot(&target, &error.error, done))?;
        sync_folder(&target);
    }
    Ok(())
}

/// Writes a temporary file beside `path`'s target; it vanishes if it is dropped.
fn stage(path: &Path, bytes: &[u8]) -> Result<(NamedTempFile, PathBuf), Failure> {
    let fails = |error: &std::io::Error| cannot(path, error, 0);
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_symlink() => return Err(fails(&error)),
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(fails(&error)),
    };
    let before = fs::metadata(&target).ok();
    if before.as_ref().is_some_and(|about| !about.is_file()) {
        return Err(Failure::new(format!("`{}` cannot be written: it is not a file", path.display())));
    }
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".egressc-").permissions(fs::Permissions::from_mode(NEW_FILE));
    let mut temporary = builder.tempfile_in(folder).map_err(|error| fails(&error))?;
    temporary.write_all(bytes).map_err(|error| fails(&error))?;
    if let Some(before) = before {
        keep(temporary.as_file(), &before).map_err(|error| fails(&error))?;
    }
    temporary.as_file().sync_all().map_err(|error| fails(&error))?;
    Ok((temporary, target))
}

/// Gives the new file the owner and permissions of the old one.
fn keep(file: &File, before: &Metadata) -> std::io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != (before.uid(), before.gid()) {
        std::os::unix::fs::fchown(file, Some(before.uid()), Some(before.gid()))?;
    }
    file.set_permissions(before.permissions())
}

/// Makes the rename last through a crash; a file system that cannot do so has still renamed.
fn sync_folder(target: &Path) {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _renamed_all_the_same = folder.sync_all();
    }
}

fn cannot(path: &Path, error: &std::io::Error, done: usize) -> Failure {
    let why = match error.kind() {
        ErrorKind::NotFound => "there is no such folder".to_owned(),
        _ => disk::spoken(error),
    };
    let failure = Failure::new(format!("`{}` cannot be written: {why}", path.display()));
    match done {
        0 => failure,
        _ => failure.help(format!("{done} other files had been replaced already; run the command again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn all_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("missing/other"));
        fs::write(&one, "old").unwrap();
        let failed = all(&[(one.clone(), b"new".to_vec()), (other, b"new".to_vec())]);
        assert!(failed.unwrap_err().to_string().ends_with("cannot be written: there is no such folder"));
        assert_eq!(fs::read(&one).unwrap(), b"old");
        assert_eq!(entries(folder.path()), 1);
        all(&[(one.clone(), b"new".to_vec())]).unwrap();
        assert_eq!(fs::read(&one).unwrap(), b"new");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn links_and_permissions_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        all(&[(link.clone(), b"new".to_vec())]).unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn folders_and_devices_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        assert!(all(&[(folder.path().to_owned(), Vec::new())]).is_err());
        assert!(all(&[("/dev/null".into(), Vec::new())]).is_err());
    }
}
