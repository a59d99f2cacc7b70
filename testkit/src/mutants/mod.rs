//! Mutants: programs and artifacts with one thing broken on purpose, so that a verifier can show that it sees it.
//!
//! In: a program, or the text of an artifact. Out: every [`Mutant`] of it, in a fixed order: everything that a tired
//! editor or a wrong translation might drop, widen, narrow, swap or miss by one. Whether a mutant means anything else
//! than what it was made of is for others to say.

mod cilium;
mod lines;
mod nftables;
mod programs;
mod sets;

pub use cilium::cilium;
pub use nftables::nftables;
pub use programs::{Change, programs};

/// Something with one thing changed.
#[derive(Clone, Debug)]
pub struct Mutant<T> {
    /// The way it was changed, such as `drop-rule`: the same for all changes of its kind.
    pub kind: &'static str,
    /// What exactly was changed, for people.
    pub what: String,
    /// The changed thing.
    pub changed: T,
}

/// All of a short list, and of a longer one the first, the last and some between.
fn spread<T: Clone>(all: &[T], most: usize) -> Vec<T> {
    let last = all.len().saturating_sub(1);
    match all.len() <= most {
        true => all.to_vec(),
        false => (0..most).filter_map(|place| all.get(place * last / (most - 1).max(1)).cloned()).collect(),
    }
}

#[cfg(test)]
mod tests;
