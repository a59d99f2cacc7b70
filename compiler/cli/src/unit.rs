//! The unit: finds and reads the policy files that a command was given, and their root folder.
//!
//! In: the paths of the command line. Out: the compiler's input, with every path spelled from one place. Folders are
//! walked in sorted order; hidden folders and `target` are skipped, links to folders are not followed, and links to
//! files only within the root folder. Never looks into a file.

use crate::arguments::RootArgument;
use crate::disk::{self, Disk};
use crate::exit::Failure;
use egress_compiler::{Input, ReadError, SourceText};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};

/// The files of one command.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    /// Sources and root folder, as the compiler takes them.
    pub(crate) input: Input,
    /// Where lists are read.
    pub(crate) disk: Disk,
}

/// Reads the unit that these paths name.
///
/// # Errors
/// A path cannot be read, or names no policy file.
pub(crate) fn read(paths: &[String], root: &RootArgument) -> Result<Unit, Failure> {
    let named = paths.iter().map(|path| Named::new(path)).collect::<Result<Vec<_>, _>>()?;
    let root = root.root.as_deref().map(Named::folder).transpose()?;
    let (named, root) = from_one_place(named, root)?;
    let root_text = root.text();
    let mut sources = BTreeMap::new();
    for path in &named {
        path.read_into(&mut sources, &root_text)?;
    }
    let sources = sources.into_iter().map(|(path, bytes)| SourceText { path, bytes }).collect();
    Ok(Unit { disk: Disk::below(&root_text), input: Input { sources, root: root_text } })
}

/// The policy files that these paths name, sorted, each once; standard input is `-`. Does not read them.
///
/// # Errors
/// A path cannot be read, or names no policy file.
pub(crate) fn files(paths: &[String]) -> Result<Vec<String>, Failure> {
    named_files(paths, &POLICIES)
}

/// The policy files in a folder, sorted, and with `deep` also those in its folders; none is no failure. Does not read them.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn policies(folder: &str, deep: bool) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    walk(folder, &POLICIES, deep, &mut found)?;
    found.sort_unstable();
    Ok(found)
}

/// The YAML files that these paths name, in the same way.
///
/// # Errors
/// A path cannot be read, or names no YAML file.
pub(crate) fn manifests(paths: &[String]) -> Result<Vec<String>, Failure> {
    named_files(paths, &MANIFESTS)
}

/// The endings of policies, the usual one first.
const POLICIES: [&str; 1] = ["egress"];
/// The endings of manifests, the usual one first.
const MANIFESTS: [&str; 2] = ["yaml", "yml"];

fn named_files(paths: &[String], endings: &[&str]) -> Result<Vec<String>, Failure> {
    let mut files = BTreeMap::new();
    for path in paths {
        match Named::new(path)?.kind {
            Kind::Folder => {
                for file in walked(path, endings)? {
                    files.insert(file.clone(), file);
                }
            }
            Kind::File | Kind::Stdin => {
                files.insert(path.clone(), path.clone());
            }
        }
    }
    Ok(files.into_values().collect())
}

/// A path as the user named it, with `.` and `x/..` folded away.
#[derive(Clone, Debug)]
struct Named {
    absolute: bool,
    parts: Vec<String>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Stdin,
}

impl Named {
    fn new(path: &str) -> Result<Self, Failure> {
        if path == "-" {
            return Ok(Self { absolute: false, parts: Vec::new(), kind: Kind::Stdin });
        }
        let cannot = |error| Failure::new(format!("`{path}` cannot be read: {}", disk::spoken(&error)));
        let about = fs::metadata(path).map_err(cannot)?;
        let kind = if about.is_dir() { Kind::Folder } else { Kind::File };
        let (absolute, parts) = folded(path)?;
        Ok(Self { absolute, parts, kind })
    }

    fn folder(path: &str) -> Result<Self, Failure> {
        match Self::new(path)? {
            named if named.kind == Kind::Folder => Ok(named),
            _ => Err(Failure::new(format!("the root `{path}` is not a folder"))),
        }
    }

    /// The folder that it is or lies in.
    fn folder_parts(&self) -> &[String] {
        match self.kind {
            Kind::File => self.parts.split_last().map_or(&[], |(_, folder)| folder),
            Kind::Folder | Kind::Stdin => &self.parts,
        }
    }

    fn climbs(&self) -> usize {
        self.parts.iter().take_while(|part| *part == "..").count()
    }

