//! Two generations that disagree about as much as possible, and flows that tell them and every mixture of them apart.
//!
//! In: a seed. Out: two snapshots, who sends in each, and for each sender flows that both allow, that one allows, and that
//! neither allows but that would pass if some step of the decision were taken in one's tables and the rest in the other's.

use crate::scene::{Scene, emitted, program};
use egress_agent::kernel::Endpoint;
use egress_ir::{Destination, Flow, Labels, Pod, Port, Program, Workload, eval};
use egress_snapshot::{Snapshot, Tables, layout, meta};
use egress_testkit::lab::{NODE_V4, NODE_V6, Place};
use egress_testkit::seed::Rng;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// The senders: their labels `app`, and the port of UDP to which each sends.
pub(crate) const SENDERS: [(&str, u16); 2] = [("web", 40_000), ("job", 40_001)];

/// How many destinations there are of each family.
const DESTINATIONS: u64 = 96;
const PROTOCOL: u8 = egress_ir::protocol::UDP;

/// The steps of a decision that a mixture could take in the wrong generation.
const STEPS: [&str; 5] = ["row", "class", "port class", "profile", "outcome"];

pub(crate) struct Pair {
    pub(crate) snapshots: [Snapshot; 2],
    /// For each of the senders.
    pub(crate) flows: [Vec<Told>; 2],
}

/// A flow that tells something.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) to: SocketAddr,
    /// Whether each generation allows it.
    pub(crate) allowed: [bool; 2],
    /// Which mixtures would let it pass, where neither allows it.
    pub(crate) mixtures: BTreeSet<String>,
}

impl Pair {
    /// The first draw in which every mixture is told by some flow.
    pub(crate) fn draw(seed: u64) -> Self {
        let pairs = (0..200).map(|attempt| Self::attempt(seed, attempt));
        pairs
            .into_iter()
            .find(Self::tells_everything)
            .unwrap_or_else(|| panic!("seed {seed}: no draw tells everything"))
    }

    fn attempt(seed: u64, attempt: u64) -> Self {
        let mut rng = Rng::new(seed, attempt);
        let programs = [(); 2].map(|()| program(&text(&mut rng)));
        let snapshots = [0, 1].map(|generation| emitted(generation as u64 + 1, &programs[generation], None));
        let flows = SENDERS.map(|(app, port)| chosen(&programs, &snapshots, app, port));
        Self { snapshots, flows }
    }

    fn tells_everything(&self) -> bool {
        let all = || self.flows.iter().flatten();
        let told: BTreeSet<&String> = all().flat_map(|flow| &flow.mixtures).collect();
        let kinds = [[true, true], [true, false], [false, true]];
        let each = |flows: &Vec<Told>| kinds.iter().all(|kind| flows.iter().any(|flow| flow.allowed == *kind));
        told.len() == 2 * STEPS.len() && self.flows.iter().all(each)
    }

    /// Who is at these slots, in one of the generations.
    pub(crate) fn endpoints(&self, generation: usize, slots: [u32; 2]) -> [(u32, Endpoint); 2] {
        let row = |place: usize| Endpoint::Row(row(&self.snapshots[generation], SENDERS[place].0));
        [(slots[0], row(0)), (slots[1], row(1))]
    }
}

/// A socket for each flow, in the order of the flows: the first sender is the pod, the second a process of the node.
pub(crate) fn sockets(scene: &Scene, pair: &Pair) -> Vec<UdpSocket> {
    let open = |from: IpAddr, to: SocketAddr| {
        let socket = UdpSocket::bind(SocketAddr::new(from, 0)).unwrap();
        socket.connect(to).unwrap();
        socket
    };
    let [pod, node] = &pair.flows;
    let (v4, v6): (IpAddr, IpAddr) = ("10.0.0.7".parse().unwrap(), "fd00:10::7".parse().unwrap());
    let pod_sockets = scene.lab.namespace(Place::Pod(0)).unwrap().run(|| {
        let sockets = pod.iter().map(|flow| open(if flow.to.is_ipv4() { v4 } else { v6 }, flow.to));
        sockets.collect::<Vec<_>>()
    });
    let node_sockets = scene.lab.node().run(|| {
        scene.cgroup.join().unwrap();
        let sockets = node.iter().map(|flow| open(if flow.to.is_ipv4() { NODE_V4 } else { NODE_V6 }, flow.to));
        sockets.collect::<Vec<_>>()
    });
    [pod_sockets.unwrap(), node_sockets.unwrap()].into_iter().flatten().collect()
}

fn row(snapshot: &Snapshot, app: &str) -> u32 {
    let labels = [("app".to_owned(), app.to_owned())].into();
    let identity = meta::Identity { namespace: "shop".to_owned(), labels, ..meta::Identity::default() };
    snapshot.meta.row_of(&identity).unwrap()
}

