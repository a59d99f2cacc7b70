//! Objects and the file they make: metadata, comments, and the order of things.

use std::collections::BTreeMap;

use egress_ir::{Action, AddressSet, Block, BlockId, Gateway, Origin, Prefix, Program, RuleId};

use super::super::super::target::Notice;
use super::Options;
use super::addresses::{Cidrs, Groups};
use super::capacity::{self, Load, Subject};
use super::names::Names;
use super::render::{self, Yaml, map, text};
use super::selectors::Conjunct;

/// Bytes of rules after which an object is continued in another. The API server takes about 1.5 MiB.
const MAX_OBJECT: usize = 200_000;

/// One entry of `egress` or `egressDeny`.
pub(super) struct Entry {
    /// The rule it is from.
    pub(super) rule: Option<RuleId>,
    /// In which list it stands.
    pub(super) action: Action,
    /// What it is for, where it is from no rule; empty where an entry before it says so.
    pub(super) comment: String,
    /// The entry itself.
    pub(super) value: Yaml,
}

impl Entry {
    /// An allow that every object of a block has.
    pub(super) fn base(comment: &str, value: Yaml) -> Self {
        Self { rule: None, action: Action::Allow, comment: comment.to_owned(), value }
    }
}

/// A block, ready to be written.
pub(super) struct Policy<'p> {
    pub(super) id: BlockId,
    pub(super) block: &'p Block,
    pub(super) governs: bool,
    /// The namespace, for an object of one.
    pub(super) namespace: Option<String>,
    /// One for each specification.
    pub(super) selectors: Vec<Yaml>,
    /// The same, as conditions.
    pub(super) conjuncts: Vec<Conjunct>,
    /// Entries that belong to the block, not to one of its rules.
    pub(super) base: Vec<Entry>,
    /// Entries of its rules.
    pub(super) entries: Vec<Entry>,
}

/// An egress gateway policy, ready to be written.
pub(super) struct GatewayObject<'p> {
    /// What people would call it.
    pub(super) wanted: String,
    pub(super) gateway: &'p Gateway,
    /// The rules that ask for it.
    pub(super) rules: Vec<RuleId>,
    /// What must be so and is not known.
    pub(super) assumes: Option<String>,
    pub(super) spec: Yaml,
}

/// Collects objects.
pub(super) struct Writer<'p> {
    program: &'p Program,
    options: &'p Options,
    names: Names,
    block_names: BTreeMap<BlockId, String>,
    groups: Groups,
    policies: Vec<String>,
    gateways: Vec<String>,
    subjects: Vec<Subject>,
    loads: Vec<Load>,
    prefixes: Vec<Prefix>,
}

impl<'p> Writer<'p> {
    pub(super) fn new(program: &'p Program, options: &'p Options) -> Self {
        let mut names = Names::default();
        // Blocks come first, so that no list can take the name of a policy.
        let mut blocks: Vec<(&str, BlockId)> =
            program.blocks.iter().map(|(id, block)| (block.name.as_str(), id)).collect();
        blocks.sort_unstable();
        let block_names = blocks.into_iter().map(|(name, id)| (id, names.take(name, ""))).collect();
        let prefixes = program.cluster.inside.prefixes();
        Self {
            program,
            options,
            names,
            block_names,
            groups: Groups::new(program),
            policies: Vec::new(),
            gateways: Vec::new(),
            subjects: Vec::new(),
            loads: Vec::new(),
            prefixes,
        }
    }

    /// `toCIDRSet` of a rule, noting what it costs.
    pub(super) fn cidr_set(&mut self, block: BlockId, cidrs: &Cidrs, keys: u64) -> Yaml {
        for (prefix, except) in &cidrs.entries {
            self.prefixes.push(*prefix);
            self.prefixes.extend(except);
        }
        self.loads.push(Load { block, addresses: cidrs.matched.clone(), keys });
        self.groups.cidr_set(cidrs, &self.program.cluster.inside, &mut self.names)
    }

