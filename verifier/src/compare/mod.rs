//! Two planes, held against each other: every flow that they decide differently, as few blocks as possible.
//!
//! In: planes with the same senders, a prover. Out: a [`Comparison`], whose answer is proved, refuted with blocks of
//! which each has a flow that both planes' own evaluators confirmed, or unknown. Nothing is sampled.

pub(crate) mod blocks;
mod merge;
mod scopes;

pub use blocks::Block;

use crate::answer::Answer;
use crate::lists::{Lists, TableId};
use crate::program::ProgramPlane;
use crate::prover::Prover;
use blocks::Found;
use egress_ir::classes::TooManyClasses;
use egress_ir::plane::{ListId, PortsId};
use egress_ir::{Cancelled, Exemption, Flow, Outcome, Plane, PortSet, Program, Unclear, Vocabulary};
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::rc::Rc;

/// What is known after two planes were held against each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Whether they decide every flow alike; else where they do not, the widest block first.
    pub answer: Answer<Vec<Block>>,
    /// Whether all flows outside the blocks are proved to be decided alike; never refuted.
    pub rest: Answer<Infallible>,
    /// Flows that were left out, because one of the planes says nothing of them.
    pub exemptions: Vec<Exemption>,
    /// How much was compared.
    pub extent: Extent,
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Senders.
    pub senders: usize,
    /// Pieces of addresses on which neither plane changes what it does, over all senders.
    pub pieces: usize,
    /// Distinct pairs of lists among them.
    pub pairs: usize,
}

/// Why two planes could not be compared, or a comparison could not be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A plane does not know what it does.
    #[error("{0}")]
    Unclear(#[from] Unclear),
    /// A flow that the tables tell apart is not told apart by the evaluators: a defect of egressc.
    #[error("the evaluators do not confirm that {0} is decided differently")]
    Unconfirmed(String),
    /// A lemma does not hold: a defect of egressc.
    #[error("a lemma that the tables rest on does not hold")]
    BrokenLemma,
    /// The prover was told to stop: nothing is known, and nothing is remembered.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<TooManyClasses> for Fault {
    fn from(limit: TooManyClasses) -> Self {
        Self::Unclear(Unclear { reason: limit.to_string() })
    }
}

/// Proves that what enforces decides every flow of its senders as the source does.
///
/// # Errors
/// [`Fault`], as for [`compare`].
pub fn against_source(source: &Program, plane: &dyn Plane, prover: &mut Prover) -> Result<Comparison, Fault> {
    compare(&ProgramPlane::new(source, plane.senders().to_vec()), plane, prover)
}

/// Holds two planes against each other; `left` is the one that should be, `right` the one that is.
///
/// # Errors
/// [`Fault`]: a plane is unclear, or something of our own is wrong. Never taken for an answer.
pub fn compare(left: &dyn Plane, right: &dyn Plane, prover: &mut Prover) -> Result<Comparison, Fault> {
    let vocabulary = Vocabulary::new(&left.hosts().into_iter().chain(right.hosts()).collect());
    let exemptions: Vec<Exemption> = left.exemptions().into_iter().chain(right.exemptions()).collect();
    let mut lists = Lists::new(vocabulary, prover.limits());
    let scopes = [false, true].map(|v6| (v6, scopes::scopes(&exemptions, v6, &mut lists.vocabulary)));
    let mut work = Work {
        left,
        right,
        prover,
        pairs: FxHashMap::default(),
        found: Found::default(),
        extent: Extent { senders: right.senders().len(), ..Extent::default() },
        unknown: None,
    };
    for (number, sender) in right.senders().iter().enumerate() {
        for (v6, scopes) in scopes.iter().filter(|(v6, _)| sender.sends(*v6)) {
            work.sender(number, *v6, scopes, &mut lists)?;
        }
    }
    work.conclude(exemptions)
}

/// What two lists say differently: names, ports, what each plane does.
type Row = (Rc<[String]>, PortSet, Outcome, Outcome);

/// Two lists and the ports that are compared.
type Question = (ListId, ListId, PortsId);

/// A comparison under way.
struct Work<'w> {
    left: &'w dyn Plane,
    right: &'w dyn Plane,
    prover: &'w mut Prover,
    pairs: FxHashMap<Question, Rc<[Row]>>,
    found: Found,
    extent: Extent,
    unknown: Option<String>,
}

impl Work<'_> {
    fn sender(&mut self, number: usize, v6: bool, scopes: &[(u128, PortsId)], lists: &mut Lists) -> Result<(), Fault> {
        let left = self.left.pieces(number, v6, &mut lists.vocabulary)?;
        let right = self.right.pieces(number, v6, &mut lists.vocabulary)?;
        merge::check(&left, v6)?;
        merge::check(&right, v6)?;
        for (start, end, question) in merge::overlay(&left, &right, scopes) {
            self.extent.pieces += 1;
            let rows = self.rows(question, lists);
            for (names, ports, left, right) in rows.iter() {
                self.found.note(number, v6, (start, end), (names, ports), (*left, *right));
            }
        }
        Ok(())
    }

    fn rows(&mut self, question: Question, lists: &mut Lists) -> Rc<[Row]> {
        if let Some(known) = self.pairs.get(&question) {
            return known.clone();
        }
        let (left, right, scope) = question;
        let guards: BTreeSet<_> = lists.guards(left).union(&lists.guards(right)).copied().collect();
        let mut rows = Vec::new();
        match lists.combinations(&guards, self.prover) {
            Ok(combinations) => {
                for combination in combinations.iter() {
                    let one = lists.table(left, &combination.fired, self.prover);
                    let two = lists.table(right, &combination.fired, self.prover);
                    rows.extend(differences(one, two, scope, &combination.names, lists));
                }
            }
            Err(too_many) => self.unknown = Some(too_many.to_string()),
        }
        let rows: Rc<[Row]> = rows.into();
        self.pairs.insert(question, rows.clone());
        rows
    }

    fn conclude(mut self, exemptions: Vec<Exemption>) -> Result<Comparison, Fault> {
        self.extent.pairs = self.pairs.len();
        let proved = self.prover.settled()?;
        let replay =
            |sender: usize, flow: &Flow| Ok((self.left.replay(sender, flow)?, self.right.replay(sender, flow)?));
        let blocks = self.found.blocks(self.right.senders(), &replay)?;
        let rest = self.unknown.map_or(proved, Answer::Unknown);
        let answer = if blocks.is_empty() { rest.clone().map(|never| match never {}) } else { Answer::Refuted(blocks) };
        Ok(Comparison { answer, rest, exemptions, extent: self.extent })
    }
}

/// What two tables say differently on some ports.
fn differences(one: TableId, two: TableId, scope: PortsId, names: &[String], lists: &Lists) -> Vec<Row> {
    if one == two {
        return Vec::new();
    }
    let scope = lists.vocabulary.ports_at(scope);
    let names: Rc<[String]> = names.into();
    let mut by_outcomes: BTreeMap<(Outcome, Outcome), Vec<(u32, u32)>> = BTreeMap::new();
    for (first, last, left, right) in lists.at(one).differences(&lists.at(two)) {
        by_outcomes.entry((left, right)).or_default().push((first, last));
    }
    let rows = by_outcomes.into_iter().map(|((left, right), ranges)| {
        let ports = PortSet::from_line_ranges(ranges).intersection(scope);
        (names.clone(), ports, left, right)
    });
    rows.filter(|(_, ports, ..)| !ports.is_empty()).collect()
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} senders, {} pieces of addresses, {} pairs of lists", self.senders, self.pieces, self.pairs)
    }
}
