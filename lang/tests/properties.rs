//! What holds for every text: parsing is total, and formatting keeps the program and its
//! comments and changes nothing the second time.
//!
//! `EGRESS_SEED` and `EGRESS_CASES` choose the random inputs.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a broken property fails its test")]

use std::cell::Cell;
use std::fs;
use std::path::Path;

use egress_lang::{SyntaxError, format, parse, source_text};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn runner() -> TestRunner {
    let cases = u32::try_from(environment("EGRESS_CASES", 2_000)).unwrap();
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&environment("EGRESS_SEED", 1).to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

/// Random choices from one number (SplitMix64).
struct Choices(u64);

impl Choices {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }

    fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

/// Parses, and checks what holds for every text.
fn checked(text: &str) -> Vec<SyntaxError> {
    let parsed = parse(text);
    for error in &parsed.errors {
        let span = error.span();
        assert!(span.start <= span.end, "reversed span {span:?} of {error:?}");
        assert!(text.get(span.start as usize..span.end as usize).is_some(), "{span:?} of {error:?} in {text:?}");
        assert!(!error.to_string().is_empty() && !error.help_text().is_empty(), "{error:?} says nothing");
    }
    if parsed.errors.is_empty() {
        let formatted = format(text).unwrap_or_else(|errors| panic!("{errors:?} for\n{text}"));
        let again = format(&formatted).unwrap_or_else(|errors| panic!("{errors:?} for\n{formatted}"));
        let changed = formatted.lines().zip(again.lines()).find(|(first, second)| first != second);
        assert!(formatted == again, "formatting changes {changed:?} the second time, of\n{text}");
        assert_eq!(comments(text), comments(&formatted), "comments changed in\n{text}");
    }
    parsed.errors
}

fn comments(text: &str) -> Vec<String> {
    let mut all: Vec<String> = parse(text).trivia.comments.iter().map(|it| it.span.text(text).to_owned()).collect();
    all.sort();
    all
}

const PIECES: [&str; 74] = [
    "cluster",
    "workloads",
    "destinations",
    "ports",
    "gateway",
    "policy",
    "guardrail",
    "assert",
    "control",
    "for",
    "owner",
    "mode",
    "audit",
    "allow",
    "deny",
    "on",
    "via",
    "log",
    "because",
    "ticket",
    "until",
    "all",
    "pods",
    "in",
    "namespace",
    "namespaces",
    "as",
    "serviceaccount",
    "address",
    "host",
    "list",
    "world",
    "private",
    "except",
    "only",
    "can",
    "cannot",
    "reach",
    "nodes",
    "services",
    "dns",
    "managed",
    "{",
    "}",
    "(",
    ")",
    ",",
    "=",
    "==",
    "!",
    "!=",
    "notin",
    "a",
    "b1",
    "Shop_1",
    "10.0.0.0/8",
    "10.0.0.1/8",
    "1.2.3.4-1.2.3.9",
    "fd00::/56",
    "443/tcp",
    "99999/udp",
    "icmp/8",
    "*.example.com",
    "bücher.example",
    "2027-03-31",
    "2027-02-30",
    "\"text\"",
    "\"open",
    "\"\\q\"",
    "# note\n",
    "## doc\n",
    "\n",
    "\n\n",
    ";",
];

fn soup(choices: &mut Choices) -> String {
    let mut text = String::new();
    for _ in 0..choices.below(60) {
        text.push_str(choices.of(&PIECES));
        text.push_str(choices.of(&[" ", " ", " ", "", "\n"]));
    }
    text
}

#[test]
fn any_bytes_parse() {
    let texts = Cell::new(0);
    runner()
        .run(&proptest::collection::vec(any::<u8>(), 0..300), |bytes| {
            match source_text(&bytes) {
                Ok(text) => drop(checked(text)),
                Err(error) => assert!(matches!(error, SyntaxError::Encoding { .. })),
            }
            checked(&String::from_utf8_lossy(&bytes));
            texts.set(texts.get() + 1);
            Ok(())
        })
        .unwrap();
    assert!(texts.get() > 0);
}

#[test]
fn any_text_parses() {
    runner()
        .run(&".{0,200}", |text| {
            checked(&text);
            Ok(())
        })
        .unwrap();
}

#[test]
fn any_words_parse() {
    let wrong = Cell::new(0);
    runner()
        .run(&any::<u64>(), |seed| {
            wrong.set(wrong.get() + checked(&soup(&mut Choices(seed))).len());
            Ok(())
        })
        .unwrap();
    assert!(wrong.get() > 0, "no text was wrong");
}

fn good_files() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/syntax/ok");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "egress"));
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

fn mutate(choices: &mut Choices, text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=choices.below(4) {
        let at = choices.below(chars.len().max(1)).min(chars.len());
        let end = (at + choices.below(12)).min(chars.len());
        match choices.below(4) {
            0 => drop(chars.drain(at..end)),
            1 => drop(chars.splice(at..at, choices.of(&PIECES).chars())),
            2 => {
                let copy: Vec<char> = chars[at..end].to_vec();
                let to = choices.below(chars.len().max(1)).min(chars.len());
                chars.splice(to..to, copy);
            }
            _ => drop(chars.splice(at..at, [char::from_u32(u32::try_from(choices.below(0x250)).unwrap()).unwrap()])),
        }
    }
    chars.into_iter().collect()
}

#[test]
fn mutated_programs_parse() {
    let files = good_files();
    let (good, bad) = (Cell::new(0), Cell::new(0));
    runner()
        .run(&any::<u64>(), |seed| {
            let mut choices = Choices(seed);
            let file = &files[choices.below(files.len())];
            let text = mutate(&mut choices, file);
            let count = if checked(&text).is_empty() { &good } else { &bad };
            count.set(count.get() + 1);
            Ok(())
        })
        .unwrap();
    assert!(good.get() > 0 && bad.get() > 0, "{} good, {} bad", good.get(), bad.get());
}

/// Random valid programs, as tokens.
struct Program {
    choices: Choices,
    tokens: Vec<String>,
}

impl Program {
    fn say(&mut self, words: &str) {
        self.tokens.extend(words.split(' ').map(str::to_owned));
    }

    fn one_of(&mut self, words: &[&str]) {
        let word = self.choices.of(words);
        self.say(word);
    }

    fn list(&mut self, most: usize, mut one: impl FnMut(&mut Self)) {
        for index in 0..=self.choices.below(most) {
            if index > 0 {
                self.say(",");
            }
            one(self);
        }
    }

    fn set(&mut self, depth: usize, term: fn(&mut Self)) {
        let part = |it: &mut Self| {
            if depth < 3 && it.choices.chance(6) {
                it.say("(");
                it.set(depth + 1, term);
                it.say(")");
            } else {
                term(it);
            }
        };
        self.list(4, part);
        if self.choices.chance(4) {
            self.say("except");
            self.list(2, part);
        }
    }

    fn selector(&mut self) {
        self.say("(");
        self.list(4, |it| {
            it.one_of(&[
                "a = b",
                "app == x-1",
                "tier != y",
                "tier in ( a , b , c )",
                "zone notin ( a )",
                "canary",
                "! legacy",
                "app.kubernetes.io/name = web",
                "empty =",
                "in",
                "notin in ( in )",
            ]);
        });
        self.say(")");
    }

    fn workload(&mut self) {
        match self.choices.below(5) {
            0 => self.say("all"),
            1 => self.one_of(&["checkout", "policy", "log", "pod"]),
            2 => self.one_of(&["address 10.9.0.0/24", "address 2001:DB8:0::1", "address 10.9.0.1/32"]),
            _ => self.pods(),
        }
    }

    fn pods(&mut self) {
        self.say("pods");
        if self.choices.chance(2) {
            self.selector();
        }
        match self.choices.below(3) {
            0 => self.one_of(&["in namespace shop", "in namespace 1team", "in namespace \"allow\""]),
            1 => {
                self.say("in namespaces");
                self.selector();
            }
            _ => {}
        }
        if self.choices.chance(3) {
            self.one_of(&["as serviceaccount builder", "as serviceaccount \"a.b\""]);
        }
    }

    fn destination(&mut self) {
        self.one_of(&[
            "stripe",
            "gateway",
            "10.0.0.0/8",
            "192.0.2.1",
            "10.0.0.1-10.0.0.9",
            "FD00::/56",
            "world",
            "private",
            "host API.example.com",
            "host *.example.com",
            "host **.bücher.example",
            "host \"on\"",
            "list \"a.txt\"",
            "list \"a\\\"\\n\\u{7}.json\" ( service = S3 , region = \"eu\u{0}central\" , key = \"on\" )",
        ]);
    }

    fn port(&mut self) {
        self.one_of(&[
            "443/tcp",
            "6432-6440/udp",
            "1-1/sctp",
            "tcp",
            "icmp",
            "icmp/8",
            "icmpv6/128",
            "any",
            "postgres",
        ]);
    }

    fn rule(&mut self, deny: bool) {
        self.say(if deny { "deny" } else { "allow" });
        self.set(0, Self::destination);
        let mut clauses = vec!["on", "log", "because \"why\"", "ticket \"A-1\"", "until 2027-03-31"];
        if !deny {
            clauses.push("via eu");
        }
        while !clauses.is_empty() && !self.choices.chance(3) {
            let clause = clauses.swap_remove(self.choices.below(clauses.len()));
            self.say(clause);
            if clause == "on" {
                self.list(3, Self::port);
            }
        }
    }

    fn policy(&mut self, guardrail: bool) {
        self.say(if guardrail { "guardrail" } else { "policy" });
        self.one_of(&["shop {", "lockdown {"]);
        let mut settings = vec!["for", "owner \"team\"", "mode audit"];
        settings.truncate(1 + self.choices.below(3));
        while !settings.is_empty() || !self.choices.chance(4) {
            if !settings.is_empty() && self.choices.chance(2) {
                let setting = settings.swap_remove(self.choices.below(settings.len()));
                self.say(setting);
                if setting == "for" {
                    self.set(0, Self::workload);
                }
            } else if self.choices.chance(2) {
                let deny = guardrail || self.choices.chance(2);
                self.rule(deny);
            }
        }
        self.say("}");
    }

    fn assertion(&mut self) {
        self.say("assert");
        let form = self.choices.below(5);
        if form == 0 {
            self.say("only");
        }
        self.set(0, Self::workload);
        self.say(["can reach", "cannot reach", "can reach only", "can reach", "can reach"][form]);
        self.set(0, Self::destination);
        let via = form == 3;
        if via {
            self.say("only via eu");
        }
        if self.choices.chance(3) {
            self.say("on");
            self.list(3, Self::port);
        }
        if self.choices.chance(3) {
            self.say("because \"why\"");
        }
    }

    fn item(&mut self) {
        match self.choices.below(8) {
            0 => self.cluster(),
            1 => {
                self.one_of(&["workloads a =", "workloads longer-name ="]);
                self.set(0, Self::workload);
            }
            2 => {
                self.one_of(&["destinations a =", "destinations longer-name ="]);
                self.set(0, Self::destination);
            }
            3 => {
                self.one_of(&["ports a =", "ports policy ="]);
                self.list(6, Self::port);
            }
            4 => self.gateway(),
            5 => self.assertion(),
            6 => {
                self.say("control \"PCI\" \"Title\" {");
                for _ in 0..self.choices.below(3) {
                    self.assertion();
                }
                self.say("}");
            }
            _ => {
                let guardrail = self.choices.chance(3);
                self.policy(guardrail);
            }
        }
    }

    fn cluster(&mut self) {
        self.say("cluster prod {");
        let mut parts = vec!["dns", "nodes 10.1.0.0/16", "services 10.2.0.0/16 , fd00::/64", "pods 10.3.0.0/16"];
        while !parts.is_empty() && !self.choices.chance(4) {
            let part = parts.swap_remove(self.choices.below(parts.len()));
            self.say(part);
            if part == "dns" {
                self.set(0, Self::workload);
            }
        }
        self.say("}");
    }

    fn gateway(&mut self) {
        self.say("gateway eu {");
        let first = self.choices.chance(2);
        for nodes in [first, !first] {
            if nodes {
                self.say("nodes");
                self.selector();
            } else {
                self.one_of(&["address 203.0.113.10", "address 203.0.113.10 managed , 2001:db8::10"]);
            }
        }
        self.say("}");
    }

    /// The tokens with white space and comments between them.
    fn text(mut self) -> String {
        let commented = self.choices.chance(2);
        let mut text = String::new();
        for (index, token) in std::mem::take(&mut self.tokens).iter().enumerate() {
            // Tokens are split at spaces, so a space inside one is written as NUL.
            text.push_str(&token.replace('\u{0}', " "));
            let gaps: &[&str] = if commented {
                &[
                    " ",
                    " ",
                    " ",
                    "\n",
                    "\n\n\n",
                    " # note\n",
                    "\n  # own line\n",
                    "\n\n## doc\n",
                    " ## two\n\n## three\n",
                ]
            } else {
                &[" ", " ", " ", "\n", "\n\n", "\r\n", "\t"]
            };
            let gap = self.choices.of(gaps).to_owned();
            text.push_str(&if gap.contains("note") { gap.replace("note", &format!("note {index}")) } else { gap });
        }
        text
    }
}

#[test]
fn formatting_keeps_programs_and_comments() {
    let kept = Cell::new(0);
    runner()
        .run(&any::<u64>(), |seed| {
            let mut program = Program { choices: Choices(seed), tokens: Vec::new() };
            for _ in 0..=program.choices.below(5) {
                program.item();
            }
            let text = program.text();
            let errors = checked(&text);
            assert!(errors.is_empty(), "{errors:?} for\n{text}");
            kept.set(kept.get() + comments(&text).len());
            Ok(())
        })
        .unwrap();
    assert!(kept.get() > 0, "no comment was written");
}