    fn text(&self) -> String {
        match (self.absolute, self.parts.is_empty()) {
            (true, _) => format!("/{}", self.parts.join("/")),
            (false, true) => ".".into(),
            (false, false) => self.parts.join("/"),
        }
    }

    fn made_absolute(self, here: &[String]) -> Result<Self, Failure> {
        if self.absolute || self.kind == Kind::Stdin {
            return Ok(self);
        }
        let joined = format!("/{}/{}", here.join("/"), self.parts.join("/"));
        let (absolute, parts) = folded(&joined)?;
        Ok(Self { absolute, parts, kind: self.kind })
    }

    fn read_into(&self, sources: &mut BTreeMap<String, Vec<u8>>, root: &str) -> Result<(), Failure> {
        match self.kind {
            Kind::Stdin => {
                if !sources.contains_key("-") {
                    sources.insert("-".into(), disk::read_stdin(disk::SOURCE_LIMIT)?);
                }
            }
            Kind::File => {
                let path = self.text();
                let bytes = disk::read_named(&path, disk::SOURCE_LIMIT)?;
                sources.insert(path, bytes);
            }
            Kind::Folder => {
                for path in walked(&self.text(), &POLICIES)? {
                    stay_below(root, &path)?;
                    let bytes = disk::read_named(&path, disk::SOURCE_LIMIT)?;
                    sources.insert(path, bytes);
                }
            }
        }
        Ok(())
    }
}

/// Spells all paths from the working folder, or else from `/`, so that the root folder is a prefix of each.
fn from_one_place(named: Vec<Named>, root: Option<Named>) -> Result<(Vec<Named>, Named), Failure> {
    let places: Vec<(bool, usize)> =
        named.iter().chain(&root).filter(|n| n.kind != Kind::Stdin).map(|n| (n.absolute, n.climbs())).collect();
    let (named, root) = if places.windows(2).all(|pair| pair.first() == pair.last()) {
        (named, root)
    } else {
        let here = working_folder()?;
        let all = named.into_iter().map(|n| n.made_absolute(&here)).collect::<Result<Vec<_>, _>>()?;
        (all, root.map(|n| n.made_absolute(&here)).transpose()?)
    };
    let common = common_folder(&named);
    let root = root.unwrap_or(common);
    let outside = |n: &&Named| n.kind != Kind::Stdin && !n.folder_parts().starts_with(&root.parts);
    match named.iter().find(outside) {
        None => Ok((named, root)),
        Some(outside) => Err(Failure::new(format!("`{}` lies outside of the root `{}`", outside.text(), root.text()))),
    }
}

fn common_folder(named: &[Named]) -> Named {
    let mut folders = named.iter().filter(|n| n.kind != Kind::Stdin);
    let Some(first) = folders.next() else {
        return Named { absolute: false, parts: Vec::new(), kind: Kind::Folder };
    };
    let mut common = first.folder_parts().to_vec();
    for folder in folders {
        let shared = common.iter().zip(folder.folder_parts()).take_while(|(a, b)| a == b).count();
        common.truncate(shared);
    }
    Named { absolute: first.absolute, parts: common, kind: Kind::Folder }
}

fn working_folder() -> Result<Vec<String>, Failure> {
    let cannot = |why: String| Failure::new(format!("the working folder cannot be named: {why}"));
    let here = std::env::current_dir().map_err(|error| cannot(error.to_string()))?;
    let here = here.to_str().ok_or_else(|| cannot("its path is not valid UTF-8".into()))?;
    Ok(folded(here)?.1)
}

/// Whether a path is absolute, and its parts with `.` and `x/..` folded away.
fn folded(path: &str) -> Result<(bool, Vec<String>), Failure> {
    let mut parts: Vec<String> = Vec::new();
    let mut absolute = false;
    for component in Path::new(path).components() {
        match component {
            Component::RootDir | Component::Prefix(_) => absolute = true,
            Component::CurDir => {}
            Component::ParentDir if parts.last().is_some_and(|last| last != "..") => {
                parts.pop();
            }
            Component::ParentDir if absolute => {}
            Component::ParentDir => parts.push("..".into()),
            Component::Normal(part) => {
                let part = part.to_str().ok_or_else(|| Failure::new(format!("`{path}` is not valid UTF-8")))?;
                parts.push(part.into());
            }
        }
    }
    Ok((absolute, parts))
}

/// The files below a folder that have one of these endings, in sorted order.
fn walked(folder: &str, endings: &[&str]) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    walk(folder, endings, true, &mut found)?;
    if found.is_empty() {
        let help = "name the files, or give a folder that holds some";
        let ending = endings.first().copied().unwrap_or_default();
        return Err(Failure::new(format!("there is no `.{ending}` file in `{folder}`")).help(help));
    }
    found.sort_unstable();
    Ok(found)
}

