//! One agent at a time: a lock that the kernel drops with its holder, however that ends.

use crate::disk::cannot;
use crate::failure::Failure;
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _held: File,
}

/// What is to be done alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Changing the kernel or the state.
    Change,
    /// Reading the ring of records.
    Watch,
    /// Learning names.
    Names,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(crate) fn take(folder: &Path, purpose: Purpose) -> Result<Self, Failure> {
        let path = folder.join(match purpose {
            Purpose::Change => "lock",
            Purpose::Watch => "watch.lock",
            Purpose::Names => "names.lock",
        });
        let fails = |error: &std::io::Error| cannot("write", &path, error);
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(|error| fails(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(&mut file, purpose)),
            Err(TryLockError::Error(error)) => return Err(fails(&error)),
        }
        let write = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        write.map_err(|error| fails(&error))?;
        Ok(Self { _held: file })
    }
}

fn taken(file: &mut File, purpose: Purpose) -> Failure {
    let mut text = String::new();
    let holder = match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => format!("process {}", text.trim()),
        // It has taken the lock and not yet written its number.
        _ => "a process that has just begun".to_owned(),
    };
    match purpose {
        Purpose::Change => Failure::new(format!("another agent is at work: {holder}")).help("wait until it has ended"),
        Purpose::Names => Failure::new(format!("names are already learned by {holder}"))
            .help("end that one; `egress-agent names status` says what it knows"),
        Purpose::Watch => {
            Failure::new(format!("the records are already watched by {holder}, and each goes to one watcher only"))
                .help("end that one, or read what it writes")
        }
    }
}
