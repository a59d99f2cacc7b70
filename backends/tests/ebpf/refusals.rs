//! What a snapshot cannot say is refused with its code, and so is what would be too large.

use crate::common::{shape, with_addresses};
use egress_backends::ebpf::{Limits, Options, emit};
use egress_backends::{EmitError, Routing};
use egress_compiler::{Input, MemoryFiles, SourceText};
use egress_ir::{Action, Inventory, Program};
use egress_testkit::programs::{Shape, random_inventory, random_program};
use egress_testkit::seed::{Rng, seed};

fn codes(errors: &[EmitError]) -> Vec<&'static str> {
    let mut codes: Vec<&str> = errors.iter().map(|error| error.code).collect();
    codes.dedup();
    codes
}

#[test]
fn denies_of_names_are_refused_by_rule() {
    let mut hosts = 0;
    for case in 0..60 {
        let mut rng = Rng::new(seed(), case);
        let program = with_addresses(random_program(&mut rng, &Shape::everything()));
        let rules = program.rules.values();
        let denies = rules.filter(|rule| rule.action == Action::Deny);
        let with_hosts = denies.filter(|rule| !program.destination_sets.at(rule.destinations).hosts.is_empty());
        let expected = with_hosts.count();
        let errors = emit(&program, None, &Options::default()).err().unwrap_or_default();
        let count = |code: &str| errors.iter().filter(|error| error.code == code && error.origin.is_some()).count();
        assert_eq!(count("egress::target::host-deny"), expected, "case {case}");
        assert_eq!(errors.len(), expected, "case {case}: {errors:?}");
        hosts += expected;
    }
    assert!(hosts > 10, "{hosts}");
}

/// What is refused of a policy with gateways.
fn refused(policy: &str, options: &Options) -> Vec<String> {
    let input =
        Input { sources: vec![SourceText { path: "policy.egress".into(), bytes: policy.into() }], root: ".".into() };
    let compiled = egress_compiler::compile(input, &MemoryFiles::default(), &egress_compiler::Options::default());
    let program = compiled.program.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let errors = emit(&program, None, options).err().unwrap_or_default();
    assert_eq!(codes(&errors), ["egress::target::gateway"].repeat(usize::from(!errors.is_empty())), "{errors:?}");
    errors.into_iter().map(|error| error.message).collect()
}

const FOUR: &str = "gateway four { address 203.0.113.10 }\n";
const BOTH: &str = "gateway both { address 203.0.113.11, 2001:db8::11 }\n";

#[test]
fn a_gateway_without_an_address_of_the_family_is_refused_by_rule() {
    let of = |gateways: &str, policy: &str| refused(&format!("{gateways}{policy}"), &Options::default());
    let to_both = "policy p { for pods in namespace shop allow 192.0.2.0/24, 2001:db8:7::/48 via four }";
    assert_eq!(
        of(FOUR, to_both),
        ["`p#1` sends to IPv6 destinations via `four`, which has no IPv6 address to leave with"]
    );
    assert_eq!(of(BOTH, &to_both.replace("four", "both")), [""; 0]);
    // No destination of the family, or no sender of it.
    assert_eq!(of(FOUR, "policy p { for pods in namespace shop allow 192.0.2.0/24 via four }"), [""; 0]);
    assert_eq!(of(FOUR, "policy p { for address 10.9.0.0/24 allow 192.0.2.0/24, 2001:db8:7::/48 via four }"), [""; 0]);
    assert_eq!(of(FOUR, "policy p { for address fd00::/64 allow 192.0.2.0/24, 2001:db8:7::/48 via four }").len(), 1);
    // What is inside is not governed.
    let inside = "cluster c {\n pods 10.42.0.0/16, fd42::/56\n services 10.43.0.0/16\n nodes 192.168.1.0/24\n}\n";
    let to_inside = "policy p { for pods in namespace shop allow 192.0.2.0/24, fd42::/64 via four }";
    assert_eq!(of(&format!("{inside}{FOUR}"), to_inside), [""; 0]);
    assert_eq!(of(FOUR, to_inside).len(), 1);
    let elsewhere = Options { routing: Routing::Elsewhere, ..Options::default() };
    assert_eq!(refused(&format!("{FOUR}{to_both}"), &elsewhere), [""; 0]);
}

#[test]
fn the_mask_holds_every_number() {
    let policy = format!(
        "{FOUR}{BOTH}policy p {{ for pods in namespace shop allow 192.0.2.0/24 via four allow 198.51.100.0/24 via both }}"
    );
    let with = |gateway_mask: u32| refused(&policy, &Options { gateway_mask, ..Options::default() });
    for mask in [0x00ff_0000, 0b11, 0b110, 0xc000_0000, u32::MAX] {
        assert_eq!(with(mask), [""; 0], "{mask:#x}");
    }
    assert_eq!(with(1 << 31), ["rules name 2 gateways, and the mask `0x80000000` holds the numbers of 1 only"]);
    for mask in [0, 0b101, 0xff00_ff00] {
        assert_eq!(with(mask).len(), 1, "{mask:#x}");
    }
    // A program without gateways needs none.
    let no_mask = Options { gateway_mask: 0, ..Options::default() };
    assert_eq!(refused("policy p { for pods in namespace shop allow 192.0.2.0/24 }", &no_mask), [""; 0]);
}

#[test]
fn gateways_with_one_address_are_refused() {
    let policy = "gateway one { address 203.0.113.10 }\ngateway two { address 203.0.113.12, 203.0.113.10 }\n\
                  policy p { for pods in namespace shop allow 192.0.2.0/24 via one allow 198.51.100.0/24 via two }";
    let both_have = "the gateways `one` and `two` both have the address `203.0.113.10`";
    assert_eq!(refused(policy, &Options::default()), [both_have]);
}

/// A program with a row, a class and a rule or more.
fn program() -> (Program, Inventory) {
    let mut rng = Rng::new(seed(), 4);
    let program = with_addresses(random_program(&mut rng, &Shape { blocks: 6..=6, rules: 4..=6, ..shape(0) }));
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
