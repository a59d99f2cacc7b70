//! kube-vip: Services of type LoadBalancer whose annotations make it rewrite the source address of one pod.
//!
//! In: a [`egress_ir::Program`] with its inventory, or bytes of a multi-document YAML artifact. Out: that artifact, the
//! [`Model`] of what the bytes say, the [`rules()`] that kube-vip installs for it, what that does to flows that a
//! filtering artifact lets pass ([`plane_over`]), and the mistakes in manifests that people wrote ([`lint()`]).
//!
//! kube-vip is no firewall: what its lists leave out is not stopped but leaves with the node's address. So this target
//! only routes, and something else must filter. What is modelled is its nftables mode as of version 1.2.3 and the
//! commits up to August 2026. [`decode()`] and [`rules()`] are written from what kube-vip does and share nothing with
//! `emit` but the names of annotations.
//!
//! Never here: files, clocks, the network, a cluster.

pub mod annotations;
pub mod decode;
pub mod emit;
pub mod lint;
pub mod lists;
pub mod model;
pub mod plane;
pub mod rules;
pub mod settings;

pub use decode::{DecodeError, Problem, decode};
pub use emit::{Options, emit, managed, node_label, service_name};
pub use lint::lint;
pub use model::{Model, Service};
pub use plane::{RoutedPlane, plane_over};
pub use rules::{Installed, Rules, rules};
pub use settings::Settings;
