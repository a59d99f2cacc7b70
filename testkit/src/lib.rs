//! What tests and benchmarks share: seeded policies and flows, network namespaces, probes.
