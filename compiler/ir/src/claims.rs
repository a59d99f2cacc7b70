//! Claims: what a checker says of the rules of a program, so that it can be proved.
//!
//! In: findings. Out: the same without words. A claim is also made by leaving a rule out: that it is *not* dead, not
//! redundant and so on.

use crate::address::AddressSet;
use crate::arena::RuleId;
use std::collections::BTreeSet;

/// What is said of some rules of a program; nothing is said of others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Said of the program as it would be if its audit-mode blocks were enforced.
    pub audit_enforced: bool,
    /// The rules that are spoken about.
    pub about: BTreeSet<RuleId>,
    /// No flow is decided by the rule.
    pub dead: BTreeSet<RuleId>,
    /// The rule decides flows, and without it no flow is decided or logged differently; a guardrail's deny is needed
    /// wherever no other deny matches.
    pub redundant: BTreeSet<RuleId>,
    /// An allow that decides flows, and is cut by a deny of another block; a deny by address does not cut an allow by
    /// name.
    pub overridden: BTreeSet<RuleId>,
    /// Pairs of allows, the lower first, that send one flow through different gateways.
    pub conflicts: BTreeSet<(RuleId, RuleId)>,
    /// An allow by name lets the name resolve to one of the `special` addresses.
    pub rebinding: BTreeSet<RuleId>,
    /// Addresses to which no name of the outside should resolve.
    pub special: AddressSet,
}
