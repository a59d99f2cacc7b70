//! Names of objects, and the forms that names, label values and DNS names must have.

use std::collections::BTreeSet;

/// Hands out names of Kubernetes objects: valid, unique, and stable as long as the policy's own names are.
#[derive(Default)]
pub(super) struct Names {
    taken: BTreeSet<String>,
}

/// What every name of ours starts with.
const PREFIX: &str = "egressc-";
/// Longest name before a digest is added. Kubernetes allows 253.
const LONGEST: usize = 200;

impl Names {
    /// A name for what people call `wanted`; `content` tells apart what they call the same.
    pub(super) fn take(&mut self, wanted: &str, content: &str) -> String {
        let plain = |symbol: char| if symbol.is_ascii_lowercase() || symbol.is_ascii_digit() { symbol } else { '-' };
        let shaped: String = wanted.chars().map(plain).take(LONGEST).collect();
        let mut name = format!("{PREFIX}{}", shaped.trim_matches('-'));
        if name != format!("{PREFIX}{wanted}") || self.taken.contains(&name) {
            name = format!("{}-{}", name.trim_end_matches('-'), digest(&format!("{wanted}\n{content}")));
        }
        let mut number = 2;
        let base = name.clone();
        while !self.taken.insert(name.clone()) {
            name = format!("{base}-{number}");
            number += 1;
        }
        name
    }
}

/// Ten hexadecimal digits that depend on every byte (FNV-1a of 64 bits, cut).
///
/// Only tells names apart; nothing relies on it being hard to forge.
pub(super) fn digest(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{:010x}", hash >> 24)
}

/// A DNS-1123 subdomain.
pub(super) fn is_subdomain(text: &str) -> bool {
    let label = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// A label value: empty, or at most 63 letters, digits, `-`, `_` and `.` with a letter or digit at both ends.
pub(super) fn is_label_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let edge = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63 && text.bytes().all(inner) && edge(text.bytes().next()) && edge(text.bytes().next_back())
}

/// What the schema takes as a name in `toFQDNs`: at most 255 characters with no empty label.
pub(super) fn is_domain(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.len() <= 250 && text.split('.').all(|label| !label.is_empty() && label.bytes().all(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_unique_and_stable() {
        let mut names = Names::default();
        let long = "a".repeat(500);
        let taken: Vec<String> =
            ["shop", "shop", "Shop_x", "x-", &long].iter().map(|wanted| names.take(wanted, "content")).collect();
        assert_eq!(taken.first().map(String::as_str), Some("egressc-shop"));
        assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), taken.len());
        assert!(taken.iter().all(|name| is_subdomain(name)), "{taken:?}");
        assert_eq!(Names::default().take("Shop_x", "content"), taken[2]);
    }
}
