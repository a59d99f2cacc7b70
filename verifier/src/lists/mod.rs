//! Lists of entries, decided: what planes do with each port on a piece, as tables.
//!
//! In: lists of a [`Vocabulary`]. Out: a [`Table`] for each, by id, so that equal behaviour is an equal id; and the
//! lemmas, each once, that make a solver the judge of it: the list says what its table says, and the combinations of
//! names are all there are.

mod lemma;
mod names;
mod table;

pub(crate) use lemma::on_line;
pub use lemma::{Key, Lemma};
pub use names::{Combination, TooManyNames};
pub use table::{Run, Table};

use crate::answer::Limits;
use crate::prover::Prover;
use crate::solver::{Ranges, widened};
use egress_ir::plane::{Entry, List, ListId, NamesId, PortsId};
use egress_ir::{Outcome, Vocabulary};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Names a table of [`Lists`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(u32);

/// A vocabulary with the tables of its lists.
#[derive(Debug)]
pub struct Lists {
    /// The words of the planes.
    pub vocabulary: Vocabulary,
    limits: Limits,
    tables: Vec<Rc<Table>>,
    known: FxHashMap<Rc<Table>, TableId>,
    /// Tables of lists once it is known which guards hold.
    decided: FxHashMap<(Vec<(PortsId, Outcome)>, Outcome), TableId>,
    plain: FxHashMap<ListId, TableId>,
    combinations: FxHashMap<Vec<NamesId>, Rc<[Combination]>>,
    ranges: FxHashMap<PortsId, Ranges>,
}

impl Lists {
    /// No tables yet.
    pub fn new(vocabulary: Vocabulary, limits: &Limits) -> Self {
        Self {
            vocabulary,
            limits: *limits,
            tables: Vec::new(),
            known: FxHashMap::default(),
            decided: FxHashMap::default(),
            plain: FxHashMap::default(),
            combinations: FxHashMap::default(),
            ranges: FxHashMap::default(),
        }
    }

    /// The guards that a list depends on, sorted.
    #[must_use]
    pub fn guards(&self, list: ListId) -> BTreeSet<NamesId> {
        self.vocabulary.list_at(list).entries.iter().flat_map(|entry| entry.guard.name_sets()).collect()
    }

    /// Every combination of these guards that the names of a destination can satisfy, with the fewest names for it,
    /// the one without names first. That there are no others becomes a lemma.
    ///
    /// # Errors
    /// [`TooManyNames`] when there are more than the limit.
    pub fn combinations(
        &mut self,
        guards: &BTreeSet<NamesId>,
        prover: &mut Prover,
    ) -> Result<Rc<[Combination]>, TooManyNames> {
        let guards: Vec<NamesId> = guards.iter().copied().collect();
        if let Some(known) = self.combinations.get(&guards) {
            return Ok(known.clone());
        }
        let found = names::combinations(&self.vocabulary, &guards, self.limits.name_combinations)?;
        if !guards.is_empty() {
            prover.require(names::lemma(&self.vocabulary, &guards, &found));
        }
        let found: Rc<[Combination]> = found.into();
        self.combinations.insert(guards, found.clone());
        Ok(found)
    }

    /// What a list does once these guards hold and no others. That list and table say the same becomes a lemma.
    pub fn table(&mut self, list: ListId, fired: &BTreeSet<NamesId>, prover: &mut Prover) -> TableId {
        let plain = self.guards(list).is_empty();
        if let (true, Some(&known)) = (plain, self.plain.get(&list)) {
            return known;
        }
        let List { entries, default } = self.vocabulary.list_at(list);
        let holds = |entry: &&Entry| entry.guard.name_sets().all(|names| fired.contains(&names));
        let entries = entries.iter().filter(holds).map(|entry| (entry.ports, entry.outcome));
        let question = (entries.collect::<Vec<_>>(), *default);
        let id = self.decide(question, prover);
        if plain {
            self.plain.insert(list, id);
        }
        id
    }

    /// The table of an id.
    #[must_use]
    pub fn at(&self, id: TableId) -> Rc<Table> {
        self.tables.get(id.0 as usize).cloned().unwrap_or_default()
    }

    fn decide(&mut self, question: (Vec<(PortsId, Outcome)>, Outcome), prover: &mut Prover) -> TableId {
        if let Some(&known) = self.decided.get(&question) {
            return known;
        }
        let (entries, default) = &question;
        let entries: Vec<(Ranges, Outcome)> =
            entries.iter().map(|&(ports, outcome)| (self.ranges(ports), outcome)).collect();
        let table = Rc::new(Table::of(&entries, *default));
        prover.require(Lemma::list(entries, *default, &table));
        let id = self.intern(table);
        self.decided.insert(question, id);
        id
    }

    fn intern(&mut self, table: Rc<Table>) -> TableId {
        if let Some(&known) = self.known.get(&table) {
            return known;
        }
        let id = TableId(u32::try_from(self.tables.len()).unwrap_or(u32::MAX));
        self.tables.push(table.clone());
        self.known.insert(table, id);
        id
    }

    fn ranges(&mut self, ports: PortsId) -> Ranges {
        let vocabulary = &self.vocabulary;
        let ranges = || widened(vocabulary.ports_at(ports).line_ranges());
        self.ranges.entry(ports).or_insert_with(ranges).clone()
    }
}
