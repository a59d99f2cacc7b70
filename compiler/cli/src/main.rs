//! The egressc command.
fn main() {}
