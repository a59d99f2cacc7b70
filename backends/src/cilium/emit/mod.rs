//! From a [`Program`] to Cilium's objects.
//!
//! In: a program, an inventory if there is one, and [`Options`]. Out: one file of `CiliumClusterwideNetworkPolicy` (or
//! `CiliumNetworkPolicy`), `CiliumCIDRGroup` and `CiliumEgressGatewayPolicy` objects that make every pod's egress exactly what [`egress_ir::eval`] says, or one [`EmitError`] for each
//! thing that Cilium cannot say. Nothing is ever emitted in a weaker form.
//!
//! Each policy or guardrail becomes one object (or more, when it is large) with a specification for each selector that its
//! workloads need. A policy turns default deny on and lets what is inside the cluster pass; a guardrail only forbids.

mod addresses;
mod block;
mod capacity;
mod cover;
mod dns;
mod names;
mod objects;
mod ports;
pub(crate) mod render;
mod routes;
mod selectors;

use std::collections::BTreeMap;
use std::net::IpAddr;

use egress_ir::{Action, Block, BlockId, Inventory, OriginId, Program, RuleId, WorkloadSet};

use super::super::target::{Artifact, EmitError, Level, Notice, Routing};
pub use capacity::TABLE_SIZE;

/// What the user chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Blocks whose workloads stay in one namespace become objects of that namespace.
    pub namespaced: bool,
    /// The digest of the source, such as `sha256:…`, which every object carries. Empty: none.
    pub source_digest: String,
    /// Who sends flows through gateways.
    pub routing: Routing,
    /// The managed addresses of gateways that kube-vip brings up, each with the Service that has it as its address. A managed
    /// address that is not here is refused: nobody would bring it up.
    pub managed_by_kube_vip: BTreeMap<IpAddr, VipService>,
}

/// A Service with one address that kube-vip brings up on one node at a time. With `enable_node_labeling` it gives that node
/// the label `service-provided.kube-vip.io/NAME.NAMESPACE`, whose value is the address; of a Service with several addresses
/// the value would be no label value, so that each needs a Service of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VipService {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Writes a program as Cilium's objects.
///
/// # Errors
/// Everything in the program that Cilium cannot express, sorted by where it was written.
///
/// ```
/// use egress_backends::cilium::{Options, decode, emit};
/// use egress_ir::Program;
/// let artifact = emit(&Program::default(), None, &Options::default()).expect("an empty program asks for nothing");
/// assert!(decode(&artifact.bytes).expect("our own output").policies.is_empty());
/// ```
pub fn emit(program: &Program, inventory: Option<&Inventory>, options: &Options) -> Result<Artifact, Vec<EmitError>> {
    let mut emitter = Emitter { program, options, errors: Vec::new(), notices: Vec::new() };
    let mut blocks: Vec<(BlockId, &Block)> = program.blocks.iter().collect();
    blocks.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
    emitter.cluster(&blocks);
    let dns = dns::resolver(&mut emitter);
    let mut writer = objects::Writer::new(program, options);
    for (id, block) in blocks {
        if block.audit {
            emitter.audit(block);
        } else {
            block::write(&mut emitter, id, block, dns.as_ref(), &mut writer);
        }
    }
    if options.routing == Routing::Own {
        routes::write(&mut emitter, inventory, &mut writer);
    }
    let Emitter { mut errors, mut notices, .. } = emitter;
    if !errors.is_empty() {
        errors.sort();
        errors.dedup();
        return Err(errors);
    }
    let (bytes, capacity) = writer.finish();
    notices.extend(capacity);
    notices.sort();
    notices.dedup();
    Ok(Artifact { file_name: "egress.cilium.yaml", size: None, bytes, notices })
}

/// What is at hand while a program is written.
struct Emitter<'p> {
    program: &'p Program,
    options: &'p Options,
    errors: Vec<EmitError>,
    notices: Vec<Notice>,
}

impl<'p> Emitter<'p> {
    fn error(&mut self, code: &'static str, origin: OriginId, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(EmitError { code, origin: Some(origin), message: message.into(), help: help.into() });
    }

    fn notice(
        &mut self,
        level: Level,
        code: &'static str,
        origin: Option<OriginId>,
        message: impl Into<String>,
        help: &str,
    ) {
        let help = (!help.is_empty()).then(|| help.to_owned());
        self.notices.push(Notice { level, code, origin, message: message.into(), help });
    }

    /// Without the cluster's ranges nothing is inside, and Cilium's rules on addresses never match pods and nodes.
    fn cluster(&mut self, blocks: &[(BlockId, &Block)]) {
        if cover::has_mapped(&self.program.cluster.inside.prefixes()) {
            self.mapped(None);
        }
        if self.program.cluster.inside.is_empty() && blocks.iter().any(|(_, block)| !block.audit) {
            self.errors.push(EmitError {
                code: "egress::target::cluster",
                origin: None,
                message:
                    "Cilium needs to know what is inside the cluster: its rules on addresses never match pods or nodes"
                        .to_owned(),
                help: "declare `cluster NAME { pods … services … nodes … }` with the cluster's own ranges".to_owned(),
            });
        }
    }

    /// IPv4-mapped prefixes are read in different ways along the way.
    fn mapped(&mut self, origin: Option<OriginId>) {
        self.errors.push(EmitError {
            code: "egress::target::address",
            origin,
            message: "prefixes within the IPv4-mapped addresses `::ffff:0:0/96` cannot be told apart from IPv4 ones"
                .to_owned(),
            help: "name the IPv4 prefixes instead".to_owned(),
        });
    }

    fn audit(&mut self, block: &Block) {
        let message = format!(
            "`{}` is in audit mode and left out: Cilium cannot log what one policy would have decided",
            block.name
        );
        let help = "compile this policy for nftables, which logs what it would have decided";
        self.notice(Level::Warning, "egress::target::audit", Some(block.origin), message, help);
    }

    /// The selectors of a set, if it can be said.
    fn conjuncts(&mut self, set: &WorkloadSet, origin: OriginId, what: &str) -> Vec<selectors::Conjunct> {
        if !selectors::named_addresses(set).is_empty() {
            let message = format!("{what} holds workloads by address, and Cilium enforces on pods alone");
            let help = "put the addresses into a policy of their own and compile that for the gateway they go through";
            self.error("egress::target::workload-address", origin, message, help);
        }
        match selectors::conjuncts(set) {
            Ok(conjuncts) => conjuncts,
            Err(selectors::TooMany) => {
                let message = format!("{what} needs more than 256 selectors");
                self.error(
                    "egress::target::workload-set",
                    origin,
                    message,
                    "name the workloads with fewer exceptions, or by a label of their own",
                );
                Vec::new()
            }
        }
    }

    /// `rule` of this action, with its id.
    fn rules<'b>(&self, block: &'b Block, action: Action) -> impl Iterator<Item = RuleId> + use<'b, 'p> {
        let rules = &self.program.rules;
        block.rules.iter().copied().filter(move |rule| rules.at(*rule).action == action)
    }
}
