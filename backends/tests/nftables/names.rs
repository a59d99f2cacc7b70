//! What the head of a file says of names, and what cannot be said.

use egress_backends::nftables::{Options, emit};
use egress_compiler::{Input, MemoryFiles, SourceText};
use egress_ir::{Inventory, Labels, Pod, Program, RunningPod, Service};
use egress_snapshot::names::{Clients, Names};
use std::fmt::Write;
use std::net::IpAddr;

const POLICY: &str = "cluster prod {
  pods     10.42.0.0/16, fd00:42::/56
  services 10.43.0.0/16
  nodes    192.168.10.0/24
  dns      pods(k8s-app=kube-dns) in namespace kube-system
}
policy shop { for pods(app=shop) in namespace shop allow host api.example.com, host *.example.net on 443/tcp }
policy legacy { for address 10.9.0.0/24 allow host api.example.com on 443/tcp }
policy mute { for pods(app=mute) in namespace shop allow 192.0.2.1 }
";

fn program(text: &str) -> Program {
    let sources = vec![SourceText { path: "names.egress".into(), bytes: text.into() }];
    let input = Input { sources, root: ".".into() };
    let compiled = egress_compiler::compile(input, &MemoryFiles::default(), &egress_compiler::Options::default());
    compiled.program.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics))
}

fn label(key: &str, value: &str) -> Labels {
    [(key.to_owned(), value.to_owned())].into()
}

fn pod(namespace: &str, name: &str, labels: Labels, addresses: &[&str]) -> RunningPod {
    let identity = Pod { namespace: namespace.into(), name: Some(name.into()), labels, ..Pod::default() };
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    RunningPod { identity, addresses, node: None, host_network: false }
}

fn service(name: &str, address: &str, selector: Labels) -> Service {
    Service { namespace: "kube-system".into(), name: name.into(), addresses: vec![address.parse().unwrap()], selector }
}

#[test]
fn the_head_says_who_may_use_what() {
    let dns = || label("k8s-app", "kube-dns");
    let inventory = Inventory {
        pods: vec![
            pod("kube-system", "dns-0", dns(), &["10.42.0.2"]),
            pod("shop", "shop-0", label("app", "shop"), &["10.42.0.5", "fd00:42::5"]),
            pod("shop", "shop-1", label("app", "shop"), &["10.42.0.6"]),
            pod("shop", "mute-0", label("app", "mute"), &["10.42.0.7"]),
            // Its address alone would be one of the prefix's.
            pod("shop", "mute-1", label("app", "mute"), &["10.9.0.7"]),
        ],
        services: vec![service("kube-dns", "10.43.0.10", dns()), service("other", "10.43.0.11", label("app", "other"))],
        ..Inventory::default()
    };
    let artifact = emit(&program(POLICY), Some(&inventory), &Options::default()).unwrap();
    let text = String::from_utf8(artifact.bytes).unwrap();
    let address = |text: &str| -> IpAddr { text.parse().unwrap() };
    let clients = |workloads: &[&[&str]], prefixes: &[&str], hosts: &[u32]| Clients {
        workloads: workloads.iter().map(|own| own.iter().map(|one| address(one)).collect()).collect(),
        prefixes: prefixes.iter().map(|prefix| (*prefix).to_owned()).collect(),
        hosts: hosts.to_vec(),
    };
    let expected = Names {
        hosts: vec!["*.example.net".into(), "api.example.com".into()],
        inside: ["10.42.0.0/15", "192.168.10.0/24", "fd00:42::/56"].map(str::to_owned).to_vec(),
        resolvers: vec![address("10.42.0.2"), address("10.43.0.10")],
        clients: vec![
            clients(&[&["10.9.0.7"]], &[], &[]),
            clients(&[&["10.42.0.5", "fd00:42::5"], &["10.42.0.6"]], &[], &[0, 1]),
            clients(&[], &["10.9.0.0/24"], &[1]),
        ],
    };
    assert_eq!(Names::from_text(&text).unwrap(), Some(expected));
    assert!(artifact.notices.iter().any(|notice| notice.code == "egress::target::shared-address"));
    for set in ["host4/one/example.net", "host6/one/example.net", "host4/api.example.com", "host6/api.example.com"] {
        assert!(text.contains(&format!("set {set} {{")), "{set}");
    }
}

fn refused(text: &str) -> Vec<&'static str> {
    let errors = emit(&program(text), None, &Options::default()).err().unwrap_or_default();
    errors.iter().map(|error| error.code).collect()
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let many = |count: usize| {
        let mut text = "policy many {\n  for address 10.9.0.0/24\n  allow ".to_owned();
        for at in 0..count {
            write!(text, "{}host n{at}.example.com", if at == 0 { "" } else { ", " }).unwrap();
        }
        text + " on 443/tcp\n}\n"
    };
    assert_eq!(refused(&many(256)), [""; 0]);
    assert_eq!(refused(&many(257)), ["egress::target::capacity"]);
    let deny = "policy one { for address 10.9.0.0/24 deny host api.example.com }\n";
    assert_eq!(refused(deny), ["egress::target::host-deny"]);
}
