//! Policies as they were: files of a revision, read with `git` and never checked out.
//!
//! In: `REV` or `REV:PATH`. Out: the policy files below a folder of that revision, and its lists. Nothing in the
//! repository is changed, no hook or filter runs, and links are followed within the root folder only, as on a disk.

use crate::disk;
use crate::exit::Failure;
use egress_compiler::{Files, Input, ReadError, SourceText};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

/// The most links that one path may go through, as on Linux.
const LINKS: usize = 40;

/// Files of a revision.
#[derive(Debug)]
pub(super) struct Tree {
    /// The revision as the user named it.
    pub(super) revision: String,
    /// The folder that lists may not leave, from the top of the repository; empty for the top itself.
    root: String,
    /// The file or folder that the user named, from the top.
    named: String,
    /// What is below the root, by path from there.
    entries: BTreeMap<String, Entry>,
}

/// A file or a link.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    object: String,
    bytes: u64,
    is_link: bool,
}

impl Tree {
    /// Finds the files of `REV` or `REV:PATH`.
    ///
    /// # Errors
    /// There is no repository, no such revision, or nothing at the path.
    pub(super) fn read(text: &str, root: Option<&str>) -> Result<Self, Failure> {
        let (revision, path) = split(text);
        let wrong = |failure: Failure| failure.help("write `git:REV` or `git:REV:PATH`, such as `git:HEAD~1`");
        let tree = git(&["rev-parse", "--verify", "--end-of-options", &format!("{revision}^{{tree}}")]);
        let tree = line(tree.map_err(|said| wrong(Failure::new(format!("`git:{text}` cannot be read: {said}"))))?);
        let prefix = line(git(&["rev-parse", "--show-prefix"]).map_err(Failure::new)?);
        let outside = |what: &str| Failure::new(format!("`{what}` lies outside of the repository"));
        let from_here = |path: &str| folded(&format!("{prefix}{path}")).ok_or_else(|| outside(path));
        let named = match path {
            None => from_here("")?,
            Some(path) if path.starts_with("./") || path.starts_with("../") || path == "." => from_here(path)?,
            Some(path) => folded(path).ok_or_else(|| outside(path))?,
        };
        let is_folder = is_folder(&tree, &named)?.ok_or_else(|| {
            Failure::new(format!("`git:{text}` cannot be read: there is no `{named}` in `{revision}`"))
        })?;
        let root = match root {
            Some(root) => from_here(root)?,
            None if is_folder => named.clone(),
            None => named.rsplit_once('/').map_or_else(String::new, |(folder, _)| folder.to_owned()),
        };
        if named != root && below(&root, &named).is_none() {
            return Err(Failure::new(format!("`{named}` lies outside of the root `{root}`")));
        }
        let entries = entries(&tree, &root)?;
        Ok(Self { revision: revision.to_owned(), root, named, entries })
    }

    /// The policy files, with their paths from the top of the repository.
    ///
    /// # Errors
    /// There is none, or one cannot be read.
    pub(super) fn input(&self) -> Result<Input, Failure> {
        let mut sources = Vec::new();
        for path in self.entries.keys() {
            let from_top = joined(&self.root, path);
            let wanted = from_top == self.named || below(&self.named, &from_top).is_some_and(is_policy);
            if wanted {
                let cannot = |error| Failure::new(format!("`{}:{from_top}` cannot be read: {error}", self.revision));
                let bytes = self.content(path, disk::SOURCE_LIMIT).map_err(cannot)?;
                sources.push(SourceText { path: from_top, bytes });
            }
        }
        if sources.is_empty() {
            let place = if self.named.is_empty() { "." } else { &self.named };
            return Err(Failure::new(format!("there is no `.egress` file in `{place}` of `{}`", self.revision)));
        }
        let root = if self.root.is_empty() { ".".to_owned() } else { self.root.clone() };
        Ok(Input { sources, root })
    }

    fn content(&self, path: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
        let entry = self.find(path)?;
        if entry.bytes > limit {
            return Err(ReadError::Refused(format!("it is larger than {} MiB", limit >> 20)));
        }
        self.object(entry)
    }

    fn object(&self, entry: &Entry) -> Result<Vec<u8>, ReadError> {
        git(&["cat-file", "blob", &entry.object]).map_err(ReadError::Failed)
    }

