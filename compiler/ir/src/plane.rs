//! Planes: anything that decides flows, so that two of them can be compared. A program is one, a decoded artifact another.
//!
//! In: a plane says who its senders are, and cuts the addresses into pieces on each of which it goes through one list
//! of entries from top to bottom. Out: the words for that, shared through a [`Vocabulary`], so that equal lists have
//! equal ids. Nothing is compared or proved here.
//!
//! A plane must never guess: where it cannot say exactly what it does on a piece, it returns [`Unclear`].

use crate::address::AddressSet;
use crate::arena::GatewayId;
use crate::classes::name_classes;
use crate::flow::Flow;
use crate::host::HostPattern;
use crate::port::PortSet;
use crate::workload::{Pod, Workload};
use std::collections::{BTreeSet, HashMap};
use std::fmt;

/// Something that decides flows.
pub trait Plane {
    /// Everybody who sends, parted so that neither the plane nor what it is compared with can tell two members of one
    /// sender apart.
    fn senders(&self) -> &[Sender];

    /// The host patterns by which it tells destinations apart; a [`Vocabulary`] is made of those of all planes.
    fn hosts(&self) -> BTreeSet<HostPattern>;

    /// Flows of which it says nothing, because the target leaves them alone whatever the policy is.
    fn exemptions(&self) -> Vec<Exemption>;

    /// What it does with flows of the sender at this place of [`Plane::senders`]: pieces from the first address of the
    /// family to the last, in order, without a gap or an overlap.
    ///
    /// # Errors
    /// [`Unclear`] when it cannot say.
    fn pieces(&self, sender: usize, v6: bool, vocabulary: &mut Vocabulary) -> Result<Vec<Piece>, Unclear>;

    /// What it does with one flow of that sender, found by its own evaluator and never through [`Plane::pieces`]: every
    /// counterexample is replayed here before anyone sees it.
    ///
    /// # Errors
    /// [`Unclear`] when it cannot say.
    fn replay(&self, sender: usize, flow: &Flow) -> Result<Outcome, Unclear>;
}

/// Workloads that are treated alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// One of them.
    pub workload: Workload,
    /// Whether they can send to IPv4 destinations.
    pub v4: bool,
    /// Whether they can send to IPv6 destinations.
    pub v6: bool,
    /// Those of them that run, if an inventory is known.
    pub pods: Vec<Pod>,
    /// Those of them that are known by their address alone.
    pub addresses: AddressSet,
}

impl Sender {
    /// Whether they can send to destinations of the family.
    #[must_use]
    pub fn sends(&self, v6: bool) -> bool {
        if v6 { self.v6 } else { self.v4 }
    }
}

/// Flows that a target lets pass or drops whatever the policy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemption {
    /// To where.
    pub addresses: AddressSet,
    /// On which ports.
    pub ports: PortSet,
    /// Why, for people: lower case, no full stop, such as `neighbour discovery always passes`.
    pub why: &'static str,
}

/// Adjacent addresses on which a plane does the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The first address as a number.
    pub start: u128,
    /// The last address as a number.
    pub end: u128,
    /// What happens there.
    pub list: ListId,
}

/// What happens to a flow, as far as planes are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It passes: inside, ungoverned, or allowed; with the gateway through which it leaves, if not by its own node.
    Passes(Option<GatewayId>),
    /// It is stopped.
    Dropped,
    /// It passes with a source address that no declared gateway has and its node has not either. No program means that;
    /// an artifact that was edited can do it.
    Misrouted,
}

impl Outcome {
    /// Whether the flow goes on.
    #[must_use]
    pub fn passes(self) -> bool {
        match self {
            Self::Passes(_) | Self::Misrouted => true,
            Self::Dropped => false,
        }
    }
}

/// One entry of a list: decides the flows that satisfy the guard and have one of the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// What the destination's names must satisfy.
    pub guard: Guard,
    /// The ports.
    pub ports: PortsId,
    /// What is decided.
    pub outcome: Outcome,
}

/// A list of entries: the first that matches decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct List {
    /// The entries, first to last.
    pub entries: Vec<Entry>,
    /// What happens to flows that no entry matches.
    pub default: Outcome,
}

/// What a destination's names must satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Guard {
    /// Nothing: the entry matches by address.
    Always,
    /// Some name is of one of these classes.
    Named(NamesId),
    /// Some name is of one of the first classes, and some name, the same or another, of one of the second.
    Both(NamesId, NamesId),
}

