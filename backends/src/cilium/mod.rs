//! Cilium: policies of the `cilium.io/v2` API as a target.
//!
//! In: a [`egress_ir::Program`], or bytes of a multi-document YAML artifact. Out: that artifact, or the [`Model`]
//! of what the bytes make Cilium do. [`decode()`] is written from what Cilium does with such objects and shares
//! nothing with `emit` but the names of fields; it is what `emit` is checked against.
//!
//! Never here: files, clocks, the network, a cluster.

pub mod decode;
pub mod emit;
pub mod environment;
pub mod gateways;
pub mod judge;
pub mod labels;
pub mod lint;
pub mod model;
pub mod names;
pub mod plane;
mod program;
pub mod yaml;

pub use decode::{Admission, DecodeError, Problem, Stage, decode, decode_as};
pub use emit::{Options, VipService, emit};
pub use environment::{Environment, KnownInterface, KnownNode, KnownPod};
pub use gateways::{GatewayAction, GatewayLookup};
pub use judge::{CiliumFlow, Judgement, Verdict};
pub use lint::lint;
pub use model::Model;
