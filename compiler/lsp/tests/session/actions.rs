//! Code actions: what each leaves of the text, and that what it mends is then gone.

use super::support::apply::applied;
use super::support::{Memory, Session, uri};
use serde_json::{Value, json};

const PATH: &str = "/w/a.egress";

/// A file whose only finding needs all stages of the prover: once it is there, all others are.
const LAST: &str = "guardrail last { for all deny 203.0.113.77 }\nassert all can reach 203.0.113.77\n";

/// The position of a byte offset, in UTF-16.
fn position(text: &str, at: usize) -> Value {
    let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
    json!({ "line": text[..at].matches('\n').count(), "character": text[start..at].encode_utf16().count() })
}

/// The actions for the text from one byte offset to another.
fn ask(session: &mut Session, text: &str, (start, end): (usize, usize), context: Value) -> Vec<Value> {
    let range = json!({ "start": position(text, start), "end": position(text, end) });
    let mut context = context;
    context["diagnostics"] = json!([]);
    let params = json!({ "textDocument": { "uri": uri(PATH) }, "range": range, "context": context });
    session.ask("textDocument/codeAction", params).unwrap().as_array().unwrap().clone()
}

/// A session with a document in which something is found, and nothing is yet to come.
fn session(text: &str) -> Session {
    let session = Session::start(&Memory::of(&[]), json!({}));
    session.open(PATH, text);
    session.open("/w/z.egress", LAST);
    session
}

/// Waits until a code is there.
fn found(session: &mut Session, code: &str) {
    session.until(|session| session.codes(PATH).iter().any(|it| it == code));
}

/// Waits until all is proved; the codes of the document then.
fn settled(session: &mut Session) -> Vec<String> {
    session.until_codes("/w/z.egress", &["egress::assert::failed"]);
    session.codes(PATH)
}

/// Titles of actions.
fn titles(actions: &[Value]) -> Vec<&str> {
    actions.iter().map(|it| it["title"].as_str().unwrap()).collect()
}

/// The actions where `needle` stands, or at the end, once `code` is found.
fn offered(text: &str, code: &str, needle: &str) -> Vec<Value> {
    let mut session = session(text);
    found(&mut session, code);
    let at = if needle.is_empty() { text.len() } else { text.find(needle).unwrap() };
    let actions = ask(&mut session, text, (at, at), json!({ "only": ["quickfix"] }));
    session.end();
    actions
}

/// Takes the action with this title where `needle` stands, and holds what it leaves of the text against `after`. Then what
/// was found is gone, and what is left are the codes `left`.
fn mends((text, code, needle): (&str, &str, &str), title: &str, after: &str, left: &[&str]) -> Value {
    let actions = offered(text, code, needle);
    let action = actions.iter().find(|it| it["title"] == title);
    assert!(action.is_some(), "not offered: {title}, but {:?}", titles(&actions));
    let action = action.unwrap().clone();
    assert_eq!(action["kind"], "quickfix");
    assert_eq!(action["diagnostics"][0]["code"], code);
    leaves(&action, text, after, left);
    action
}

/// Applies an action in a session, and waits for all that is found then.
fn leaves(action: &Value, text: &str, after: &str, left: &[&str]) {
    let mended = applied(&action["edit"], PATH, text);
    assert_eq!(mended, after, "{action}");
    // The document is replaced in a session that knew the old one; the file that tells that all is said comes after.
    let mut session = Session::start(&Memory::of(&[]), json!({}));
    session.open(PATH, text);
    session.replace(PATH, 2, &mended);
    session.open("/w/z.egress", LAST);
    assert_eq!(settled(&mut session), left, "{mended}");
    session.end();
}

