//! What the server knows: folders, documents, and units with their files.
//!
//! In: what clients and the disk say of documents. Out: units as of the last edit, parsed as far as texts changed. A file
//! that is open is what the editor has of it, whatever the disk says.

use super::settings::{Client, Settings};
use crate::text::Edited;
use crate::unit::{File, Meaning, Unit};
use crate::uri;
use crate::view::{Open, Uris, View};
use crate::world::World;
use egress_compiler::{Diagnostic, Parsed, SourceText, inventory};
use egress_ir::{Inventory, Stop};
use gen_lsp_types::{TextDocumentContentChangeEvent, Uri};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything that is known.
pub(crate) struct State {
    pub(crate) world: Arc<dyn World>,
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    /// The workspace folders, sorted.
    pub(crate) folders: BTreeSet<String>,
    /// The texts of the open documents, by path.
    pub(crate) documents: BTreeMap<String, Arc<str>>,
    /// How the client knows them.
    pub(crate) uris: Uris,
    /// Units by their key, which is the root folder, or the path of a document that belongs nowhere.
    pub(crate) units: BTreeMap<Arc<str>, Known>,
}

/// A unit with all that is known of it.
#[derive(Debug)]
pub(crate) struct Known {
    /// Whether folders in the folder belong to it.
    deep: bool,
    files: BTreeMap<String, File>,
    /// The unit as of the last edit; nothing after a change until it is needed.
    unit: Option<Arc<Unit>>,
    /// Counts edits.
    pub(crate) edit: u64,
    /// Ends the work on the last edit.
    pub(crate) stop: Stop,
    /// The last edit of which it is known that errors leave its meaning open.
    pub(crate) meaningless: Option<u64>,
    /// What the last edit means that got so far.
    pub(crate) meaning: Option<Arc<Meaning>>,
    /// What each stage of the prover found last, and of which files.
    pub(crate) layers: [Option<(Arc<Unit>, Vec<Diagnostic>)>; 3],
    /// What the client was told, by path.
    pub(crate) published: BTreeMap<String, Vec<gen_lsp_types::Diagnostic>>,
    /// What runs in the cluster, what is wrong with the files that say so, and how these were when they were read.
    inventory: Option<Arc<Inventory>>,
    pub(crate) faults: Vec<Diagnostic>,
    /// Files that are not policies but matter: inventory and lists, by path, as they were when they were read.
    pub(crate) others: BTreeMap<String, Option<(u64, u128)>>,
    /// How the files were that the disk has.
    stamps: BTreeMap<String, Option<(u64, u128)>>,
}

/// Where a document belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Home {
    root: String,
    deep: bool,
}

impl State {
    pub(crate) fn new(world: Arc<dyn World>, client: Client, settings: Settings, folders: BTreeSet<String>) -> Self {
        let (documents, uris, units) = (BTreeMap::new(), Uris::default(), BTreeMap::new());
        let mut state = Self { world, client, settings, folders, documents, uris, units };
        state.arrange();
        state
    }

    /// Where a path belongs: the innermost unit or workspace folder that holds it, or else the folder it lies in.
    fn home(&self, path: &str) -> Home {
        if !path.starts_with('/') {
            return Home { root: path.to_owned(), deep: false };
        }
        let holds = |root: &&String| uri::is_below(path, root);
        let roots = self.roots();
        match roots.iter().filter(holds).max_by_key(|root| root.len()) {
            Some(root) => Home { root: root.clone(), deep: true },
            None => Home { root: uri::folder(path).to_owned(), deep: false },
        }
    }

    /// The folders that are units: those of the settings, and the workspace folders.
    fn roots(&self) -> BTreeSet<String> {
        let units =
            self.folders.iter().flat_map(|folder| self.settings.units.iter().map(|unit| uri::joined(folder, unit)));
        units.chain(self.folders.iter().cloned()).collect()
    }

    /// Makes the units that folders and open documents ask for, and forgets the others. Returns the paths of which the
    /// client was told something that no longer holds.
    pub(crate) fn arrange(&mut self) -> (Vec<Arc<str>>, Vec<String>) {
        let mut homes: BTreeSet<Home> = self.roots().into_iter().map(|root| Home { root, deep: true }).collect();
        homes.extend(self.documents.keys().map(|path| self.home(path)));
        let gone: Vec<Arc<str>> =
            self.units.keys().filter(|key| !homes.iter().any(|home| *home.root == ***key)).cloned().collect();
        let mut told = Vec::new();
        for key in &gone {
            if let Some(known) = self.units.remove(key) {
                known.stop.raise();
                told.extend(known.published.into_keys());
            }
        }
        for home in homes {
            if !self.units.contains_key(home.root.as_str()) {
                let known = self.load(&home);
                self.units.insert(home.root.into(), known);
            }
        }
        (gone, told)
    }

