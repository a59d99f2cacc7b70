//! YAML as the Kubernetes API server reads it.
//!
//! In: bytes. Out: the documents as trees of [`Node`], each with the line it starts on.
//! Kubernetes tools read YAML 1.1 (an unquoted `y`, `no` or `on` is a boolean, `010` is eight) and hand
//! the API server JSON, so keys become strings and duplicate keys are errors. Scanning is left to
//! `granit-parser`; what a plain scalar *means* is decided here.
//!
//! This module never panics, never recurses over the input, and bounds depth, size and alias expansion.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

/// Most bytes one artifact may have. A list of 120,000 prefixes needs about 3 MiB.
pub const MAX_BYTES: usize = 64 << 20;
/// Most nodes all documents together may have, after alias expansion. A policy of 100,000 rules needs about 3 million.
const MAX_NODES: usize = 8_000_000;
/// Most nodes that aliases may add.
const MAX_ALIASED: usize = 100_000;
/// Deepest nesting. The deepest Cilium object needs about 12.
const MAX_DEPTH: usize = 64;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What is there.
    pub value: Value,
    /// Line in the text on which it starts, counted from 1.
    pub line: usize,
    /// The bytes of the text that it takes up; those of an alias, where one stands for it.
    pub span: Range<usize>,
}

/// A YAML value in the shape it has as JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing at all.
    Null,
    /// A boolean, in any of its YAML 1.1 spellings.
    Bool(bool),
    /// An integer in the range of 64 bits, signed or unsigned.
    Int(i128),
    /// Any other number. Kept as it was written: no field of ours is a fraction.
    Float(String),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping; keys are unique and in the order of the text.
    Map(Vec<(String, Node)>),
}

/// Why text is no YAML, or no YAML that we read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Line in the text, counted from 1.
    pub line: usize,
    /// What is wrong, in lower case without a full stop.
    pub message: String,
    /// The text is valid YAML that we decline to read.
    pub declined: bool,
}

/// Reads all documents of `bytes`. Empty documents are left out, as `kubectl apply` does.
///
/// # Errors
/// Invalid UTF-8, syntax errors, duplicate keys, unknown aliases, and the limits named above.
pub fn documents(bytes: &[u8]) -> Result<Vec<Node>, YamlError> {
    if bytes.len() > MAX_BYTES {
        return Err(YamlError::declined(1, format!("more than {MAX_BYTES} bytes")));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        YamlError::invalid(line, "not valid UTF-8")
    })?;
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::default();
    for next in Parser::new_from_str_with_options(text, options) {
        let (event, span) = next.map_err(|error| YamlError::invalid(error.marker().line(), error.to_string()))?;
        let bytes = span.byte_range().unwrap_or_default();
        builder.event(event, span.start.line(), bytes)?;
    }
    Ok(builder.documents)
}

impl YamlError {
    fn invalid(line: usize, message: impl Into<String>) -> Self {
        YamlError { line, message: message.into(), declined: false }
    }

    fn declined(line: usize, message: impl Into<String>) -> Self {
        YamlError { line, message: message.into(), declined: true }
    }
}

/// A collection whose end has not been seen yet.
enum Open {
    List {
        items: Vec<Node>,
        line: usize,
        start: usize,
        anchor: usize,
    },
    Map {
        entries: Vec<(String, Node)>,
        seen: BTreeMap<String, ()>,
        key: Option<String>,
        line: usize,
        start: usize,
        anchor: usize,
    },
}