#[test]
fn text_fixes_are_those_of_the_compiler() {
    let preferred = |action: Value| assert_eq!(action["isPreferred"], true, "{action}");
    let text =
        "destinations ledger = 192.0.2.0/24\npolicy shop { for all allow ledgr because \"\u{1d11e}\" allow lodger }\n";
    let fixed = text.replace("ledgr", "ledger");
    let mut session = session(text);
    found(&mut session, "egress::name::unknown");
    let at = text.find("lodger").unwrap();
    let action = ask(&mut session, text, (at + 2, at + 2), json!({}));
    assert_eq!(titles(&action)[0], "replace by `ledger`");
    assert_eq!(applied(&action[0]["edit"], PATH, text), text.replace("lodger", "ledger"));
    session.end();
    preferred(mends(
        (&text.replace("allow lodger ", ""), "egress::name::unknown", "ledgr"),
        "replace by `ledger`",
        &fixed.replace("allow lodger ", ""),
        &[],
    ));
    for (before, code, needle, title, after) in [
        ("192.0.2.1/24 }\n", "egress::address::host-bits", "192", "replace by `192.0.2.0/24`", "192.0.2.0/24 }\n"),
        (
            "192.0.2.9-192.0.2.1 }\n",
            "egress::address::range",
            "192",
            "replace by `192.0.2.1-192.0.2.9`",
            "192.0.2.1-192.0.2.9 }\n",
        ),
        ("192.0.2.0/24; }\n", "egress::syntax::character", ";", "delete `;`", "192.0.2.0/24 }\n"),
        ("192.0.2.0/24", "egress::syntax::unclosed", "", "insert `}`", "192.0.2.0/24}"),
    ] {
        let of = |destinations: &str| format!("policy shop {{ for all allow {destinations}");
        preferred(mends((&of(before), code, needle), title, &of(after), &[]));
    }
}

#[test]
fn dead_redundant_and_expired_rules_are_deleted_with_what_is_said_of_them() {
    let dead = "policy shop {\r\n  for all\r\n  allow 192.0.2.0/24\r\n\r\n  ## ü\u{1d11e} said\r\n  ## of it\r\n  allow 198.51.100.0/24\r\n    on tcp  # why\r\n\r\n  deny 198.51.100.0/24\r\n}\r\n";
    let left = "policy shop {\r\n  for all\r\n  allow 192.0.2.0/24\r\n\r\n  deny 198.51.100.0/24\r\n}\r\n";
    mends((dead, "egress::rule::dead", "198"), "delete the rule `shop#2`", left, &["egress::rule::redundant"]);
    let redundant = "policy shop { for all allow 192.0.2.0/24 because \"\u{1d11e}\" allow 192.0.2.1 because \"ü\" }\n";
    let left = "policy shop { for all allow 192.0.2.0/24 because \"\u{1d11e}\" }\n";
    mends((redundant, "egress::rule::redundant", "192.0.2.1 "), "delete the rule `shop#2`", left, &[]);
    let expired = "policy shop {\n  for all\n\n  allow 192.0.2.0/24 until 2026-12-31\n\n  allow 198.51.100.1\n}\n";
    let left = "policy shop {\n  for all\n\n  allow 198.51.100.1\n}\n";
    mends((expired, "egress::rule::expired", "2026"), "delete the rule `shop#1`", left, &[]);
}

#[test]
fn unused_declarations_are_deleted_unless_something_names_them() {
    let policy = "policy shop { for all allow 192.0.2.0/24 }\n";
    for (noun, name, declaration) in [
        ("workloads", "w", "workloads w = pods(app=a)\n"),
        ("destinations", "d", "destinations d = 192.0.2.0/24,\n  198.51.100.1  # both\n"),
        ("ports", "p", "ports p = 443/tcp\n"),
        ("gateway", "g", "gateway g {\n  nodes(a=b)\n  address 192.0.2.1\n}\n"),
    ] {
        let text = format!("# all\n\n## said of it\n{declaration}\n{policy}");
        let action = format!("delete the {noun} `{name}`");
        let at = if noun == "gateway" { "g {" } else { &format!("{name} =") };
        mends((&text, "egress::name::unused", at), &action, &format!("# all\n\n{policy}"), &[]);
    }
    let chain = format!("destinations first = 192.0.2.1\ndestinations second = first\n{policy}");
    assert_eq!(titles(&offered(&chain, "egress::name::unused", "first")), Vec::<&str>::new());
    assert_eq!(titles(&offered(&chain, "egress::name::unused", "second")), ["delete the destinations `second`"]);
}

