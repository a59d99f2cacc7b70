//! Two generations in turn while packets flow, from a pod over its pair of interfaces and from a cgroup of the node.
//!
//! Arrivals are counted by the outside's own rules, so that a difference of one is a difference.

use crate::pairs::{Pair, sockets};
use crate::scene::{OTHER_SLOT, SLOT, Scene, load};
use egress_agent::kernel::TcKind;
use egress_testkit::lab::still_talks;
use egress_testkit::seed::seed;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What must happen at least.
const PACKETS: u64 = 1_000_000;
const SWITCHES: u64 = 500;
/// Packets a second.
const RATE: u32 = 200_000;
/// Of one flood, which is as long as its work: flips between two loaded generations, and whole loads.
const FLIPS: u64 = 100;
const LOADS: u64 = 2;
const MOST_TIME: Duration = Duration::from_secs(120);

#[test]
fn no_packet_is_judged_by_a_mixture_while_generations_are_switched() {
    let Some(scene) = Scene::for_test("no_packet_is_judged_by_a_mixture_while_generations_are_switched") else {
        return;
    };
    let pair = Pair::draw(seed());
    scene.attach(&Scene::pod_point(), SLOT, TcKind::Best);
    scene.attach(&scene.cgroup_point(), OTHER_SLOT, TcKind::Best);
    let bring = |generation: usize| {
        let endpoints = pair.endpoints(generation, [SLOT, OTHER_SLOT]);
        load(&scene.kernel, pair.snapshots[generation].tables.bytes(), &endpoints)
    };
    scene.kernel.switch(bring(0)).unwrap();
    bring(1);
    let sockets = sockets(&scene, &pair);
    let service: SocketAddr = "20.1.0.1:443".parse().unwrap();
    let stream = scene.lab.connect("10.0.0.7".parse().unwrap(), service, Duration::from_secs(1)).unwrap().unwrap();
    let stream = Mutex::new(stream);
    let start = Instant::now();
    let mut total = Total { received: vec![0; sockets.len()], ..Total::default() };
    while total.sent * (sockets.len() as u64) < PACKETS || total.switches < SWITCHES {
        assert!(start.elapsed() < MOST_TIME, "only {total:?} in {MOST_TIME:?}");
        let report = scene.lab.flood_from(&sockets, RATE, || {
            let mut next = scene.kernel.active().unwrap();
            for number in 0..FLIPS + LOADS {
                // An even number of flips lies between two loads, which take long: each generation is enforced during some.
                if number % (FLIPS / LOADS + 1) == 0 {
                    // The other generation than the one that is enforced, anew.
                    let other = scene.active().number() % 2;
                    next = bring(usize::try_from(other).unwrap());
                } else {
                    next = next.other();
                    std::thread::sleep(Duration::from_micros(300));
                }
                scene.kernel.switch(next).unwrap();
            }
            assert!(still_talks(&mut stream.lock().unwrap()), "a connection that both allow");
        });
        let report = report.unwrap();
        total.switches += FLIPS + LOADS;
        total.sent += report.counts[0].sent;
        for (received, count) in total.received.iter_mut().zip(&report.counts) {
            *received += count.received;
        }
        total.check(&pair);
    }
    total.check_both_were_there(&pair);
    println!(
        "{} packets of {} flows in {:.1} s, {} switches, {} of them whole loads: none lost, none leaked",
        total.sent * sockets.len() as u64,
        sockets.len(),
        start.elapsed().as_secs_f64(),
        total.switches,
        total.switches / (FLIPS + LOADS) * LOADS,
    );
}

#[derive(Debug, Default)]
struct Total {
    switches: u64,
    /// Of each flow.
    sent: u64,
    received: Vec<u64>,
}

impl Total {
    fn check(&self, pair: &Pair) {
        for (flow, received) in pair.flows.iter().flatten().zip(&self.received) {
            match flow.allowed {
                [true, true] => assert_eq!(*received, self.sent, "lost of {flow:?}"),
                [false, false] => assert_eq!(*received, 0, "leaked of {flow:?}"),
                _ => assert!(*received <= self.sent),
            }
        }
    }

    /// A flow that one allows was sometimes allowed and sometimes not.
    fn check_both_were_there(&self, pair: &Pair) {
        for (flow, received) in pair.flows.iter().flatten().zip(&self.received) {
            if flow.allowed[0] != flow.allowed[1] {
                let share = *received * 100 / self.sent;
                assert!((2..98).contains(&share), "{share} of 100 packets arrived of {flow:?}");
            }
        }
    }
}
