//! Random programs: small, dense, and full of the borders at which translations go wrong.
//!
//! In: an [`Rng`] and a [`Shape`] that says what the target can express. Out: a [`Program`] as the compiler would lower
//! it, possibly with dead rules and gateway conflicts, which have a meaning all the same.

mod addresses;
mod blocks;
mod inventory;
pub(crate) mod pods;
mod ports;
mod shape;

pub use inventory::random_inventory;
pub use shape::{Presence, Shape};

use crate::seed::Rng;
use crate::vocabulary::NODE_ZONES;
use addresses::AddressPool;
use egress_ir::{
    AddressSet, Cluster, Gateway, GatewayAddress, NamespaceSelector, Operator, Origin, OriginId, PodSelector, Prefix,
    Program, Requirement, Selector, SourceId, WorkloadSet,
};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A random program of this shape.
///
/// ```
/// use egress_testkit::{programs::{Shape, random_program}, seed::Rng};
/// let shape = Shape { hosts: false, gateways: 0, ..Shape::everything() };
/// assert!(!random_program(&mut Rng::new(1, 0), &shape).blocks.is_empty());
/// ```
#[must_use]
pub fn random_program(rng: &mut Rng, shape: &Shape) -> Program {
    let mut program = Program::default();
    let source = program.origins.sources.push("random.egress".into());
    program.cluster = cluster(rng, shape, &mut program);
    let pool = AddressPool::new(rng, shape, &program.cluster);
    let mut builder = Builder { rng, shape, program, source, pool, line: 1 };
    builder.add_gateways();
    builder.add_blocks();
    builder.program
}

/// What is at hand while a program is made.
struct Builder<'r> {
    rng: &'r mut Rng,
    shape: &'r Shape,
    program: Program,
    source: SourceId,
    pool: AddressPool,
    line: u32,
}

impl Builder<'_> {
    /// An origin on a line of its own.
    fn origin(&mut self, name: &str) -> OriginId {
        self.line += 1;
        let start = self.line * 80;
        self.program.origins.entries.push(Origin::at(name, self.source, start, start + 60, self.line))
    }

    fn add_gateways(&mut self) {
        let count = self.rng.between(0, u64::from(self.shape.gateways));
        for number in 1..=count {
            let name = format!("gate-{number}");
            let origin = self.origin(&name);
            let nodes = self.rng.chance(70).then(|| one_of(NODE_ZONES.0, [*self.rng.pick(&NODE_ZONES.1.each_ref())]));
            let managed = self.rng.chance(30);
            let last = u8::try_from(number).unwrap_or(u8::MAX);
            let mut addresses = vec![GatewayAddress { address: Ipv4Addr::new(192, 0, 2, last).into(), managed }];
            if self.shape.v6 && (self.rng.chance(50) || self.shape.dual_gateways) {
                let address = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, u16::from(last)).into();
                addresses.push(GatewayAddress { address, managed });
            }
            self.program.gateways.push(Gateway { name, nodes, addresses, origin });
        }
    }
}

/// A selector with one `in`.
fn one_of<'v>(key: &str, values: impl IntoIterator<Item = &'v str>) -> Selector {
    let values: BTreeSet<String> = values.into_iter().map(str::to_owned).collect();
    Selector(vec![Requirement { key: key.into(), operator: Operator::In(values) }])
}

fn cluster(rng: &mut Rng, shape: &Shape, program: &mut Program) -> Cluster {
    let wanted = match shape.cluster {
        Presence::Always => true,
        Presence::Never => false,
        Presence::Sometimes => rng.chance(70),
    };
    if !wanted {
        return Cluster::default();
    }
    let v4 = |a, b, c, d, length| Prefix::containing(IpAddr::from([a, b, c, d]), length);
    let v6 = |second, length| Prefix::containing(Ipv6Addr::new(0xfd00, second, 0, 0, 0, 0, 0, 0).into(), length);
    let dual = shape.v6 && rng.chance(70);
    let range = |four: Prefix, six: Prefix| AddressSet::from_prefixes([four].into_iter().chain(dual.then_some(six)));
    let pods = match rng.below(3) {
        0 => range(v4(10, 42, 0, 0, 16), v6(0x42, 56)),
        1 => range(v4(10, 42, 0, 0, 23), v6(0x42, 112)),
        _ => range(v4(100, 64, 0, 0, 10), v6(0x42, 48)),
    };
    let services = range(v4(10, 43, 0, 0, 16), v6(0x43, 112));
    let nodes = range(v4(192, 168, 10, 0, 24), v6(0x10, 64));
    let mut cluster = Cluster::new(Some("random".into()), pods, services, nodes);
    cluster.dns = shape.hosts.then(|| program.intern_workloads(resolver()));
    cluster
}

/// The pods that resolve names, as most clusters label them.
fn resolver() -> WorkloadSet {
    let namespace = NamespaceSelector::Named("kube-system".into());
    WorkloadSet::Pods(PodSelector { labels: one_of("k8s-app", ["kube-dns"]), namespace, service_account: None })
}

#[cfg(test)]
mod tests;