#[test]
fn an_overridden_allow_is_narrowed_where_that_says_the_same() {
    let code = "egress::rule::overridden";
    let of = |allowed: &str, denied: &str| {
        format!(
            "destinations meta = 169.254.169.254\npolicy shop {{ for all allow {allowed} }}\nguardrail never {{ for all deny {denied} }}\nassert all cannot reach meta\n"
        )
    };
    let title = |away: &str| format!("take `{away}` out of the allow `shop#1`, where it is denied");
    for (allowed, denied, away, after) in [
        ("169.254.0.0/16 on tcp", "meta", "meta", "169.254.0.0/16 except meta on tcp"),
        ("169.254.0.0/16 on tcp", "meta on  tcp", "meta", "169.254.0.0/16 except meta on tcp"),
        ("169.254.0.0/16 except 169.254.7.7", "meta", "meta", "169.254.0.0/16 except 169.254.7.7, meta"),
        (
            "169.254.0.0/16, 192.0.2.1",
            "meta, 192.0.2.9",
            "meta, 192.0.2.9",
            "169.254.0.0/16, 192.0.2.1 except meta, 192.0.2.9",
        ),
        (
            "169.254.0.0/16",
            "169.254.169.0/24 except 169.254.169.7",
            "(169.254.169.0/24 except 169.254.169.7)",
            "169.254.0.0/16 except (169.254.169.0/24 except 169.254.169.7)",
        ),
    ] {
        mends((&of(allowed, denied), code, "169.254.0.0/16"), &title(away), &of(after, denied), &[]);
    }
    let nothing = |text: &str| assert_eq!(titles(&offered(text, code, "169.254.0.0/16")), Vec::<&str>::new(), "{text}");
    // Other ports, hosts on either side, and workloads that are not denied it.
    nothing(&of("169.254.0.0/16", "meta on 80/tcp"));
    nothing(&of("169.254.0.0/16, host a.example", "meta"));
    nothing(&of("169.254.0.0/16", "meta, names").replace("policy", "destinations names = host a.example\npolicy"));
    nothing(&of("169.254.0.0/16", "meta").replace("never { for all", "never { for pods(app=a)"));
}

#[test]
fn against_rebinding_private_addresses_are_denied_where_no_allow_loses() {
    let code = "egress::rule::rebinding";
    let text = "policy shop {\r\n  for all\r\n  allow host a.example on 443/tcp  # \u{1d11e}\r\n}\r\n";
    let after =
        "policy shop {\r\n  for all\r\n  allow host a.example on 443/tcp  # \u{1d11e}\r\n  deny private\r\n}\r\n";
    mends((text, code, "host"), "add `deny private` to `shop`", after, &[]);
    let text = "policy shop { for all allow host a.example on 443/tcp allow 10.0.0.1 on 5432/tcp }\n";
    let after = text.replace("443/tcp", "443/tcp deny private on 443/tcp");
    mends((text, code, "host"), "add `deny private on 443/tcp` to `shop`", &after, &[]);
    let text = "policy shop { for all allow host a.example on 443/tcp allow 10.0.0.1 }\n";
    assert_eq!(titles(&offered(text, code, "host")), Vec::<&str>::new());
}

