//! From the bytes of an artifact to the [`Model`] of what Cilium does with them.
//!
//! In: multi-document YAML of `CiliumNetworkPolicy`, `CiliumClusterwideNetworkPolicy`, `CiliumCIDRGroup` and
//! `CiliumEgressGatewayPolicy`. Out: a [`Model`], or every reason why the API server or the agent would refuse an object.
//! What would be accepted but is not modelled is refused as [`Stage::Unsupported`] and named: an object is never read
//! as something weaker than it is.
//!
//! Written from the API's schemas and from what the agent does with the objects, not from what `emit` writes.

mod gateway;
mod object;
mod peer;
mod port;
mod reader;
mod selector;
mod spec;

use std::fmt;

use super::model::{GatewayPolicy, Kind, Model};
use super::yaml;

/// Who has to accept an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The API server's schema and then the agent: what `kubectl apply` needs.
    ApiServer,
    /// The agent alone, which knows two entities that the schema does not (`world-ipv4`, `world-ipv6`).
    AgentOnly,
}

/// Why bytes have no model. Holds at least one problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DecodeError {
    /// Every problem found, in the order of the text.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Who would refuse it.
    pub stage: Stage,
    /// Line in the text, counted from 1.
    pub line: usize,
    /// `Kind/namespace/name` of the object, as far as it is known.
    pub object: String,
    /// The field, such as `spec.egress[0].toPorts[1].ports`; empty for the object as a whole.
    pub path: String,
    /// What is wrong, in lower case without a full stop.
    pub message: String,
}

/// Who refuses an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// No YAML.
    Yaml,
    /// No object that the API has.
    Decode,
    /// A field that the API does not have, under strict field validation.
    UnknownField,
    /// The schema of the API server.
    Schema,
    /// The agent: the API server stores the object, and nothing enforces it.
    Agent,
    /// We do: Cilium accepts it, but it is not modelled here.
    Unsupported,
}

/// Reads an artifact as `kubectl apply` would have it.
///
/// # Errors
/// Everything that the API server, the agent or this model refuses, all at once.
pub fn decode(bytes: &[u8]) -> Result<Model, DecodeError> {
    decode_as(bytes, Admission::ApiServer)
}

/// Reads an artifact, with a choice of who must accept it.
///
/// # Errors
/// As [`decode()`].
pub fn decode_as(bytes: &[u8], admission: Admission) -> Result<Model, DecodeError> {
    let documents = yaml::documents(bytes).map_err(|error| DecodeError { problems: vec![no_yaml(error)] })?;
    let mut reader = reader::Reader::new(admission);
    let mut model = Model::default();
    for document in &documents {
        object::read(&mut reader, document, &mut model);
    }
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(model) } else { Err(DecodeError { problems }) }
}

/// Reads the egress gateway policies of a text and leaves every other object alone. Also says what is wrong with them.
#[must_use]
pub fn gateways(bytes: &[u8]) -> (Vec<GatewayPolicy>, Vec<Problem>) {
    let documents = match yaml::documents(bytes) {
        Ok(documents) => documents,
        Err(error) => return (Vec::new(), vec![no_yaml(error)]),
    };
    let mut reader = reader::Reader::new(Admission::ApiServer);
    let mut model = Model::default();
    for document in &documents {
        object::read_of(&mut reader, document, Kind::Gateway, &mut model);
    }
    (model.gateways, reader.into_problems())
}

fn no_yaml(error: yaml::YamlError) -> Problem {
    Problem {
        stage: if error.declined { Stage::Unsupported } else { Stage::Yaml },
        line: error.line,
        object: String::new(),
        path: String::new(),
        message: error.message,
    }
}

impl DecodeError {
    /// Whether Cilium would accept the bytes and only this model does not.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.problems.iter().all(|problem| problem.stage == Stage::Unsupported)
    }
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
    /// `line 7: CiliumNetworkPolicy/shop/x: spec.egress[0].toCIDR[0]: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        for part in [&self.object, &self.path] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        f.write_str(&self.message)
    }
}
