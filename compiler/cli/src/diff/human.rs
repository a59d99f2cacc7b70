//! A difference for people.
//!
//! In: a page. Out: text, with ANSI colours if asked for.

use super::{Change, Page, Reason, Version, way, word};
use egress_answers::blocks::shortened;
use egress_verifier::Direction;

/// The most changes that are shown.
const SHOWN: usize = 40;

/// The page as text.
pub(super) fn show(page: &Page<'_>, coloured: bool) -> String {
    let [old, new] = &page.sides;
    let mut text = format!("{} → {}: {}\n", old.side.label, new.side.label, page.summary());
    for change in page.changes.iter().take(SHOWN) {
        text.push('\n');
        text.push_str(&told(page, change, coloured));
    }
    let hidden = page.changes.len().saturating_sub(SHOWN);
    if hidden > 0 {
        text.push_str(&format!("\nand {hidden} more, which `--format json` shows\n"));
    }
    if !page.changes.is_empty() {
        text.push('\n');
    }
    let doubts = page.sides.iter().filter_map(|version| version.side.doubt());
    text.extend(doubts.map(|doubt| format!("{doubt}\n")));
    text.push_str(&format!("{}\n", page.proved()));
    text.extend(page.tightens().map(|said| format!("{said}\n")));
    text
}

fn told(page: &Page<'_>, change: &Change<'_>, coloured: bool) -> String {
    let told = &change.told;
    let code = match change.direction {
        Direction::Opened => "31",
        Direction::Closed => "32",
        Direction::Rerouted => "33",
    };
    let word = word(change.direction);
    let word = if coloured { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() };
    let mut text = format!("{word}  {}\n  {} → {}\n", told.line(), way(&told.left), way(&told.right));
    let mut line = |what: &str, said: String| {
        text.push_str(&format!("  {what:<8} {}\n", said.replace('\n', "\n           ")));
    };
    if let Some(running) = told.running() {
        line("runs", running);
    }
    line("such as", told.witness.to_string());
    for (what, (version, reason)) in ["before", "after"].into_iter().zip(page.sides.iter().zip(&change.reasons)) {
        line(what, because(version, reason));
    }
    text
}

fn because(version: &Version<'_>, reason: &Reason) -> String {
    let (shown, more) = reason.rules.split_at(reason.rules.len().min(3));
    let mut lines: Vec<String> = shown.iter().map(|rule| version.rules.lines(*rule)).collect();
    if !more.is_empty() {
        let names: Vec<String> = more.iter().map(|rule| version.rules.name(*rule).to_owned()).collect();
        lines.push(format!("and {}", shortened(&names)));
    }
    if lines.is_empty() { reason.otherwise.to_owned() } else { lines.join("\n") }
}
