//! The meaning of a policy: Program, Flow, Decision, sets and eval.