/// Policies of several applications in an order of their own.
fn text(rng: &mut Rng) -> String {
    let mut apps = ["web", "job", "mail", "build", "batch", "proxy"];
    for place in (1..apps.len()).rev() {
        apps.swap(place, rng.below(place + 1));
    }
    let (ports, mut text) = (ports(rng), String::new());
    for app in apps {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "policy {app} {{\n  for pods(app={app})");
        if app == SENDERS[0].0 {
            text.push_str("  allow 20.1.0.0/24 on 443/tcp\n");
        }
        let rules = rng.between(8, 14);
        for _ in 0..rules {
            let to: Vec<String> = (0..rng.between(4, 12)).map(|_| prefix(rng)).collect();
            let action = if rng.chance(65) { "allow" } else { "deny" };
            let _ = writeln!(text, "  {action} {} on {}", to.join(", "), rng.pick(&ports));
        }
        text.push_str("}\n");
    }
    text
}

fn prefix(rng: &mut Rng) -> String {
    let number = rng.between(0, DESTINATIONS - 1);
    if rng.chance(50) { format!("20.0.{number}.0/28") } else { format!("2001:db8:20:{number:x}::/64") }
}

/// A few port sets, of which each generation has others, so that their port classes are numbered otherwise.
fn ports(rng: &mut Rng) -> [&'static str; 5] {
    [(); 5].map(|()| {
        rng.pick(&[
            "any",
            "udp",
            "40000/udp",
            "40001/udp",
            "39000-40000/udp",
            "40001-50000/udp",
            "1-39999/udp",
            "53/udp",
            "443/tcp",
            "tcp, icmp",
            "1-50000/udp",
            "40000-40001/udp, icmp",
        ])
    })
}

/// Where one sender sends, so that each kind of flow is there, and each mixture that can be told.
fn chosen(programs: &[Program; 2], snapshots: &[Snapshot; 2], app: &str, port: u16) -> Vec<Told> {
    let mut chosen: Vec<Told> = Vec::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for number in 0..DESTINATIONS {
        for to in [format!("20.0.{number}.1"), format!("2001:db8:20:{number:x}::1")] {
            let to = SocketAddr::new(to.parse().unwrap(), port);
            let told = tell(snapshots, app, to);
            for (program, allowed) in programs.iter().zip(told.allowed) {
                assert_eq!(allowed, means(program, app, to), "{app} to {to}");
            }
            // Of each kind one of each family; of the denied ones those that tell more.
            let is_new = if told.allowed == [false; 2] {
                !told.mixtures.is_subset(&known)
            } else {
                let same = |other: &Told| other.allowed == told.allowed && other.to.is_ipv4() == to.is_ipv4();
                !chosen.iter().any(same)
            };
            if is_new {
                known.extend(told.mixtures.iter().cloned());
                chosen.push(told);
            }
        }
    }
    chosen
}

/// What the policy says.
fn means(program: &Program, app: &str, to: SocketAddr) -> bool {
    let labels = Labels::from([("app".to_owned(), app.to_owned())]);
    let pod = Pod { namespace: "shop".to_owned(), labels, ..Pod::default() };
    let destination = Destination { address: to.ip(), names: BTreeSet::new() };
    let flow = Flow { workload: Workload::Pod(pod), destination, port: Port::udp(to.port()) };
    eval(program, &flow).verdict.passes()
}

fn tell(snapshots: &[Snapshot; 2], app: &str, to: SocketAddr) -> Told {
    let whole = [0, 1].map(|here| mixed(snapshots, app, to, here, usize::MAX));
    let mut mixtures = BTreeSet::new();
    if whole == [false; 2] {
        for (step, name) in STEPS.iter().enumerate() {
            for (here, letter) in ["A", "B"].iter().enumerate() {
                if mixed(snapshots, app, to, here, step) {
                    mixtures.insert(format!("{letter}, but for the {name}"));
                }
            }
        }
    }
    Told { to, allowed: whole, mixtures }
}

/// Whether a packet passes where every step is taken in the tables of one generation, but for one in the other's.
fn mixed(snapshots: &[Snapshot; 2], app: &str, to: SocketAddr, here: usize, wrong: usize) -> bool {
    let of = |step: usize| &snapshots[if step == wrong { 1 - here } else { here }];
    let (address, port): (IpAddr, u16) = (to.ip(), to.port());
    let row = row(of(0), app);
    let class = of(1).tables.destination(address);
    let port_class = of(2).tables.port_class(PROTOCOL, port);
    // A profile and an outcome are asked of one generation and used in the other.
    let profile = if wrong == 3 { own_profile(of(3), app, address) } else { of(3).tables.profile(row, class) };
    let outcome = if wrong == 4 {
        let other = of(4);
        other.tables.decide(self::row(other, app), address, PROTOCOL, port, false)
    } else {
        of(4).tables.outcome(profile, port_class)
    };
    passes(&snapshots[here].tables, outcome)
}

fn own_profile(snapshot: &Snapshot, app: &str, address: IpAddr) -> u32 {
    snapshot.tables.profile(row(snapshot, app), snapshot.tables.destination(address))
}

fn passes(tables: &Tables, outcome: u32) -> bool {
    tables.word(outcome) & layout::outcome::VERDICT == layout::outcome::PASS
}
