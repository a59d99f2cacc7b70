//! Documentation: the `##` comments directly above a declaration, rule or assertion.

use super::tokens::Tokens;
use crate::ast::Doc;
use crate::lexer::Comment;

/// The documentation of what starts at `i`.
pub(crate) fn above(i: Tokens<'_>) -> Option<Doc> {
    let source = i.source;
    if i.same_line() {
        return None;
    }
    let mut below = i.span().start;
    let before = source.comments.partition_point(|comment| comment.span.end <= below);
    let touches = |comment: &Comment, below: u32| {
        let between = source.text.get(comment.span.end as usize..below as usize).unwrap_or_default();
        // Looked at only as far as there is white space: the last comment may stand a megabyte before.
        let adjacent = || between.chars().all(char::is_whitespace) && between.matches('\n').count() == 1;
        comment.doc && comment.own_line && adjacent()
    };
    let lines = source.comments.get(..before).unwrap_or_default().iter().rev().take_while(|comment| {
        let joined = touches(comment, below);
        below = comment.span.start;
        joined
    });
    let lines: Vec<Comment> = lines.copied().collect();
    let span = lines.last()?.span.to(lines.first()?.span);
    let text: Vec<&str> = lines.iter().rev().map(|comment| body(comment.span.text(source.text))).collect();
    Some(Doc { text: text.join("\n"), span })
}

fn body(comment: &str) -> &str {
    let body = comment.strip_prefix("##").unwrap_or(comment);
    body.strip_prefix(' ').unwrap_or(body)
}
