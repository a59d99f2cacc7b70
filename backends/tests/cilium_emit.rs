//! One policy that uses everything, read by people; and everything that is refused, with its reason and way out.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a case that cannot be read must stop the test"
)]

#[path = "cilium_support/build.rs"]
mod build;
#[path = "cilium_support/gateways.rs"]
mod gateways;
#[path = "cilium_support/schema.rs"]
mod schema;

use std::path::Path;

use build::{Unit, except, host, pods, prefixes, set};
use egress_backends::cilium::{Options, decode, emit};
use egress_backends::{Artifact, Level};
use egress_ir::{Action, BlockKind, DestinationSet, HostPattern, PortSet, Program, WorkloadSet};

fn options() -> Options {
    Options { source_digest: "sha256:00".to_owned(), ..Options::default() }
}

fn emitted(program: &Program, options: &Options) -> (Artifact, String) {
    let artifact = emit(program, None, options).unwrap_or_else(|errors| panic!("{errors:?}"));
    let text = String::from_utf8(artifact.bytes.clone()).expect("text");
    decode(&artifact.bytes).unwrap_or_else(|error| panic!("{error}\n{text}"));
    (artifact, text)
}

/// Compares with the file of this name beside the other Cilium data; `EGRESS_BLESS=1` writes it.
fn expect_file(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cilium/emit").join(name);
    if std::env::var_os("EGRESS_BLESS").is_some() {
        std::fs::write(&path, text).expect("a file");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, expected, "{} differs; EGRESS_BLESS=1 accepts what there is now", path.display());
}

/// A shop: a guardrail for everybody, a policy with names, ranges with exceptions, a long list, ports and ICMP.
fn shop() -> Program {
    let mut unit = Unit::new();
    let everybody = unit.block(BlockKind::Guardrail, "never", WorkloadSet::All);
    unit.rule(everybody, Action::Deny, set(&["169.254.169.254/32", "fd00:ec2::254/128"]), PortSet::any());
    let list: Vec<String> = (0..40).map(|number| format!("198.51.100.{}/32", number * 3)).collect();
    let abusive = set(&list.iter().map(String::as_str).collect::<Vec<_>>());
    unit.declare("abusive", abusive.clone());
    unit.rule(everybody, Action::Deny, abusive.clone(), PortSet::any());
    let lockdown = unit.block(BlockKind::Policy, "lockdown", WorkloadSet::All);
    let _ = lockdown;
    let checkout = pods(&[("app", &["checkout"])], Some("shop"), None);
    let shop = unit.block(BlockKind::Policy, "shop", checkout.clone());
    unit.owner(shop, "team-shop");
    let https = PortSet::numbers(6, 443, 443);
    let stripe = DestinationSet {
        hosts: [HostPattern::Exact("api.stripe.com".into()), HostPattern::OneLabel("stripe.com".into())].into(),
        ..DestinationSet::default()
    };
    let paid = unit.rule(shop, Action::Allow, stripe, https.clone());
    unit.because(paid, "card payments", "SEC-1042");
    let ledger = except(&["10.20.0.0/16"], &["10.20.99.0/24"]);
    unit.rule(shop, Action::Allow, ledger, PortSet::numbers(6, 5432, 5432).union(&PortSet::numbers(6, 6432, 6440)));
    unit.rule(shop, Action::Allow, prefixes(&["10.0.0.0/8"]), PortSet::icmp_type(1, 8));
    unit.rule(
        shop,
        Action::Deny,
        prefixes(&["10.0.0.0/8"]),
        PortSet::numbers(6, 25, 25).union(&PortSet::numbers(17, 25, 25)).union(&PortSet::numbers(132, 25, 25)),
    );
    let batch = pods(&[("tier", &["etl", "ml"])], None, Some("batch"));
    let others = WorkloadSet::Except(
        Box::new(WorkloadSet::Union(vec![batch, checkout])),
        Box::new(pods(&[("legacy", &["yes"])], Some("old"), None)),
    );
    let etl = unit.block(BlockKind::Policy, "etl", others);
    unit.rule(etl, Action::Allow, DestinationSet { addresses: unit.outside(), ..DestinationSet::default() }, https);
    unit.rule(etl, Action::Allow, abusive, PortSet::numbers(17, 123, 123));
    unit.program
}