/// Builds trees from events with a stack of its own.
#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
    aliased: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: usize, span: Range<usize>) -> Result<(), YamlError> {
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref(), line)?;
                self.node(Node { value, line, span }, anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                expect_tag(tag.as_deref(), "seq", line)?;
                self.open.push(Open::List { items: Vec::new(), line, start: span.start, anchor });
            }
            Event::MappingStart(_, anchor, tag) => {
                expect_tag(tag.as_deref(), "map", line)?;
                let (entries, seen) = (Vec::new(), BTreeMap::new());
                self.open.push(Open::Map { entries, seen, key: None, line, start: span.start, anchor });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span.end)?,
            Event::Alias(id) => self.alias(id, line, span)?,
            Event::UnresolvedAlias(name) => return Err(YamlError::invalid(line, format!("unknown anchor `{name}`"))),
            _ => {}
        }
        Ok(())
    }

    /// A block collection is only known to have ended where the next thing starts, so its span ends with its content.
    fn close(&mut self, end: usize) -> Result<(), YamlError> {
        let (value, line, start, anchor, last) = match self.open.pop() {
            Some(Open::List { items, line, start, anchor }) => {
                let last = items.last().map(|node| node.span.end);
                (Value::List(items), line, start, anchor, last)
            }
            Some(Open::Map { entries, line, start, anchor, .. }) => {
                let last = entries.last().map(|(_, node)| node.span.end);
                (Value::Map(entries), line, start, anchor, last)
            }
            None => return Ok(()),
        };
        let span = start..last.unwrap_or(end).max(start);
        self.node(Node { value, line, span }, anchor)
    }

    /// An alias copies what its anchor holds; an anchor inside itself is not finished and so unknown.
    fn alias(&mut self, id: usize, line: usize, span: Range<usize>) -> Result<(), YamlError> {
        let Some((node, size)) = self.anchors.get(&id) else {
            return Err(YamlError::invalid(line, "an anchor that contains itself"));
        };
        let (mut node, size) = (node.clone(), *size);
        self.aliased = self.aliased.saturating_add(size);
        if self.aliased > MAX_ALIASED {
            return Err(YamlError::declined(line, format!("aliases expand to more than {MAX_ALIASED} values")));
        }
        (node.line, node.span) = (line, span);
        self.place(node, size)
    }

    fn node(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        if anchor != 0 {
            let size = size(&node);
            self.anchors.insert(anchor, (node.clone(), size));
            self.aliased = self.aliased.saturating_add(size);
            if self.aliased > MAX_ALIASED {
                return Err(YamlError::declined(node.line, format!("anchors hold more than {MAX_ALIASED} values")));
            }
        }
        self.place(node, 1)
    }

    fn place(&mut self, node: Node, size: usize) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(size);
        if self.nodes > MAX_NODES {
            return Err(YamlError::declined(node.line, format!("more than {MAX_NODES} values")));
        }
        match self.open.last_mut() {
            None if node.value == Value::Null => {}
            None => self.documents.push(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, seen, key, .. }) => match key.take() {
                Some(name) => entries.push((name, node)),
                None => {
                    let name = key_text(node)?;
                    *key = Some(name.0.clone());
                    if seen.insert(name.0.clone(), ()).is_some() {
                        return Err(YamlError::invalid(name.1, format!("key `{}` already set in map", name.0)));
                    }
                }
            },
        }
        Ok(())
    }
}

/// Nodes of a tree. Depth is bounded by [`MAX_DEPTH`] per alias level; an explicit stack keeps it flat.
fn size(node: &Node) -> usize {
    let mut count = 0_usize;
    let mut todo = vec![node];
    while let Some(node) = todo.pop() {
        count = count.saturating_add(1);
        match &node.value {
            Value::List(items) => todo.extend(items),
            Value::Map(entries) => todo.extend(entries.iter().map(|(_, node)| node)),
            _ => {}
        }
    }
    count
}

/// A key as JSON has it: `on: 1` has the key `true`.
fn key_text(node: Node) -> Result<(String, usize), YamlError> {
    let line = node.line;
    let text = match node.value {
        Value::Text(text) => text,
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(text) => return Err(YamlError::declined(line, format!("the number `{text}` as a key"))),
        Value::Null => return Err(YamlError::invalid(line, "an empty key")),
        Value::List(_) | Value::Map(_) => return Err(YamlError::invalid(line, "a key that is a list or a map")),
    };
    Ok((text, line))
}

fn expect_tag(tag: Option<&Tag>, kind: &str, line: usize) -> Result<(), YamlError> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.core_suffix() == Some(kind) || tag.original() == "!" => Ok(()),
        Some(tag) => Err(YamlError::declined(line, format!("the tag `{}`", tag.original()))),
    }
}

/// What a scalar means: quoted text is text; plain text follows YAML 1.1 as Kubernetes' reader does.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, line: usize) -> Result<Value, YamlError> {
    let plain = style == ScalarStyle::Plain;
    if plain && text == "<<" {
        return Err(YamlError::declined(line, "merge keys (`<<`) are not read"));
    }
    let resolved = if plain { plain_scalar(text) } else { Value::Text(text.to_owned()) };
    let Some(tag) = tag else { return Ok(resolved) };
    match (tag.core_suffix(), &resolved) {
        (Some("str"), _) => Ok(Value::Text(text.to_owned())),
        (Some("bool"), Value::Bool(_)) | (Some("int"), Value::Int(_)) | (Some("null"), Value::Null) => Ok(resolved),
        _ => Err(YamlError::declined(line, format!("the tag `{}` on `{text}`", tag.original()))),
    }
}

