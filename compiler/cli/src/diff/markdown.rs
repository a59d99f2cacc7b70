//! A difference as Markdown, for the description or a comment of a pull request.
//!
//! In: a page. Out: a compact table, with everything long folded away below it. What people wrote is shown as code, so
//! that it neither formats the page nor calls anybody.

use super::{Change, Page, Reason, Version, way, word};
use egress_answers::blocks::shortened;
use egress_verifier::Direction;

/// The most changes that the table shows: a comment has a limited length.
const SHOWN: usize = 60;
/// The most members of a list that are folded away rather than counted.
const FOLDED: usize = 200;

/// The page as text.
pub(super) fn show(page: &Page<'_>) -> String {
    let [old, new] = &page.sides;
    let mut text =
        format!("### Egress policy: {}\n\n{} → {}\n", page.summary(), code(&old.side.label), code(&new.side.label));
    if let Some(said) = page.tightens() {
        text.push_str(&format!("\n**{said}**\n"));
    }
    if !page.changes.is_empty() {
        text.push_str("\n| | who | to | on | before → after | rules |\n|---|---|---|---|---|---|\n");
        text.extend(page.changes.iter().take(SHOWN).map(|change| row(page, change)));
        let hidden = page.changes.len().saturating_sub(SHOWN);
        if hidden > 0 {
            text.push_str(&format!("\n… and {hidden} more.\n"));
        }
        text.push_str("\n<details><summary>Flows, addresses, pods and reasons</summary>\n\n");
        text.extend(page.changes.iter().take(SHOWN).map(|change| details(page, change)));
        text.push_str("</details>\n");
    }
    for doubt in page.sides.iter().filter_map(|version| version.side.doubt()) {
        text.push_str(&format!("\n⚠️ {}\n", plain(&doubt)));
    }
    text.push_str(&format!("\n<sub>{}</sub>\n", plain(&page.proved())));
    text
}

fn row(page: &Page<'_>, change: &Change<'_>) -> String {
    let told = &change.told;
    let sign = match change.direction {
        Direction::Opened => "🔓",
        Direction::Closed => "🔒",
        Direction::Rerouted => "🔀",
    };
    let names = if told.names.is_empty() { String::new() } else { format!(" as {}", code(&told.named())) };
    let pods = if told.pods.is_empty() { String::new() } else { format!(" ({} running)", told.pods.len()) };
    format!(
        "| {sign} {} | {}{pods} | {}{names} | {} | {} → {} | {} |\n",
        word(change.direction),
        code(&told.who),
        code(&told.to),
        code(&told.on),
        code(&way(&told.left)),
        code(&way(&told.right)),
        rules(page, change),
    )
}

/// The rules that make the change: those that let it leave, or else those that stop it.
fn rules(page: &Page<'_>, change: &Change<'_>) -> String {
    let [old, new] = &page.sides;
    let [before, after] = &change.reasons;
    let (version, reason) = match (change.direction, after.rules.is_empty()) {
        (Direction::Closed, true) => (old, before),
        _ => (new, after),
    };
    let names: Vec<String> = reason.rules.iter().map(|rule| version.rules.name(*rule).to_owned()).collect();
    let gone = change.direction == Direction::Closed && after.rules.is_empty() && !names.is_empty();
    match names.as_slice() {
        [] => reason.otherwise.to_owned(),
        _ if gone => format!("without {}", code(&shortened(&names))),
        _ => code(&shortened(&names)),
    }
}

fn details(page: &Page<'_>, change: &Change<'_>) -> String {
    let told = &change.told;
    let mut text = format!("**{}** {}\n\n", word(change.direction), code(&told.line()));
    text.push_str(&format!("- such as {}\n", code(&told.witness.to_string())));
    for (what, all) in [("to", &told.ranges), ("pods", &told.pods)] {
        let shown = all.get(..FOLDED.min(all.len())).unwrap_or_default();
        let more = all.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        if !shown.is_empty() {
            text.push_str(&format!("- {what}: {}{more}\n", code(&shown.join(", "))));
        }
    }
    for (what, (version, reason)) in ["before", "after"].into_iter().zip(page.sides.iter().zip(&change.reasons)) {
        text.push_str(&because(what, version, reason));
    }
    text.push('\n');
    text
}

fn because(what: &str, version: &Version<'_>, reason: &Reason) -> String {
    if reason.rules.is_empty() {
        return format!("- {what}: {}\n", reason.otherwise);
    }
    let told = |rule| {
        let said = version.rules.said(rule).map(|said| format!(": {}", code(&said))).unwrap_or_default();
        format!("- {what}: {} at {}{said}\n", code(version.rules.name(rule)), code(&version.rules.place_of(rule)))
    };
    reason.rules.iter().take(8).map(|rule| told(*rule)).collect()
}

/// Text as code, whatever is in it: HTML, because a back-tick or a bar would end Markdown's own.
fn code(text: &str) -> String {
    format!("<code>{}</code>", plain(text))
}

/// Text without anything that Markdown or HTML takes for its own.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '\n' | '\r' | '\t' => escaped.push(' '),
            '&' | '<' | '>' | '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '@' | '$' => {
                escaped.push_str(&format!("&#{};", u32::from(symbol)));
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_stays_text() {
        let escaped = code("`x` | <b> @team *y* [z](u) a_b");
        for forbidden in ["|", "<b>", "@", "*", "[", "`", "_"] {
            assert!(!escaped.contains(forbidden), "{forbidden} in {escaped}");
        }
        assert!(escaped.starts_with("<code>") && escaped.ends_with("</code>"));
        assert_eq!(plain("10.0.0.0/8, a-b (c)"), "10.0.0.0/8, a-b (c)");
    }
}
