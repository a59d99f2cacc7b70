//! Coverage: what policies decide for whom, as lines and as objects.
//!
//! In: percentages. Out: lines for people. IPv6 is counted in networks of 64 bits.

use crate::blocks::shortened;

/// What is decided for workloads about whom the same blocks speak.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Covered {
    /// The workloads in words.
    pub from: String,
    /// Those of them that run.
    pub pods: Vec<String>,
    /// The policies and guardrails that speak about them.
    pub blocks: Vec<String>,
    /// Whether one of these is a policy.
    pub governed: bool,
    /// Of IPv4.
    pub ipv4: Parts,
    /// Of IPv6.
    pub ipv6: Parts,
    /// What each rule decides, the most first.
    pub rules: Vec<RuleShare>,
    /// The rules that match by name; how many addresses that is, nobody knows.
    pub by_name: Vec<String>,
}

/// Parts of the outside, addresses and ports, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Parts {
    /// Allowed by rules.
    pub allowed: f64,
    /// Denied by rules.
    pub denied: f64,
    /// Denied because nothing allows it.
    pub default: f64,
    /// Stopped because rules name different gateways.
    pub conflicting: f64,
    /// Passing because nothing governs.
    pub ungoverned: f64,
}

/// What one rule decides, in percent of the outside.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct RuleShare {
    /// The rule.
    pub rule: String,
    /// Of IPv4.
    pub ipv4: f64,
    /// Of IPv6.
    pub ipv6: f64,
}

/// The lines, with an empty one around them; none where there is nothing.
#[must_use]
pub fn lines(covered: &[Covered]) -> String {
    let mut text = String::new();
    if !covered.is_empty() {
        text.push_str("\ncoverage of the outside, addresses and ports, by address:\n");
    }
    text.extend(covered.iter().map(told));
    if !covered.is_empty() {
        text.push('\n');
    }
    text
}

fn told(covered: &Covered) -> String {
    let pods = if covered.pods.is_empty() { String::new() } else { format!(" ({} running)", covered.pods.len()) };
    let ungoverned = if covered.governed { "" } else { ", governed by no policy" };
    let mut text = format!("  {}{pods}{ungoverned}\n", covered.from);
    for (family, parts) in [("IPv4", &covered.ipv4), ("IPv6", &covered.ipv6)] {
        text.extend(parts.words().map(|words| format!("    {family}  {words}\n")));
    }
    let share = |share: &RuleShare| {
        let most = share.ipv4.max(share.ipv6);
        format!("{} {}", share.rule, percent(most))
    };
    let rules: Vec<String> = covered.rules.iter().map(share).collect();
    if !rules.is_empty() {
        text.push_str(&format!("    rules {}\n", shortened(&rules)));
    }
    if !covered.by_name.is_empty() {
        text.push_str(&format!("    by name {}\n", shortened(&covered.by_name)));
    }
    text
}

impl Parts {
    /// `allowed 0.02 %, denied 1.3 %, denied by default 98.7 %`; nothing of a family in which they cannot send.
    fn words(&self) -> Option<String> {
        let parts = [
            ("allowed", self.allowed),
            ("denied", self.denied),
            ("denied by default", self.default),
            ("in conflict", self.conflicting),
            ("ungoverned", self.ungoverned),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, part)| *part > 0.0)
            .map(|(what, part)| format!("{what} {}", percent(part)))
            .collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// Two digits that mean something.
fn percent(part: f64) -> String {
    match part {
        part if part >= 99.995 => "100 %".to_owned(),
        part if part >= 1.0 => format!("{part:.2} %"),
        part if part >= 0.0001 => format!("{part:.4} %"),
        _ => "< 0.0001 %".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_where_there_are_some() {
        let parts = Parts { allowed: 0.00001, denied: 1.5, default: 98.49999, ..Parts::default() };
        assert_eq!(parts.words().unwrap(), "allowed < 0.0001 %, denied 1.50 %, denied by default 98.50 %");
        assert_eq!(Parts::default().words(), None);
        assert_eq!(percent(100.0), "100 %");
    }
}
