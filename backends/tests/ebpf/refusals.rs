//! What a snapshot cannot say is refused with its code, and so is what would be too large.

use crate::common::shape;
use egress_backends::EmitError;
use egress_backends::ebpf::{Limits, Options, emit};
use egress_ir::{Inventory, Program};
use egress_testkit::programs::{Shape, random_inventory, random_program};
use egress_testkit::seed::{Rng, seed};

fn codes(errors: &[EmitError]) -> Vec<&'static str> {
    let mut codes: Vec<&str> = errors.iter().map(|error| error.code).collect();
    codes.dedup();
    codes
}

#[test]
fn hosts_and_gateways_are_refused_by_rule() {
    let (mut hosts, mut gateways) = (0, 0);
    for case in 0..60 {
        let mut rng = Rng::new(seed(), case);
        let program = random_program(&mut rng, &Shape::everything());
        let rules = program.rules.values();
        let with_hosts = rules.clone().filter(|rule| !program.destination_sets.at(rule.destinations).hosts.is_empty());
        let with_gateways = rules.filter(|rule| rule.gateway.is_some());
        let expected = (with_hosts.count(), with_gateways.count());
        let errors = emit(&program, None, &Options::default()).err().unwrap_or_default();
        let count = |code: &str| errors.iter().filter(|error| error.code == code && error.origin.is_some()).count();
        assert_eq!((count("egress::target::host"), count("egress::target::gateway")), expected, "case {case}");
        assert_eq!(errors.len(), expected.0 + expected.1, "case {case}: {errors:?}");
        hosts += expected.0;
        gateways += expected.1;
    }
    assert!(hosts > 10 && gateways > 10, "{hosts} {gateways}");
}

/// A program with a row, a class and a rule or more.
fn program() -> (Program, Inventory) {
    let mut rng = Rng::new(seed(), 4);
    let program = random_program(&mut rng, &Shape { blocks: 6..=6, rules: 4..=6, ..shape(0) });
    let inventory = random_inventory(&mut rng, &program);
    (program, inventory)
}

#[test]
fn what_is_too_large_is_refused_by_dimension() {
    let (program, inventory) = program();
    let refused = |limits: Limits| {
        let options = Options { limits, ..Options::default() };
        let errors = emit(&program, Some(&inventory), &options).unwrap_err();
        assert_eq!(codes(&errors), ["egress::target::capacity"]);
        assert!(errors.iter().all(|error| !error.help.is_empty()));
        errors[0].message.clone()
    };
    let all = Limits::default();
    let messages = [
        refused(Limits { combinations: 1, ..all }),
        refused(Limits { cells: 1, ..all }),
        refused(Limits { lines: 60, ..all }),
    ];
    for (message, word) in messages.iter().zip(["workload sets", "destination sets", ""]) {
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn the_size_is_said_and_what_is_not_tested() {
    let (program, inventory) = program();
    let artifact = emit(&program, Some(&inventory), &Options::default()).unwrap();
    assert!(artifact.size.unwrap().contains("in the kernel (addresses "));
    let untested: Vec<_> = artifact.notices.iter().filter(|notice| notice.code == "egress::target::vectors").collect();
    assert!(untested.is_empty(), "{untested:?}");
    let limits = Limits { vectors: 3, ..Limits::default() };
    let few = emit(&program, Some(&inventory), &Options { limits, ..Options::default() }).unwrap();
    assert!(few.notices.iter().any(|notice| notice.code == "egress::target::vectors"));
}

#[test]
fn the_bytes_are_a_function_of_the_arguments() {
    let (program, inventory) = program();
    let of = |generation: u64| {
        emit(&program, Some(&inventory), &Options { generation, ..Options::default() }).unwrap().bytes
    };
    assert_eq!(of(7), of(7));
    assert_ne!(of(7), of(8));
}