    /// Reads everything anew, as after other settings.
    pub(crate) fn reload(&mut self) -> Vec<String> {
        let told = std::mem::take(&mut self.units).into_values().flat_map(|known| {
            known.stop.raise();
            known.published.into_keys()
        });
        let told = told.collect();
        self.arrange();
        told
    }

    fn load(&self, home: &Home) -> Known {
        let mut known = Known {
            deep: home.deep,
            files: BTreeMap::new(),
            unit: None,
            edit: 0,
            stop: Stop::default(),
            meaningless: None,
            meaning: None,
            layers: [const { None }; 3],
            published: BTreeMap::new(),
            inventory: None,
            faults: Vec::new(),
            others: BTreeMap::new(),
            stamps: BTreeMap::new(),
        };
        self.read_inventory(&home.root, &mut known);
        self.read_files(&home.root, &mut known);
        known
    }

    /// Reads the files that the disk has in place of those that were read; whether any is another.
    fn read_files(&self, root: &str, known: &mut Known) -> bool {
        let mut paths: BTreeSet<String> =
            self.documents.keys().filter(|path| self.home(path).root == root).cloned().collect();
        if root.starts_with('/') {
            let found = self.world.policies(root, known.deep).unwrap_or_default();
            paths.extend(found.into_iter().filter(|path| self.home(path).root == root));
        }
        let before = known.files.len();
        known.files.retain(|path, _| paths.contains(path));
        known.stamps.retain(|path, _| paths.contains(path));
        let mut changed = before != known.files.len();
        for path in paths {
            changed |= self.read_file(&path, known);
        }
        changed
    }

    /// Reads a file if it is another than before.
    fn read_file(&self, path: &str, known: &mut Known) -> bool {
        if let Some(document) = self.documents.get(path) {
            let same = known.files.get(path).is_some_and(|file| Arc::ptr_eq(&file.parsed.source.text, document));
            if !same {
                known.files.insert(path.to_owned(), File::new(path, document.clone(), self.client.encoding));
            }
            known.stamps.remove(path);
            return !same;
        }
        let stamp = self.world.stamp(path);
        if stamp.is_some() && known.stamps.get(path) == Some(&stamp) {
            return false;
        }
        known.stamps.insert(path.to_owned(), stamp);
        match self.world.read(path) {
            Ok(bytes) => {
                let parsed = Parsed::new(SourceText { path: path.to_owned(), bytes });
                let same = known.files.get(path).is_some_and(|file| file.parsed.source.text == parsed.source.text);
                if !same {
                    known.files.insert(path.to_owned(), File::of(parsed, self.client.encoding));
                }
                !same
            }
            Err(_) => known.files.remove(path).is_some(),
        }
    }

    /// Reads the inventory, whose paths are those of the workspace folder.
    fn read_inventory(&self, root: &str, known: &mut Known) {
        known.others.clear();
        (known.inventory, known.faults) = (None, Vec::new());
        let paths: Vec<String> = self.inventory_paths(root).collect();
        let mut documents = Vec::new();
        for path in &paths {
            known.others.insert(path.clone(), self.world.stamp(path));
            match self.world.read(path) {
                Ok(bytes) => documents.push(bytes),
                Err(why) => {
                    let message = format!("the inventory `{path}` cannot be read: {why}");
                    known.faults.push(Diagnostic::error("egress::inventory::unreadable", message));
                }
            }
        }
        if !documents.is_empty() && known.faults.is_empty() {
            match inventory::read_all(documents.iter().map(Vec::as_slice)) {
                Ok(read) => known.inventory = Some(Arc::new(read)),
                Err(errors) => known.faults.extend(errors.into_iter().map(Diagnostic::from)),
            }
        }
    }

    /// The first file of the inventory: where findings about no policy are shown.
    pub(crate) fn inventory_path(&self, key: &str) -> Option<String> {
        self.inventory_paths(key).next()
    }

    /// The inventory's files, relative to the workspace folder that a unit belongs to.
    fn inventory_paths<'s>(&'s self, root: &'s str) -> impl Iterator<Item = String> + 's {
        let folder = self.folders.iter().filter(|folder| uri::is_below(root, folder)).max_by_key(|folder| folder.len());
        let folder = folder.or(self.folders.first()).map_or(root, String::as_str);
        self.settings.inventory.iter().map(move |path| uri::joined(folder, path))
    }

