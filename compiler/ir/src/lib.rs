//! The meaning of egress policy: [`Program`], [`Flow`], [`Decision`] and [`eval()`].
//!
//! In: programs that the compiler lowered or that a backend decoded from an artifact. Out: decisions, and the
//! [`classes`] that all fast forms rest on. This crate depends on nothing, and never reads files, clocks or the network.

pub mod address;
pub mod arena;
pub mod claims;
pub mod classes;
pub mod eval;
pub mod flow;
pub mod host;
pub mod inventory;
pub mod origin;
pub mod plane;
pub mod port;
pub mod program;
pub mod range;
pub mod stop;
pub mod workload;

pub use address::{AddressSet, Family, Prefix};
pub use arena::{
    Arena, AssertionId, BlockId, ControlId, DestinationSetId, GatewayId, Id, OriginId, PortSetId, RuleId, SourceId,
    WorkloadSetId,
};
pub use claims::Claims;
pub use eval::{Decision, Speaking, Verdict, eval};
pub use flow::{Destination, Flow};
pub use host::{HostPattern, NotAPattern};
pub use inventory::{Inventory, Node, RunningPod, Service};
pub use origin::{Date, Origin, Origins};
pub use plane::{Exemption, Outcome, Piece, Plane, Sender, Unclear, Vocabulary};
pub use port::{Port, PortSet, protocol};
pub use program::{
    Action, Assertion, Block, BlockKind, Claim, Cluster, Control, DestinationSet, Gateway, GatewayAddress, Program,
    Rule,
};
pub use range::{Point, RangeSet};
pub use stop::{Cancelled, Stop};
pub use workload::{
    Labels, NAMESPACE_NAME_LABEL, NamespaceSelector, Operator, Pod, PodSelector, Requirement, Selector, Workload,
    WorkloadSet,
};
