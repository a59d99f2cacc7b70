//! Where text goes and where it comes from: what is taken out leaves no hole, what is put in stands as its neighbours do.
//!
//! In: a text and the span of something in it. Out: the span to delete, or where to write and with what around it. Line
//! breaks are those of the text. Knows nothing of what the text says.

use egress_compiler::Place;
use egress_lang::ast::Doc;
use egress_lang::span::Span;

/// What to delete so that nothing is left of `span` and its documentation: whole lines where it stands alone, with the
/// comment that ends its last line.
pub(super) fn cut(text: &str, doc: Option<&Doc>, span: Span) -> Span {
    let start = doc.map_or(span.start, |doc| doc.span.start) as usize;
    let end = span.end as usize;
    let before = before(text, start);
    let after = after(text, end);
    let (start, end) = match (before.trim().is_empty(), ends_line(after)) {
        (true, true) => whole_lines(text, start - before.len(), next_line(text, end)),
        (true, false) => (start, end + (after.len() - after.trim_start().len())),
        (false, _) => (start - (before.len() - before.trim_end().len()), end),
    };
    self::span(start, end)
}

/// Spans that can be deleted together: those that overlap or touch are one.
pub(super) fn merged(mut places: Vec<Place>) -> Vec<Place> {
    places.sort_unstable();
    let mut merged: Vec<Place> = Vec::new();
    for place in places {
        match merged.last_mut() {
            Some(last) if last.source == place.source && place.span.start <= last.span.end => {
                last.span = last.span.to(place.span);
            }
            _ => merged.push(place),
        }
    }
    merged
}

/// Where to write something so that it stands below `span`, as that does: on a line of its own, or on the same line.
pub(super) fn below(text: &str, span: Span, new: &str) -> (Span, String) {
    let indent = before(text, span.start as usize);
    if !indent.trim().is_empty() {
        return (Span::empty(span.end), format!(" {new}"));
    }
    let (at, _) = end_of_line(text, span.end as usize);
    (at, format!("{}{indent}{new}", line_break(text)))
}

/// Where to write lines so that they stand below a declaration, with a blank line between.
pub(super) fn after_block(text: &str, span: Span, lines: &[String]) -> (Span, String) {
    let (at, is_end) = end_of_line(text, span.end as usize);
    let newline = line_break(text);
    let last = if is_end { "" } else { newline };
    (at, format!("{newline}{newline}{}{last}", lines.join(newline)))
}

/// Where to write a line so that it stands above a declaration and the comments above that.
pub(super) fn above(text: &str, span: Span, line: &str) -> (Span, String) {
    let newline = line_break(text);
    let before = before(text, span.start as usize);
    if !before.trim().is_empty() {
        return (Span::empty(span.start), format!("{newline}{line}{newline}"));
    }
    let mut start = span.start as usize - before.len();
    while let Some((first, above)) = line_above(text, start).filter(|(_, above)| above.trim_start().starts_with('#')) {
        start = first.min(start - above.len());
    }
    (self::span(start, start), format!("{line}{newline}{newline}"))
}

/// Where to write a line so that it is the last one, with a blank line above.
pub(super) fn at_end(text: &str, line: &str) -> (Span, String) {
    let newline = line_break(text);
    let blank = line_above(text, text.len()).is_some_and(|(_, last)| last.trim().is_empty());
    let gap = match (text.ends_with('\n'), blank) {
        _ if text.is_empty() => String::new(),
        (true, true) => String::new(),
        (true, false) => newline.to_owned(),
        (false, _) => newline.repeat(2),
    };
    (self::span(text.len(), text.len()), format!("{gap}{line}{newline}"))
}

/// The text's own line break.
fn line_break(text: &str) -> &'static str {
    let first = text.find('\n').and_then(|at| text.get(..at));
    if first.is_some_and(|line| line.ends_with('\r')) { "\r\n" } else { "\n" }
}

/// What stands on the line before an offset.
fn before(text: &str, at: usize) -> &str {
    let all = text.get(..at).unwrap_or_default();
    all.rfind('\n').map_or(all, |line| all.get(line + 1..).unwrap_or_default())
}

/// What stands on the line after an offset, without the line break.
fn after(text: &str, at: usize) -> &str {
    let all = text.get(at..).unwrap_or_default();
    all.find('\n').map_or(all, |line| all.get(..line).unwrap_or_default())
}

/// Whether nothing but a comment follows on a line.
fn ends_line(after: &str) -> bool {
    let after = after.trim_start();
    after.is_empty() || after.starts_with('#')
}

