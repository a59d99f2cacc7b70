//! The reader of nftables files: total on any bytes, exact about lines, and awake to changed files.

use crate::common::{packet_of, program_of, settings};
use egress_backends::nftables::{Hook, Options, Packet, decode, emit, epoch_of};
use egress_ir::{Port, Program, Verdict, eval};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::programs::random_inventory;
use egress_testkit::seed::{Rng, cases, seed};
use proptest::prelude::*;

fn emitted(case: u64) -> (Program, egress_ir::Inventory, Vec<u8>) {
    let mut rng = Rng::new(seed(), case);
    let program = program_of(&mut rng, settings(1));
    let inventory = random_inventory(&mut rng, &program);
    let hooks = vec![Hook::Prerouting, Hook::Output];
    let options = Options { hooks, epoch: case.is_multiple_of(2).then_some(9), ..Options::default() };
    let artifact = emit(&program, Some(&inventory), &options).unwrap();
    (program, inventory, artifact.bytes)
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn any_words_are_read_or_refused(words in prop::collection::vec(prop::sample::select(WORDS), 0..60)) {
        let _ = decode(words.join(" ").as_bytes());
    }
}

const WORDS: &[&str] = &[
    "add",
    "table",
    "inet",
    "egressc",
    "chain",
    "c",
    "{",
    "}",
    ";",
    "\n",
    "ip",
    "daddr",
    "10.0.0.0/8",
    "vmap",
    "@m",
    "map",
    "m",
    "typeof",
    ":",
    "verdict",
    "elements",
    "=",
    ",",
    "accept",
    "drop",
    "goto",
    "jump",
    "tcp",
    "dport",
    "1-2",
    "counter",
    "name",
    "ct",
    "mark",
    "set",
    "&",
    "|",
    "0xff",
    "<",
    "type",
    "filter",
    "hook",
    "prerouting",
    "priority",
    "-90",
    "policy",
    "flush",
    "delete",
    "\"",
    "limit",
    "rate",
    "10/second",
    "log",
    "prefix",
    "\"x\"",
    "size",
    "1",
    "comment",
    "!=",
    "state",
];

#[test]
fn a_damaged_file_never_stops_the_reader() {
    let (seed, cases) = (seed(), cases(300));
    let (mut read, mut refused) = (0_u64, 0_u64);
    for case in 0..cases {
        let mut rng = Rng::new(seed, case);
        let (_, _, mut bytes) = emitted(case % 20);
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len());
            match rng.below(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes[at] = u8::try_from(rng.between(0, 255)).unwrap(),
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, b" {};:-/0a\n"[rng.below(10)]),
            }
        }
        match decode(&bytes) {
            Ok(ruleset) => {
                let source = "10.42.0.1".parse().unwrap();
                let packet = Packet::new(Hook::Prerouting, source, "1.2.3.4".parse().unwrap(), Port::tcp(443));
                assert!(ruleset.judge(&packet).counters.len() < 1000);
                read += 1;
            }
            Err(error) => {
                assert!(!error.reason.is_empty() && usize::try_from(error.line).unwrap() <= bytes.len() + 1);
                refused += 1;
            }
        }
    }
    println!("{read} damaged files read, {refused} refused");
    assert!(read + refused == cases && cases > 0);
}

/// Turns one verdict of a file round; the flows that it decides must be judged otherwise.
#[test]
fn a_turned_verdict_is_seen() {
    let (mut seen, mut counted) = (0, 0);
    for case in 0..60 {
        let mut rng = Rng::new(seed(), case);
        let (program, inventory, bytes) = emitted(case);
        let ruleset = decode(&bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        for _ in 0..30 {
            let flow = biased_flow(&mut rng, &program, Sources::Inventory(&inventory));
            let Some(packet) = packet_of(&flow, &inventory) else { continue };
            let judged = ruleset.judge(&packet);
            if matches!(eval(&program, &flow).verdict, Verdict::Allowed(Some(_))) {
                continue;
            }
            // A flow that one rule alone decides: the lines that count it there are turned.
            let Some(counter) = judged.counters.iter().find(|name| !name.starts_with("audit_")) else { continue };
            let own = |line: &str| line.contains(&format!("counter name {counter} ")) && !line.contains("goto");
            let turned: Vec<String> = text
                .lines()
                .map(|line| match (own(line), judged.passes) {
                    (true, true) => line.replace(" accept", " drop"),
                    (true, false) => line.replace(" drop", " accept"),
                    (false, _) => line.to_owned(),
                })
                .collect();
            if turned.iter().map(String::as_str).eq(text.lines()) {
                continue;
            }
            counted += 1;
            let turned = decode(turned.join("\n").as_bytes()).unwrap();
            seen += usize::from(turned.judge(&packet).passes != judged.passes);
        }
    }
    println!("{seen} of {counted} turned verdicts were seen");
    assert!(counted > 100 && seen == counted, "{seen} of {counted} turned verdicts were seen");
}

#[test]
fn an_epoch_is_found_again() {
    assert_eq!(epoch_of(&emitted(0).2), Some(9));
    assert_eq!(epoch_of(&emitted(1).2), None);
    assert_eq!(epoch_of(b"no file"), None);
}

#[test]
fn what_is_not_understood_is_named() {
    let table = |body: &str| format!("table inet egressc {{\n{body}\n}}\n");
    let chain = |rule: &str| table(&format!("chain c {{\n{rule}\n}}"));
    let cases = [
        ("table ip other { }\n".to_owned(), 1, "only table inet egressc and its table for gateways are ours"),
        (chain("tcp sport 443 accept"), 3, "this field is not understood"),
        (chain("th dport 443 accept"), 3, "this field is not understood"),
        (chain("limit rate 1/second accept"), 3, "this would depend on a rate; only a log may follow a limit"),
        (chain("accept drop"), 3, "nothing may follow a verdict"),
        (chain("ip daddr 10.0.0.1/8 accept"), 3, "host bits are set"),
        (chain("tcp dport 443-80 accept"), 3, "the range is reversed"),
        (chain("tcp dport { 80, 80-90 } accept"), 3, "values overlap"),
        (chain("ip daddr fd00:: accept"), 3, "this is no address, prefix or range of the field's family"),
        (chain("jump gone"), 0, "a verdict leads to a chain that is not there or is a base chain"),
        (chain("jump c"), 0, "the chain leads back to itself"),
        (chain("counter name gone accept"), 0, "the chain names a counter that is not there"),
        (chain("ip saddr vmap @gone"), 0, "the chain names a map or set that is not there"),
        (chain("ct state != new,related accept"), 3, "several states after != stand in braces"),
        (chain("iifname \"\\*\" accept"), 3, "this is no interface name"),
        (chain("reject"), 3, "expected the rest of the field's name"),
        (
            table("map m { typeof ip daddr : verdict; elements = { 10.0.0.0/8 : drop }; }"),
            2,
            "this needs flags interval",
        ),
        (
            table(
                "map m { typeof ip daddr : verdict; flags interval; elements = { 10.0.0.0/8 : drop, 10.1.0.0/16 : accept }; }",
            ),
            0,
            "elements of the map overlap",
        ),
        (table("comment \"open"), 2, "this text has no closing quote"),
        ("flush ruleset\n".to_owned(), 1, "only table inet egressc and its table for gateways are ours"),
        ("include \"other.nft\"\n".to_owned(), 1, "this command is not understood"),
        (String::new(), 1, "the file makes no table"),
    ];
    for (text, line, reason) in cases {
        let error = decode(text.as_bytes()).expect_err(&text);
        assert_eq!((error.line, error.reason.as_str()), (line, reason), "{text}");
    }
}
