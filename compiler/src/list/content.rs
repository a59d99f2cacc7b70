//! What a list file holds: ranges, each perhaps with fields to filter by.
//!
//! In: the bytes of a file. Out: its entries, or why it has none that can be trusted: one wrong entry refuses the file,
//! because a list with a hole denies or allows the wrong thing.

use super::{plain, published};
use egress_ir::AddressSet;
use egress_lang::value::{AddressOrRange, Fault};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;

/// A field's name and the value that an entry must have.
pub(super) type Field<'f> = (&'f str, &'f str);

/// The addresses of one entry, both ends included.
pub(super) type Addresses = (IpAddr, IpAddr);

/// How many wrong entries are kept with their fault; of the others only the places.
const MOST_DETAILS: usize = 20;

/// Why a file is no list.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// Nothing in it.
    #[error("it holds no address")]
    Empty,
    /// Some entries are wrong.
    #[error("{count} of its entries {} wrong", if *.count == 1 { "is" } else { "are" })]
    Entries {
        /// How many.
        count: usize,
        /// The first of them.
        first: Vec<BadEntry>,
        /// The places of the others.
        others: Vec<EntryPlace>,
    },
    /// It starts like JSON and is not.
    #[error("it is not JSON: {reason}")]
    Json {
        /// The reader's reason, with line and column.
        reason: String,
    },
    /// JSON of a form that no supported publisher uses.
    #[error("its JSON has none of the published forms")]
    Form,
    /// UTF-16, by its byte order mark.
    #[error("it is UTF-16 text")]
    Utf16,
}

/// One wrong entry of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadEntry {
    /// Where it stands.
    pub place: EntryPlace,
    /// What is wrong with it.
    pub message: String,
    /// What would be right, where that can be said.
    pub help: Option<String>,
}

/// Where an entry stands in its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntryPlace {
    /// A line, counted from 1.
    Line(usize),
    /// A path within JSON, such as `prefixes[3].ip_prefix`.
    Path(String),
}

impl fmt::Display for EntryPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Path(path) => f.write_str(path),
        }
    }
}

/// Collects the faults of one file.
#[derive(Default)]
pub(super) struct Faults {
    count: usize,
    first: Vec<BadEntry>,
    others: Vec<EntryPlace>,
}

impl Faults {
    /// Notes a wrong entry.
    pub(super) fn push(
        &mut self,
        place: impl FnOnce() -> EntryPlace,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.count += 1;
        if self.first.len() < MOST_DETAILS {
            self.first.push(BadEntry { place: place(), message: message.into(), help });
        } else {
            self.others.push(place());
        }
    }

    /// Notes a value that was refused.
    pub(super) fn fault(&mut self, place: impl FnOnce() -> EntryPlace, fault: &Fault) {
        self.push(place, fault.to_string(), Some(fault.help().into_owned()));
    }

    fn problem(self) -> Option<Problem> {
        let Self { count, first, others } = self;
        (count > 0).then_some(Problem::Entries { count, first, others })
    }
}

/// The entries of a file, and the fields they have.
#[derive(Default)]
pub(super) struct Content {
    entries: Vec<(Addresses, Range<usize>)>,
    /// Names of fields and their values, numbered; an entry's fields are a range of this.
    fields: Vec<(usize, usize)>,
    texts: Vec<String>,
    numbers: FxHashMap<String, usize>,
}

/// Why filters select nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum FilterFault {
    /// No entry has a field of this name.
    Key { key: String, known: Vec<String> },
    /// No entry has this value in the field.
    Value { key: String, value: String, known: Vec<String> },
    /// Each is there, but no entry has all of them.
    Together,
}

/// Reads a file in whichever form it has.
pub(super) fn parse(bytes: &[u8]) -> Result<Content, Problem> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::Utf16);
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let (mut content, mut faults) = (Content::default(), Faults::default());
    match bytes.trim_ascii_start().first() {
        Some(b'{' | b'[') => published::read(bytes, &mut content, &mut faults)?,
        _ => plain::read(bytes, &mut content, &mut faults),
    }
    match faults.problem() {
        Some(problem) => Err(problem),
        None if content.entries.is_empty() => Err(Problem::Empty),
        None => Ok(content),
    }
}

impl Content {
    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds an entry with the fields that [`Content::describe`] returned.
    pub(super) fn push(&mut self, value: AddressOrRange, fields: Range<usize>) {
        let addresses = match value {
            AddressOrRange::Prefix(prefix) => {
                let prefix = egress_ir::Prefix::containing(prefix.addr, prefix.len);
                (prefix.address(), prefix.last())
            }
            AddressOrRange::Range(range) => (range.first, range.last),
        };
        self.entries.push((addresses, fields));
    }

    /// Notes fields for entries to share.
    pub(super) fn describe<'f>(&mut self, fields: impl IntoIterator<Item = (&'f str, String)>) -> Range<usize> {
        let start = self.fields.len();
        for (key, value) in fields {
            let field = (self.number(key), self.number(&value));
            self.fields.push(field);
        }
        start..self.fields.len()
    }

    fn number(&mut self, text: &str) -> usize {
        if let Some(&known) = self.numbers.get(text) {
            return known;
        }
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), self.texts.len() - 1);
        self.texts.len() - 1
    }

    /// The addresses of the entries that have all of these fields.
    pub(super) fn select(&self, wanted: &[Field<'_>]) -> Result<AddressSet, FilterFault> {
        let wanted: Vec<(usize, usize)> =
            wanted.iter().map(|field| self.wanted(*field)).collect::<Result<_, FilterFault>>()?;
        let has = |fields: &Range<usize>| {
            let fields = self.fields.get(fields.clone()).unwrap_or_default();
            wanted.iter().all(|field| fields.contains(field))
        };
        let chosen = self.entries.iter().filter(|(_, fields)| wanted.is_empty() || has(fields));
        let addresses = AddressSet::from_ranges(chosen.map(|(addresses, _)| *addresses));
        if addresses.is_empty() { Err(FilterFault::Together) } else { Ok(addresses) }
    }

    fn wanted(&self, (key, value): Field<'_>) -> Result<(usize, usize), FilterFault> {
        let number = |text: &str| self.numbers.get(text).copied();
        let values = || self.fields.iter().filter(|field| Some(field.0) == number(key)).map(|field| field.1);
        if values().next().is_none() {
            let known = self.sorted(self.fields.iter().map(|field| field.0));
            return Err(FilterFault::Key { key: key.to_owned(), known });
        }
        match (number(key), values().find(|&known| Some(known) == number(value))) {
            (Some(key), Some(value)) => Ok((key, value)),
            _ => {
                let known = self.sorted(values());
                Err(FilterFault::Value { key: key.to_owned(), value: value.to_owned(), known })
            }
        }
    }

    fn sorted(&self, numbers: impl Iterator<Item = usize>) -> Vec<String> {
        let numbers: BTreeSet<usize> = numbers.collect();
        let texts: BTreeSet<String> = numbers.into_iter().filter_map(|n| self.texts.get(n).cloned()).collect();
        texts.into_iter().collect()
    }
}
