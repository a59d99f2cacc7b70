//! nft's own view of the emitted files: it takes them, and lists what `decode` reads from the bytes.

use crate::draft::{Draft, app, tcp};
use crate::observed::{rules_by_chain, sets};
use egress_backends::nftables::{Hook, LogTarget, Options, decode, emit};
use egress_testkit::lab::{Lab, Topology};
use egress_testkit::programs::{Presence, Shape, random_inventory, random_program};
use egress_testkit::seed::{Rng, cases, seed};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn nft_checks_loads_and_lists_every_file() {
    let name = "nft_checks_loads_and_lists_every_file";
    let Some(lab) = Lab::for_test(name, &Topology::default()).unwrap() else { return };
    let node = lab.node();
    let mut listed_chains = 0;
    for case in 0..cases(12) {
        let mut rng = Rng::new(seed(), 1_000 + case);
        let shape = Shape { hosts: false, gateways: 0, cluster: Presence::Sometimes, ..Shape::everything() };
        let program = random_program(&mut rng, &shape);
        let inventory = random_inventory(&mut rng, &program);
        let hooks = vec![Hook::Prerouting, Hook::Output];
        let epoch = case.is_multiple_of(2).then_some(3);
        let log = if case.is_multiple_of(3) { LogTarget::Kernel } else { LogTarget::Group(7) };
        let options = Options { hooks, epoch, log, generation: case, ..Options::default() };
        let artifact = emit(&program, Some(&inventory), &options).unwrap();
        let file = String::from_utf8(artifact.bytes.clone()).unwrap();
        // Over the file before it, and on a kernel without our table.
        node.nft_check(&file).unwrap_or_else(|error| panic!("case {case}: {error}\n{file}"));
        if case > 0 {
            node.nft("delete table inet egressc\n").unwrap();
        }
        node.nft_check(&file).unwrap_or_else(|error| panic!("case {case}: {error}\n{file}"));
        node.nft(&file).unwrap_or_else(|error| panic!("case {case}: {error}\n{file}"));
        let ruleset = decode(&artifact.bytes).unwrap();
        let decoded: BTreeMap<String, usize> =
            ruleset.chains.iter().map(|(name, chain)| (name.clone(), chain.rules.len())).collect();
        let listed = rules_by_chain(node);
        assert_eq!(listed, decoded, "case {case}\n{file}");
        let named: BTreeSet<String> = ruleset.maps.keys().chain(ruleset.sets.keys()).cloned().collect();
        assert_eq!(sets(node).into_iter().collect::<BTreeSet<_>>(), named, "case {case}\n{file}");
        // What nft lists, nft takes back.
        let text = node.nft_read(&["list", "table", "inet", "egressc"]).unwrap();
        node.nft_check(&text).unwrap_or_else(|error| panic!("case {case}: {error}\n{text}"));
        listed_chains += listed.len();
    }
    println!("{listed_chains} chains listed as decoded");
    assert!(listed_chains > 20);
}

#[test]
fn only_our_own_table_is_touched() {
    let name = "only_our_own_table_is_touched";
    let Some(lab) = Lab::for_test(name, &Topology::default()).unwrap() else { return };
    let node = lab.node();
    let others = "table ip filter {\n chain FORWARD { type filter hook forward priority 0; policy accept;\n\
                  ip daddr 20.0.0.9 counter drop\n }\n}\n\
                  table inet other { map pods4 { typeof ip saddr : verdict; elements = { 10.42.0.2 : drop }; }\n }\n";
    node.nft(others).unwrap();
    let tables = || {
        ["ip filter", "inet other"].map(|table| {
            let command = format!("list table {table}");
            node.nft_read(&command.split(' ').collect::<Vec<_>>()).unwrap()
        })
    };
    let before = tables();
    let mut draft = Draft::in_cluster();
    draft.pod("web", &["10.42.0.2"]);
    let web = draft.policy("web", app("web"));
    draft.allow(web, &["20.0.0.0/24"], tcp(443));
    for _ in 0..2 {
        node.nft(&draft.file(&Options::default())).unwrap();
        assert_eq!(tables(), before);
    }
    let listed = node.nft_read(&["list", "tables"]).unwrap();
    let listed: BTreeSet<&str> = listed.lines().collect();
    assert_eq!(listed, BTreeSet::from(["table ip filter", "table inet other", "table inet egressc"]));
}
