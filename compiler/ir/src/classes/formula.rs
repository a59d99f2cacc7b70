//! Workload sets as formulas over single label values, restricted one label at a time.
//!
//! In: workload sets. Out: hash-consed nodes, so that equal residues are equal ids. Speaks about pods only; addresses
//! are a line of their own.

use crate::workload::{
    NAMESPACE_NAME_LABEL, NamespaceSelector, Operator, PodSelector, Requirement, Selector, WorkloadSet,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One thing about a pod that a set can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Attribute {
    /// The namespace's name.
    Namespace,
    /// The service account's name.
    ServiceAccount,
    /// A label of the namespace.
    NamespaceLabel(String),
    /// A label of the pod.
    Label(String),
}

impl Attribute {
    /// Whether a pod may be without it.
    pub(super) fn may_be_absent(&self) -> bool {
        matches!(self, Self::NamespaceLabel(_) | Self::Label(_))
    }
}

/// A value of an attribute, as far as sets can tell values apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Value {
    /// This value, which some set mentions.
    Is(String),
    /// Some value that no set mentions.
    Other,
    /// No value.
    Absent,
}

/// A node of [`Formulas`].
pub(super) type Node = u32;

/// The formula that no pod satisfies.
pub(super) const FALSE: Node = 0;
/// The formula that every pod satisfies.
pub(super) const TRUE: Node = 1;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Form {
    False,
    True,
    /// The attribute satisfies the operator.
    Test(Attribute, Operator),
    Not(Node),
    /// Two or more nodes, sorted.
    And(Vec<Node>),
    /// Two or more nodes, sorted.
    Or(Vec<Node>),
}

/// Hash-consed formulas.
#[derive(Debug)]
pub(super) struct Formulas {
    forms: Vec<Form>,
    known: HashMap<Form, Node>,
    restricted: HashMap<(Node, Attribute, Value), Node>,
    /// The values that each node's tests mention, by attribute; an attribute without values is still a key.
    mentions: Vec<BTreeMap<Attribute, BTreeSet<String>>>,
}

impl Formulas {
    pub(super) fn new() -> Self {
        let mut formulas =
            Self { forms: Vec::new(), known: HashMap::new(), restricted: HashMap::new(), mentions: Vec::new() };
        formulas.intern(Form::False);
        formulas.intern(Form::True);
        formulas
    }

    /// The pods of a workload set.
    pub(super) fn of_set(&mut self, set: &WorkloadSet) -> Node {
        match set {
            WorkloadSet::All => TRUE,
            WorkloadSet::Address(_) => FALSE,
            WorkloadSet::Pods(selector) => self.of_pods(selector),
            WorkloadSet::Union(sets) => {
                let nodes = sets.iter().map(|set| self.of_set(set)).collect();
                self.or(nodes)
            }
            WorkloadSet::Except(set, out) => {
                let (set, out) = (self.of_set(set), self.of_set(out));
                let kept = self.not(out);
                self.and(vec![set, kept])
            }
        }
    }

    /// The attributes that decide the node, with the values it mentions.
    pub(super) fn mentions(&self, node: Node) -> Option<&BTreeMap<Attribute, BTreeSet<String>>> {
        self.mentions.get(node as usize)
    }

    /// The node once the attribute is known to have the value.
    pub(super) fn restrict(&mut self, node: Node, attribute: &Attribute, value: &Value) -> Node {
        if !self.mentions(node).is_some_and(|m| m.contains_key(attribute)) {
            return node;
        }
        let question = (node, attribute.clone(), value.clone());
        if let Some(&known) = self.restricted.get(&question) {
            return known;
        }
        let answer = match self.form(node) {
            Form::False | Form::True => node,
            Form::Test(_, operator) => {
                if satisfies(&operator, value) {
                    TRUE
                } else {
                    FALSE
                }
            }
            Form::Not(inner) => {
                let inner = self.restrict(inner, attribute, value);
                self.not(inner)
            }
            Form::And(nodes) => {
                let nodes = nodes.into_iter().map(|n| self.restrict(n, attribute, value)).collect();
                self.and(nodes)
            }
            Form::Or(nodes) => {
                let nodes = nodes.into_iter().map(|n| self.restrict(n, attribute, value)).collect();
                self.or(nodes)
            }
        };
        self.restricted.insert(question, answer);
        answer
    }

