//! The node agent's library: what touches the kernel, behind small seams, and what a node learns of names.
//!
//! In: the tables of a snapshot, and where to attach; a policy's names and DNS messages. Out: enforcement that outlives the
//! agent, and what the kernel knows about it. Never: reading policy, deciding a flow by itself.

pub mod kernel;
pub mod learning;
pub mod packet;