#[test]
fn a_shop_reads_like_its_source() {
    let (artifact, text) = emitted(&shop(), &options());
    expect_file("shop.yaml", &text);
    assert_eq!(artifact, emitted(&shop(), &options()).0, "output is a function of input");
    let codes: Vec<&str> = artifact.notices.iter().map(|notice| notice.code).collect();
    let expected =
        ["address-workloads", "inside", "resolver", "shared-address"].map(|slug| format!("egress::target::{slug}"));
    assert_eq!(codes, expected, "{:?}", artifact.notices);
}

#[test]
fn a_policy_of_one_namespace_becomes_its_own() {
    let (_, text) = emitted(&shop(), &Options { namespaced: true, ..options() });
    expect_file("shop-namespaced.yaml", &text);
    assert_eq!(text.matches("kind: CiliumNetworkPolicy\n").count(), 1);
}

/// One rule on these destinations and ports for pods of an app.
fn one(action: Action, destinations: DestinationSet, ports: PortSet) -> Program {
    let mut unit = Unit::new();
    let block = unit.block(BlockKind::Policy, "shop", pods(&[("app", &["web"])], None, None));
    unit.rule(block, action, destinations, ports);
    unit.program
}

fn of_workloads(workloads: WorkloadSet) -> Program {
    let mut unit = Unit::new();
    let block = unit.block(BlockKind::Policy, "shop", workloads);
    unit.rule(block, Action::Allow, set(&["192.0.2.0/24"]), PortSet::any());
    unit.program
}

#[test]
fn what_cannot_be_said_is_refused() {
    let range = || set(&["192.0.2.0/24"]);
    let long = "x".repeat(60);
    let names = host(&["api.example.com"]);
    let no_dns = || {
        let mut program = one(Action::Allow, host(&["api.example.com"]), PortSet::any());
        program.cluster.dns = None;
        program
    };
    let no_cluster = || {
        let mut program = one(Action::Allow, range(), PortSet::any());
        program.cluster = egress_ir::Cluster::default();
        program
    };
    let via = || {
        let mut unit = Unit::new();
        let block = unit.block(BlockKind::Policy, "shop", WorkloadSet::All);
        let rule = unit.rule(block, Action::Allow, range(), PortSet::any());
        let gateway = unit.gateway("eu", &["2001:db8::1"]);
        unit.via(rule, gateway);
        unit.program
    };
    let cases = [
        ("cluster", no_cluster()),
        ("dns", no_dns()),
        ("gateway", via()),
        ("host-deny", one(Action::Deny, names.clone(), PortSet::any())),
        ("host", one(Action::Allow, names, PortSet::icmp_type(1, 8))),
        ("host", one(Action::Allow, host(&["a b.example"]), PortSet::any())),
        ("icmp", one(Action::Allow, range(), PortSet::icmp_type(1, 0))),
        ("icmp", one(Action::Allow, range(), PortSet::protocol(1))),
        ("icmp", one(Action::Deny, range(), PortSet::numbers(58, 0x0101, 0x0101))),
        ("port", one(Action::Allow, range(), PortSet::numbers(6, 0, 1023))),
        ("protocol", one(Action::Allow, range(), PortSet::protocol(47))),
        ("address", one(Action::Allow, set(&["::ffff:10.0.0.0/104"]), PortSet::any())),
        ("workload-address", of_workloads(WorkloadSet::Address(build::prefix("10.9.0.0/24")))),
        ("label", of_workloads(pods(&[("pod-template-hash", &["x"])], None, None))),
        ("label", of_workloads(pods(&[("kubernetes.io/arch", &["x"])], None, None))),
        ("label", of_workloads(pods(&[("io.kubernetes.pod.namespace", &["x"])], None, None))),
        ("label", of_workloads(pods(&[(&long, &["x"])], None, None))),
        ("label", of_workloads(pods(&[], None, Some(&"x".repeat(64))))),
    ];
    for (slug, program) in cases {
        let errors = emit(&program, None, &options()).expect_err(slug);
        let found: Vec<&str> = errors.iter().map(|error| error.code).collect();
        assert_eq!(found, [format!("egress::target::{slug}")], "{errors:?}");
        for error in errors {
            assert!(error.origin.is_some() || matches!(slug, "cluster"), "{error:?}");
            assert!(!error.help.is_empty() && !error.message.ends_with('.'), "{error:?}");
        }
    }
}

