//! Another name for a declaration and all its uses.

use crate::view::View;
use egress_compiler::{Declaration, Kind};
use egress_lang::span::Span;
use gen_lsp_types::{Range, WorkspaceEdit};

/// The name at a byte offset, if it can be renamed: the control's identifier, which is a text for people, cannot.
#[must_use]
pub fn prepare(view: &View<'_>, at: u32) -> Option<(Range, String)> {
    let (span, declaration) = renameable(view, at)?;
    Some((view.range(span), declaration.name.clone()))
}

fn renameable<'v>(view: &View<'v>, at: u32) -> Option<(Span, &'v Declaration)> {
    let named = view.unit.name_at(view.id, at)?;
    (named.1.kind != Kind::Control).then_some(named)
}

/// The changes that give the name at a byte offset another spelling everywhere.
///
/// # Errors
/// There is no name, the new one is none, or it is taken: why, in words.
pub fn rename(view: &View<'_>, at: u32, to: &str) -> Result<WorkspaceEdit, String> {
    let (_, declaration) = renameable(view, at).ok_or("there is no name here that could be changed")?;
    if !is_name(to, declaration.kind) {
        return Err(format!("`{to}` cannot be a name here"));
    }
    if to != declaration.name && view.unit.declaration(declaration.kind, to).is_some() {
        return Err(format!("`{to}` is declared already"));
    }
    let places = declaration.references.iter().chain([&declaration.place]).copied();
    // Of a name that is declared twice, the other declarations have the same uses.
    let others = view.unit.named.declarations.iter().filter(|other| {
        (other.kind, &other.name) == (declaration.kind, &declaration.name) && other.place != declaration.place
    });
    let places = places.chain(others.flat_map(|other| other.references.iter().chain([&other.place]).copied()));
    Ok(view.edit(places.map(|place| (place, to.to_owned()))))
}

/// Whether a text reads as a name where this kind of name is declared, which keywords may not.
fn is_name(text: &str, kind: Kind) -> bool {
    let declared = match kind {
        Kind::Cluster => format!("cluster {text} {{ }}"),
        Kind::Workloads => format!("workloads {text} = all"),
        Kind::Destinations => format!("destinations {text} = world"),
        Kind::Ports => format!("ports {text} = any"),
        Kind::Gateway => format!("gateway {text} {{ nodes(a=b) address 192.0.2.1 }}"),
        Kind::Block => format!("policy {text} {{ for all }}"),
        Kind::Control => return false,
    };
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain && egress_lang::parse(&declared).errors.is_empty()
}
