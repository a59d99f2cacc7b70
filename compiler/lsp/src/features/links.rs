//! Links from lists to their files.

use crate::syntax;
use crate::uri;
use crate::view::View;
use egress_lang::span::Span;
use gen_lsp_types::DocumentLink;

/// A link for each list that the document names, on its path within the quotes.
#[must_use]
pub fn links(view: &View<'_>) -> Vec<DocumentLink> {
    let folder = uri::folder(&view.file.source.path);
    let link = |list: &egress_lang::ast::List| {
        let quoted = list.path.span;
        let inner = Span::new(quoted.start + 1, quoted.end.saturating_sub(1).max(quoted.start + 1));
        let target = uri::joined(folder, &list.path.node);
        (!list.path.node.is_empty() && !folder.is_empty()).then(|| DocumentLink {
            range: view.range(inner),
            target: Some(view.uri_of(&target)),
            tooltip: Some("open the list".to_owned()),
            data: None,
        })
    };
    syntax::lists(&view.file.parse.file).into_iter().filter_map(link).collect()
}
