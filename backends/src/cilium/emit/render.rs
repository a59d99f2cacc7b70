//! YAML for people: stable order, comments, and quotes wherever a reader of YAML 1.1 could see anything but text.

use std::fmt::Write as _;

/// A value to write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Yaml {
    /// Text.
    Text(String),
    /// A number.
    Number(u32),
    /// A boolean.
    Bool(bool),
    /// A list; each item may have comment lines before it.
    List(Vec<(Vec<String>, Yaml)>),
    /// A map, in this order.
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// A list without comments.
    pub(crate) fn list(items: impl IntoIterator<Item = Yaml>) -> Self {
        Self::List(items.into_iter().map(|item| (Vec::new(), item)).collect())
    }
}

/// A map.
pub(crate) fn map<const N: usize>(entries: [(&str, Yaml); N]) -> Yaml {
    Yaml::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// A label selector of Kubernetes; parts without content are left out.
pub(crate) fn label_selector(labels: Vec<(String, Yaml)>, expressions: Vec<Yaml>) -> Yaml {
    let mut fields = Vec::new();
    if !labels.is_empty() {
        fields.push(("matchLabels".to_owned(), Yaml::Map(labels)));
    }
    if !expressions.is_empty() {
        fields.push(("matchExpressions".to_owned(), Yaml::list(expressions)));
    }
    Yaml::Map(fields)
}

/// Text.
pub(crate) fn text(value: impl Into<String>) -> Yaml {
    Yaml::Text(value.into())
}

/// One document, starting with `---` and comment lines.
pub(crate) fn document(comments: &[String], value: &Yaml) -> String {
    let mut out = String::from("---\n");
    comment_lines(&mut out, comments, 0);
    block(&mut out, value, 0);
    out
}

/// A block-style value at an indentation, ended by a line feed.
fn block(out: &mut String, value: &Yaml, indent: usize) {
    match value {
        Yaml::Map(entries) if !entries.is_empty() => {
            for (number, (key, value)) in entries.iter().enumerate() {
                // The first line of an item stands behind its dash, which the caller wrote.
                if number > 0 || !out.ends_with("- ") {
                    pad(out, indent);
                }
                out.push_str(&scalar(key));
                out.push(':');
                nested(out, value, indent);
            }
        }
        Yaml::List(items) if !items.is_empty() => {
            for (comments, item) in items {
                comment_lines(out, comments, indent);
                pad(out, indent);
                out.push_str("- ");
                block(out, item, indent + 2);
            }
        }
        other => {
            out.push_str(&inline(other));
            out.push('\n');
        }
    }
}

/// What follows the colon of a key.
fn nested(out: &mut String, value: &Yaml, indent: usize) {
    match value {
        Yaml::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            block(out, value, indent + 2);
        }
        Yaml::List(items) if !items.is_empty() => {
            out.push('\n');
            block(out, value, indent + 2);
        }
        other => {
            out.push(' ');
            out.push_str(&inline(other));
            out.push('\n');
        }
    }
}

fn inline(value: &Yaml) -> String {
    match value {
        Yaml::Text(text) => scalar(text),
        Yaml::Number(number) => number.to_string(),
        Yaml::Bool(value) => value.to_string(),
        Yaml::List(_) => "[]".to_owned(),
        Yaml::Map(_) => "{}".to_owned(),
    }
}

/// Comment lines; control characters become blanks, so that text never leaves its comment.
fn comment_lines(out: &mut String, comments: &[String], indent: usize) {
    for comment in comments {
        pad(out, indent);
        out.push_str("# ");
        out.extend(comment.chars().map(|symbol| if breaks(symbol) { ' ' } else { symbol }));
        out.push('\n');
    }
}

/// Characters that YAML does not print, or takes for the end of a line.
fn breaks(symbol: char) -> bool {
    symbol.is_control() || matches!(symbol, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Text as it is where every reader sees text in it, and quoted otherwise.
fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for symbol in text.chars() {
        match symbol {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            // Writing to a string cannot fail.
            _ if breaks(symbol) && u32::from(symbol) <= 0xff => drop(write!(quoted, "\\x{:02x}", u32::from(symbol))),
            _ if breaks(symbol) => drop(write!(quoted, "\\u{:04x}", u32::from(symbol))),
            _ => quoted.push(symbol),
        }
    }
    quoted.push('"');
    quoted
}

/// Words of letters with `-`, `_`, `.`, `/` and inner colons, and IPv4 prefixes; none of YAML 1.1's own words.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    let word = |text: &str| {
        text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
            && text.bytes().all(inner)
            && !WORDS.contains(&text.to_ascii_lowercase().as_str())
    };
    let v4_prefix = || {
        text.matches('.').count() == 3
            && text.matches('/').count() == 1
            && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'/'))
            && text.starts_with(|first: char| first.is_ascii_digit())
    };
    // `k8s:app` is one word: a colon ends a key only before a blank.
    word(text) || text.strip_prefix("k8s:").is_some_and(word) || v4_prefix()
}

#[cfg(test)]
mod tests {
    use super::super::super::yaml::{Value, documents};
    use super::*;

    #[test]
    fn whatever_is_written_is_read_back() {
        let odd = [
            "",
            "y",
            "No",
            "1",
            "1.5",
            "0x1f",
            "a: b",
            "# no",
            "- x",
            "k8s:app",
            "10.0.0.0/8",
            "fd00::/8",
            "*.x",
            "a\nb",
            "tab\there",
            "quote\"",
            "back\\slash",
            "null",
            "~",
            "2001:db8::/32",
            "é",
            "\u{85}\u{2028}\u{7f}",
            "{}",
            "[",
            "'",
            "%x",
            "@x",
            "`x`",
            "&a",
            "!t",
            "|",
            ">",
            "trailing ",
            " leading",
            "=",
            "<<",
            "1e3",
            ".inf",
            "k8s:no",
            "1:30",
        ];
        for value in odd {
            let tree = map([("outer", Yaml::list([map([(value, text(value)), ("z", Yaml::list([text(value)]))])]))]);
            let written = document(&["a\ncomment".to_owned()], &tree);
            let read = documents(written.as_bytes()).unwrap_or_else(|error| panic!("{written}: {error:?}"));
            let Value::Map(outer) = &read[0].value else { panic!("{written}") };
            let Value::List(items) = &outer[0].1.value else { panic!("{written}") };
            let Value::Map(item) = &items[0].value else { panic!("{written}") };
            assert_eq!(item[0].0, value, "{written}");
            assert_eq!(item[0].1.value, Value::Text(value.to_owned()), "{written}");
        }
    }
}
