//! The API server's schemas, from the CRDs in `testdata`.

use std::collections::BTreeMap;
use std::path::Path;

use egress_backends::cilium::yaml::{self, Node};
use serde_json::Value;

/// Schemas by kind.
pub(crate) struct Schemas(BTreeMap<String, (jsonschema::Validator, Value)>);

impl Schemas {
    /// Reads the four CRDs.
    pub(crate) fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cilium/crds");
        let mut schemas = BTreeMap::new();
        for file in std::fs::read_dir(folder).expect("the CRDs") {
            let bytes = std::fs::read(file.expect("a file").path()).expect("a CRD");
            let crd = json(&yaml::documents(&bytes).expect("YAML")[0]);
            let kind = crd["spec"]["names"]["kind"].as_str().expect("a kind").to_owned();
            let versions = crd["spec"]["versions"].as_array().expect("versions");
            let v2 = versions.iter().find(|version| version["name"] == "v2").expect("version v2");
            let schema = v2["schema"]["openAPIV3Schema"].clone();
            let validator = jsonschema::options()
                .with_format("cidr", is_cidr)
                .should_validate_formats(true)
                .build(&schema)
                .expect("a schema");
            schemas.insert(kind, (validator, schema));
        }
        assert_eq!(schemas.len(), 4);
        Self(schemas)
    }

    /// What is wrong with each document of a text; also how many there are.
    pub(crate) fn check(&self, text: &str) -> (usize, Vec<String>) {
        let documents = yaml::documents(text.as_bytes()).expect("YAML");
        (documents.len(), documents.iter().flat_map(|document| self.object(&json(document))).collect())
    }

    fn object(&self, object: &Value) -> Vec<String> {
        let kind = object["kind"].as_str().unwrap_or_default();
        let Some((validator, schema)) = self.0.get(kind) else { return vec![format!("kind `{kind}`")] };
        let mut wrong: Vec<String> =
            validator.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path())).collect();
        unknown(schema, object, "", &mut wrong);
        wrong
    }
}

/// Fields that the schema does not have: strict validation refuses them.
fn unknown(schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    if path == ".metadata" {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let known = schema["properties"].get(key).or_else(|| schema.get("additionalProperties"));
                match known {
                    Some(schema) => unknown(schema, value, &format!("{path}.{key}"), wrong),
                    None => wrong.push(format!("{path}: unknown field `{key}`")),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                unknown(&schema["items"], item, &format!("{path}[{index}]"), wrong);
            }
        }
        _ => {}
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let width = if address.contains(':') { 128 } else { 32 };
    // Leading zeros of octets pass the API server's check and fail in the agent.
    let plain: Vec<String> = address.split('.').map(|octet| octet.trim_start_matches('0').to_owned()).collect();
    let plain: Vec<&str> = plain.iter().map(|octet| if octet.is_empty() { "0" } else { octet.as_str() }).collect();
    let valid = address.parse::<std::net::IpAddr>().is_ok() || plain.join(".").parse::<std::net::Ipv4Addr>().is_ok();
    valid && length.parse::<u8>().is_ok_and(|length| length <= width)
}

/// The tree as JSON.
pub(crate) fn json(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Bool(value) => Value::Bool(*value),
        yaml::Value::Int(number) => i64::try_from(*number).map_or(Value::Null, Value::from),
        yaml::Value::Float(text) => text.parse::<f64>().map_or(Value::Null, Value::from),
        yaml::Value::Text(text) => Value::String(text.clone()),
        yaml::Value::List(items) => items.iter().map(json).collect(),
        yaml::Value::Map(entries) => entries.iter().map(|(key, node)| (key.clone(), json(node))).collect(),
    }
}