#[test]
fn what_is_offered_moves_with_its_text_as_findings_do() {
    let moved = |allowed: &str, rest: &str, needle: &str| {
        let text = format!("policy shop {{\n  for all\n  allow 192.0.2.1\n  allow {allowed}\n}}\n{rest}");
        let mut session = session(&text);
        settled(&mut session);
        // An unknown name leaves the meaning open, so that what is known of it is of the text before.
        let text = text.replace("  allow 192", "  allow 10.0.0.1\n  allow nothing\n  allow 192");
        session.replace(PATH, 2, &text);
        found(&mut session, "egress::name::unknown");
        let at = text.find(needle).unwrap();
        let actions = ask(&mut session, &text, (at, at), json!({}));
        session.end();
        assert_eq!(actions.len(), 1, "{actions:#?}");
        (actions[0]["title"].as_str().unwrap().to_owned(), applied(&actions[0]["edit"], PATH, &text))
    };
    let start = "policy shop {\n  for all\n  allow 10.0.0.1\n  allow nothing\n  allow 192.0.2.1\n";
    let asserted = "assert all cannot reach 198.51.100.1\n";
    let (title, after) = moved("198.51.100.1", asserted, "assert");
    assert_eq!(title, "delete the rule `shop#4`, without which it holds");
    assert_eq!(after, format!("{start}}}\n{asserted}"));
    let (title, after) = moved("host a.example on 443/tcp", "", "allow host");
    assert_eq!(title, "add `deny private` to `shop`");
    assert_eq!(after, format!("{start}  allow host a.example on 443/tcp\n  deny private\n}}\n"));
}

#[test]
fn who_is_not_governed_is_locked_down() {
    let title = "add `policy lockdown { for all }`: what nothing allows is then denied";
    let text = "workloads w = pods(app=a)\nguardrail g { for w deny 192.0.2.1 }\n";
    let after = format!("{text}\npolicy lockdown {{ for all }}\n");
    mends((text, "egress::coverage::ungoverned", "w ="), title, &after, &[]);
    let taken = text.replace("guardrail g", "guardrail lockdown");
    let after = format!("{taken}\npolicy lockdown-2 {{ for all }}\n");
    mends((&taken, "egress::coverage::ungoverned", "w ="), &title.replace("lockdown", "lockdown-2"), &after, &[]);
}

#[test]
fn names_that_are_not_known_are_declared() {
    let code = "egress::name::unknown";
    let mends = |before: &str, (needle, title, line): (&str, &str, &str), left: &[&str]| {
        let text = format!("# all\r\n\r\n# of shop\r\n{before}\r\n");
        let after = format!("# all\r\n\r\n{line}\r\n\r\n# of shop\r\n{before}\r\n");
        mends((&text, code, needle), title, &after, left);
    };
    let workloads = "workloads zoo = pods(app=zoo)  # correct this: a guess";
    mends("policy shop { for zoo allow 192.0.2.9 }", ("zoo", "declare the workloads `zoo`", workloads), &[]);
    let destinations = "destinations zoo = 192.0.2.0/24  # correct this: an example (RFC 5737)";
    mends(
        "policy shop { for all allow 198.51.100.1 except zoo }",
        ("zoo", "declare the destinations `zoo`", destinations),
        &[],
    );
    let ports = "ports zoo = 9/tcp  # correct this: what is sent there is discarded";
    mends("policy shop { for all allow 198.51.100.1 on zoo }", ("zoo", "declare the ports `zoo`", ports), &[]);
    let gateway = "gateway zoo { nodes(egress=zoo) address 192.0.2.2 }  # correct this: an example (RFC 5737)";
    let taken = "policy shop { for all allow 198.51.100.1 via zoo }\r\ngateway g { nodes(a=b) address 192.0.2.1 }\r\npolicy other { for all allow 198.51.100.9 via g }";
    mends(taken, ("zoo", "declare the gateway `zoo`", gateway), &[]);
}

#[test]
fn what_breaks_an_assertion_is_deleted_and_what_says_nothing_too() {
    let code = "egress::assert::failed";
    let text = "policy shop {\n  for all\n  allow 192.0.2.1\n  allow 198.51.100.1\n  allow 192.0.2.2\n}\nassert all cannot reach 192.0.2.0/24\n";
    let after = "policy shop {\n  for all\n  allow 198.51.100.1\n}\nassert all cannot reach 192.0.2.0/24\n";
    let title = "delete the rules `shop#1`, `shop#3`, without which it holds";
    mends((text, code, "assert"), title, after, &[]);
    let one = text.replace("  allow 192.0.2.2\n", "");
    mends((&one, code, "assert"), "delete the rule `shop#1`, without which it holds", after, &[]);
    let policy = "policy shop { for all allow 192.0.2.1 }\n";
    let vacuous = format!("{policy}\n## said\nassert all except all cannot reach 192.0.2.1\n");
    mends((&vacuous, "egress::assert::vacuous", "assert"), "delete the assertion", policy, &[]);
}

