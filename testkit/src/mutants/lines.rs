//! Texts with one line changed.
//!
//! In: lines. Out: texts without some of them, or with a token that is off by one. Knows how addresses, prefixes, ranges
//! and numbers are written, and nothing of any format.

use super::{Mutant, spread};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// How much of a line is shown, and how many words of one are changed: some lines hold thousands of addresses.
const SHOWN: usize = 200;
const WORDS: usize = 12;

/// Gathers the mutants of one text.
pub(super) struct Lines<'t> {
    pub(super) lines: Vec<&'t str>,
    pub(super) found: Vec<Mutant<String>>,
}

impl<'t> Lines<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self { lines: text.lines().collect(), found: Vec::new() }
    }

    /// The line at a place, empty behind the last.
    pub(super) fn at(&self, place: usize) -> &'t str {
        self.lines.get(place).copied().unwrap_or("")
    }

    /// Notes the text with these lines in the place of others.
    pub(super) fn replace(&mut self, kind: &'static str, places: Range<usize>, by: &[&str]) {
        let old = self.lines.get(places.clone()).unwrap_or_default();
        let shown = |lines: &[&str]| {
            let whole = lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ⏎ ");
            whole.chars().take(SHOWN).collect::<String>()
        };
        let what = format!("line {}: `{}` is `{}`", places.start + 1, shown(old), shown(by));
        let before = self.lines.iter().take(places.start);
        let after = self.lines.iter().skip(places.end);
        let mut changed = before.chain(by).chain(after).copied().collect::<Vec<&str>>().join("\n");
        changed.push('\n');
        self.found.push(Mutant { kind, what, changed });
    }

    /// Notes the text with one word of a line replaced, for each time that it stands there by itself.
    pub(super) fn reword(&mut self, kind: &'static str, place: usize, from: &str, to: &str) {
        let line = self.at(place);
        for (start, _) in line.match_indices(from) {
            let end = start + from.len();
            let ends_word = |c: char| !c.is_alphanumeric();
            let alone = line.get(..start).is_none_or(|before| before.chars().next_back().is_none_or(ends_word))
                && line.get(end..).is_none_or(|after| after.chars().next().is_none_or(ends_word));
            if alone {
                self.splice(kind, place, start..end, to);
            }
        }
    }

    /// Notes the text with a part of a line replaced.
    pub(super) fn splice(&mut self, kind: &'static str, place: usize, part: Range<usize>, by: &str) {
        let line = self.at(place);
        let (before, after) = (line.get(..part.start).unwrap_or(""), line.get(part.end..).unwrap_or(""));
        self.replace(kind, place..place + 1, &[&format!("{before}{by}{after}")]);
    }

    /// Notes the text with each number, address, prefix and range of a line off by one.
    pub(super) fn nudge(&mut self, place: usize, separators: &[char]) {
        let line = self.at(place);
        let words = tokens(line, separators)
            .into_iter()
            .filter(|part| line.get(part.clone()).is_some_and(|w| !near(w).is_empty()));
        for part in spread(&words.collect::<Vec<_>>(), WORDS) {
            for (kind, by) in line.get(part.clone()).map(near).unwrap_or_default() {
                self.splice(kind, place, part.clone(), &by);
            }
        }
    }
}

/// Where the words between separators and white space are.
fn tokens(line: &str, separators: &[char]) -> Vec<Range<usize>> {
    let is_gap = |c: char| c.is_whitespace() || separators.contains(&c);
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        match (start, is_gap(c)) {
            (None, false) => start = Some(at),
            (Some(from), true) => {
                found.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    found
}

/// What somebody might have written instead of a number, an address, a prefix or a range.
fn near(token: &str) -> Vec<(&'static str, String)> {
    if let Some((address, length)) = token.split_once('/') {
        let (Ok(address), Ok(length)) = (address.parse::<IpAddr>(), length.parse::<u8>()) else { return Vec::new() };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let lengths = [("widen-prefix", length.checked_sub(1)), ("narrow-prefix", length.checked_add(1))];
        let lengths = lengths.into_iter().filter_map(|(kind, length)| Some((kind, length?)));
        let lengths = lengths.filter(|&(_, length)| length <= most);
        return lengths
            .map(|(kind, length)| (kind, egress_ir::Prefix::containing(address, length).to_string()))
            .collect();
    }
    if let Some((first, last)) = token.split_once('-') {
        let firsts = neighbours(first).into_iter().map(|other| ("range-off-by-one", format!("{other}-{last}")));
        let lasts = neighbours(last).into_iter().map(|other| ("range-off-by-one", format!("{first}-{other}")));
        return firsts.chain(lasts).collect();
    }
    neighbours(token).into_iter().map(|other| ("number-off-by-one", other)).collect()
}

/// The numbers or addresses just beside one; nothing for another word.
fn neighbours(word: &str) -> Vec<String> {
    if let Ok(number) = word.parse::<u64>() {
        return [number.checked_sub(1), number.checked_add(1)].into_iter().flatten().map(|n| n.to_string()).collect();
    }
    let beside = |bits: u128, most: u128| {
        [bits.checked_sub(1), bits.checked_add(1)].into_iter().flatten().filter(move |&other| other <= most)
    };
    match word.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => {
            let v4s = beside(v4.to_bits().into(), u32::MAX.into()).filter_map(|bits| u32::try_from(bits).ok());
            v4s.map(|bits| Ipv4Addr::from_bits(bits).to_string()).collect()
        }
        Ok(IpAddr::V6(v6)) => {
            beside(v6.to_bits(), u128::MAX).map(|bits| Ipv6Addr::from_bits(bits).to_string()).collect()
        }
        Err(_) => Vec::new(),
    }
}
