//! The example of the language's page, compiled and asked.

use crate::units::{compile_folder, testdata};
use egress_compiler::Severity;
use egress_ir::*;
use std::collections::BTreeSet;

fn pod(namespace: &str, app: &str) -> Workload {
    let labels = Labels::from([("app".to_owned(), app.to_owned())]);
    Workload::Pod(Pod { namespace: namespace.to_owned(), labels, ..Pod::default() })
}

fn judge(program: &Program, workload: Workload, address: &str, name: Option<&str>, port: Port) -> Verdict {
    let names: BTreeSet<String> = name.map(str::to_owned).into_iter().collect();
    let destination = Destination { address: address.parse().expect("an address"), names };
    eval(program, &Flow { workload, destination, port }).verdict
}

#[test]
fn the_example_means_what_its_page_says() {
    let compiled = compile_folder(&testdata().join("lowering/ok/language-page"));
    let errors: Vec<_> = compiled.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let program = compiled.program.expect("a meaning");
    let gateway = program.gateways.iter().find(|(_, it)| it.name == "eu-fixed").map(|(id, _)| id);
    assert!(gateway.is_some());
    let checkout = || pod("shop", "checkout");
    let cases = [
        (checkout(), "198.51.100.7", Some("api.stripe.com"), Port::tcp(443), Verdict::Allowed(gateway)),
        (checkout(), "198.51.100.7", Some("api.stripe.com"), Port::tcp(80), Verdict::Denied),
        (checkout(), "198.51.100.7", Some("stripe.com"), Port::tcp(443), Verdict::Denied),
        (checkout(), "169.254.169.254", Some("api.stripe.com"), Port::tcp(443), Verdict::Denied),
        (checkout(), "10.20.1.5", None, Port::tcp(5432), Verdict::Allowed(None)),
        (checkout(), "10.20.1.5", None, Port::tcp(6440), Verdict::Allowed(None)),
        (checkout(), "10.20.1.5", None, Port::tcp(6441), Verdict::Denied),
        (checkout(), "10.20.99.1", None, Port::tcp(5432), Verdict::Denied),
        (checkout(), "10.43.0.10", None, Port::udp(53), Verdict::Inside),
        (checkout(), "77.90.185.20", Some("www.stripe.com"), Port::tcp(443), Verdict::Denied),
        (pod("shop", "front"), "10.20.1.5", None, Port::tcp(5432), Verdict::Denied),
        (pod("bank", "checkout"), "10.20.1.5", None, Port::tcp(5432), Verdict::Denied),
        (Workload::Address([10, 9, 0, 7].into()), "192.0.2.1", None, Port::tcp(443), Verdict::Denied),
    ];
    for (workload, address, name, port, expected) in cases {
        let shown = format!("{workload} → {address} {port}");
        assert_eq!(judge(&program, workload, address, name, port), expected, "{shown}");
    }
    assert_eq!(program.controls.values().map(|it| it.assertions.len()).collect::<Vec<_>>(), [5]);
}
