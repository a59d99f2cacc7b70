//! The snapshot's format (`.egb`): one file that holds a policy as the kernel program reads it, and what people say of it.
//!
//! In: bytes, or the parts that the backend made. Out: bytes, or parts in which every index was checked against its
//! bounds. This crate knows no policy language and touches neither files nor the kernel.
//!
//! A snapshot is a header page, the [`tables`] (page-aligned, little-endian, byte for byte what the kernel maps), the
//! [`meta`] part (JSON) and a trailer (SHA-256, and a signature if it has one).

mod agree;
pub mod file;
pub mod gateway;
pub mod layout;
pub mod meta;
pub mod names;
pub mod show;
pub mod sign;
pub mod tables;

pub use agree::Disagreement;
pub use file::{ReadError, Snapshot};
pub use layout::{Entry, Kind, LINE, Layout};
pub use meta::Meta;
pub use sign::SigningKey;
pub use tables::{TableError, Tables};

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