#[test]
fn what_breaks_an_assertion_may_stand_in_another_file() {
    let (text, other) = ("assert all cannot reach 192.0.2.1\n", "policy shop {\n  for all\n  allow 192.0.2.1\n}\n");
    let mut session = Session::start(&Memory::of(&[("/w/b.egress", other)]), json!({}));
    session.open(PATH, text);
    found(&mut session, "egress::assert::failed");
    let actions = ask(&mut session, text, (0, 0), json!({}));
    assert_eq!(titles(&actions), ["delete the rule `shop#1`, without which it holds"]);
    assert_eq!(applied(&actions[0]["edit"], PATH, text), text);
    assert_eq!(applied(&actions[0]["edit"], "/w/b.egress", other), "policy shop {\n  for all\n}\n");
    session.end();
}

#[test]
fn missing_assertions_are_added_and_hold() {
    let refactored = |text: &str, needle: &str| {
        let mut session = session(text);
        settled(&mut session);
        let at = text.find(needle).unwrap();
        let actions = ask(&mut session, text, (at, at), json!({ "only": ["refactor"] }));
        session.end();
        assert!(actions.iter().all(|it| it["kind"] == "refactor"));
        actions
    };
    let adds = |text: &str, needle: &str, title: &str, after: &str| {
        let actions = refactored(text, needle);
        assert_eq!(titles(&actions), [title]);
        leaves(&actions[0], text, after, &[]);
        assert_eq!(titles(&refactored(after, needle)), Vec::<&str>::new(), "added again: {after}");
    };
    let text = "workloads w = pods(app=\u{61})\ndestinations d = 192.0.2.0/24\npolicy shop {\n  for w\n  allow d on tcp\n  allow 198.51.100.0/24 except 198.51.100.7\n}  # \u{1d11e}\npolicy lockdown { for all allow 198.51.100.9 on udp }\n";
    let asserted = "assert w can reach only d, (198.51.100.0/24 except 198.51.100.7), 198.51.100.9";
    let after = text.replace("}  # \u{1d11e}\n", &format!("}}  # \u{1d11e}\n\n{asserted}\n"));
    let text = text.replace("allow 198.51.100.9 on udp", "allow 198.51.100.9");
    let after = after.replace("allow 198.51.100.9 on udp", "allow 198.51.100.9");
    let actions = refactored(&text, "for w");
    assert_eq!(titles(&actions), [format!("add `{asserted}`")]);
    // The allow of everybody makes nothing redundant that was not so before.
    let mut before = session(&text);
    let left = settled(&mut before);
    before.end();
    leaves(&actions[0], &text, &after, &left.iter().map(String::as_str).collect::<Vec<_>>());
    let text = "guardrail never { for all deny 192.0.2.0/24 on 80/tcp, udp deny 198.51.100.1 }\n";
    let (first, second) =
        ("assert all cannot reach 192.0.2.0/24 on 80/tcp, udp", "assert all cannot reach 198.51.100.1");
    adds(text, "192", &format!("add `{first}`"), &format!("{text}\n{first}\n"));
    adds(text, "never", "add 2 assertions of what `never` denies", &format!("{text}\n{first}\n{second}\n"));
    assert_eq!(titles(&refactored("policy p { for all mode audit allow 192.0.2.1 }\n", "for")), Vec::<&str>::new());
}

/// A file in which several things are wrong.
const WRONG: &str = "destinations ledger = 192.0.2.1/24\r\n\r\n## ü\u{1d11e}\r\npolicy shop {\r\n  for all\r\n  allow ledgr, 198.51.100.9-198.51.100.1 on tcp;\r\n}\r\n";