#[test]
fn audit_and_logs_are_said_aloud() {
    let mut unit = Unit::new();
    let block = unit.block(BlockKind::Policy, "trial", WorkloadSet::All);
    unit.audit(block);
    let shop = unit.block(BlockKind::Guardrail, "shop", pods(&[("app", &["web"])], None, None));
    let rule = unit.rule(shop, Action::Deny, set(&["192.0.2.0/24"]), PortSet::any());
    unit.log(rule);
    let (artifact, text) = emitted(&unit.program, &options());
    let codes: Vec<&str> = artifact.notices.iter().map(|notice| notice.code).collect();
    assert_eq!(codes, ["egress::target::audit", "egress::target::log"]);
    assert!(!text.contains("trial"), "{text}");
}

#[test]
fn a_table_that_may_overflow_is_warned_about() {
    let narrow: Vec<String> =
        (0..2000_u32).map(|number| format!("20.{}.{}.0/32", number / 200, number % 200)).collect();
    let narrow = set(&narrow.iter().map(String::as_str).collect::<Vec<_>>());
    let ports = |count: u16| {
        (0..count).fold(PortSet::empty(), |sum, at| sum.union(&PortSet::numbers(6, 1001 + 2 * at, 1001 + 2 * at)))
    };
    for (count, expected) in [(2, None), (7, Some("near")), (9, Some("over"))] {
        let (artifact, _) = emitted(&one(Action::Allow, narrow.clone(), ports(count)), &options());
        let warning = artifact.notices.iter().find(|notice| notice.level == Level::Warning);
        assert_eq!(warning.is_some(), expected.is_some(), "{count}: {warning:?}");
        if let (Some(warning), Some(how)) = (warning, expected) {
            assert_eq!(warning.code, "egress::target::capacity");
            assert!(warning.message.contains(how), "{warning:?}");
        }
    }
}

#[test]
fn long_lists_and_many_rules_are_split() {
    let list: Vec<String> = (0..30_000_u32)
        .map(|number| format!("20.{}.{}.{}/32", number >> 14, (number >> 7) & 127, (number & 127) * 2))
        .collect();
    let list = set(&list.iter().map(String::as_str).collect::<Vec<_>>());
    let (_, text) = emitted(&one(Action::Deny, list, PortSet::any()), &options());
    assert_eq!(text.matches("kind: CiliumCIDRGroup").count(), 2);
    let mut unit = Unit::new();
    let block = unit.block(BlockKind::Policy, "big", WorkloadSet::All);
    for number in 0..3000_u16 {
        unit.rule(block, Action::Allow, set(&["192.0.2.0/24"]), PortSet::numbers(6, 2 + 2 * number, 2 + 2 * number));
    }
    let (_, text) = emitted(&unit.program, &options());
    let parts = text.matches("kind: CiliumClusterwideNetworkPolicy").count();
    assert!(parts > 1, "{parts}");
    assert!(text.split("---\n").all(|object| object.len() < 1_000_000));
}
