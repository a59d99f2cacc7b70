//! Targets: what each can say, emit, and decode from the bytes.

pub mod cilium;
pub mod ebpf;
mod gateways;
pub mod kube_vip;
pub mod lint;
mod names;
pub mod nftables;
pub mod target;

pub use target::{Artifact, EmitError, Level, Notice, Routing};
