//! Host patterns: which DNS names a destination was learned by.

use std::fmt;

/// A pattern over DNS names in their normal form (lower case, IDNA A-labels, no final dot).
///
/// `*` stands for exactly one label and `**` for one or more; neither matches the bare suffix.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Exactly this name.
    Exact(String),
    /// One label before this suffix: `*.SUFFIX`.
    OneLabel(String),
    /// One or more labels before this suffix: `**.SUFFIX`.
    AnyLabels(String),
}

impl HostPattern {
    /// Whether the pattern matches `name`, given in its normal form.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == exact,
            Self::OneLabel(suffix) => labels_before(name, suffix).is_some_and(|labels| !labels.contains('.')),
            Self::AnyLabels(suffix) => labels_before(name, suffix).is_some(),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::OneLabel(suffix) => write!(f, "*.{suffix}"),
            Self::AnyLabels(suffix) => write!(f, "**.{suffix}"),
        }
    }
}

/// The non-empty labels of `name` before `.suffix`.
fn labels_before<'n>(name: &'n str, suffix: &str) -> Option<&'n str> {
    let labels = name.strip_suffix(suffix)?.strip_suffix('.')?;
    (!labels.is_empty()).then_some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_count_labels_and_leave_the_apex_alone() {
        let one = HostPattern::OneLabel("stripe.com".into());
        let many = HostPattern::AnyLabels("stripe.com".into());
        let seen = ["api.stripe.com", "a.b.stripe.com", "stripe.com", "xstripe.com", ".stripe.com"];
        assert_eq!(seen.map(|n| one.matches(n)), [true, false, false, false, false]);
        assert_eq!(seen.map(|n| many.matches(n)), [true, true, false, false, false]);
    }
}