fn plain_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan" | ".NaN"
        | ".NAN" => Value::Float(text.to_owned()),
        _ => match integer(text) {
            Some(number) => Value::Int(number),
            None if is_fraction(text) => Value::Float(text.to_owned()),
            None => Value::Text(text.to_owned()),
        },
    }
}

/// Integers in the notations of Go's base 0: decimal, `0x`, `0o`, `0b`, and a leading zero for octal.
fn integer(text: &str) -> Option<i128> {
    let starts_as_number = text.starts_with(|first: char| first.is_ascii_digit() || first == '+' || first == '-');
    if !starts_as_number {
        return None;
    }
    let digits = text.replace('_', "");
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    let number = i128::from(base_zero(digits)?);
    let number = if negative { -number } else { number };
    (number >= i128::from(i64::MIN)).then_some(number)
}

/// An unsigned number in the notations of Go's `strconv` with base 0, without sign or underscores.
pub fn base_zero(digits: &str) -> Option<u64> {
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (lower.get(2..)?, 16),
        [b'0', b'o', ..] => (lower.get(2..)?, 8),
        [b'0', b'b', ..] => (lower.get(2..)?, 2),
        [b'0', _, ..] => (lower.get(1..)?, 8),
        _ => (lower.as_str(), 10),
    };
    // A sign here would be accepted by `from_str_radix` but is none of ours.
    digits.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| u64::from_str_radix(digits, radix).ok()).flatten()
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, with underscores allowed in between.
fn is_fraction(text: &str) -> bool {
    let text = text.replace('_', "");
    let text = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_ok = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    mantissa_ok && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Value {
        let mut documents = documents(text.as_bytes()).expect("valid YAML");
        assert_eq!(documents.len(), 1, "{text}");
        documents.remove(0).value
    }

    fn shape(value: &Value) -> String {
        match value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(text) => format!("float {text}"),
            Value::Text(text) => format!("{text:?}"),
            Value::List(items) => {
                format!("[{}]", items.iter().map(|item| shape(&item.value)).collect::<Vec<_>>().join(", "))
            }
            Value::Map(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, node)| format!("{key}: {}", shape(&node.value))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    #[test]
    fn plain_scalars_follow_yaml_1_1() {
        let text = "[y, No, on, off, 'y', \"no\", 010, 0o17, 0x1F, 0b11, 1_000, 08, 1.5, 1e3, ~, 2024-01-02, 10.0.0.0/8, 1:30, -7, +7]";
        let expected = "[true, false, true, false, \"y\", \"no\", 8, 15, 31, 3, 1000, float 08, float 1.5, float 1e3, null, \
                        \"2024-01-02\", \"10.0.0.0/8\", \"1:30\", -7, 7]";
        assert_eq!(shape(&one(text)), expected);
    }

    #[test]
    fn keys_become_text_and_are_unique() {
        assert_eq!(shape(&one("{on: 1, 8: 2, a: 3}")), "{true: 1, 8: 2, a: 3}");
        for text in ["{a: 1, a: 2}", "{true: 1, on: 2}", "{8: 1, '8': 2}"] {
            let error = documents(text.as_bytes()).expect_err("duplicate keys");
            assert!(error.message.contains("already set"), "{error:?}");
        }
    }

    #[test]
    fn documents_and_aliases() {
        let found = documents(b"a: &x {b: 1}\nc: *x\n---\n---\n# nothing\n---\nd: 1\n").expect("valid");
        assert_eq!(found.len(), 2);
        assert_eq!(shape(&found[0].value), "{a: {b: 1}, c: {b: 1}}");
        assert_eq!(found[1].line, 7);
        assert!(documents(b"a: &x [*x]\n").is_err());
        assert!(documents(b"a: *nowhere\n").is_err());
    }

    #[test]
    fn alias_bombs_and_deep_nesting_are_declined() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = format!("*a{}", level - 1);
            bomb += &format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(", "));
        }
        assert!(documents(bomb.as_bytes()).expect_err("a bomb").declined);
        assert!(documents("[".repeat(100_000).as_bytes()).is_err());
        assert!(documents(format!("{}x", "- ".repeat(1000)).as_bytes()).is_err());
    }
}
