//! What the tree says: every mistake of a file is found in one run, documentation finds its
//! declaration, values are typed.

use std::collections::BTreeSet;

use egress_lang::ast::{Claim, DestinationTerm, Item, Namespace, Operator, SetNode, WorkloadTerm};
use egress_lang::value::{Fault, date, host, prefix, range};
use egress_lang::{MAX_BYTES, SyntaxError, format, parse, source_text};

/// Each line holds the mistakes named in its comment, in order, and nothing else is wrong.
const MISTAKES: &str = r#"cluster prod {
  pods 10.42.1.0/16                              # address::host-bits
  servces 10.43.0.0/33                           # syntax::keyword address::length
  dns pods(k8s-app~=kube-dns) in namespce kube   # syntax::selector syntax::keyword
}
workloads Check_Out = pods(app=checkout          # syntax::name syntax::unclosed
workloads deep = (all, ) except b except c       # syntax::expected syntax::except
destinations stripe = api.stripe.com, host a.*.b # syntax::bare-host syntax::host
destinations d = 10.0.0.9-10.0.0.1, 300.1.1.1    # address::range address::invalid
polcy shop {                                     # syntax::keyword
  for checkout 10.1.0.0/16                       # syntax::expected syntax::bare-address
  owner team-shop                                # syntax::expected
  alow stripe onn 443/tcp                        # syntax::keyword syntax::keyword
  allow on 70000/tcp, 9-3/udp, 443 via           # syntax::expected syntax::port-range syntax::port-range syntax::port syntax::expected
  allow a until 2027-02-30 until tomorrow        # syntax::date syntax::repeated syntax::date
  deny a via eu log; ticket "\q"                 # syntax::rule syntax::character syntax::string
  frobnicate                                     # syntax::keyword
}
guardrail never { allow "x" }                    # syntax::missing syntax::rule syntax::expected
assert all can not reach                         # syntax::keyword syntax::expected
assert only a cannot reach b                     # syntax::expected
} stray                                          # syntax::expected
control "id" {                                   # syntax::expected
  assert pods in namespace a_b can reach b       # syntax::kubernetes-name
  assert a can reach b only via                  # syntax::expected syntax::unclosed"#;

#[test]
fn one_run_reports_every_mistake() {
    let errors = parse(MISTAKES).errors;
    let found: Vec<(usize, String)> = errors
        .iter()
        .map(|error| {
            let line = MISTAKES[..error.span().start as usize].matches('\n').count() + 1;
            (line, error.stable_code().trim_start_matches("egress::").to_owned())
        })
        .collect();
    let mut expected = Vec::new();
    for (line, text) in MISTAKES.lines().enumerate() {
        let codes = text.split_once(" # ").map_or("", |(_, codes)| codes);
        expected.extend(codes.split_whitespace().map(|code| (line + 1, code.to_owned())));
    }
    assert_eq!(found, expected);
    assert!(expected.iter().map(|(_, code)| code).collect::<BTreeSet<_>>().len() > 20);
}

#[test]
fn documentation_stands_directly_above() {
    let text = "## One.\n##  Two.\npolicy p {\n  for all\n  ## Rule.\n  allow world\n  # no\n  deny private\n}\n\
                ## Not this.\n\nassert all can reach world\n### nor this\nports a = any\n";
    let file = parse(text).file;
    let Item::Policy(policy) = &file.items[0] else { panic!("{file:?}") };
    assert_eq!(policy.doc.as_ref().unwrap().text, "One.\n Two.");
    assert_eq!(policy.rules[0].doc.as_ref().unwrap().text, "Rule.");
    assert_eq!(policy.rules[1].doc, None);
    let Item::Assert(assert) = &file.items[1] else { panic!("{file:?}") };
    assert_eq!(assert.doc, None);
    let Item::Ports(ports) = &file.items[2] else { panic!("{file:?}") };
    assert_eq!(ports.doc, None);
}

#[test]
fn terms_are_typed_and_have_spans() {
    let text = "workloads w = pods(a in (b, c), !d) in namespaces(e) as serviceaccount f\n\
                destinations d = 10.0.0.0/8, host *.EXAMPLE.com, 10.0.0.1-10.0.0.9\n\
                assert w can reach d only via g on any";
    let parsed = parse(text);
    assert_eq!(parsed.errors, []);
    let [Item::Workloads(w), Item::Destinations(d), Item::Assert(assert)] = &parsed.file.items[..] else { panic!() };
    let SetNode::Term(WorkloadTerm::Pods(pods)) = &w.set.node else { panic!("{w:?}") };
    let requirements = &pods.selector.as_ref().unwrap().requirements;
    assert_eq!(requirements[0].operator, Operator::In);
    assert_eq!(requirements[0].span.text(text), "a in (b, c)");
    assert_eq!(requirements[1].operator, Operator::NotExists);
    assert!(matches!(&pods.namespace, Some(Namespace::Selected(it)) if it.span.text(text) == "(e)"));
    assert_eq!(pods.service_account.as_ref().unwrap().node, "f");
    let SetNode::Union(parts) = &d.set.node else { panic!("{d:?}") };
    let SetNode::Term(DestinationTerm::Prefix(first)) = &parts[0].node else { panic!("{d:?}") };
    assert_eq!(first.node, prefix("10.0.0.0/8").ok());
    let SetNode::Term(DestinationTerm::Host(second)) = &parts[1].node else { panic!("{d:?}") };
    assert_eq!(second.node, host("*.example.com").ok());
    assert_eq!(second.span.text(text), "*.EXAMPLE.com");
    let SetNode::Term(DestinationTerm::Range(third)) = &parts[2].node else { panic!("{d:?}") };
    assert_eq!(third.node, range("10.0.0.1-10.0.0.9").ok());
    assert!(matches!(&assert.claim, Claim::OnlyVia(gateway) if gateway.text == "g"));
}

#[test]
fn values_keep_their_bounds() {
    for good in ["0.0.0.0/0", "255.255.255.255/32", "::/0", "fd00::/8", "2001:db8::1/128"] {
        assert!(prefix(good).is_ok(), "{good}");
    }
    for bad in ["10.0.0.0/", "10.0.0.0/+8", "10.0.0.0/08", "10.0.0.0/33", "::/129", "1.2.3.4/0", "10/8", ""] {
        assert!(prefix(bad).is_err(), "{bad}");
    }
    assert!(
        matches!(prefix("::ffff:1.2.3.0/120"), Err(Fault::Mapped { meant, .. }) if meant.to_string() == "1.2.3.0/24")
    );
    assert!(matches!(prefix("fd00::1/64"), Err(Fault::HostBits { meant, .. }) if meant.to_string() == "fd00::/64"));
    for good in ["2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"] {
        assert_eq!(date(good).unwrap().to_string(), good);
    }
    for bad in ["2023-02-29", "1900-02-29", "2024-04-31", "2024-00-10", "2024-1-1", "0000-01-01", "2024-01-01-01"] {
        assert!(date(bad).is_err(), "{bad}");
    }
    let label = "a".repeat(64);
    for bad in [label.as_str(), "a.", ".a", "*", "**", "*.", "a.*", "***.a", "a b"] {
        assert_eq!(host(bad).is_err(), bad != "a.", "{bad}");
    }
}

#[test]
fn unreadable_files_are_refused() {
    assert_eq!(source_text(b"a\nb\xff"), Err(SyntaxError::Encoding { offset: 3, line: 2 }));
    let large = vec![b' '; MAX_BYTES + 1];
    assert_eq!(source_text(&large), Err(SyntaxError::TooLarge { bytes: MAX_BYTES + 1 }));
    assert_eq!(parse(std::str::from_utf8(&large).unwrap()).errors.len(), 1);
    assert_eq!(format(""), Ok(String::new()));
    assert_eq!(format("\u{feff}\r\n# only a comment \r\n\r\n"), Ok("# only a comment\n".to_owned()));
}
