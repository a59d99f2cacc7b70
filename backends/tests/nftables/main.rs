//! The nftables target: against the meaning, against the kernel, and against itself.

#[cfg(test)]
mod common;
#[cfg(test)]
mod decoder;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod kernel;
#[cfg(test)]
mod names;
#[cfg(test)]
mod overtaken;
#[cfg(test)]
mod snapshots;