    /// Writes a block as one object, or more when it is large. Each is complete: a part alone never allows more than the
    /// whole, and denies of a part hold without the others.
    pub(super) fn policy(&mut self, policy: Policy<'_>) {
        let parts = self.parts(&policy);
        let count = parts.len();
        for (number, entries) in parts.iter().enumerate() {
            let document = self.object(&policy, entries, number + 1, count);
            self.policies.push(document);
        }
        let Policy { id, block, conjuncts, .. } = policy;
        if policy.governs {
            let addresses: AddressSet = self.program.cluster.inside.clone();
            self.loads.push(Load { block: id, addresses, keys: 1 });
        }
        self.subjects.push(Subject { block: id, name: block.name.clone(), origin: block.origin, conjuncts });
    }

    /// The whole file, groups first, and warnings about its size in Cilium's tables.
    pub(super) fn finish(self) -> (Vec<u8>, Vec<Notice>) {
        let notices = capacity::warnings(&self.subjects, &self.loads, &self.prefixes);
        let mut out = String::from("# Written by egressc; change the source instead.\n");
        for (name, what, prefixes) in &self.groups.made {
            let metadata = self.metadata(name, None, &[]);
            let list = Yaml::list(prefixes.iter().map(|prefix| text(prefix.to_string())));
            let object = map([
                ("apiVersion", text("cilium.io/v2")),
                ("kind", text("CiliumCIDRGroup")),
                ("metadata", metadata),
                ("spec", map([("externalCIDRs", list)])),
            ]);
            out.push_str(&render::document(std::slice::from_ref(what), &object));
        }
        for document in self.policies.iter().chain(&self.gateways) {
            out.push_str(document);
        }
        (out.into_bytes(), notices)
    }

    /// Writes an egress gateway policy.
    pub(super) fn gateway(&mut self, object: &GatewayObject<'_>) {
        let name = self.names.take(&object.wanted, &render::document(&[], &object.spec));
        let origin = self.origin(object.gateway.origin);
        let mut comments = vec![format!("gateway {} ({})", object.gateway.name, place(self.program, origin))];
        comments.extend(object.rules.iter().map(|rule| self.remark(*rule, true)));
        comments.extend(object.assumes.iter().map(|assumes| format!("assumed: {assumes}")));
        let rules: Vec<String> = object.rules.iter().map(|rule| self.remark(*rule, false)).collect();
        let mut annotations =
            vec![("egressc/gateway", object.gateway.name.clone()), ("egressc/rules", rules.join("\n"))];
        annotations.extend(object.assumes.iter().map(|assumes| ("egressc/assumes", assumes.clone())));
        let metadata = self.metadata(&name, None, &annotations);
        let document = map([
            ("apiVersion", text("cilium.io/v2")),
            ("kind", text("CiliumEgressGatewayPolicy")),
            ("metadata", metadata),
            ("spec", object.spec.clone()),
        ]);
        self.gateways.push(render::document(&comments, &document));
    }

    fn object(&mut self, policy: &Policy<'_>, entries: &[&Entry], number: usize, count: usize) -> String {
        let block = policy.block;
        let origin = self.origin(block.origin);
        let word = if policy.governs { "policy" } else { "guardrail" };
        let mut comment = format!("{word} {} ({})", block.name, place(self.program, origin));
        let name = self.part_name(policy, number);
        if count > 1 {
            comment.push_str(&format!(", part {number} of {count}"));
        }
        let annotations = self.annotations(block, entries);
        let metadata = self.metadata(&name, policy.namespace.as_deref(), &annotations);
        let mut specs = policy.selectors.iter().map(|selector| self.spec(policy, entries, selector));
        let (field, value) = match (policy.selectors.len(), specs.next()) {
            (1, Some(spec)) => ("spec", spec),
            (_, first) => ("specs", Yaml::list(first.into_iter().chain(specs))),
        };
        let kind = if policy.namespace.is_some() { "CiliumNetworkPolicy" } else { "CiliumClusterwideNetworkPolicy" };
        let object =
            map([("apiVersion", text("cilium.io/v2")), ("kind", text(kind)), ("metadata", metadata), (field, value)]);
        render::document(&[comment], &object)
    }

    /// The first part has the block's own name, which was taken at the start.
    fn part_name(&mut self, policy: &Policy<'_>, number: usize) -> String {
        match self.block_names.get(&policy.id) {
            Some(name) if number == 1 => name.clone(),
            _ => self.names.take(&format!("{}-part-{number}", policy.block.name), ""),
        }
    }

