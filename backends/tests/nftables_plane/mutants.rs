//! Artifacts that somebody has changed by hand: the plane says what the judge says, whatever that is.

use crate::common::{emitted, packet_of, program_of, settings};
use crate::support::Asked;
use egress_backends::nftables::{Hook, Options, decode, plane};
use egress_ir::{Outcome, Plane, eval};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::programs::random_inventory;
use egress_testkit::seed::{Rng, cases, seed};

#[test]
fn a_changed_file_is_seen_as_the_judge_sees_it() {
    let (seed, cases) = (seed(), cases(300));
    let (mut checked, mut mutants, mut differing, mut unclear) = (0_u64, 0_u64, 0_u64, 0_u64);
    for case in 0..cases {
        let mut rng = Rng::new(seed, 50_000 + case);
        let setting = settings(case);
        let program = program_of(&mut rng, setting);
        let inventory = random_inventory(&mut rng, &program);
        let known = setting.has_inventory.then_some(&inventory);
        let hooks = vec![Hook::Prerouting, Hook::Output];
        let options = Options { hooks, epoch: setting.epoch.then_some(7), ..Options::default() };
        let Some(artifact) = emitted(&program, known, &options) else { continue };
        let text = String::from_utf8(artifact.bytes).unwrap();
        let changed = changed(&mut rng, &text);
        let Ok(ruleset) = decode(changed.as_bytes()) else { continue };
        mutants += 1;
        let mut asked = Asked::new(plane::plane(&ruleset, &program, known).unwrap());
        let sources = known.map_or(Sources::Addresses, Sources::Inventory);
        for _ in 0..30 {
            let flow = biased_flow(&mut rng, &program, sources);
            let Some(packet) = packet_of(&flow, &inventory) else { continue };
            for sender in asked.senders(&flow) {
                // A fault in how packets leave is never guessed at; `verifier/tests/gateways.rs` is about those.
                if asked.is_unclear(sender) {
                    unclear += 1;
                    continue;
                }
                let outcome = asked.outcome(sender, &flow);
                let by_judge = asked.judged(&ruleset, sender, packet.source, &flow);
                let shown = || format!("seed {seed} case {case}: {flow}\n{changed}");
                // What is judged to pass may still be stopped where it leaves.
                let stopped_later = ruleset.gateways.is_some() && by_judge && outcome == Outcome::Dropped;
                assert!(outcome.passes() == by_judge || stopped_later, "{}", shown());
                assert_eq!(asked.plane.replay(sender, &flow), Ok(outcome), "{}", shown());
                differing += u64::from(outcome.passes() != eval(&program, &flow).verdict.passes());
                checked += 1;
            }
        }
    }
    println!(
        "{checked} flows of {mutants} changed files of {cases}; {differing} are judged unlike the program, {unclear} not clear"
    );
    assert!(unclear < checked / 2, "{unclear} of {checked}");
    assert!(mutants > cases / 3 && checked > cases && differing > cases / 10);
}

/// The text with one to three lines of rules dropped, repeated, or with another number or verdict in them.
fn changed(rng: &mut Rng, text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..rng.between(1, 3) {
        let rules: Vec<usize> = (0..lines.len()).filter(|&line| lines[line].starts_with("\t\t")).collect();
        let line = *rng.choose(&rules).unwrap();
        let old = lines[line].clone();
        match rng.below(6) {
            0 => drop(lines.remove(line)),
            1 => lines.insert(line, rng.pick(&RULES).to_owned()),
            2 => lines[line] = swapped(&old, &[" accept", " drop", " return", " continue"][..], rng),
            3 => lines[line] = swapped(&old, &["jump ", "goto "][..], rng),
            _ => lines[line] = other_number(rng, &old),
        }
    }
    lines.join("\n") + "\n"
}

/// Rules that people might add.
const RULES: [&str; 12] = [
    "\t\ttcp dport { 80, 443, 8000-9000 } accept",
    "\t\ttcp dport != 443 return",
    "\t\tip daddr != 10.0.0.0/8 udp dport 53 drop",
    "\t\tip6 daddr { fd00::/8, 2001:db8::1-2001:db8::ff } meta l4proto { 6, 17 } continue",
    "\t\ticmp code 0 drop",
    "\t\ticmpv6 type 128 icmpv6 code != 0 accept",
    "\t\tct mark set 0x10 tcp dport 22 ct mark 0x10 drop",
    "\t\tmeta priority set 1:2",
    "\t\tmeta priority 1:2 ip saddr 10.0.0.0/8 drop",
    "\t\tfib daddr type { multicast, broadcast } drop",
    "\t\tct mark & 0xff != 0x10 meta l4proto < 20 accept",
    "\t\tip saddr < 10.42.0.9 sctp dport 1-1000 return",
];

fn swapped(line: &str, words: &[&str], rng: &mut Rng) -> String {
    let other = words[rng.below(words.len())];
    words.iter().find(|word| line.contains(**word)).map_or(line.to_owned(), |word| line.replace(word, other))
}

/// The line with one of its decimal numbers raised or lowered by one, or with another last digit.
fn other_number(rng: &mut Rng, line: &str) -> String {
    let digits: Vec<usize> = line.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(at, _)| at).collect();
    let Some(&at) = rng.choose(&digits) else { return line.to_owned() };
    let digit = u64::from(line.as_bytes()[at] - b'0');
    let other = match rng.below(3) {
        0 => (digit + 1) % 10,
        1 => (digit + 9) % 10,
        _ => rng.between(0, 9),
    };
    format!("{}{other}{}", &line[..at], &line[at + 1..])
}
