//! Attach points, with real packets.
