//! Random programs, emitted and read back: plane, judge and meaning agree on every flow.

use crate::common::{is_neighbour_discovery, packet_of, program_of, settings};
use crate::support::Asked;
use egress_backends::nftables::{Hook, Options, decode, emit, plane};
use egress_ir::{Outcome, Plane, Verdict, eval};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::programs::random_inventory;
use egress_testkit::seed::{Rng, cases, seed};

const FLOWS: u64 = 40;

#[test]
fn plane_judge_and_meaning_agree() {
    let (seed, cases) = (seed(), cases(400));
    let (mut judged, mut dropped, mut exempt, mut routed) = (0_u64, 0_u64, 0_u64, 0_u64);
    for case in 0..cases {
        let mut rng = Rng::new(seed, case);
        let setting = settings(case);
        let program = program_of(&mut rng, setting);
        let inventory = random_inventory(&mut rng, &program);
        let known = setting.has_inventory.then_some(&inventory);
        let hooks = if case % 5 == 0 { vec![Hook::Prerouting, Hook::Output] } else { vec![] };
        let options = Options { hooks, epoch: setting.epoch.then_some(7), ..Options::default() };
        let Ok(artifact) = emit(&program, known, &options) else { continue };
        let ruleset = decode(&artifact.bytes).unwrap();
        let mut asked = Asked::new(plane::plane(&ruleset, &program, known).unwrap());
        let sources = known.map_or(Sources::Addresses, Sources::Inventory);
        for _ in 0..FLOWS {
            let flow = biased_flow(&mut rng, &program, sources);
            let Some(packet) = packet_of(&flow, &inventory) else { continue };
            let senders = asked.senders(&flow);
            let shown = || format!("seed {seed} case {case}: {flow}\n{}", String::from_utf8_lossy(&artifact.bytes));
            assert!(!senders.is_empty(), "nobody sends {}", shown());
            for sender in senders {
                let outcome = asked.outcome(sender, &flow);
                let by_judge = asked.judged(&ruleset, sender, packet.source, &flow);
                assert_eq!(outcome.passes(), by_judge, "{}", shown());
                assert_eq!(asked.plane.replay(sender, &flow), Ok(outcome), "{}", shown());
                if asked.is_exempt(&flow) {
                    assert!(is_neighbour_discovery(&packet), "{}", shown());
                    exempt += 1;
                    continue;
                }
                let expected = match eval(&program, &flow).verdict {
                    Verdict::Allowed(gateway) => Outcome::Passes(gateway),
                    Verdict::Inside | Verdict::Ungoverned => Outcome::Passes(None),
                    Verdict::Denied | Verdict::Conflict(_) => Outcome::Dropped,
                };
                assert_eq!(outcome, expected, "{}", shown());
                judged += 1;
                routed += u64::from(matches!(outcome, Outcome::Passes(Some(_))));
                dropped += u64::from(outcome == Outcome::Dropped);
            }
        }
    }
    println!("{judged} flows of {cases} programs, {routed} through gateways, {dropped} dropped, {exempt} exempt");
    assert!(cases < 300 || routed > 500, "only {routed} flows went through gateways");
    assert!(judged > cases * FLOWS / 2 && dropped > judged / 10 && dropped < judged);
}
