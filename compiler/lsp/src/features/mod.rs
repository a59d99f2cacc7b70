//! What editors ask for, a module a feature: plain functions from a [`View`](crate::view::View) to the protocol's types.
//!
//! They see one document of one unit and all that is known of it, and never change anything. What depends on meaning says
//! nothing as long as there is none; it is looked up by name, so that the meaning of an earlier edit will do.

pub mod actions;
pub mod amount;
pub mod completion;
pub mod contribution;
pub mod definition;
pub mod diagnostics;
pub mod folding;
pub mod format;
pub mod hints;
pub mod hover;
pub mod keywords;
pub mod lenses;
pub mod links;
pub mod meant;
pub mod rename;
pub mod selection;
pub mod semantic;
pub mod signature;
pub mod symbols;
