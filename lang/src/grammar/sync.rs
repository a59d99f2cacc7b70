//! Where parsing may resume after an error: the words that start or continue something.
//!
//! In: a position. Out: yes or no, or the next position worth resuming at. Looks at most
//! three tokens ahead, so that skipping stays linear. Never reports anything.

use super::tokens::Tokens;
use crate::lexer::Kind;

/// The words that start a declaration.
pub(crate) const DECLARATIONS: [&str; 9] =
    ["cluster", "workloads", "destinations", "ports", "gateway", "policy", "guardrail", "assert", "control"];

/// The words that start an entry of a policy or guardrail.
pub(crate) const POLICY_ENTRIES: [&str; 5] = ["for", "owner", "mode", "allow", "deny"];

/// The words that start a clause of a rule.
pub(crate) const RULE_CLAUSES: [&str; 6] = ["on", "via", "log", "because", "ticket", "until"];

/// Whether a declaration certainly starts here, judged by its first tokens: no set, rule
/// or clause can look like that.
pub(crate) fn declaration_shape(i: Tokens<'_>) -> bool {
    let named = i.kind(1) == Some(Kind::Word);
    let third = i.kind(if named { 2 } else { 1 });
    match i.word() {
        "cluster" | "gateway" | "policy" | "guardrail" => third == Some(Kind::BraceOpen),
        "workloads" | "destinations" | "ports" => third == Some(Kind::Operator),
        "control" => i.kind(1) == Some(Kind::Text),
        "assert" => assertion_shape(i),
        _ => false,
    }
}

/// Whether the word `assert` at `i` is followed by what an assertion starts with.
fn assertion_shape(i: Tokens<'_>) -> bool {
    let second = matches!(i.text(1), "only" | "all" | "pods" | "address" | "(");
    let named = i.kind(1) == Some(Kind::Word);
    second || (named && matches!(i.text(2), "can" | "cannot" | "except" | ","))
}

/// Whether a declaration probably starts here: by its shape, or as a keyword that begins
/// a line.
pub(crate) fn declaration(i: Tokens<'_>) -> bool {
    let begins = i.peek(0).is_some_and(|token| token.first_on_line) && DECLARATIONS.contains(&i.word());
    begins || declaration_shape(i)
}

/// Whether a rule or setting of a policy starts here, judged by its first tokens.
pub(crate) fn entry_shape(i: Tokens<'_>) -> bool {
    match i.word() {
        "allow" | "deny" => true,
        "for" => matches!(i.kind(1), Some(Kind::Word | Kind::ParenOpen)),
        "owner" => i.kind(1) == Some(Kind::Text),
        "mode" => i.text(1) == "audit",
        _ => false,
    }
}

/// Whether a clause starts here that ends a set.
pub(crate) fn clause(i: Tokens<'_>) -> bool {
    match i.word() {
        "except" | "on" | "via" | "can" | "cannot" | "only" => true,
        "log" => !matches!(i.kind(1), Some(Kind::Comma)),
        "because" | "ticket" => i.kind(1) == Some(Kind::Text),
        "until" => i.text(1).starts_with(|c: char| c.is_ascii_digit()),
        _ => false,
    }
}

/// Whether the next token belongs to what follows rather than to what is being read, so
/// that something is missing before it.
pub(crate) fn continues(i: Tokens<'_>) -> bool {
    match i.kind(0) {
        None | Some(Kind::Comma | Kind::ParenClose | Kind::BraceClose | Kind::BraceOpen) => true,
        Some(Kind::Word) => clause(i) || entry_shape(i) || declaration_shape(i),
        _ => false,
    }
}

/// Whether the word here, where a term belongs, is rather the start of what follows: names
/// that are also keywords are told apart by the tokens after them.
pub(crate) fn ends_set_here(i: Tokens<'_>) -> bool {
    match i.word() {
        "because" | "ticket" | "owner" | "allow" | "deny" | "mode" | "until" | "except" | "via" | "on" | "only" => {
            continues(i)
        }
        _ => declaration_shape(i) || (declaration(i) && named_next(i.skip())),
    }
}

/// Whether a plain name stands here on the line of the keyword before, so that the keyword
/// is no name itself: nothing valid goes on like that.
fn named_next(i: Tokens<'_>) -> bool {
    const CLUSTER: [&str; 4] = ["pods", "services", "nodes", "dns"];
    const CLAIMS: [&str; 4] = ["can", "cannot", "except", "only"];
    let word = i.word();
    let known = [&CLUSTER[..], &CLAIMS, &RULE_CLAUSES, &POLICY_ENTRIES, &DECLARATIONS];
    i.same_line() && !word.is_empty() && !known.iter().any(|words| words.contains(&word))
}

/// Whether a set ends here, for certain.
pub(crate) fn ends_set(i: Tokens<'_>) -> bool {
    continues(i) || declaration(i)
}

/// The first position from `i` on that `resume` accepts, or the closing brace of the
/// enclosing block, or the next declaration, or the end of the file. What stands in
/// parentheses opened on the way is skipped whole.
pub(crate) fn skip_to<'a>(mut i: Tokens<'a>, resume: impl Fn(Tokens<'a>) -> bool) -> Tokens<'a> {
    let mut depth = 0_usize;
    while let Some(token) = i.peek(0) {
        let stop = matches!(token.kind, Kind::BraceOpen | Kind::BraceClose) || declaration(i);
        if stop || (depth == 0 && resume(i)) {
            break;
        }
        match token.kind {
            Kind::ParenOpen => depth += 1,
            Kind::ParenClose => depth = depth.saturating_sub(1),
            _ => {}
        }
        i = i.skip();
    }
    i
}