    fn of_pods(&mut self, selector: &PodSelector) -> Node {
        let mut nodes: Vec<Node> = self.of_selector(&selector.labels, |key| Attribute::Label(key.into()));
        match &selector.namespace {
            NamespaceSelector::Any => {}
            NamespaceSelector::Named(name) => nodes.push(self.test(Attribute::Namespace, is(name))),
            NamespaceSelector::Labels(labels) => nodes.extend(self.of_selector(labels, |key| match key {
                NAMESPACE_NAME_LABEL => Attribute::Namespace,
                _ => Attribute::NamespaceLabel(key.into()),
            })),
        }
        if let Some(account) = &selector.service_account {
            nodes.push(self.test(Attribute::ServiceAccount, is(account)));
        }
        self.and(nodes)
    }

    fn of_selector(&mut self, selector: &Selector, attribute: impl Fn(&str) -> Attribute) -> Vec<Node> {
        let of = |Requirement { key, operator }: &Requirement| (attribute(key), operator.clone());
        selector.0.iter().map(of).map(|(attribute, operator)| self.test(attribute, operator)).collect()
    }

    fn test(&mut self, attribute: Attribute, operator: Operator) -> Node {
        match (&operator, attribute.may_be_absent()) {
            (Operator::Exists, false) => TRUE,
            (Operator::DoesNotExist, false) => FALSE,
            (Operator::In(values), _) if values.is_empty() => FALSE,
            (Operator::NotIn(values), _) if values.is_empty() => TRUE,
            _ => self.intern(Form::Test(attribute, operator)),
        }
    }

    fn not(&mut self, node: Node) -> Node {
        match self.form(node) {
            Form::False => TRUE,
            Form::True => FALSE,
            Form::Not(inner) => inner,
            _ => self.intern(Form::Not(node)),
        }
    }

    fn and(&mut self, nodes: Vec<Node>) -> Node {
        self.join(nodes, FALSE, TRUE, Form::And)
    }

    fn or(&mut self, nodes: Vec<Node>) -> Node {
        self.join(nodes, TRUE, FALSE, Form::Or)
    }

    /// Joins nodes where `absorbing` decides at once and `neutral` may be left out.
    fn join(&mut self, mut nodes: Vec<Node>, absorbing: Node, neutral: Node, form: fn(Vec<Node>) -> Form) -> Node {
        nodes.retain(|&node| node != neutral);
        nodes.sort_unstable();
        nodes.dedup();
        match nodes.as_slice() {
            [] => neutral,
            _ if nodes.contains(&absorbing) => absorbing,
            [only] => *only,
            _ => self.intern(form(nodes)),
        }
    }

    fn form(&self, node: Node) -> Form {
        // INVARIANT: nodes are made by `intern` only, so the fallback is never taken.
        self.forms.get(node as usize).cloned().unwrap_or(Form::False)
    }

    fn intern(&mut self, form: Form) -> Node {
        if let Some(&node) = self.known.get(&form) {
            return node;
        }
        let node = Node::try_from(self.forms.len()).unwrap_or(Node::MAX);
        self.mentions.push(self.mentions_of(&form));
        self.forms.push(form.clone());
        self.known.insert(form, node);
        node
    }

    fn mentions_of(&self, form: &Form) -> BTreeMap<Attribute, BTreeSet<String>> {
        let mut mentions: BTreeMap<Attribute, BTreeSet<String>> = BTreeMap::new();
        match form {
            Form::False | Form::True => {}
            Form::Test(attribute, operator) => {
                let values = match operator {
                    Operator::In(values) | Operator::NotIn(values) => values.clone(),
                    Operator::Exists | Operator::DoesNotExist => BTreeSet::new(),
                };
                mentions.insert(attribute.clone(), values);
            }
            Form::Not(inner) => mentions.clone_from(self.mentions(*inner).unwrap_or(&BTreeMap::new())),
            Form::And(nodes) | Form::Or(nodes) => {
                for (attribute, values) in nodes.iter().filter_map(|&node| self.mentions(node)).flatten() {
                    mentions.entry(attribute.clone()).or_default().extend(values.iter().cloned());
                }
            }
        }
        mentions
    }
}

fn is(value: &str) -> Operator {
    Operator::In([value.to_owned()].into())
}

fn satisfies(operator: &Operator, value: &Value) -> bool {
    match (operator, value) {
        (Operator::In(values), Value::Is(value)) => values.contains(value),
        (Operator::NotIn(values), Value::Is(value)) => !values.contains(value),
        (Operator::In(_), Value::Other | Value::Absent) => false,
        (Operator::NotIn(_), Value::Other | Value::Absent) => true,
        (Operator::Exists, value) => *value != Value::Absent,
        (Operator::DoesNotExist, value) => *value == Value::Absent,
    }
}
