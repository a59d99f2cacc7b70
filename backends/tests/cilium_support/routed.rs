//! Random programs with gateways: their artifacts send every flow through the gateway that the source names, and changed
//! ones say what their evaluator says.

use std::collections::BTreeSet;

use egress_ir::{
    Flow, GatewayAddress, Operator, Outcome, Plane, Program, Requirement, Selector, Verdict, Workload, eval,
};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::programs::{Shape, random_program};
use egress_testkit::seed::{Rng, cases, seed};

use crate::cilium_support::{adapted, options, round_trip, shape};
use crate::pieces::Pieces;
use crate::schema::Schemas;

/// A program with up to two gateways, on nodes and with unmanaged addresses of both families. `fine`: rules with gateways
/// also have ports and names, which most often cannot be said.
fn routed(rng: &mut Rng, fine: bool) -> Program {
    let shape = Shape { gateways: 2, fine_gateways: fine, ..shape() };
    let mut program = adapted(random_program(rng, &shape));
    for (number, id) in program.gateways.ids().collect::<Vec<_>>().into_iter().enumerate() {
        let gateway = program.gateways.get_mut(id).expect("a gateway of the program");
        let zone = Requirement { key: "zone".to_owned(), operator: Operator::In([gateway.name.clone()].into()) };
        gateway.nodes = Some(Selector(vec![zone]));
        let addresses = [format!("203.0.113.{}", number + 1), format!("2001:db8:ffff::{}", number + 1)];
        let address = |text: String| GatewayAddress { address: text.parse().expect("an address"), managed: false };
        gateway.addresses = addresses.map(address).into();
    }
    program
}

/// What the source says happens.
fn expected(program: &Program, flow: &Flow) -> Outcome {
    match eval(program, flow).verdict {
        Verdict::Inside | Verdict::Ungoverned => Outcome::Passes(None),
        Verdict::Allowed(gateway) => Outcome::Passes(gateway),
        Verdict::Denied | Verdict::Conflict(_) => Outcome::Dropped,
    }
}

#[test]
fn random_programs_leave_through_the_gateways_of_their_source() {
    let schemas = Schemas::read();
    let (seed, cases) = (seed(), cases(400));
    let (mut said, mut objects, mut flows, mut through) = (0, 0, 0, 0);
    let mut refusals = BTreeSet::new();
    for case in 0..cases {
        let mut rng = Rng::new(seed ^ 0x6a7e, case);
        let program = routed(&mut rng, case % 3 == 0);
        let (model, text) = match round_trip(&program, &options(case)) {
            Ok(emitted) => emitted,
            Err(codes) => {
                refusals.extend(codes);
                continue;
            }
        };
        let (_, wrong) = schemas.check(&text);
        assert!(wrong.is_empty(), "seed {seed}, case {case}: {wrong:?}\n{text}");
        assert_eq!(egress_backends::cilium::lint(&text, None), [], "seed {seed}, case {case}\n{text}");
        said += usize::from(!model.gateways.is_empty());
        objects += model.gateways.len();
        let mut pieces = Pieces::new(&model, &program, None).expect("our own output is clear");
        for _ in 0..80 {
            let flow = biased_flow(&mut rng, &program, Sources::Pods);
            let context = || format!("seed {seed}, case {case}: {flow}\n{text}");
            let wanted = expected(&program, &flow);
            assert_eq!(pieces.decide(&flow), Ok(wanted), "{}", context());
            let Workload::Pod(pod) = &flow.workload else { panic!("an address") };
            assert_eq!(pieces.plane.replay(pieces.sender(pod), &flow), Ok(wanted), "{}", context());
            flows += 1;
            through += usize::from(matches!(wanted, Outcome::Passes(Some(_))));
        }
    }
    println!(
        "seed {seed}: {said} of {cases} programs with {objects} gateway policies, {flows} flows, {through} through gateways; \
         refused by {refusals:?}"
    );
    assert!(flows > 0, "nothing was tried");
    assert!(cases < 100 || (said > 50 && through > 100), "{said} programs, {through} flows through gateways");
    assert!(
        refusals.iter().all(|code| ["egress::target::gateway", "egress::target::address"].contains(code)),
        "{refusals:?}"
    );
}