    /// Takes over a document that the editor has opened.
    pub(crate) fn open(&mut self, uri: &Uri, version: i32, text: String) {
        let path = uri::path(uri);
        self.documents.insert(path.clone(), text.into());
        self.uris.insert(path.clone(), Open { uri: uri.clone(), version });
        self.touch(&path);
    }

    /// Applies changes to an open document; nothing happens to one that is not open.
    pub(crate) fn change(&mut self, uri: &Uri, version: i32, changes: Vec<TextDocumentContentChangeEvent>) {
        let path = uri::path(uri);
        let Some(document) = self.documents.get_mut(&path) else { return };
        let mut edited = Edited::new(document.as_ref().to_owned(), self.client.encoding);
        changes.into_iter().for_each(|change| edited.apply(change));
        *document = edited.into_text().into();
        if let Some(open) = self.uris.get_mut(&path) {
            open.version = version;
        }
        self.touch(&path);
    }

    /// Gives a document back to the disk.
    pub(crate) fn close(&mut self, uri: &Uri) {
        let path = uri::path(uri);
        self.documents.remove(&path);
        self.uris.remove(&path);
        self.touch(&path);
    }

    /// Marks the unit of a path as changed.
    fn touch(&mut self, path: &str) {
        let home = self.home(path);
        if let Some(known) = self.units.get_mut(home.root.as_str()) {
            known.outdate();
        }
    }

    /// Looks again at everything on the disk if a file that was read is another now. Files that are new are found when
    /// something is saved: walking through a large folder every now and then would cost more than it tells.
    pub(crate) fn glance(&mut self) {
        let is_other = |(path, stamp): (&String, &Option<(u64, u128)>)| self.world.stamp(path) != *stamp;
        if self.units.values().any(|known| known.stamps.iter().chain(&known.others).any(is_other)) {
            self.look_again();
        }
    }

    /// Looks again at everything on the disk.
    pub(crate) fn look_again(&mut self) {
        let keys: Vec<Arc<str>> = self.units.keys().cloned().collect();
        for key in keys {
            let Some(mut known) = self.units.remove(&key) else { continue };
            let others_changed = known.others.iter().any(|(path, stamp)| self.world.stamp(path) != *stamp);
            if others_changed {
                self.read_inventory(&key, &mut known);
            }
            if self.read_files(&key, &mut known) || others_changed {
                known.outdate();
            }
            self.units.insert(key, known);
        }
    }

    /// Brings the units that have changed up to date; their keys.
    pub(crate) fn refresh(&mut self) -> Vec<Arc<str>> {
        let outdated: Vec<Arc<str>> =
            self.units.iter().filter(|(_, known)| known.unit.is_none()).map(|(key, _)| key.clone()).collect();
        for key in &outdated {
            let Some(mut known) = self.units.remove(key) else { continue };
            let paths: Vec<String> =
                self.documents.keys().filter(|path| self.home(path).root == **key).cloned().collect();
            for path in paths {
                self.read_file(&path, &mut known);
            }
            let closed: Vec<String> = known
                .files
                .keys()
                .filter(|path| !self.documents.contains_key(*path) && !known.stamps.contains_key(*path))
                .cloned()
                .collect();
            for path in closed {
                self.read_file(&path, &mut known);
            }
            let files = known.files.values().cloned().collect();
            known.unit = Some(Arc::new(Unit::new(key.clone(), files, known.inventory.clone())));
            self.units.insert(key.clone(), known);
        }
        outdated
    }

    /// What features see of a document, after [`State::refresh`]; nothing for one that is not known.
    pub(crate) fn view(&self, path: &str) -> Option<View<'_>> {
        let (_, known) = self.unit_of(path)?;
        View::new(known.unit()?, known.meaning.as_ref(), &self.uris, path)
    }

    /// The unit that holds a document.
    pub(crate) fn unit_of(&self, path: &str) -> Option<(&Arc<str>, &Known)> {
        self.units.get_key_value(self.home(path).root.as_str())
    }
}

impl Known {
    /// The unit as of the last edit, after [`State::refresh`].
    pub(crate) fn unit(&self) -> Option<&Arc<Unit>> {
        self.unit.as_ref()
    }

    fn outdate(&mut self) {
        self.unit = None;
        self.edit += 1;
        self.stop.raise();
        self.stop = Stop::default();
    }
}
