//! The verbs, run as a user runs them, against a BPF file system, a network and a cgroup that the test makes.
//!
//! They need root; without it they say by name that they were skipped, or fail where `EGRESS_REQUIRE_LAB` is 1.

#[cfg(test)]
mod connecting;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod life;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod support;
#[cfg(test)]
mod watching;