impl Guard {
    /// What holds where both guards hold; nothing where that takes three conditions.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Always, guard) | (guard, Self::Always) => Some(guard),
            (Self::Named(one), Self::Named(two)) if one == two => Some(self),
            (Self::Named(one), Self::Named(two)) => Some(Self::Both(one.min(two), one.max(two))),
            _ => None,
        }
    }

    /// The sets of classes that it asks for.
    pub fn name_sets(self) -> impl Iterator<Item = NamesId> {
        let (one, two) = match self {
            Self::Always => (None, None),
            Self::Named(names) => (Some(names), None),
            Self::Both(one, two) => (Some(one), Some(two)),
        };
        one.into_iter().chain(two)
    }
}

macro_rules! interned {
    ($($(#[$doc:meta])* $name:ident),*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u32);

        impl $name {
            /// Its place, counted from 0 in the order in which a [`Vocabulary`] met it.
            #[must_use]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

interned! {
    /// Names a port set of a [`Vocabulary`].
    PortsId,
    /// Names a set of name classes of a [`Vocabulary`].
    NamesId,
    /// Names a [`List`] of a [`Vocabulary`].
    ListId
}

/// What planes that are compared say in common: ports, names and lists, each once.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    names: Vec<String>,
    ports: Interner<PortSet>,
    name_sets: Interner<Vec<u32>>,
    lists: Interner<List>,
    intersections: HashMap<(PortsId, PortsId), PortsId>,
}

impl Vocabulary {
    /// A vocabulary for planes that tell destinations apart by these patterns.
    #[must_use]
    pub fn new(hosts: &BTreeSet<HostPattern>) -> Self {
        let patterns: Vec<&HostPattern> = hosts.iter().collect();
        Self { names: name_classes(&patterns).into_values().collect(), ..Self::default() }
    }

    /// One name for each class of names that the patterns can tell apart; a class is named by its place here.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The id of a port set.
    pub fn ports(&mut self, ports: &PortSet) -> PortsId {
        PortsId(self.ports.intern(ports))
    }

    /// The ports in both sets.
    pub fn both(&mut self, one: PortsId, other: PortsId) -> PortsId {
        if one == other {
            return one;
        }
        let question = (one.min(other), one.max(other));
        if let Some(&known) = self.intersections.get(&question) {
            return known;
        }
        let both = self.ports_at(one).intersection(self.ports_at(other));
        let id = self.ports(&both);
        self.intersections.insert(question, id);
        id
    }

    /// The guard that holds for destinations of which some name is accepted; nothing if no name is.
    pub fn guard(&mut self, accepts: impl Fn(&str) -> bool) -> Option<Guard> {
        let classes: Vec<u32> = (0u32..).zip(&self.names).filter(|(_, name)| accepts(name)).map(|(n, _)| n).collect();
        (!classes.is_empty()).then(|| Guard::Named(NamesId(self.name_sets.intern(&classes))))
    }

    /// The id of a list. Entries without ports and repeated ones must have been left out, so that equal lists are
    /// written equally more often; nothing else depends on it.
    pub fn list(&mut self, list: &List) -> ListId {
        ListId(self.lists.intern(list))
    }

    /// The port set of an id of this vocabulary.
    #[must_use]
    pub fn ports_at(&self, id: PortsId) -> &PortSet {
        self.ports.at(id.0)
    }

    /// The classes of names of an id of this vocabulary, sorted.
    #[must_use]
    pub fn name_set_at(&self, id: NamesId) -> &[u32] {
        self.name_sets.at(id.0)
    }

    /// The list of an id of this vocabulary.
    #[must_use]
    pub fn list_at(&self, id: ListId) -> &List {
        self.lists.at(id.0)
    }
}

/// Why a plane cannot say what it does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unclear {
    /// What is not understood, in lower case without a full stop.
    pub reason: String,
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Unclear {}

/// Values by the order in which they were met.
#[derive(Clone, Debug)]
struct Interner<T> {
    entries: Vec<T>,
    known: HashMap<T, u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), known: HashMap::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Interner<T> {
    fn intern(&mut self, entry: &T) -> u32 {
        if let Some(&known) = self.known.get(entry) {
            return known;
        }
        let id = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push(entry.clone());
        self.known.insert(entry.clone(), id);
        id
    }

    #[expect(clippy::indexing_slicing, reason = "ids are made by `intern` only, like those of an arena")]
    fn at(&self, id: u32) -> &T {
        &self.entries[id as usize]
    }
}
