//! A small policy with gateways, put together as the compiler lowers it.

use egress_compiler::{Files, Input, Options, ReadError, SourceText};
use egress_ir::{Inventory, Program};

/// A program and what runs.
pub(crate) struct Draft {
    pub(crate) program: Program,
    pub(crate) inventory: Inventory,
}

struct NoLists;

impl Files for NoLists {
    fn read(&self, _: &str) -> Result<Vec<u8>, ReadError> {
        Err(ReadError::NotFound)
    }
}

/// Compiles a policy with an inventory in the JSON of `kubectl`.
pub(crate) fn compiled(policy: &str, inventory: &str) -> Draft {
    let inventory = egress_compiler::inventory::read_all([inventory.as_bytes()]).unwrap();
    let sources = vec![SourceText { path: "shop.egress".to_owned(), bytes: policy.as_bytes().to_vec() }];
    let input = Input { sources, root: ".".to_owned() };
    let options = Options { as_of: None, inventory: Some(&inventory), strict: false };
    let found = egress_compiler::compile(input, &NoLists, &options);
    let program = found.program.unwrap_or_else(|| panic!("{:?}", found.diagnostics));
    Draft { program, inventory }
}

/// A pod's name, labels and addresses.
type Described<'d> = (&'d str, &'d [(&'d str, &'d str)], &'d [&'d str]);

/// Pods of the namespace `shop`: name, labels, addresses; all on the node `one`.
pub(crate) fn pods(pods: &[Described<'_>]) -> String {
    let pod = |(name, labels, addresses): &Described<'_>| {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key:?}: {value:?}")).collect();
        let ips: Vec<String> = addresses.iter().map(|address| format!("{{\"ip\": {address:?}}}")).collect();
        format!(
            "{{\"kind\": \"Pod\", \"apiVersion\": \"v1\", \"metadata\": {{\"name\": {name:?}, \"namespace\": \"shop\", \
             \"labels\": {{{}}}}}, \"spec\": {{\"nodeName\": \"one\"}}, \"status\": {{\"phase\": \"Running\", \"podIPs\": [{}]}}}}",
            labels.join(", "),
            ips.join(", ")
        )
    };
    let node = "{\"kind\": \"Node\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"one\", \"labels\": {\"egress-zone\": \"eu\"}}, \
                \"status\": {\"addresses\": [{\"type\": \"InternalIP\", \"address\": \"192.168.10.1\"}]}}";
    let namespace = "{\"kind\": \"Namespace\", \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"shop\"}}";
    let items: Vec<String> = pods.iter().map(pod).chain([node.to_owned(), namespace.to_owned()]).collect();
    format!("{{\"kind\": \"List\", \"apiVersion\": \"v1\", \"items\": [{}]}}", items.join(", "))
}

/// The cluster and the gateways of the small policy.
pub(crate) const CLUSTER: &str = "cluster prod {\n  pods 10.42.0.0/16, fd00:42::/56\n  services 10.43.0.0/16, fd00:43::/112\n  \
                                  nodes 192.168.10.0/24\n}\n\
                                  gateway eu { nodes(egress-zone=eu) address 203.0.113.10 managed, 2001:db8:ffff::10 managed }\n\
                                  gateway us { address 203.0.113.20 managed }\n";

/// A policy for two pods and two gateways.
pub(crate) fn small() -> Draft {
    let policy = format!(
        "{CLUSTER}policy shop {{\n  for pods(app=checkout) in namespace shop\n  owner \"team-shop\"\n  \
         allow 198.51.100.0/24, 2001:db8:1::/48 on 443/tcp via eu because \"card payments\" ticket \"SEC-1042\"\n  \
         allow 192.0.2.0/25 on 25/tcp\n}}\n\
         policy mail {{\n  for pods(app=mail) in namespace shop\n  allow 198.51.100.0/24, 203.0.113.128/25 on 25/tcp, 465/tcp via us\n}}\n"
    );
    let inventory = pods(&[
        ("checkout-1", &[("app", "checkout")], &["10.42.0.7", "fd00:42::7"]),
        ("mail-1", &[("app", "mail")], &["10.42.0.8"]),
        ("web-1", &[("app", "web")], &["10.42.0.9"]),
    ]);
    compiled(&policy, &inventory)
}
