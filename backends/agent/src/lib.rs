//! The node agent's library: everything that touches the kernel, behind one small seam.
//!
//! In: the tables of a snapshot, and where to attach. Out: enforcement that outlives the agent, and what the kernel knows
//! about it. Never: reading policy, deciding a flow by itself.

pub mod kernel;
pub mod packet;
