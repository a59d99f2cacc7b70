//! DNS names and the patterns of `toFQDNs` and `rules.dns`.
//!
//! In: the text of `matchName` or `matchPattern`. Out: whether a name matches. `*` stands for any run of characters of
//! one label, also for none; alone it is every name; a leading `**.` stands for one or more whole labels.

use std::fmt;

/// A pattern over names, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// The lone `*`.
    Every,
    /// Label by label from the left.
    Labels {
        /// Starts with `**.`: one or more labels stand before these.
        deeper: bool,
        /// The labels, in which `*` is any run of characters.
        labels: Vec<String>,
    },
}

/// Why a pattern is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadPattern;

impl NamePattern {
    /// A `matchName`: exactly this name, in any case, with or without the final dot.
    #[must_use]
    pub fn name(text: &str) -> Self {
        Self::Labels { deeper: false, labels: normal(text).split('.').map(str::to_owned).collect() }
    }

    /// A `matchPattern`.
    ///
    /// # Errors
    /// `**` anywhere but as the whole first label of several.
    pub fn pattern(text: &str) -> Result<Self, UnreadPattern> {
        let text = normal(text);
        if text == "*" {
            return Ok(Self::Every);
        }
        let (deeper, rest) = match text.strip_prefix("**.") {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        if rest.is_empty() || rest.contains("**") {
            return Err(UnreadPattern);
        }
        Ok(Self::Labels { deeper, labels: rest.split('.').map(str::to_owned).collect() })
    }

    /// Whether the pattern matches `name`, written in any case, with or without the final dot.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Self::Labels { deeper, labels } = self else { return true };
        let name = normal(name);
        let found: Vec<&str> = name.split('.').collect();
        let Some(before) = found.len().checked_sub(labels.len()) else { return false };
        let (front, tail) = found.split_at(before);
        let front_fits =
            if *deeper { !front.is_empty() && front.iter().all(|label| !label.is_empty()) } else { front.is_empty() };
        front_fits && labels.iter().zip(tail).all(|(pattern, label)| glob(pattern.as_bytes(), label.as_bytes()))
    }
}

impl fmt::Display for NamePattern {
    /// As `matchPattern` has it, in lower case and without the final dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("*"),
            Self::Labels { deeper, labels } => {
                f.write_str(if *deeper { "**." } else { "" })?;
                f.write_str(&labels.join("."))
            }
        }
    }
}

fn normal(name: &str) -> String {
    let name = name.trim().to_ascii_lowercase();
    name.strip_suffix('.').map_or(name.clone(), str::to_owned)
}

/// Whether `text` matches `pattern`, in which `*` is any run of characters. Takes time `pattern × text`.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // `reach[i]` says that the pattern so far matches the first `i` characters.
    let mut reach = vec![false; text.len() + 1];
    if let Some(first) = reach.first_mut() {
        *first = true;
    }
    for symbol in pattern {
        let before = reach.clone();
        let mut any_before = false;
        for (place, reached) in reach.iter_mut().enumerate() {
            let here = before.get(place).copied().unwrap_or(false);
            let previous = place.checked_sub(1);
            any_before |= here;
            *reached = if *symbol == b'*' {
                any_before
            } else {
                previous.is_some_and(|at| before.get(at) == Some(&true) && text.get(at) == Some(symbol))
            };
        }
    }
    reach.last() == Some(&true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_label() {
        let cases = [
            ("*.x.test", "a.x.test", true),
            ("*.x.test", "a.b.x.test", false),
            ("*.x.test", "x.test", false),
            ("**.x.test", "a.b.x.test", true),
            ("**.x.test", "x.test", false),
            ("*x.test", "x.test", true),
            ("*x.test", "myx.test", true),
            ("*x.test", "a.x.test", false),
            ("w*w.x.test", "www.x.test", true),
            ("w*w.x.test", "wx.x.test", false),
            ("a.*.test", "A.b.TEST.", true),
            ("*", "anything.at.all", true),
            ("x.test", "x.test.", true),
        ];
        for (pattern, name, expected) in cases {
            let compiled = NamePattern::pattern(pattern).expect("a readable pattern");
            assert_eq!(compiled.matches(name), expected, "{pattern} against {name}");
        }
        assert!(NamePattern::name("API.x.test.").matches("api.x.test"));
        for odd in ["**", "***.x", "a.**.x", "a**.x", "**."] {
            assert_eq!(NamePattern::pattern(odd), Err(UnreadPattern), "{odd}");
        }
    }
}