    fn spec(&self, policy: &Policy<'_>, entries: &[&Entry], selector: &Yaml) -> Yaml {
        let list = |action: Action| {
            let chosen = policy.base.iter().chain(entries.iter().copied()).filter(|entry| entry.action == action);
            chosen.map(|entry| (self.comment(entry), entry.value.clone())).collect::<Vec<_>>()
        };
        let default_deny = map([("egress", Yaml::Bool(policy.governs)), ("ingress", Yaml::Bool(false))]);
        let mut fields =
            vec![("endpointSelector".to_owned(), selector.clone()), ("enableDefaultDeny".to_owned(), default_deny)];
        for (field, action) in [("egress", Action::Allow), ("egressDeny", Action::Deny)] {
            let entries = list(action);
            if !entries.is_empty() {
                fields.push((field.to_owned(), Yaml::List(entries)));
            }
        }
        Yaml::Map(fields)
    }

    fn comment(&self, entry: &Entry) -> Vec<String> {
        match entry.rule {
            None if entry.comment.is_empty() => Vec::new(),
            None => vec![entry.comment.clone()],
            Some(rule) => vec![self.remark(rule, true)],
        }
    }

    /// `shop#2 (shop.egress:12): card payments [SEC-1042] until 2027-03-31`.
    fn remark(&self, rule: RuleId, with_place: bool) -> String {
        let origin = self.origin(self.program.rules.at(rule).origin);
        let mut remark = origin.name.clone();
        if with_place {
            remark.push_str(&format!(" ({})", place(self.program, origin)));
        }
        if let Some(because) = &origin.because {
            remark.push_str(&format!(": {because}"));
        }
        if let Some(ticket) = &origin.ticket {
            remark.push_str(&format!(" [{ticket}]"));
        }
        if let Some(until) = &origin.until {
            remark.push_str(&format!(" until {until}"));
        }
        remark
    }

    fn annotations(&self, block: &Block, entries: &[&Entry]) -> Vec<(&'static str, String)> {
        let mut annotations = vec![("egressc/block", block.name.clone())];
        if let Some(owner) = &self.origin(block.origin).owner {
            annotations.push(("egressc/owner", owner.clone()));
        }
        let mut rules: Vec<RuleId> = entries.iter().filter_map(|entry| entry.rule).collect();
        rules.dedup();
        let lines: Vec<String> = rules.into_iter().map(|rule| self.remark(rule, false)).collect();
        if !lines.is_empty() {
            annotations.push(("egressc/rules", lines.join("\n")));
        }
        annotations
    }

    fn metadata(&self, name: &str, namespace: Option<&str>, annotations: &[(&str, String)]) -> Yaml {
        let mut fields = vec![("name".to_owned(), text(name))];
        fields.extend(namespace.map(|namespace| ("namespace".to_owned(), text(namespace))));
        fields.push(("labels".to_owned(), map([("app.kubernetes.io/managed-by", text("egressc"))])));
        let digest = Some(&self.options.source_digest).filter(|digest| !digest.is_empty());
        let digest = digest.map(|digest| ("egressc/source-digest".to_owned(), text(digest)));
        let own = annotations.iter().map(|(key, value)| ((*key).to_owned(), text(value)));
        let all: Vec<(String, Yaml)> = own.chain(digest).collect();
        if !all.is_empty() {
            fields.push(("annotations".to_owned(), Yaml::Map(all)));
        }
        Yaml::Map(fields)
    }

    /// The rules' entries in pieces that fit into an object each, with what people said about them; one piece at least.
    fn parts<'e>(&self, policy: &'e Policy<'_>) -> Vec<Vec<&'e Entry>> {
        let mut parts = vec![Vec::new()];
        let mut size = 0;
        for entry in &policy.entries {
            let said = entry.rule.map_or(0, |rule| self.remark(rule, true).len());
            let cost = said + policy.selectors.len() * (said + render::document(&[], &entry.value).len());
            if size > 0 && size + cost > MAX_OBJECT {
                parts.push(Vec::new());
                size = 0;
            }
            size += cost;
            if let Some(part) = parts.last_mut() {
                part.push(entry);
            }
        }
        parts
    }

    fn origin(&self, id: egress_ir::OriginId) -> &'p Origin {
        self.program.origins.entries.at(id)
    }
}

/// `shop.egress:12`.
fn place(program: &Program, origin: &Origin) -> String {
    format!("{}:{}", program.origins.sources.at(origin.source), origin.line)
}