#[test]
fn all_likely_fixes_are_one_action_where_that_is_asked_for() {
    let mut session = session(WRONG);
    found(&mut session, "egress::name::unknown");
    for only in ["source.fixAll", "source"] {
        let actions = ask(&mut session, WRONG, (0, 0), json!({ "only": [only] }));
        assert_eq!(titles(&actions), ["make the 4 likeliest fixes of the text"]);
        assert_eq!(actions[0]["kind"], "source.fixAll");
        let after = "destinations ledger = 192.0.2.0/24\r\n\r\n## ü\u{1d11e}\r\npolicy shop {\r\n  for all\r\n  allow ledger, 198.51.100.1-198.51.100.9 on tcp\r\n}\r\n";
        leaves(&actions[0], WRONG, after, &[]);
    }
    session.end();
}

#[test]
fn only_what_is_asked_for_is_offered() {
    let wrong = "policy shop { for all allow 192.0.2.9-192.0.2.1 }\n";
    let redundant = "policy shop { for all allow 192.0.2.1 allow 192.0.2.1 on tcp }\n";
    let mut session = session(wrong);
    let mut version = 1;
    let mut kinds = |text: &str, code: &str, context: Value| -> Vec<String> {
        version += 1;
        session.replace(PATH, version, text);
        found(&mut session, code);
        let at = text.rfind("192").unwrap();
        let actions = ask(&mut session, text, (at, at), context);
        actions.iter().map(|it| it["kind"].as_str().unwrap().to_owned()).collect()
    };
    let (quick, add, all) = ("quickfix", "refactor", "source.fixAll");
    for (context, of_wrong, of_redundant) in [
        (json!({}), &[quick][..], &[quick, add][..]),
        (json!({ "only": [] }), &[], &[]),
        (json!({ "only": [""] }), &[quick, all], &[quick, add]),
        (json!({ "only": ["quickfix"] }), &[quick], &[quick]),
        (json!({ "only": ["refactor"] }), &[], &[add]),
        (json!({ "only": ["source.fixAll", "quickfix"] }), &[quick, all], &[quick]),
        (json!({ "only": ["refactor.extract", "source.fix", "quick"] }), &[], &[]),
    ] {
        assert_eq!(kinds(wrong, "egress::address::range", context.clone()), of_wrong, "{context}");
        assert_eq!(kinds(redundant, "egress::rule::redundant", context.clone()), of_redundant, "{context}");
    }
    assert_eq!(session.capabilities["codeActionProvider"]["codeActionKinds"], json!([quick, add, all]));
    session.end();
}

/// A file with a finding of each kind that the checker and the prover have.
const FOUND: &str = "workloads w = pods(app=a)\ndestinations unused = 192.0.2.0/24\npolicy shop { for all\n  ## ü\u{1d11e}\n  allow host a.example, 10.0.0.0/8 on tcp\n  allow 10.0.0.1 on tcp until 2026-01-01 # c\n  allow 169.254.0.0/16 }\nguardrail never { for all deny 169.254.169.254 }\ncontrol \"1\" \"one\" { assert all cannot reach 10.0.0.0/8 assert all except all cannot reach 192.0.2.1 }\n";

#[test]
fn at_every_place_actions_change_what_is_there() {
    let half = &FOUND[..FOUND.len() / 2];
    let mut changed = 0;
    for text in [FOUND, half, WRONG, "", "\r\n", "policy p {", "## doc", "assert", "control \"", "\u{1d11e}{}"] {
        let mut session = session(text);
        session
            .until(|session| session.diagnostics.contains_key(&uri("/w/z.egress")) || !session.codes(PATH).is_empty());
        if text == FOUND {
            settled(&mut session);
        }
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let spans = places.iter().flat_map(|&at| [(at, at), (at, text.len())]);
        for span in spans {
            for context in [json!({}), json!({ "only": ["source"] })] {
                for action in ask(&mut session, text, span, context) {
                    assert_ne!(applied(&action["edit"], PATH, text), text, "{action}");
                    changed += 1;
                }
            }
        }
        session.end();
    }
    assert!(changed > 1000, "{changed} actions");
}
