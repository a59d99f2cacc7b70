//! One document: a Service, a kube-vip of its own, or something that does not matter here.

use super::super::model::{Daemon, Model, Service, Text};
use super::Problem;
use crate::cilium::yaml::{Node, Value};
use egress_ir::{Family, Labels};
use std::collections::BTreeMap;

/// Problems that one run keeps.
const MAX_PROBLEMS: usize = 200;

/// Reads documents one after the other.
#[derive(Default)]
pub(super) struct Reader {
    model: Model,
    problems: Vec<Problem>,
    object: String,
}

/// The value of a field.
fn field<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let Value::Map(entries) = &node.value else { return None };
    entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The value of a field of a field.
fn path<'n>(node: &'n Node, keys: &[&str]) -> Option<&'n Node> {
    keys.iter().try_fold(node, |node, key| field(node, key))
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

impl Reader {
    pub(super) fn finish(self) -> (Model, Vec<Problem>) {
        (self.model, self.problems)
    }

    /// Reads a document: an object, or a list of them as `kubectl get -o yaml` prints it.
    pub(super) fn document(&mut self, document: &Node) {
        let is_list = field(document, "kind").is_some_and(|kind| kind.value == Value::Text("List".to_owned()));
        match field(document, "items") {
            Some(list) if is_list => items(Some(list)).iter().for_each(|item| self.object(item)),
            _ => self.object(document),
        }
    }

    fn object(&mut self, node: &Node) {
        self.object.clear();
        let (Some(version), Some(kind)) = (field(node, "apiVersion"), field(node, "kind")) else {
            return self.problem(node, "this is no object of Kubernetes: it has no `apiVersion` and `kind`");
        };
        let (Some(version), Some(kind)) = (self.text(version), self.text(kind)) else { return };
        let of = |keys: &[&str]| match path(node, keys).map(|node| &node.value) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let namespace = of(&["metadata", "namespace"]);
        let shown = if namespace.is_empty() { "default" } else { &namespace };
        self.object = format!("{}/{shown}/{}", kind.value, of(&["metadata", "name"]));
        match (version.value.as_str(), kind.value.as_str()) {
            ("v1", "Service") => self.service(node),
            ("apps/v1", "DaemonSet" | "Deployment") => self.daemons(path(node, &["spec", "template", "spec"])),
            ("v1", "Pod") => self.daemons(field(node, "spec")),
            _ => {}
        }
    }

    fn service(&mut self, node: &Node) {
        let Some(name) = path(node, &["metadata", "name"]) else {
            return self.problem(node, "an object needs a name");
        };
        let Some(name) = self.text(name) else { return };
        let spec = field(node, "spec").unwrap_or(node);
        let selector = field(spec, "selector").filter(|node| node.value != Value::Null);
        let service = Service {
            namespace: path(node, &["metadata", "namespace"]).and_then(|node| self.text(node)).map(|text| text.value),
            name,
            annotations: self.texts(path(node, &["metadata", "annotations"])),
            labels: values(self.texts(path(node, &["metadata", "labels"]))),
            load_balancer: self.spec(spec, "type").is_some_and(|kind| kind.value == "LoadBalancer"),
            class: self.spec(spec, "loadBalancerClass").map(|text| text.value),
            policy: self.policy(spec),
            address: self.spec(spec, "loadBalancerIP"),
            selector: values(self.texts(selector)),
            selector_span: selector.map(|node| node.span.clone()),
            families: self.families(field(spec, "ipFamilies")),
            dual_stack: self.spec(spec, "ipFamilyPolicy").is_some_and(|text| text.value.ends_with("DualStack")),
        };
        let twice = |known: &Service| known.namespace == service.namespace && known.name.value == service.name.value;
        if self.model.services.iter().any(twice) {
            return self.problem(node, "the Service is there twice: which one holds depends on how it is applied");
        }
        self.model.services.push(service);
    }

    /// Text of the spec that is there and not empty.
    fn spec(&mut self, spec: &Node, key: &str) -> Option<Text> {
        let node = field(spec, key).filter(|node| node.value != Value::Null)?;
        self.text(node).filter(|text| !text.value.is_empty())
    }

    fn policy(&mut self, spec: &Node) -> Option<Text> {
        let policy = self.spec(spec, "externalTrafficPolicy")?;
        if !["Local", "Cluster"].contains(&policy.value.as_str()) {
            let node = field(spec, "externalTrafficPolicy")?;
            self.problem(node, format!("`{}` is neither `Local` nor `Cluster`", policy.value));
        }
        Some(policy)
    }

    fn families(&mut self, node: Option<&Node>) -> Vec<Family> {
        let mut families = Vec::new();
        for item in items(node) {
            match self.text(item).map(|text| text.value).as_deref() {
                Some("IPv4") => families.push(Family::V4),
                Some("IPv6") => families.push(Family::V6),
                Some(other) => self.problem(item, format!("`{other}` is neither `IPv4` nor `IPv6`")),
                None => {}
            }
        }
        families
    }

    /// The containers whose image is kube-vip.
    fn daemons(&mut self, spec: Option<&Node>) {
        for container in items(spec.and_then(|spec| field(spec, "containers"))) {
            let Some(image) = field(container, "image") else { continue };
            let Value::Text(text) = &image.value else { continue };
            if !text.contains("kube-vip") {
                continue;
            }
            let mut environment = BTreeMap::new();
            for variable in items(field(container, "env")) {
                let name = field(variable, "name").and_then(|node| self.text(node));
                let value = field(variable, "value").and_then(|node| self.text(node));
                if let (Some(name), Some(value)) = (name, value) {
                    environment.insert(name.value, value);
                }
            }
            let (object, span) = (self.object.clone(), image.span.clone());
            self.model.daemons.push(Daemon { object, span, environment });
        }
    }

    /// A map of texts; anything else in it is what the API server refuses.
    fn texts(&mut self, node: Option<&Node>) -> BTreeMap<String, Text> {
        let mut texts = BTreeMap::new();
        match node.map(|node| (node, &node.value)) {
            None | Some((_, Value::Null)) => {}
            Some((_, Value::Map(entries))) => {
                for (key, value) in entries {
                    texts.extend(self.text(value).map(|text| (key.clone(), text)));
                }
            }
            Some((node, _)) => self.problem(node, "must be a map"),
        }
        texts
    }

    fn text(&mut self, node: &Node) -> Option<Text> {
        let found = match &node.value {
            Value::Text(value) => return Some(Text { value: value.clone(), span: node.span.clone() }),
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean (quote it)",
            Value::Int(_) | Value::Float(_) => "a number (quote it)",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        };
        self.problem(node, format!("must be a string, and is {found}: the API server refuses the object"));
        None
    }

    fn problem(&mut self, node: &Node, message: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            let (span, object) = (node.span.clone(), self.object.clone());
            self.problems.push(Problem { span, line: node.line, object, message: message.into() });
        }
    }
}

fn values(texts: BTreeMap<String, Text>) -> Labels {
    texts.into_iter().map(|(key, text)| (key, text.value)).collect()
}
