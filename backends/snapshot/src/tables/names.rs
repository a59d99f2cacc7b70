//! The part `names`: which outcome holds, where that depends on the names by which a destination was learned.
//!
//! In: words. Out: sets and outcomes, or what is wrong with them.

use super::check::Checker;
use super::raw::{Raw, line};
use super::{NOTHING, TableError};
use crate::layout::{LINE, Layout, MOST_SETS, outcome};

/// What happens where it depends on names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByName {
    /// The ids of the sets that are asked for; the first counts 1, the next 2, and so on.
    pub sets: Vec<u64>,
    /// The outcome of each sum.
    pub outcomes: Vec<u32>,
}

impl ByName {
    /// The outcome where the sets hold for whose ids `is_named` does.
    pub(super) fn settled(&self, is_named: impl Fn(u64) -> bool) -> u32 {
        let sum = self.sets.iter().rev().fold(0, |sum, set| sum << 1 | usize::from(is_named(*set)));
        self.outcomes.get(sum).copied().unwrap_or(NOTHING)
    }
}

/// What is said of an outcome.
pub(super) fn read(raw: Raw<'_>, layout: &Layout, outcome: u32) -> Option<ByName> {
    if layout.names_line == 0 || raw.outcome(layout, outcome)? & outcome::NAMED == 0 {
        return None;
    }
    let at = line(raw.u32(line(layout.names_line).checked_add(outcome as usize * 4)?)?);
    let count = raw.u32(at)?.min(MOST_SETS);
    let sets: Option<Vec<u64>> = (0..count as usize).map(|set| raw.u64(at + SETS_AT + set * 8)).collect();
    let outcomes: Option<Vec<u32>> = (0..1_usize << count).map(|sum| raw.u32(at + LINE + sum * 4)).collect();
    Some(ByName { sets: sets?, outcomes: outcomes? })
}

/// Where ids stand in the first line of an entry.
const SETS_AT: usize = 8;

/// Checks the part: that outcomes with names and no others have an entry of their own, and what it names.
pub(super) fn check(checker: &mut Checker<'_>, layout: &Layout) -> Result<(), TableError> {
    let part = "the part `names`";
    let is_named = |checker: &Checker<'_>, id| checker.raw.outcome(layout, id).unwrap_or(0) & outcome::NAMED != 0;
    let named: Vec<u32> = (0..layout.outcome_count).filter(|id| is_named(checker, *id)).collect();
    let count = u32::try_from(named.len()).unwrap_or(u32::MAX);
    if layout.names_count != count {
        return Err(checker.word("names_count", layout.names_count.into(), format!("{count}, as outcomes say")));
    }
    if layout.names_line == 0 || count == 0 {
        let found = if layout.names_line == 0 { count } else { layout.names_line };
        let wrong = checker.word("names_line", found.into(), "0 exactly where no outcome has names");
        return if layout.names_line == count { Ok(()) } else { Err(wrong) };
    }
    let start = checker.whole(part, layout.names_line, u64::from(layout.outcome_count) * 4)?;
    // Entries follow each other in the order of the outcomes.
    let mut next = layout.names_line.saturating_add(layout.outcome_count.div_ceil((LINE / 4) as u32));
    for id in 0..layout.outcome_count {
        let at = checker.raw.u32(start + id as usize * 4).unwrap_or(u32::MAX);
        let expected = if is_named(checker, id) { next } else { 0 };
        if at != expected {
            return Err(TableError::Names { outcome: id, what: "they are not where they should be" });
        }
        if expected != 0 {
            entry(checker, layout, id, next)?;
            next = next.saturating_add(2);
        }
    }
    Ok(())
}

fn entry(checker: &mut Checker<'_>, layout: &Layout, id: u32, at: u32) -> Result<(), TableError> {
    let part = "the part `names`";
    let start = checker.part(part, at, LINE as u64 * 2)?;
    let count = checker.raw.u32(start).unwrap_or(0);
    if !(1..=MOST_SETS).contains(&count) {
        return Err(TableError::Names { outcome: id, what: "so many sets may not be asked for" });
    }
    checker.read(part, start, 4)?;
    checker.read(part, start + SETS_AT, count as usize * 8)?;
    checker.read(part, start + LINE, 4 << count)?;
    for holds in read(checker.raw, layout, id).map(|by_name| by_name.outcomes).unwrap_or_default() {
        checker.id(part, holds, layout.outcome_count)?;
        if checker.raw.outcome(layout, holds).unwrap_or(0) & outcome::NAMED != 0 {
            return Err(TableError::Names { outcome: id, what: "one of the outcomes that hold has names again" });
        }
    }
    Ok(())
}
