//! What stands at a place, from the whole declaration down to the smallest part.
//!
//! In: a tree and a byte offset. Out: the nodes that the offset touches, each within the one before it. A place between two
//! nodes that touch belongs to the later one. Works on trees with errors, whose parts are simply fewer.

use egress_lang::ast::{
    Assert, DSet, DestinationTerm, File, Filter, GatewayAddress, Item, List, Namespace, PSet, Pods, Policy, PortTerm,
    Requirement, Rule, Selector, Set, SetNode, WSet, WorkloadTerm,
};
use egress_lang::span::{Span, Spanned, Value};
use egress_lang::value::Prefix;

/// A node with its text.
#[derive(Clone, Copy, Debug)]
pub struct Step<'t> {
    /// Its text.
    pub span: Span,
    /// The node.
    pub node: Node<'t>,
}

/// Parts of a tree that editors ask about.
#[derive(Clone, Copy, Debug)]
pub enum Node<'t> {
    /// A declaration.
    Item(&'t Item),
    /// A rule, its block, and its number in it from 1.
    Rule(&'t Policy, usize, &'t Rule),
    /// An assertion.
    Assert(&'t Assert),
    /// A set of workloads, whole or part of one.
    Workloads(&'t WSet),
    /// A set of destinations, whole or part of one.
    Destinations(&'t DSet),
    /// A set of ports.
    Ports(&'t PSet),
    /// A term of a workload set.
    Workload(&'t WorkloadTerm),
    /// A term of a destination set.
    Destination(&'t DestinationTerm),
    /// A term of a port set.
    Port(&'t PortTerm),
    /// A label selector, and whose labels it is about.
    Selector(&'t Selector, Labelled),
    /// A requirement of a selector.
    Requirement(&'t Requirement, Labelled),
    /// The key of a requirement.
    Key(&'t Requirement, Labelled),
    /// A value of a requirement.
    Label(&'t Requirement, &'t str, Labelled),
    /// The namespace of pods.
    Namespace(&'t str),
    /// The service account of pods.
    ServiceAccount(&'t str),
    /// The path of a list.
    ListPath(&'t List),
    /// A filter of a list.
    Filter(&'t List, &'t Filter),
    /// A range of the cluster.
    Range(&'t Value<Prefix>),
    /// An address of a gateway.
    Address(&'t GatewayAddress),
    /// A text in quotes.
    Text,
}

/// Whose labels a selector is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labelled {
    /// Pods.
    Pods,
    /// Namespaces.
    Namespaces,
    /// Nodes.
    Nodes,
}

/// The nodes at a byte offset, from the outside in.
#[must_use]
pub fn path(file: &File, at: u32) -> Vec<Step<'_>> {
    let mut path = Path { at, steps: Vec::new() };
    if let Some(item) = touched(&file.items, at, Item::span) {
        path.item(item);
    }
    path.steps
}

/// The last of these nodes in the order of the text that the offset touches.
pub fn touched<T>(nodes: &[T], at: u32, span: impl Fn(&T) -> Span) -> Option<&T> {
    let before = nodes.partition_point(|node| span(node).start <= at);
    nodes.get(before.checked_sub(1)?).filter(|node| at <= span(node).end)
}

struct Path<'t> {
    at: u32,
    steps: Vec<Step<'t>>,
}

impl<'t> Path<'t> {
    /// Adds a node if the offset touches it; whether it does.
    fn enter(&mut self, span: Span, node: Node<'t>) -> bool {
        let touches = span.start <= self.at && self.at <= span.end && !span.is_empty();
        if touches {
            self.steps.push(Step { span, node });
        }
        touches
    }

    fn text(&mut self, text: Option<&'t Spanned<String>>) {
        if let Some(text) = text {
            self.enter(text.span, Node::Text);
        }
    }

    fn item(&mut self, item: &'t Item) {
        self.enter(item.span(), Node::Item(item));
        match item {
            Item::Cluster(it) => {
                for range in it.pods.iter().chain(&it.services).chain(&it.nodes) {
                    self.enter(range.span, Node::Range(range));
                }
                it.dns.iter().for_each(|set| self.workloads(set));
            }
            Item::Workloads(it) => self.workloads(&it.set),
            Item::Destinations(it) => self.destinations(&it.set),
            Item::Ports(it) => self.ports(&it.set),
            Item::Gateway(it) => {
                it.selector.iter().for_each(|selector| self.selector(selector, Labelled::Nodes));
                for address in &it.addresses {
                    let span = address.managed.map_or(address.ip.span, |managed| address.ip.span.to(managed));
                    self.enter(span, Node::Address(address));
                }
            }
            Item::Policy(it) | Item::Guardrail(it) => self.block(it),
            Item::Assert(it) => self.assert(it),
            Item::Control(it) => {
                self.text(Some(&it.id));
                self.text(Some(&it.title));
                if let Some(assert) = touched(&it.asserts, self.at, |assert| assert.span) {
                    self.assert(assert);
                }
            }
            Item::Error(_) => {}
        }
    }

    fn block(&mut self, block: &'t Policy) {
        self.workloads(&block.workloads);
        self.text(block.owner.as_ref());
        let before = block.rules.partition_point(|rule| rule.span.start <= self.at);
        let Some(rule) = before.checked_sub(1).and_then(|at| block.rules.get(at)) else { return };
        if self.enter(rule.span, Node::Rule(block, before, rule)) {
            self.destinations(&rule.destinations);
            rule.ports.iter().for_each(|ports| self.ports(ports));
            self.text(rule.because.as_ref());
            self.text(rule.ticket.as_ref());
        }
    }

    fn assert(&mut self, assert: &'t Assert) {
        if self.enter(assert.span, Node::Assert(assert)) {
            self.workloads(&assert.workloads);
            self.destinations(&assert.destinations);
            assert.ports.iter().for_each(|ports| self.ports(ports));
            self.text(assert.because.as_ref());
        }
    }

    fn workloads(&mut self, set: &'t WSet) {
        self.set(set, Node::Workloads, &|path, term| {
            path.enter(set_span(path), Node::Workload(term));
            if let WorkloadTerm::Pods(pods) = term {
                path.pods(pods);
            }
        });
    }

    fn destinations(&mut self, set: &'t DSet) {
        self.set(set, Node::Destinations, &|path, term| {
            path.enter(set_span(path), Node::Destination(term));
            if let DestinationTerm::List(list) = term {
                path.enter(list.path.span, Node::ListPath(list));
                for filter in &list.filters {
                    path.enter(filter.key.span.to(filter.value.span), Node::Filter(list, filter));
                }
            }
        });
    }

    fn set<T>(
        &mut self,
        set: &'t Set<T>,
        node: impl Fn(&'t Set<T>) -> Node<'t> + Copy,
        term: &impl Fn(&mut Self, &'t T),
    ) {
        if !self.enter(set.span, node(set)) {
            return;
        }
        match &set.node {
            SetNode::Term(it) => term(self, it),
            SetNode::Union(sets) => {
                if let Some(inner) = touched(sets, self.at, |set| set.span) {
                    self.set(inner, node, term);
                }
            }
            SetNode::Except { base, minus } => {
                self.set(base, node, term);
                self.set(minus, node, term);
            }
            SetNode::Group(inner) => self.set(inner, node, term),
            SetNode::Error => {}
        }
    }

    fn pods(&mut self, pods: &'t Pods) {
        pods.selector.iter().for_each(|selector| self.selector(selector, Labelled::Pods));
        match &pods.namespace {
            Some(Namespace::Named(name)) => {
                self.enter(name.span, Node::Namespace(&name.node));
            }
            Some(Namespace::Selected(selector)) => self.selector(selector, Labelled::Namespaces),
            None => {}
        }
        if let Some(account) = &pods.service_account {
            self.enter(account.span, Node::ServiceAccount(&account.node));
        }
    }

    fn selector(&mut self, selector: &'t Selector, of: Labelled) {
        if !self.enter(selector.span, Node::Selector(selector, of)) {
            return;
        }
        let Some(one) = touched(&selector.requirements, self.at, |it| it.span) else { return };
        self.enter(one.span, Node::Requirement(one, of));
        self.enter(one.key.span, Node::Key(one, of));
        for value in &one.values {
            self.enter(value.span, Node::Label(one, &value.node, of));
        }
    }

    fn ports(&mut self, set: &'t PSet) {
        if self.enter(set.span, Node::Ports(set))
            && let Some(term) = touched(&set.terms, self.at, |term| term.span)
        {
            self.enter(term.span, Node::Port(&term.node));
        }
    }
}

/// The text of the set that was entered last.
fn set_span(path: &Path<'_>) -> Span {
    path.steps.last().map(|step| step.span).unwrap_or_default()
}
