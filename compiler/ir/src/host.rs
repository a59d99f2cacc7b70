//! Host patterns: which DNS names a destination was learned by.

use std::fmt;
use std::str::FromStr;

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

impl FromStr for HostPattern {
    type Err = NotAPattern;

    /// Reads a pattern as [`fmt::Display`] writes it, in its normal form.
    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        let pattern = match (text.strip_prefix("**."), text.strip_prefix("*.")) {
            (Some(suffix), _) => Self::AnyLabels(suffix.to_owned()),
            (None, Some(suffix)) => Self::OneLabel(suffix.to_owned()),
            (None, None) => Self::Exact(text.to_owned()),
        };
        let (Self::Exact(name) | Self::OneLabel(name) | Self::AnyLabels(name)) = &pattern;
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let is_label = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(fits);
        if name.len() <= LONGEST_NAME && name.split('.').all(is_label) { Ok(pattern) } else { Err(NotAPattern) }
    }
}

/// The most letters of a name in text form, RFC 1035, 2.3.4: 255 bytes on the wire.
const LONGEST_NAME: usize = 253;

/// A text that is no host pattern in its normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPattern;

impl fmt::Display for NotAPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a host pattern in lower case, such as `api.example.com`, `*.example.com` or `**.example.com`")
    }
}

impl std::error::Error for NotAPattern {}

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

    #[test]
    fn patterns_are_read_as_they_are_written() {
        for text in ["api.stripe.com", "*.stripe.com", "**.xn--bcher-kva.example", "_sip.example"] {
            assert_eq!(text.parse().map(|pattern: HostPattern| pattern.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "*", "a..b", "A.example", "***.example", "a.*.example", "a.example.", &"a".repeat(64)] {
            assert_eq!(text.parse::<HostPattern>(), Err(NotAPattern), "{text}");
        }
    }
}
