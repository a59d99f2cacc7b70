//! The eBPF target: against the meaning, and against itself. The kernel is asked by the agent's tests.

#[cfg(test)]
mod common;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod planes;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod sizes;
#[cfg(test)]
mod trees;