/// Where the line ends that holds an offset, and whether nothing but a comment follows there; else the offset itself.
fn end_of_line(text: &str, at: usize) -> (Span, bool) {
    let after = after(text, at);
    let is_end = ends_line(after);
    let end = if is_end { at + after.trim_end().len() } else { at };
    (span(end, end), is_end)
}

/// Where the line after an offset starts.
fn next_line(text: &str, at: usize) -> usize {
    (at + after(text, at).len() + 1).min(text.len())
}

/// The line above the one that starts at `start`: where it starts, and what it says with its line break.
fn line_above(text: &str, start: usize) -> Option<(usize, &str)> {
    let above = text.get(..start)?;
    let line = above.strip_suffix('\n').unwrap_or(above);
    let first = line.rfind('\n').map_or(0, |at| at + 1);
    (!above.is_empty()).then(|| (first, above.get(first..).unwrap_or_default()))
}

/// Whole lines, with the blank ones that would stand where there is a gap already.
fn whole_lines(text: &str, mut start: usize, mut end: usize) -> (usize, usize) {
    let opens = |line: &str| line.trim().is_empty() || line.trim_end().ends_with('{');
    let is_blank = |at: usize| at < text.len() && after(text, at).trim().is_empty();
    if line_above(text, start).is_none_or(|(_, line)| opens(line)) {
        while is_blank(end) {
            end = next_line(text, end);
        }
    }
    if end == text.len() || after(text, end).trim_start().starts_with('}') {
        while let Some((first, _)) = line_above(text, start).filter(|(_, line)| line.trim().is_empty()) {
            start = first;
        }
    }
    (start, end)
}

fn span(start: usize, end: usize) -> Span {
    let at = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
    Span::new(at(start), at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text without what is between `«` and `»`.
    fn without(marked: &str) -> String {
        let start = marked.find('«').unwrap();
        let end = marked.find('»').unwrap() - '«'.len_utf8();
        let mut text = marked.replace(['«', '»'], "");
        let cut = cut(&text, None, span(start, end));
        text.replace_range(cut.start as usize..cut.end as usize, "");
        text
    }

    #[test]
    fn what_is_taken_out_leaves_no_hole() {
        assert_eq!(without("a\n\n«b»  # why\n\nc\n"), "a\n\nc\n");
        assert_eq!(without("a\n\n«b»\n"), "a\n");
        assert_eq!(without("«a»\n\nb\n"), "b\n");
        assert_eq!(without("a\r\n\r\n«b»\r\n\r\nc\r\n"), "a\r\n\r\nc\r\n");
        assert_eq!(without("p {\n  «x\n  y»\n\n  z\n}\n"), "p {\n  z\n}\n");
        assert_eq!(without("p {\n  z\n\n  «x»\n}\n"), "p {\n  z\n}\n");
        assert_eq!(without("p { «x» y }"), "p { y }");
        assert_eq!(without("p {\n  «x» }\n"), "p {\n  }\n");
        assert_eq!(without("p { y\n  «x»\n}"), "p { y\n}");
        assert_eq!(without("a\n«b»"), "a\n");
        assert_eq!(without("«a»"), "");
    }

    #[test]
    fn what_is_put_in_stands_as_its_neighbours_do() {
        let put = |text: &str, (at, new): (Span, String)| {
            let mut text = text.to_owned();
            text.insert_str(at.start as usize, &new);
            text
        };
        let text = "p {\r\n  x # why\r\n}\r\n";
        assert_eq!(put(text, below(text, Span::new(7, 8), "y")), "p {\r\n  x # why\r\n  y\r\n}\r\n");
        assert_eq!(put("p { x }", below("p { x }", Span::new(4, 5), "y")), "p { x y }");
        let text = "a\n# of b\nb\n";
        assert_eq!(put(text, above(text, Span::new(9, 10), "new")), "a\nnew\n\n# of b\nb\n");
        assert_eq!(put("a b", above("a b", Span::new(2, 3), "new")), "a \nnew\nb");
        assert_eq!(put("a b", after_block("a b", Span::new(0, 1), &["n".to_owned()])), "a\n\nn\n b");
        assert_eq!(put("", at_end("", "n")), "n\n");
        assert_eq!(put("a", at_end("a", "n")), "a\n\nn\n");
        assert_eq!(put("a\n\n", at_end("a\n\n", "n")), "a\n\nn\n");
    }
}
