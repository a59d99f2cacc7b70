//! Governs everybody.
//!
//! In: a document. Out: a policy at its end under which all that nothing allows is denied.

use super::{Draft, cut};
use crate::view::View;
use egress_compiler::{Kind, Place};

/// `policy lockdown { for all }`, by the first such name that is free.
pub(super) fn lockdown(view: &View<'_>) -> Draft {
    let names = std::iter::once("lockdown".to_owned()).chain((2_u32..).map(|n| format!("lockdown-{n}")));
    let mut free = names.filter(|name| view.unit.declaration(Kind::Block, name).is_none());
    let policy = format!("policy {} {{ for all }}", free.next().unwrap_or_default());
    let title = format!("add `{policy}`: what nothing allows is then denied");
    let (span, text) = cut::at_end(view.text(), &policy);
    Draft::one(title, Place::new(view.id, span), text)
}
