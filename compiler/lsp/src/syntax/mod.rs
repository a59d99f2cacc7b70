//! Looks into trees: what stands where.

mod path;
pub mod words;

pub use path::{Labelled, Node, Step, path, touched};

use egress_lang::ast::{DestinationTerm, File, Item, List};

/// The lists that a file names, in the order written.
#[must_use]
pub fn lists(file: &File) -> Vec<&List> {
    let mut lists = Vec::new();
    for set in file.items.iter().flat_map(Item::destination_sets) {
        set.each_term(&mut |term| {
            if let DestinationTerm::List(list) = term {
                lists.push(list);
            }
        });
    }
    lists
}
