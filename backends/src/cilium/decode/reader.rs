//! Walks a tree of YAML along the fields of the API and notes what is wrong, with the path.
//!
//! In: nodes. Out: values, or nothing after a [`Problem`] was noted. A reader goes on after a problem, so that one run
//! reports all of them.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::super::yaml::{Node, Value};
use super::{Admission, Problem, Stage};

/// Problems that one run keeps.
const MAX_PROBLEMS: usize = 200;

/// See the module page.
pub(super) struct Reader {
    pub(super) admission: Admission,
    /// `Kind/namespace/name` of the object being read.
    pub(super) object: String,
    path: Vec<Segment>,
    problems: Vec<Problem>,
}

enum Segment {
    Key(Cow<'static, str>),
    Index(usize),
}

/// The fields of a map.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    /// The map itself, for its line.
    pub(super) node: &'n Node,
    entries: &'n [(String, Node)],
}

impl<'n> Fields<'n> {
    /// Whether the field is there, with whatever value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }
}

impl Reader {
    pub(super) fn new(admission: Admission) -> Self {
        Self { admission, object: String::new(), path: Vec::new(), problems: Vec::new() }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// How many problems were noted so far.
    pub(super) fn count(&self) -> usize {
        self.problems.len()
    }

    /// Notes a problem at `node`, under the current path.
    pub(super) fn problem(&mut self, stage: Stage, node: &Node, message: impl Into<String>) {
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let mut path = String::new();
        for segment in &self.path {
            match segment {
                Segment::Key(key) if path.is_empty() => path.push_str(key),
                Segment::Key(key) => {
                    path.push('.');
                    path.push_str(key);
                }
                // Writing to a string cannot fail.
                Segment::Index(index) => drop(write!(path, "[{index}]")),
            }
        }
        self.problems.push(Problem {
            stage,
            line: node.line,
            object: self.object.clone(),
            path,
            message: message.into(),
        });
    }

    /// The fields of a map; those not in `known` are noted.
    pub(super) fn map<'n>(&mut self, node: &'n Node, known: &[&str]) -> Option<Fields<'n>> {
        let fields = self.any_map(node)?;
        for (key, value) in fields.entries {
            if !known.contains(&key.as_str()) {
                self.problem(Stage::UnknownField, value, format!("unknown field `{key}`"));
            }
        }
        Some(fields)
    }

    /// The fields of a map that may have any keys.
    pub(super) fn any_map<'n>(&mut self, node: &'n Node) -> Option<Fields<'n>> {
        match &node.value {
            Value::Map(entries) => Some(Fields { node, entries }),
            _ => self.wrong(node, "a map"),
        }
    }

    /// Reads one field, if it is there.
    pub(super) fn field<'n, T>(
        &mut self,
        fields: &Fields<'n>,
        key: &'static str,
        read: impl FnOnce(&mut Self, &'n Node) -> Option<T>,
    ) -> Option<T> {
        let node = fields.get(key)?;
        self.path.push(Segment::Key(Cow::Borrowed(key)));
        let value = read(self, node);
        self.path.pop();
        value
    }

    /// Reads every field of a map, whatever its key.
    pub(super) fn each_field<'n>(&mut self, fields: &Fields<'n>, mut read: impl FnMut(&mut Self, &'n str, &'n Node)) {
        for (key, node) in fields.entries {
            self.path.push(Segment::Key(Cow::Owned(key.clone())));
            read(self, key, node);
            self.path.pop();
        }
    }

    /// Reads every item of a list; items that cannot be read are left out, after a problem.
    pub(super) fn list<'n, T>(
        &mut self,
        node: &'n Node,
        mut read: impl FnMut(&mut Self, &'n Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Value::List(items) = &node.value else { return self.wrong(node, "a list") };
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            self.path.push(Segment::Index(index));
            values.extend(read(self, item));
            self.path.pop();
        }
        Some(values)
    }

    /// Text.
    pub(super) fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => Some(text),
            _ => self.wrong(node, "a string"),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, node: &Node) -> Option<bool> {
        match node.value {
            Value::Bool(value) => Some(value),
            _ => self.wrong(node, "a boolean"),
        }
    }

    /// An integer within a range.
    pub(super) fn integer(&mut self, node: &Node, range: std::ops::RangeInclusive<i128>) -> Option<i128> {
        match node.value {
            Value::Int(value) if range.contains(&value) => Some(value),
            Value::Int(value) => {
                let message = format!("`{value}` is not from {} to {}", range.start(), range.end());
                self.problem(Stage::Schema, node, message);
                None
            }
            _ => self.wrong(node, "an integer"),
        }
    }

    fn wrong<T>(&mut self, node: &Node, wanted: &str) -> Option<T> {
        let found = match &node.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean (quote it if it is meant as text)",
            Value::Int(_) | Value::Float(_) => "a number (quote it if it is meant as text)",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        };
        self.problem(Stage::Schema, node, format!("must be {wanted}, and is {found}"));
        None
    }
}
