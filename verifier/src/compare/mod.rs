//! Two planes, held against each other: every flow that they decide differently, as few blocks as possible.
//!
//! In: planes with the same senders, a prover. Out: a [`Comparison`], whose answer is proved, refuted with blocks of
//! which each has a flow that both planes' own evaluators confirmed, or unknown. Nothing is sampled.

pub(crate) mod blocks;
mod merge;

pub use blocks::Block;

use crate::answer::Answer;
use crate::lists::{Lists, TableId};
use crate::program::ProgramPlane;
use crate::prover::Prover;
use blocks::Found;
use egress_ir::classes::TooManyClasses;
use egress_ir::plane::ListId;
use egress_ir::{
    AddressSet, Exemption, Flow, Outcome, Piece, Plane, PortSet, Program, Sender, Unclear, Vocabulary, protocol,
};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
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
    let limits = *prover.limits();
    let mut work = Work {
        left,
        right,
        prover,
        scopes: Scopes::new(&exemptions),
        pairs: FxHashMap::default(),
        found: Found::default(),
        extent: Extent { senders: right.senders().len(), ..Extent::default() },
        unknown: None,
    };
    let mut lists = Lists::new(vocabulary, &limits);
    for (number, sender) in right.senders().iter().enumerate() {
        for v6 in families(sender) {
            let left = left.pieces(number, v6, &mut lists.vocabulary)?;
            let right = right.pieces(number, v6, &mut lists.vocabulary)?;
            work.sender(number, v6, &left, &right, &mut lists)?;
        }
    }
    work.conclude(exemptions)
}

/// The families to which a sender can send.
fn families(sender: &Sender) -> impl Iterator<Item = bool> + use<> {
    [(false, sender.v4), (true, sender.v6)].into_iter().filter(|(_, sends)| *sends).map(|(v6, _)| v6)
}

/// The rest of what two lists say differently: names, ports, what each plane does.
type Rows = Rc<[(Rc<[String]>, PortSet, Outcome, Outcome)]>;

/// A comparison under way.
struct Work<'w> {
    left: &'w dyn Plane,
    right: &'w dyn Plane,
    prover: &'w mut Prover,
    scopes: Scopes,
    pairs: FxHashMap<(ListId, ListId, usize), Rows>,
    found: Found,
    extent: Extent,
    unknown: Option<String>,
}

impl Work<'_> {
    fn sender(
        &mut self,
        number: usize,
        v6: bool,
        left: &[Piece],
        right: &[Piece],
        lists: &mut Lists,
    ) -> Result<(), Fault> {
        merge::check(left, v6)?;
        merge::check(right, v6)?;
        let scopes = self.scopes.pieces(v6);
        for (start, end, left, right, scope) in merge::overlay(left, right, &scopes) {
            self.extent.pieces += 1;
            let rows = self.rows((left, right, scope), lists);
            for (names, ports, left, right) in rows.iter() {
                self.found.note(number, v6, (start, end), (names, ports), (*left, *right));
            }
        }
        Ok(())
    }

    fn rows(&mut self, question: (ListId, ListId, usize), lists: &mut Lists) -> Rows {
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
                    rows.extend(self.differences(one, two, scope, &combination.names, lists));
                }
            }
            Err(too_many) => self.unknown = Some(too_many.to_string()),
        }
        let rows: Rows = rows.into();
        self.pairs.insert(question, rows.clone());
        rows
    }

    fn differences(
        &self,
        one: TableId,
        two: TableId,
        scope: usize,
        names: &[String],
        lists: &Lists,
    ) -> Vec<(Rc<[String]>, PortSet, Outcome, Outcome)> {
        if one == two {
            return Vec::new();
        }
        let scope = self.scopes.ports(scope);
        let names: Rc<[String]> = names.into();
        let mut by_outcomes: std::collections::BTreeMap<(Outcome, Outcome), Vec<(u32, u32)>> = Default::default();
        for (first, last, left, right) in lists.at(one).differences(&lists.at(two)) {
            by_outcomes.entry((left, right)).or_default().push((first, last));
        }
        let rows = by_outcomes.into_iter().map(|((left, right), ranges)| {
            let ports = PortSet::from_line_ranges(ranges).intersection(scope);
            (names.clone(), ports, left, right)
        });
        rows.filter(|(_, ports, ..)| !ports.is_empty()).collect()
    }

    fn conclude(mut self, exemptions: Vec<Exemption>) -> Result<Comparison, Fault> {
        self.extent.pairs = self.pairs.len();
        let proved = match self.prover.settle() {
            Answer::Proved => Answer::Proved,
            Answer::Refuted(_) => return Err(Fault::BrokenLemma),
            Answer::Unknown(reason) => Answer::Unknown(reason),
        };
        let replay =
            |sender: usize, flow: &Flow| Ok((self.left.replay(sender, flow)?, self.right.replay(sender, flow)?));
        let blocks = self.found.blocks(self.right.senders(), &replay)?;
        let rest = self.unknown.map_or(proved, Answer::Unknown);
        let answer = if blocks.is_empty() { rest.clone().map(|never| match never {}) } else { Answer::Refuted(blocks) };
        Ok(Comparison { answer, rest, exemptions, extent: self.extent })
    }
}

