//! Where everything is pinned, and the moves of folders by which a generation gets its place.

use super::{KernelError, Place};
use aya::maps::{Map, MapData, MapError};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Paths below a BPF file system.
#[derive(Clone, Debug)]
pub(super) struct Pins {
    root: PathBuf,
}

impl Pins {
    pub(super) fn below(bpffs: &Path) -> Self {
        Self { root: bpffs.join("egressc") }
    }

    /// A map that both generations use.
    pub(super) fn shared(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn place(&self, place: Place) -> PathBuf {
        self.root.join(format!("place-{}", place.index()))
    }

    /// Where a generation is prepared.
    pub(super) fn new_place(&self, place: Place) -> PathBuf {
        self.root.join(format!("place-{}-new", place.index()))
    }

    fn old_place(&self, place: Place) -> PathBuf {
        self.root.join(format!("place-{}-old", place.index()))
    }

    pub(super) fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// Makes the folders.
    pub(super) fn make(&self) -> Result<(), KernelError> {
        make_folder(&self.root)?;
        make_folder(&self.links())
    }

    /// Makes an empty folder for a generation that is prepared.
    pub(super) fn make_new(&self, place: Place) -> Result<PathBuf, KernelError> {
        let folder = self.new_place(place);
        remove_folder(&folder)?;
        make_folder(&folder)?;
        Ok(folder)
    }

    /// Removes what was prepared and never got its place.
    pub(super) fn clear_new(&self) -> Result<(), KernelError> {
        Place::BOTH.iter().try_for_each(|place| remove_folder(&self.new_place(*place)))
    }

    /// Puts the prepared folder in its place, and the one there aside.
    pub(super) fn promote(&self, place: Place) -> Result<(), KernelError> {
        let (new, here, old) = (self.new_place(place), self.place(place), self.old_place(place));
        remove_folder(&old)?;
        if here.exists() {
            rename(&here, &old)?;
        }
        rename(&new, &here)
    }

    /// Removes what was put aside.
    pub(super) fn clear_old(&self, place: Place) -> Result<(), KernelError> {
        remove_folder(&self.old_place(place))
    }

    /// Undoes or finishes a promotion that was broken off.
    pub(super) fn recover(&self) -> Result<(), KernelError> {
        for place in Place::BOTH {
            if self.old_place(place).exists() && !self.place(place).exists() {
                rename(&self.old_place(place), &self.place(place))?;
            }
            remove_folder(&self.old_place(place))?;
        }
        self.clear_new()
    }

    pub(super) fn remove_links(&self) -> Result<(), KernelError> {
        remove_folder(&self.links())
    }

    /// Places first, then what they share, then the folder itself.
    pub(super) fn remove_all(&self) -> Result<(), KernelError> {
        for place in Place::BOTH {
            for folder in [self.new_place(place), self.old_place(place), self.place(place)] {
                remove_folder(&folder)?;
            }
        }
        remove_folder(&self.root)
    }
}

/// A pinned map as the type that it must have.
pub(super) fn typed<M: TryFrom<Map, Error = MapError>>(path: &Path) -> Result<M, KernelError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let map = Map::from_map_data(data(path)?).map_err(|source| KernelError::map(&name, source))?;
    M::try_from(map).map_err(|source| KernelError::Damaged { path: path.to_owned(), why: source.to_string() })
}

/// A pinned map, whatever it is.
pub(super) fn data(path: &Path) -> Result<MapData, KernelError> {
    MapData::from_pin(path).map_err(|source| match KernelError::map(&path.display().to_string(), source) {
        KernelError::Kernel { errno: Some(libc::ENOENT), .. } => {
            KernelError::Damaged { path: path.to_owned(), why: "it is missing".to_owned() }
        }
        other => other,
    })
}

fn make_folder(path: &Path) -> Result<(), KernelError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other.map_err(KernelError::file("make the folder", path)),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), KernelError> {
    fs::rename(from, to).map_err(KernelError::file("rename", from))
}

fn remove_folder(path: &Path) -> Result<(), KernelError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map_err(KernelError::file("remove", path)),
    }
}
