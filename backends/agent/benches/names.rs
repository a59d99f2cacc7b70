//! What it takes from an answer to a kernel that knows it, with nothing, 10,000 and 100,000 addresses learned already.
//!
//! In: nothing. Out: one line for each number: median and 99th percentile of 2,000 answers, each with one new address, over
//! netlink into a set of nftables. It is latency, what a client waits for. Needs root; the set is in a namespace of its own.
#![expect(clippy::unwrap_used, reason = "a bench stops at what it cannot set up")]
#![expect(clippy::indexing_slicing, reason = "likewise")]
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use egress_agent::learning::message::{Found, Query, Question};
use egress_agent::learning::{Learner, Limits, Nftables, Policy};
use egress_snapshot::names::{Clients, Names};
use egress_testkit::lab::{Namespace, or_skip};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const ANSWERS: u32 = 2_000;
const SET: &str = "table inet egressc {
  set host4/any/example.com { typeof ip saddr . ip daddr; size 1000000; flags timeout; counter; }
}
";

fn main() {
    // `cargo test` runs benches too, without this word; there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let Some(place) = or_skip("bench", Namespace::new("bench")).unwrap() else { return };
    place.nft(SET).unwrap();
    place.run(measure).unwrap();
}

fn measure() {
    let client = [10, 42, 0, 5].into();
    let names = Names {
        hosts: vec!["**.example.com".to_owned()],
        clients: vec![Clients { workloads: vec![vec![client]], hosts: vec![0], ..Clients::default() }],
        ..Names::default()
    };
    let limits = Limits { least: 0, greatest: 3_600_000, grace: 0, in_use: 0, most: 1_000_000 };
    let mut learner = Learner::new(Policy::new(&names, Vec::new()).unwrap(), limits, Nftables::open().unwrap());
    let question = Question { name: "api.example.com".to_owned(), rtype: 1, class: 1 };
    let query = Query { id: 1, question };
    let mut next = Ipv4Addr::new(198, 18, 0, 0).to_bits();
    for known in [0, 10_000, 100_000] {
        while learner.memory().len() < known {
            let found: Vec<Found> = (next..next + 500).map(found).collect();
            learner.teach(client, &query, &found, 0).unwrap();
            next += 500;
        }
        let mut took: Vec<Duration> = (0..ANSWERS)
            .map(|_| {
                next += 1;
                let begin = Instant::now();
                assert_eq!(learner.teach(client, &query, &[found(next)], 0).unwrap().known, 1);
                begin.elapsed()
            })
            .collect();
        took.sort_unstable();
        let [median, late] = [took.len() / 2, took.len() * 99 / 100].map(|place| took[place]);
        println!("{known:>7} known: {median:?} an answer, 99 of 100 within {late:?} (goal: 1 ms)");
    }
}

fn found(bits: u32) -> Found {
    Found { address: Ipv4Addr::from_bits(bits).into(), ttl: 3_600 }
}
