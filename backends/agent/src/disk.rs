//! Files: read whole, written whole or not at all, and durably.

use crate::failure::Failure;
use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// The most bytes that are read of one file: tables of 256 MiB and a meta part as large.
const MOST: u64 = 1 << 29;

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let fails = |error: &Error| cannot("read", path, error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| fails(&error))?;
    file.take(MOST + 1).read_to_end(&mut bytes).map_err(|error| fails(&error))?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::new(format!("`{}` has more than {MOST} bytes", path.display())));
    }
    Ok(bytes)
}

/// The bytes of a file that may be missing.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    if path.exists() { read(path).map(Some) } else { Ok(None) }
}

/// The text of a file.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let text = String::from_utf8(read(path)?);
    text.map_err(|_| Failure::new(format!("`{}` is not text in UTF-8", path.display())))
}

/// Writes a file by way of a temporary one beside it: synced, renamed, and the folder synced.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let temporary = beside(path, "tmp");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| cannot("write", path, &error))?;
    rename(&temporary, path)
}

/// The path with one more ending.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Renames, and makes the rename last through a crash.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::rename(from, to).map_err(|error| cannot("write", to, &error))?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| cannot("sync", folder, &error))
}

/// Removes a file; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot("remove", path, &error)),
        _ => Ok(()),
    }
}

/// `cannot read …` in words.
pub(crate) fn cannot(what: &str, path: &Path, error: &Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    };
    Failure::new(format!("cannot {what} `{}`: {why}", path.display()))
}
