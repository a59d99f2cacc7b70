//! Interfaces, as far as a ruleset tells them apart.
//!
//! In: a ruleset, a hook, and the interfaces that shall be governed. Out: one [`Interface`] for each kind of name that
//! its tests treat alike. A test then holds for all names of a kind or for none.

use super::super::model::{Field, Hook, Ruleset, Statement, Values};
use std::collections::BTreeSet;

/// The loopback interface: what it carries is no egress.
const LOOPBACK: &str = "lo";

/// A kind of interface by which packets come in, at prerouting, or leave, at output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    /// A name, or the beginning of names and a `*`; nothing for names that no test mentions.
    pattern: Option<String>,
    /// A name of the kind, for the judge.
    pub(super) example: String,
}

impl Interface {
    /// The kinds at a hook. Those chosen are taken; else those that the ruleset's tests mention, and any other
    /// interface where none is mentioned. At output that other interface always is one.
    pub(super) fn kinds(ruleset: &Ruleset, hook: Hook, chosen: &[String]) -> Vec<Self> {
        let field = match hook {
            Hook::Prerouting => Field::Input,
            Hook::Output | Hook::Postrouting => Field::Output,
        };
        let mentioned = mentioned(ruleset, field);
        let is_chosen = hook == Hook::Prerouting && !chosen.is_empty();
        let mut patterns: BTreeSet<&str> = if is_chosen {
            chosen.iter().map(String::as_str).collect()
        } else {
            mentioned.iter().copied().filter(|name| *name != LOOPBACK).collect()
        };
        let narrower = mentioned.iter().filter(|name| patterns.iter().any(|pattern| covers(pattern, name)));
        let narrower: Vec<&str> = narrower.copied().collect();
        patterns.extend(narrower);
        let mut kinds: Vec<Option<&str>> = patterns.into_iter().map(Some).collect();
        if kinds.is_empty() || hook == Hook::Output {
            kinds.push(None);
        }
        kinds.into_iter().map(|pattern| Self::like(pattern, &mentioned)).collect()
    }

    fn like(pattern: Option<&str>, mentioned: &BTreeSet<&str>) -> Self {
        let stem = pattern.map_or("eth", |pattern| pattern.trim_end_matches('*'));
        let is_one = pattern.is_some_and(|pattern| !pattern.ends_with('*'));
        let narrower = |name: &String| {
            let among = |other: &&str| pattern.is_none_or(|pattern| covers(pattern, other) && *other != pattern);
            mentioned.iter().copied().filter(among).any(|other| covers(other, name))
        };
        // More names than there are tests, so that one is left over.
        let names = (0..=mentioned.len()).map(|number| format!("{stem}{number}"));
        let example = if is_one { Some(stem.to_owned()) } else { names.clone().find(|name| !narrower(name)) };
        Self { pattern: pattern.map(str::to_owned), example: example.unwrap_or_else(|| "other".to_owned()) }
    }

    /// Whether a test for these names holds.
    pub(super) fn is_among(&self, names: &BTreeSet<String>) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| names.iter().any(|name| covers(name, pattern)))
    }
}

impl Interface {
    /// Whether some interface of these is of this kind, and the kind does not say it of all: any other interface than those
    /// that are mentioned may have any name.
    pub(super) fn may_be_among(&self, names: &BTreeSet<String>) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        !self.is_among(names) && names.iter().any(|name| covers(pattern, name))
    }
}

/// The names that tests of a field mention.
fn mentioned(ruleset: &Ruleset, field: Field) -> BTreeSet<&str> {
    let statements = ruleset.chains.values().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.statements);
    let names = statements.filter_map(|statement| match statement {
        Statement::Match(found) if found.field == field => match &found.values {
            Values::Names(names) => Some(names),
            Values::Ranges(_) | Values::Bits(_) | Values::Set(_) => None,
        },
        _ => None,
    });
    names.flatten().map(String::as_str).collect()
}

/// Whether every name of `narrow` is one of `wide`.
fn covers(wide: &str, narrow: &str) -> bool {
    match wide.strip_suffix('*') {
        Some(start) => narrow.trim_end_matches('*').starts_with(start),
        None => wide == narrow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nftables::decode;

    fn kinds(rules: &str, hook: Hook, chosen: &[&str]) -> Vec<(Option<String>, String)> {
        let text = format!("table inet egressc {{\nchain c {{\n{rules}\n}}\n}}\n");
        let chosen: Vec<String> = chosen.iter().map(|name| (*name).to_owned()).collect();
        let kinds = Interface::kinds(&decode(text.as_bytes()).unwrap(), hook, &chosen);
        kinds.into_iter().map(|kind| (kind.pattern, kind.example)).collect()
    }

    #[test]
    fn interfaces_are_told_apart_as_the_rules_do() {
        let some = |pattern: &str, example: &str| (Some(pattern.to_owned()), example.to_owned());
        let other = |example: &str| (None, example.to_owned());
        assert_eq!(kinds("drop", Hook::Prerouting, &[]), [other("eth0")]);
        assert_eq!(kinds("iifname lo accept", Hook::Prerouting, &[]), [other("eth0")]);
        assert_eq!(
            kinds("iifname { \"veth*\", veth0, cni0 } accept", Hook::Prerouting, &[]),
            [some("cni0", "cni0"), some("veth*", "veth1"), some("veth0", "veth0")]
        );
        assert_eq!(kinds("iifname eth0 accept", Hook::Prerouting, &["cali*"]), [some("cali*", "cali0")]);
        assert_eq!(kinds("oifname lo accept", Hook::Output, &["cali*"]), [other("eth0")]);
        assert_eq!(kinds("oifname eth0 accept", Hook::Output, &[]), [some("eth0", "eth0"), other("eth1")]);
    }
}
