//! Who is at an attach point: the identities file, and the row that an identity has in a generation.
//!
//! In: JSON. Out: identities by point. An entry is a pod's identity, or `"address"`: whoever has the packet's source
//! address.

use crate::disk;
use crate::failure::Failure;
use crate::points::{self, Name};
use egress_agent::kernel::Endpoint;
use egress_snapshot::Meta;
use egress_snapshot::meta::Identity;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Who is at a point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Who {
    /// Nobody knows.
    Unknown,
    /// Whoever has the packet's source address.
    Address,
    /// This pod.
    Pod(Identity),
}

impl Who {
    /// What the kernel is told in a generation.
    pub(crate) fn endpoint(&self, meta: &Meta) -> Endpoint {
        match self {
            Self::Unknown => Endpoint::Unknown,
            Self::Address => Endpoint::ByAddress,
            Self::Pod(identity) => meta.row_of(identity).map_or(Endpoint::Unknown, Endpoint::Row),
        }
    }

    /// In words.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Unknown => "unknown".to_owned(),
            Self::Address => "by source address".to_owned(),
            Self::Pod(identity) => egress_snapshot::show::identity(identity),
        }
    }
}

/// What an identities file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identities(BTreeMap<Name, Who>);

/// The file as it stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    cgroups: BTreeMap<String, Value>,
    #[serde(default)]
    interfaces: BTreeMap<String, Value>,
}

const SHAPE: &str = "write `{\"cgroups\": {PATH: WHO}, \"interfaces\": {NAME: WHO}}`, where WHO is `\"address\"` or an object with \
    `namespace` and perhaps `labels`, `namespaceLabels`, `serviceAccount` and `name`";

impl Identities {
    /// Reads a file. Every entry must be of a point of `known`.
    pub(crate) fn read(path: &Path, known: &[Name]) -> Result<Self, Failure> {
        Self::parse(&disk::read_text(path)?, known).map_err(|(place, why)| {
            let place = if place.is_empty() || place == "." { String::new() } else { format!("`{place}`: ") };
            Failure::new(format!("`{}`: {place}{why}", path.display())).help(SHAPE)
        })
    }

    /// In: the text. Err: the place of what is wrong, and what is wrong.
    fn parse(text: &str, known: &[Name]) -> Result<Self, (String, String)> {
        let value: Value = serde_json::from_str(text).map_err(|error| (String::new(), format!("not JSON: {error}")))?;
        if !value.is_object() {
            return Err((String::new(), "there must be an object".to_owned()));
        }
        let file: File = typed(value, "")?;
        let mut all = BTreeMap::new();
        for (path, entry) in file.cgroups {
            let place = format!("cgroups.{path}");
            let known_path =
                points::cgroup(Path::new(&path)).map_err(|failure| (place.clone(), failure.to_string()))?;
            put(&mut all, &[Name::Cgroup(known_path)], (known, place), entry)?;
        }
        for (name, entry) in file.interfaces {
            let place = format!("interfaces.{name}");
            put(&mut all, &[Name::Iface(name.clone()), Name::Uplink(name)], (known, place), entry)?;
        }
        Ok(Self(all))
    }

    /// Who is at a point; nothing without an entry.
    pub(crate) fn of(&self, name: &Name) -> Option<&Who> {
        self.0.get(name)
    }
}

/// Puts an entry under whichever of the names is a point.
fn put(
    all: &mut BTreeMap<Name, Who>,
    names: &[Name],
    (known, place): (&[Name], String),
    entry: Value,
) -> Result<(), (String, String)> {
    let Some(name) = names.iter().find(|name| known.contains(name)) else {
        return Err((place, "it is not attached, and none of the points to attach".to_owned()));
    };
    if all.insert(name.clone(), who(entry, &place)?).is_some() {
        return Err((place, "there is another entry for the same place".to_owned()));
    }
    Ok(())
}

fn who(entry: Value, place: &str) -> Result<Who, (String, String)> {
    match entry {
        Value::String(text) if text == "address" => Ok(Who::Address),
        Value::String(text) => Err((place.to_owned(), format!("`{text}` is nobody; the only word is `address`"))),
        Value::Object(_) => typed(entry, place).map(Who::Pod),
        _ => Err((place.to_owned(), "there must be an object or `\"address\"`".to_owned())),
    }
}

fn typed<T: serde::de::DeserializeOwned>(value: Value, place: &str) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let below = error.path().to_string();
        let path = match (place, below.as_str()) {
            (place, ".") => place.to_owned(),
            ("", below) => below.to_owned(),
            (place, below) => format!("{place}.{below}"),
        };
        (path, error.into_inner().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<Name> {
        vec![Name::Cgroup("/no/such".to_owned()), Name::Iface("veth1".to_owned()), Name::Uplink("eth0".to_owned())]
    }

    #[test]
    fn entries_are_read() {
        let text = r#"{"cgroups": {"/no/such": {"namespace": "shop", "labels": {"app": "x"}, "namespaceLabels": {}}},
            "interfaces": {"veth1": "address", "eth0": {"namespace": "shop", "serviceAccount": "default", "name": "a"}}}"#;
        let read = Identities::parse(text, &known()).unwrap();
        let [cgroup, pair, uplink] = [&known()[0], &known()[1], &known()[2]].map(|name| read.of(name).unwrap().clone());
        assert_eq!(cgroup.text(), "shop/* (app=x)");
        assert_eq!((pair, uplink.text()), (Who::Address, "shop/a as default".to_owned()));
        assert_eq!(Identities::parse("{}", &known()), Ok(Identities::default()));
    }

    #[test]
    fn mistakes_are_named_with_their_places() {
        let cases = [
            ("", "", "not JSON"),
            ("[]", "", "there must be an object"),
            (r#"{"cgroup": {}}"#, "cgroup", "unknown field `cgroup`"),
            (r#"{"interfaces": {"veth1": "nobody"}}"#, "interfaces.veth1", "`nobody` is nobody"),
            (r#"{"interfaces": {"veth1": 1}}"#, "interfaces.veth1", "there must be an object or"),
            (r#"{"interfaces": {"veth1": {}}}"#, "interfaces.veth1", "missing field `namespace`"),
            (r#"{"interfaces": {"veth1": {"namespace": 1}}}"#, "interfaces.veth1.namespace", "expected a string"),
            (
                r#"{"interfaces": {"veth1": {"namespace": "a", "label": {}}}}"#,
                "interfaces.veth1.label",
                "unknown field",
            ),
            (r#"{"interfaces": {"veth2": "address"}}"#, "interfaces.veth2", "it is not attached"),
            (r#"{"cgroups": {"/no/other": "address"}}"#, "cgroups./no/other", "it is not attached"),
            (r#"{"cgroups": {"relative": "address"}}"#, "cgroups.relative", "does not exist"),
        ];
        for (text, place, why) in cases {
            let (said_place, said) = Identities::parse(text, &known()).unwrap_err();
            assert_eq!(said_place, place, "{text}: {said}");
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