/// Which ports are compared where: those that a packet of the family can have, without those that are exempt.
struct Scopes {
    exemptions: Vec<Exemption>,
    ports: Vec<PortSet>,
}

impl Scopes {
    fn new(exemptions: &[Exemption]) -> Self {
        let mut scopes = Self { exemptions: exemptions.to_vec(), ports: Vec::new() };
        scopes.ports.extend([possible_ports(false), possible_ports(true)]);
        scopes
    }

    /// The ports of a scope.
    fn ports(&self, scope: usize) -> &PortSet {
        static NONE: std::sync::OnceLock<PortSet> = std::sync::OnceLock::new();
        self.ports.get(scope).unwrap_or_else(|| NONE.get_or_init(PortSet::empty))
    }

    /// The addresses of a family with the scope of each piece, from the first to the last.
    fn pieces(&mut self, v6: bool) -> Vec<(u128, usize)> {
        let ranges = |set: &AddressSet| -> Vec<(u128, u128)> {
            if v6 {
                set.v6.ranges().to_vec()
            } else {
                set.v4.ranges().iter().map(|&(first, last)| (first.into(), last.into())).collect()
            }
        };
        let exempt: Vec<(Vec<(u128, u128)>, PortSet)> =
            self.exemptions.iter().map(|exempt| (ranges(&exempt.addresses), exempt.ports.clone())).collect();
        let borders =
            exempt.iter().flat_map(|(ranges, _)| ranges).flat_map(|&(first, last)| [Some(first), last.checked_add(1)]);
        let starts: BTreeSet<u128> = borders.flatten().chain([0]).filter(|start| *start <= merge::last(v6)).collect();
        let mut pieces = Vec::with_capacity(starts.len());
        for start in starts {
            let applies = |ranges: &[(u128, u128)]| ranges.iter().any(|&(first, last)| first <= start && start <= last);
            let ports = exempt.iter().filter(|(ranges, _)| applies(ranges));
            let ports = ports.fold(possible_ports(v6), |ports, (_, exempt)| ports.difference(exempt));
            let known = self.ports.iter().position(|known| *known == ports);
            let scope = known.unwrap_or_else(|| {
                self.ports.push(ports);
                self.ports.len() - 1
            });
            pieces.push((start, scope));
        }
        pieces
    }
}

/// The ports that a packet of the family can have, see [`egress_ir::Flow::is_well_formed`].
pub(crate) fn possible_ports(v6: bool) -> PortSet {
    static KNOWN: [std::sync::OnceLock<PortSet>; 2] = [const { std::sync::OnceLock::new() }; 2];
    let known = KNOWN.get(usize::from(v6)).map(|known| known.get_or_init(|| list_possible_ports(v6)));
    known.cloned().unwrap_or_default()
}

fn list_possible_ports(v6: bool) -> PortSet {
    let own = if v6 { protocol::ICMPV6 } else { protocol::ICMP };
    let foreign = if v6 { protocol::ICMP } else { protocol::ICMPV6 };
    let ranges = (0..=u8::MAX).filter(|number| *number != foreign).map(|number| {
        let first = u32::from(number) << 16;
        let numbered = protocol::WITH_PORTS.contains(&number) || number == own;
        (first, if numbered { first | 0xffff } else { first })
    });
    PortSet::from_line_ranges(ranges)
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} senders, {} pieces of addresses, {} pairs of lists", self.senders, self.pieces, self.pairs)
    }
}