    /// The file at a path from the root, once links are followed.
    fn find(&self, path: &str) -> Result<&Entry, ReadError> {
        let mut todo: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop().ok_or(ReadError::Outside)?;
                    continue;
                }
                _ => at.push(part),
            }
            match self.entries.get(&at.join("/")) {
                Some(link) if link.is_link => {
                    links += 1;
                    if links > LINKS {
                        return Err(ReadError::Refused("it leads through too many symbolic links".into()));
                    }
                    let target = String::from_utf8(self.object(link)?)
                        .map_err(|_| ReadError::Refused("a symbolic link is not valid UTF-8".into()))?;
                    if target.starts_with('/') {
                        return Err(ReadError::Outside);
                    }
                    at.pop();
                    todo.extend(target.rsplit('/').map(str::to_owned));
                }
                Some(file) if todo.is_empty() => return Ok(file),
                Some(_) => return Err(ReadError::NotFound),
                None => {}
            }
        }
        let folder = at.join("/");
        let is_folder = self.entries.keys().any(|path| below(&folder, path).is_some());
        Err(if is_folder { ReadError::Refused("it is a folder".into()) } else { ReadError::NotFound })
    }
}

impl Files for Tree {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.content(path, disk::LIST_LIMIT)
    }
}

/// `REV:PATH`; what comes before the first colon is the revision.
fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((revision, path)) if !path.is_empty() => (revision, Some(path)),
        Some((revision, _)) => (revision, Some("")),
        None => (text, None),
    }
}

/// Whether there is a folder or a file at a path of a tree; nothing if there is neither.
fn is_folder(tree: &str, path: &str) -> Result<Option<bool>, Failure> {
    if path.is_empty() {
        return Ok(Some(true));
    }
    let listed =
        git(&["--literal-pathspecs", "ls-tree", "-z", "--full-tree", tree, "--", path]).map_err(Failure::new)?;
    let listed = String::from_utf8_lossy(&listed);
    Ok(listed.split(' ').nth(1).map(|kind| kind == "tree"))
}

/// Every file and link below a folder of a tree.
fn entries(tree: &str, folder: &str) -> Result<BTreeMap<String, Entry>, Failure> {
    let list = ["--literal-pathspecs", "ls-tree", "-r", "-l", "-z", "--full-tree", tree];
    let slash = format!("{folder}/");
    let at = if folder.is_empty() { Vec::new() } else { vec!["--", slash.as_str()] };
    let listed = git(&[&list[..], &at].concat()).map_err(Failure::new)?;
    let mut entries = BTreeMap::new();
    for record in listed.split(|byte| *byte == 0).filter(|record| !record.is_empty()) {
        // A path that is not UTF-8 cannot be named by a policy.
        let Ok(record) = std::str::from_utf8(record) else { continue };
        let Some((about, path)) = record.split_once('\t') else { continue };
        let words: Vec<&str> = about.split_whitespace().collect();
        let [mode, "blob", object, bytes] = *words.as_slice() else { continue };
        let Some(path) = below(folder, path) else { continue };
        let entry =
            Entry { object: object.to_owned(), bytes: bytes.parse().unwrap_or(u64::MAX), is_link: mode == "120000" };
        entries.insert(path.to_owned(), entry);
    }
    Ok(entries)
}

/// Whether a path below a folder is a policy file that a walk of the folder finds.
fn is_policy(path: &str) -> bool {
    let mut folders: Vec<&str> = path.split('/').collect();
    let name = folders.pop().unwrap_or_default();
    let walked = folders.iter().all(|folder| !folder.starts_with('.') && *folder != "target");
    walked && !name.starts_with('.') && name.ends_with(".egress")
}

/// The path from a folder; nothing unless it lies below.
fn below<'p>(folder: &str, path: &'p str) -> Option<&'p str> {
    if folder.is_empty() { Some(path) } else { path.strip_prefix(folder)?.strip_prefix('/') }
}

fn joined(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}

/// A path with `.` and `x/..` folded away; nothing if it leads out of the top.
fn folded(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

/// What git prints.
///
/// # Errors
/// What it complains of, on one line.
fn git(arguments: &[&str]) -> Result<Vec<u8>, String> {
    let output = Command::new("git")
        .args(["--no-optional-locks", "--no-replace-objects"])
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("git cannot be run: {}", disk::spoken(&error)))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("git gave no reason");
    Err(first.trim_start_matches("fatal: ").to_owned())
}

fn line(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_and_paths_are_told_apart() {
        assert_eq!(split("HEAD~1"), ("HEAD~1", None));
        assert_eq!(split("origin/main:policies/a.egress"), ("origin/main", Some("policies/a.egress")));
        assert_eq!(split("HEAD:"), ("HEAD", Some("")));
    }

    #[test]
    fn paths_stay_within_the_top() {
        assert_eq!(folded("a/./b/../c").as_deref(), Some("a/c"));
        assert_eq!(folded("a/../.."), None);
        assert_eq!(below("a", "ab/c"), None);
        assert_eq!(below("a", "a/c"), Some("c"));
    }

    #[test]
    fn only_policies_that_a_walk_finds_are_read() {
        let found = ["a.egress", "x/a.egress", ".x/a.egress", "target/a.egress", ".a.egress", "a.txt", "a.egress.bak"];
        assert_eq!(found.map(is_policy), [true, true, false, false, false, false, false]);
    }
}
