//! The policy epoch of an artifact, so that the next one can use another.

use super::decode::decode;
use super::model::{Field, Rule, Statement, Values, Verdict};

/// The epoch whose flows a file accepts at once; nothing for a file without one, or that is not understood.
#[must_use]
pub fn epoch_of(bytes: &[u8]) -> Option<u32> {
    let ruleset = decode(bytes).ok()?;
    ruleset.chains.values().flat_map(|chain| &chain.rules).find_map(accepted_mark)
}

/// N of `ct mark & MASK == N accept`, shifted to where the mask begins.
fn accepted_mark(rule: &Rule) -> Option<u32> {
    let [Statement::Match(found), Statement::Verdict(Verdict::Accept)] = rule.statements.as_slice() else {
        return None;
    };
    match (found.field, &found.values) {
        (Field::Mark(mask), Values::Ranges(ranges)) if !found.negated => match ranges.as_slice() {
            [(value, last)] if value == last => u32::try_from(*value).ok()?.checked_shr(mask.trailing_zeros()),
            _ => None,
        },
        _ => None,
    }
}
