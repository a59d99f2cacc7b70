//! The language server: the checker and the prover at the cursor.
//!
//! In: a client's messages (Language Server Protocol 3.17), and the [`World`] of files. Out: diagnostics as people type, and
//! answers to what editors ask. Knows no target and touches no file itself: the command gives it both.
//!
//! `text` knows positions, `unit` what a unit says and means, `view` is what `features` look through, `server` is the
//! session. Protocol types appear in this package only.

pub mod features;
mod server;
pub mod syntax;
pub mod text;
pub mod unit;
pub mod uri;
pub mod view;
pub mod world;

pub use server::{Ending, Threads, connect, serve};
pub use world::{Compile, Preview, World};
