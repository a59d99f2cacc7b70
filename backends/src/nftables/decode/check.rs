//! What the kernel checks when the transaction is committed: names, types, overlaps, loops and depth.

use super::DecodeError;
use super::values::sort_disjoint;
use crate::nftables::model::{Field, Ruleset, Statement, Values, Verdict};
use std::collections::BTreeMap;

/// The kernel's `NFT_JUMP_STACK_SIZE`: how many chains a packet may be deep in.
const DEEPEST: usize = 16;

/// Sorts the elements of maps and sets in both tables, and refuses what the kernel would.
pub(super) fn finish(ruleset: &mut Ruleset) -> Result<(), DecodeError> {
    if let Some(gateways) = &mut ruleset.gateways {
        finish_table(gateways)?;
    }
    finish_table(ruleset)
}

fn finish_table(ruleset: &mut Ruleset) -> Result<(), DecodeError> {
    for (name, map) in &mut ruleset.maps {
        map.elements.sort_unstable_by_key(|element| element.start);
        let pairs = map.elements.iter().zip(map.elements.iter().skip(1));
        if pairs.into_iter().any(|(left, right)| right.start <= left.end) {
            return Err(DecodeError::new(0, name, "elements of the map overlap"));
        }
    }
    for (name, set) in &mut ruleset.sets {
        sort_disjoint(&mut set.elements).map_err(|reason| DecodeError::new(0, name, reason))?;
    }
    for (name, chain) in &ruleset.chains {
        for statement in chain.rules.iter().flat_map(|rule| &rule.statements) {
            check_names(ruleset, name, statement)?;
        }
    }
    Depths { ruleset, known: BTreeMap::new() }.check()
}

fn check_names(ruleset: &Ruleset, chain: &str, statement: &Statement) -> Result<(), DecodeError> {
    let wrong = |name: &str, reason: &str| Err(DecodeError::new(0, format!("{chain}: {name}"), reason));
    let typed = |name: &str, declared: Option<Field>, used: Field| match declared {
        None => wrong(name, "the chain names a map or set that is not there"),
        Some(declared) if same_type(declared, used) => Ok(()),
        Some(_) => wrong(name, "the chain looks a field up in a map or set of another type"),
    };
    match statement {
        Statement::VerdictMap { field, map, .. } => typed(map, ruleset.maps.get(map).map(|map| map.field), *field),
        Statement::Match(matching) => match &matching.values {
            Values::Set(name) => typed(name, ruleset.sets.get(name).map(|set| set.field), matching.field),
            Values::Ranges(_) | Values::Bits(_) | Values::Names(_) => Ok(()),
        },
        Statement::Named(set) if !ruleset.names.contains_key(set) => {
            wrong(set, "the chain names a set of names that is not there")
        }
        Statement::Counter(Some(name)) if !ruleset.counters.contains_key(name) => {
            wrong(name, "the chain names a counter that is not there")
        }
        Statement::Named(_)
        | Statement::Counter(_)
        | Statement::Limit
        | Statement::Log(_)
        | Statement::SetMark { .. } => Ok(()),
        Statement::SetPacketMark { .. } | Statement::SetLabel(_) | Statement::Snat { .. } => Ok(()),
        Statement::SetPriority(_) | Statement::Verdict(_) => Ok(()),
    }
}

/// nft compares types, not fields: a map of source addresses serves destinations of the same family
/// too, and ports are ports.
fn same_type(declared: Field, used: Field) -> bool {
    let shared = |field| match field {
        Field::SourceV4 | Field::DestinationV4 | Field::NextHopV4 => Some(4),
        Field::SourceV6 | Field::DestinationV6 | Field::NextHopV6 => Some(6),
        Field::SourceType | Field::DestinationType => Some(11),
        Field::Mark(_) | Field::PacketMark(_) => Some(32),
        Field::Port(_) => Some(16),
        _ => None,
    };
    declared == used || (shared(declared).is_some() && shared(declared) == shared(used))
}

/// How deep a packet gets from each chain.
struct Depths<'r> {
    ruleset: &'r Ruleset,
    /// `None` while the chain is being looked at.
    known: BTreeMap<&'r str, Option<usize>>,
}

impl<'r> Depths<'r> {
    fn check(mut self) -> Result<(), DecodeError> {
        for name in self.ruleset.chains.keys() {
            self.depth(name, 0)?;
        }
        Ok(())
    }

    /// The longest way down from a chain. `above` bounds our own stack.
    fn depth(&mut self, name: &'r str, above: usize) -> Result<usize, DecodeError> {
        match self.known.get(name) {
            Some(Some(depth)) => return Ok(*depth),
            Some(None) => return Err(DecodeError::new(0, name, "the chain leads back to itself")),
            None => {}
        }
        if above > DEEPEST {
            return Err(DecodeError::new(0, name, "the chain is nested too deep"));
        }
        self.known.insert(name, None);
        let mut deepest = 0;
        for target in targets(self.ruleset, name)? {
            deepest = deepest.max(1 + self.depth(target, above + 1)?);
        }
        if deepest >= DEEPEST {
            return Err(DecodeError::new(0, name, "the chain is nested too deep"));
        }
        self.known.insert(name, Some(deepest));
        Ok(deepest)
    }
}

/// The chains that a chain leads to.
fn targets<'r>(ruleset: &'r Ruleset, name: &str) -> Result<Vec<&'r str>, DecodeError> {
    let chain = ruleset.chains.get_key_value(name);
    let rules = chain.map_or(&[][..], |(_, chain)| &chain.rules);
    let mut targets = Vec::new();
    for statement in rules.iter().flat_map(|rule| &rule.statements) {
        match statement {
            Statement::Verdict(verdict) => targets.extend(target(verdict)),
            Statement::VerdictMap { map, .. } => {
                let elements = ruleset.maps.get(map).map_or(&[][..], |map| &map.elements);
                targets.extend(elements.iter().filter_map(|element| target(&element.verdict)));
            }
            _ => {}
        }
    }
    targets.sort_unstable();
    targets.dedup();
    for target in &targets {
        let there = ruleset.chains.get(*target);
        if there.is_none_or(|chain| chain.base.is_some()) {
            return Err(DecodeError::new(
                0,
                *target,
                "a verdict leads to a chain that is not there or is a base chain",
            ));
        }
    }
    Ok(targets)
}

fn target(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Jump(name) | Verdict::Goto(name) => Some(name),
        Verdict::Accept | Verdict::Drop | Verdict::Return | Verdict::Continue => None,
    }
}
