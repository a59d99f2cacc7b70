//! Bytes of manifests, read as the API server would take them and kube-vip would see them.
//!
//! In: a multi-document YAML file. Out: the [`Model`], or everything that keeps the file from being one. Objects of
//! other kinds are passed over: kube-vip does not look at them. Never panics, whatever the bytes.

mod object;

use super::model::Model;
use crate::cilium::yaml;
use std::fmt;
use std::ops::Range;

/// Why bytes have no model. Holds at least one problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DecodeError {
    /// Every problem found, in the order of the text.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The bytes of the text to blame.
    pub span: Range<usize>,
    /// Line in the text, counted from 1.
    pub line: usize,
    /// `Kind/namespace/name` of the object, as far as it is known.
    pub object: String,
    /// What is wrong, in lower case without a full stop.
    pub message: String,
}

/// Reads a file.
///
/// # Errors
/// No YAML, no objects of Kubernetes, Services that the API server would refuse, or the same Service twice.
pub fn decode(bytes: &[u8]) -> Result<Model, DecodeError> {
    let documents = yaml::documents(bytes).map_err(|error| DecodeError {
        problems: vec![Problem {
            span: line(bytes, error.line),
            line: error.line,
            object: String::new(),
            message: error.message,
        }],
    })?;
    let mut reader = object::Reader::default();
    documents.iter().for_each(|document| reader.document(document));
    let (model, problems) = reader.finish();
    if problems.is_empty() { Ok(model) } else { Err(DecodeError { problems }) }
}

/// The bytes of a line, counted from 1, without its line feed.
fn line(bytes: &[u8], number: usize) -> Range<usize> {
    let mut start = 0;
    for (at, text) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if at + 1 == number {
            return start..start + text.len();
        }
        start += text.len() + 1;
    }
    bytes.len()..bytes.len()
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    /// `line 7: Service/shop/x: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = if self.object.is_empty() { String::new() } else { format!("{}: ", self.object) };
        write!(f, "line {}: {object}{}", self.line, self.message)
    }
}