fn walk(folder: &str, endings: &[&str], deep: bool, found: &mut Vec<String>) -> Result<(), Failure> {
    let cannot = |error| Failure::new(format!("the folder `{folder}` cannot be read: {}", disk::spoken(&error)));
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let name = entry.file_name();
        let kind = entry.file_type().map_err(cannot)?;
        let Some(name) = name.to_str() else {
            if Path::new(&name).extension().is_some_and(|extension| endings.iter().any(|ending| extension == *ending)) {
                return Err(Failure::new(format!("the name `{}` is not valid UTF-8", name.display())));
            }
            continue;
        };
        let path = match folder {
            "." => name.to_owned(),
            _ => format!("{}/{name}", folder.trim_end_matches('/')),
        };
        if kind.is_dir() {
            if deep && !name.starts_with('.') && name != "target" {
                walk(&path, endings, deep, found)?;
            }
        } else if has_extension(name, endings) && !fs::metadata(&path).is_ok_and(|about| about.is_dir()) {
            found.push(path);
        }
    }
    Ok(())
}

fn has_extension(name: &str, endings: &[&str]) -> bool {
    let ends = |extension: &std::ffi::OsStr| endings.iter().any(|ending| extension == *ending);
    !name.starts_with('.') && Path::new(name).extension().is_some_and(ends)
}

/// Refuses a file that was found in a folder but leads out of the root by a symbolic link.
fn stay_below(root: &str, path: &str) -> Result<(), Failure> {
    match disk::contained(Path::new(root), Path::new(path)) {
        Ok(_) => Ok(()),
        Err(error @ (ReadError::NotFound | ReadError::Outside | ReadError::Refused(_) | ReadError::Failed(_))) => {
            Err(Failure::new(format!("`{path}` cannot be read: {error}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(path: &str, kind: Kind) -> Named {
        let (absolute, parts) = folded(path).unwrap();
        Named { absolute, parts, kind }
    }

    fn placed(paths: &[(&str, Kind)], root: Option<&str>) -> (Vec<String>, String) {
        let paths = paths.iter().map(|(path, kind)| named(path, *kind)).collect();
        let (paths, root) = from_one_place(paths, root.map(|root| named(root, Kind::Folder))).unwrap();
        (paths.iter().map(Named::text).collect(), root.text())
    }

    #[test]
    fn the_root_is_the_common_folder() {
        let files = [("./policies/a/x.egress", Kind::File), ("policies/b", Kind::Folder)];
        let expected = (vec!["policies/a/x.egress".into(), "policies/b".into()], "policies".to_owned());
        assert_eq!(placed(&files, None), expected);
        assert_eq!(placed(&[("x.egress", Kind::File)], None).1, ".");
        assert_eq!(placed(&[("../q/x.egress", Kind::File)], None).1, "../q");
        assert_eq!(placed(&[("a/../b", Kind::Folder)], None), (vec!["b".into()], "b".into()));
    }

    #[test]
    fn paths_from_different_places_are_all_spelled_from_the_top() {
        let (paths, root) = placed(&[("a.egress", Kind::File), ("../b.egress", Kind::File)], None);
        assert!(paths.iter().all(|path| path.starts_with('/')), "{paths:?}");
        assert!(paths.iter().all(|path| path.starts_with(&root)), "{paths:?} {root}");
        let (paths, root) = placed(&[("a.egress", Kind::File)], Some(".."));
        assert!(paths.iter().all(|path| path.starts_with(&root)), "{paths:?} {root}");
    }

    #[test]
    fn a_file_outside_of_the_root_is_refused() {
        let refused = from_one_place(vec![named("a/x.egress", Kind::File)], Some(named("b", Kind::Folder)));
        assert_eq!(refused.unwrap_err().to_string(), "`a/x.egress` lies outside of the root `b`");
    }

    #[test]
    fn folders_are_walked_in_order_without_hidden_and_target() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["b.egress", "a/z.egress", "a/readme.md", ".git/x.egress", "target/y.egress", ".h.egress"] {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let root = folder.path().to_str().unwrap();
        let found = walked(root, &POLICIES).unwrap();
        let found: Vec<&str> = found.iter().map(|path| &path[root.len() + 1..]).collect();
        assert_eq!(found, ["a/z.egress", "b.egress"]);
    }
}
