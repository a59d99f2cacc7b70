//! What tests and benchmarks share: seeded policies and flows, network namespaces, probes.

pub mod flows;
pub mod kubernetes;
pub mod lab;
pub mod mutants;
pub mod packets;
pub mod policies;
pub mod programs;
pub mod seed;
mod vocabulary;
