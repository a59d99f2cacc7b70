//! Two cuts of the addresses, laid over each other.
//!
//! In: pieces from the first address to the last. Out: the pieces of both cuts together.

use egress_ir::address::last_bits;
use egress_ir::plane::{ListId, PortsId};
use egress_ir::{Piece, Unclear};

/// Holds a cut to what it must be.
///
/// # Errors
/// It leaves a gap, overlaps, or does not reach from the first address to the last.
pub(super) fn check(pieces: &[Piece], v6: bool) -> Result<(), Unclear> {
    let begins = pieces.first().is_some_and(|piece| piece.start == 0);
    let ends = pieces.last().is_some_and(|piece| piece.end == last_bits(v6));
    let joined = |pair: &[Piece]| matches!(pair, [one, two] if one.end.checked_add(1) == Some(two.start));
    let whole = begins && ends && pieces.iter().all(|piece| piece.start <= piece.end) && pieces.windows(2).all(joined);
    if whole {
        Ok(())
    } else {
        Err(Unclear { reason: "a cut of the addresses is not a partition: this is a defect of egressc".into() })
    }
}

/// First and last address of each common piece, with the left list, the right list and the ports that are compared.
pub(super) fn overlay<'p>(
    left: &'p [Piece],
    right: &'p [Piece],
    scopes: &'p [(u128, PortsId)],
) -> impl Iterator<Item = (u128, u128, (ListId, ListId, PortsId))> + 'p {
    let (mut left, mut right, mut scopes) = (left.iter().peekable(), right.iter().peekable(), scopes.iter().peekable());
    let mut start = 0;
    std::iter::from_fn(move || {
        let (&one, &two) = (left.peek()?, right.peek()?);
        while scopes.clone().nth(1).is_some_and(|&(next, _)| next <= start) {
            scopes.next();
        }
        let &&(_, scope) = scopes.peek()?;
        let scope_end = scopes.clone().nth(1).map_or(u128::MAX, |&(next, _)| next - 1);
        let end = one.end.min(two.end).min(scope_end);
        left.next_if(|piece| piece.end == end);
        right.next_if(|piece| piece.end == end);
        let piece = (start, end, (one.list, two.list, scope));
        start = end.saturating_add(1);
        Some(piece)
    })
}
