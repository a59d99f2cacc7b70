//! Lowering: from trees, names and lists to the program.
//!
//! In: a unit with its names and lists resolved as far as they could be. Out: a program, whether it is the whole unit's
//! meaning, and the errors that only show here. Whatever was reported earlier is left out silently; then the program
//! is not the whole meaning, and the caller must not use it. Never decides whether a rule makes sense.

mod block;
mod error;
mod inside;
mod intern;
mod origin;
mod sets;
mod workload;

pub use error::LowerError;
pub(crate) use sets::private;
pub use workload::{pods, requirement, selector};

use crate::Kind;
use crate::list::Lists;
use crate::names::Names;
use crate::source::Source;
use crate::unit::Unit;
use block::Lowering;
use egress_ir::{AddressSet, Arena, Cluster, Gateway, GatewayAddress, Prefix, Program, SourceId};
use egress_lang::ast::{self, Item};
use egress_lang::span::Value;
use egress_lang::value;
use origin::Origins;
pub(crate) use origin::date;
use sets::Sets;

/// A program in so far as it could be made.
pub(crate) struct Lowered {
    pub(crate) program: Program,
    /// Whether nothing had to be left out.
    pub(crate) whole: bool,
    pub(crate) errors: Vec<LowerError>,
}

/// Lowers a unit.
pub(crate) fn lower(unit: Unit<'_>, sources: &Arena<SourceId, Source>, names: &Names<'_>, lists: &Lists) -> Lowered {
    let written = unit.items().find_map(|(source, item)| match item {
        Item::Cluster(cluster) => Some((source, cluster)),
        _ => None,
    });
    let cluster = written.map(|(_, cluster)| ranges(cluster)).unwrap_or_default();
    let mut lowering = Lowering {
        sets: Sets::new(names, lists, &cluster),
        origins: Origins::new(sources),
        program: Program { cluster, ..Program::default() },
        gateways: Default::default(),
        whole: true,
        asserted: 0,
    };
    lowering.cluster_dns(written.map(|(_, cluster)| cluster));
    lowering.declared(names);
    for (source, item) in unit.items() {
        if let Item::Gateway(gateway) = item {
            lowering.gateway(source, gateway);
        }
    }
    for (source, item) in unit.items() {
        lowering.item(source, item);
    }
    let inside = inside::check(unit, &lowering.program.cluster, &lowering.sets);
    let overlaps = written.and_then(|(source, cluster)| inside::overlap(source, cluster));
    let mut lowered = lowering.finish();
    lowered.errors.extend(inside);
    lowered.errors.extend(overlaps);
    lowered
}

/// The cluster's ranges, without its resolver.
fn ranges(cluster: &ast::Cluster) -> Cluster {
    let set = |prefixes: &[Value<value::Prefix>]| {
        AddressSet::from_prefixes(prefixes.iter().filter_map(|written| written.node).map(prefix))
    };
    let name = Some(cluster.name.text.clone());
    Cluster::new(name, set(&cluster.pods), set(&cluster.services), set(&cluster.nodes))
}

fn prefix(prefix: value::Prefix) -> Prefix {
    Prefix::containing(prefix.addr, prefix.len)
}

impl Lowering<'_> {
    fn cluster_dns(&mut self, cluster: Option<&ast::Cluster>) {
        if let Some(dns) = cluster.and_then(|cluster| cluster.dns.as_ref()) {
            let set = self.sets.workload_set(dns);
            self.whole &= set.is_some();
            self.program.cluster.dns = set;
        }
    }

    /// The named sets, with an origin each.
    fn declared(&mut self, names: &Names<'_>) {
        for (id, declared) in names.declared.iter().enumerate() {
            let known = match declared.kind {
                Kind::Workloads => {
                    let set = self.sets.declared_workloads(id);
                    let named = set.map(|set| (declared.name.to_owned(), set));
                    self.program.workload_names.extend(named);
                    set.is_some()
                }
                Kind::Destinations => {
                    let set = self.sets.declared_destinations(id);
                    let named = set.map(|set| (declared.name.to_owned(), set));
                    self.program.destination_names.extend(named);
                    set.is_some()
                }
                Kind::Ports => self.sets.declares_ports(id),
                Kind::Cluster | Kind::Gateway | Kind::Block | Kind::Control => continue,
            };
            self.whole &= known;
            self.origins.plain(declared.name, declared.place.source, declared.span);
        }
    }

    fn gateway(&mut self, source: SourceId, written: &ast::Gateway) {
        let nodes = written.selector.as_ref().map(workload::selector);
        let addresses: Option<Vec<GatewayAddress>> = written
            .addresses
            .iter()
            .map(|it| it.ip.node.map(|address| GatewayAddress { address, managed: it.managed.is_some() }))
            .collect();
        let (Some(addresses), false) = (addresses, matches!(nodes, Some(None)) || written.name.is_missing()) else {
            self.whole = false;
            return;
        };
        let origin = self.origins.plain(&written.name.text, source, written.span);
        let gateway = Gateway { name: written.name.text.clone(), nodes: nodes.flatten(), addresses, origin };
        let id = self.program.gateways.push(gateway);
        self.gateways.entry(written.name.text.clone()).or_insert(id);
    }
}
