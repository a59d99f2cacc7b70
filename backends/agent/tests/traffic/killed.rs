//! An agent that is killed at any instant: packets are judged by one whole generation, and the next agent goes on.
//!
//! The agent is this test binary, run anew as a process of its own that renews what is attached and loads two generations
//! in turn, by the very calls of the agent, for as long as it lives. After each kill, datagrams that tell both generations
//! and their mixtures apart are sent, and a fence behind them whose arrival says that all others have arrived that ever will.

use crate::pairs::{Pair, SENDERS, sockets};
use crate::scene::{OTHER_SLOT, SLOT, Scene, load};
use egress_agent::kernel::{Endpoint, Kernel, Point, TcKind};
use egress_testkit::lab::NODE_V4;
use egress_testkit::seed::{Rng, cases, seed};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `EGRESS_CASES` asks for other numbers; 200 are what the agent promises to survive.
const KILLS: u64 = 40;
/// How long an agent may take to finish its first load, on a machine that is busy with other things.
const LONGEST_LOAD: Duration = Duration::from_secs(20);
const MOST_TIME: Duration = Duration::from_secs(300);

/// How the agent's process is told what to do.
const FOLDER: &str = "EGRESS_TRAFFIC_AGENT";
const AGENT: &str = "killed::the_agent_that_is_killed";

#[test]
fn a_killed_agent_leaves_one_whole_generation_and_the_next_goes_on() {
    let name = "a_killed_agent_leaves_one_whole_generation_and_the_next_goes_on";
    let Some(scene) = Scene::for_test(name) else { return };
    let pair = Pair::draw(seed());
    let orders = Orders::write(&scene, &pair);
    let judge = Judge::new(&scene, &pair);
    scene.attach(&Scene::pod_point(), SLOT, TcKind::Best);
    scene.attach(&scene.cgroup_point(), OTHER_SLOT, TcKind::Best);
    scene.kernel.switch(load(&scene.kernel, pair.snapshots[0].tables.bytes(), &orders.endpoints[0])).unwrap();
    let (mut rng, kills, start) = (Rng::new(seed(), 4), cases(KILLS), Instant::now());
    let (mut seen, mut changes, mut broken_off) = ([0_u64; 2], 0_u64, 0_u64);
    let mut before = judge.generation(&pair);
    // The instant of a kill is drawn from a time in which about a third of the agents finish a load, however busy the
    // machine is: it is measured first, and then adapts itself.
    let mut life = orders.time_of_a_load(&scene).mul_f64(1.5);
    assert_ne!(judge.generation(&pair), before);
    before = 1 - before;
    for kill in 0..kills {
        assert!(start.elapsed() < MOST_TIME, "only {kill} kills in {MOST_TIME:?}");
        let mut agent = orders.start(&scene);
        std::thread::sleep(Duration::from_micros(rng.between(0, life.as_micros() as u64)));
        agent.kill().unwrap();
        agent.wait().unwrap();
        let enforced = judge.generation(&pair);
        seen[enforced] += 1;
        changes += u64::from(enforced != before);
        life = life.mul_f64(if enforced == before { 1.03 } else { 0.93 }).min(LONGEST_LOAD);
        broken_off += u64::from(orders.is_broken_off(&scene));
        before = enforced;
        // Half of the time the next agent is the one that finds this; else it is looked at here.
        if rng.chance(50) {
            let next = Kernel::open(scene.bpffs.path()).unwrap_or_else(|error| panic!("after kill {kill}: {error}"));
            assert_eq!(judge.generation(&pair), enforced, "finding it changes nothing");
            let active = next.generation(next.active().unwrap()).unwrap().unwrap();
            assert_eq!(active.number(), enforced as u64 + 1);
            assert_eq!(active.tables().unwrap(), pair.snapshots[enforced].tables.bytes());
            assert!(!orders.is_broken_off(&scene), "what was broken off is finished or undone");
            assert_eq!(next.attached().unwrap().len(), 4);
        }
    }
    println!(
        "{kills} kills in {:.1} s: {seen:?} of the generations, {changes} changes, {broken_off} loads broken off",
        start.elapsed().as_secs_f64(),
    );
    if kills >= KILLS {
        assert!(seen.iter().all(|count| *count > 3) && changes > 3, "{seen:?} of the generations, {changes} changes");
        assert!(broken_off > 3, "only {broken_off} loads were broken off");
    }
}

/// The judge would see a mixture: the senders of one generation with the tables of the other.
#[test]
fn a_mixture_of_generations_is_told_from_both() {
    let Some(scene) = Scene::for_test("a_mixture_of_generations_is_told_from_both") else { return };
    let pair = Pair::draw(seed());
    let judge = Judge::new(&scene, &pair);
    scene.attach(&Scene::pod_point(), SLOT, TcKind::Best);
    scene.attach(&scene.cgroup_point(), OTHER_SLOT, TcKind::Best);
    for (tables, senders) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let endpoints = pair.endpoints(senders, [SLOT, OTHER_SLOT]);
        scene.kernel.switch(load(&scene.kernel, pair.snapshots[tables].tables.bytes(), &endpoints)).unwrap();
        assert_eq!(judge.judged_by(&pair).ok(), (tables == senders).then_some(tables), "{tables} {senders}");
    }
}

/// What the agent's process needs.
struct Orders {
    folder: tempfile::TempDir,
    endpoints: [[(u32, Endpoint); 2]; 2],
}

impl Orders {
    fn write(scene: &Scene, pair: &Pair) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let endpoints = [0, 1].map(|generation| pair.endpoints(generation, [SLOT, OTHER_SLOT]));
        for generation in [0, 1] {
            std::fs::write(tables_path(folder.path(), generation), pair.snapshots[generation].tables.bytes()).unwrap();
            let words = endpoints[generation].map(|(slot, endpoint)| format!("{slot} {}\n", endpoint.word()));
            std::fs::write(endpoints_path(folder.path(), generation), words.concat()).unwrap();
        }
        std::os::unix::fs::symlink(scene.bpffs.path(), folder.path().join("bpffs")).unwrap();
        std::os::unix::fs::symlink(scene.cgroup.path(), folder.path().join("cgroup")).unwrap();
        Self { folder, endpoints }
    }

    /// Starts the agent within the node.
    fn start(&self, scene: &Scene) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", AGENT, "--ignored", "--nocapture"]).env(FOLDER, self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        scene.lab.node().run(|| command.spawn()).unwrap().unwrap()
    }

    /// How long an agent takes from its start to its first switch.
    fn time_of_a_load(&self, scene: &Scene) -> Duration {
        let (before, start) = (scene.kernel.active().unwrap(), Instant::now());
        let mut agent = self.start(scene);
        while scene.kernel.active().unwrap() == before && start.elapsed() < LONGEST_LOAD {
            std::thread::sleep(Duration::from_millis(1));
        }
        let taken = start.elapsed();
        agent.kill().unwrap();
        agent.wait().unwrap();
        assert!(taken < LONGEST_LOAD, "the agent loads nothing");
        taken
    }

    /// Whether a load was begun and not finished.
    fn is_broken_off(&self, scene: &Scene) -> bool {
        let pins = std::fs::read_dir(scene.bpffs.path().join("egressc")).unwrap();
        let names = pins.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.into_iter().any(|name| name.ends_with("-new") || name.ends_with("-old"))
    }
}

fn tables_path(folder: &Path, generation: usize) -> PathBuf {
    folder.join(format!("{generation}.tables"))
}

fn endpoints_path(folder: &Path, generation: usize) -> PathBuf {
    folder.join(format!("{generation}.endpoints"))
}

/// Not a test: the process that the test above starts and kills.
#[test]
#[ignore = "it is the agent of another test, which starts it itself"]
fn the_agent_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return eprintln!("`{FOLDER}` names no folder: there is nothing to load");
    };
    let read = |generation: usize| {
        let text = std::fs::read_to_string(endpoints_path(&folder, generation)).unwrap();
        let words = text.lines().map(|line| line.split_once(' ').unwrap());
        let endpoints = words.map(|(slot, word)| (slot.parse().unwrap(), Endpoint::of_word(word.parse().unwrap())));
        (std::fs::read(tables_path(&folder, generation)).unwrap(), endpoints.collect::<Vec<_>>())
    };
    let orders = [read(0), read(1)];
    let kernel = Kernel::open(&std::fs::canonicalize(folder.join("bpffs")).unwrap()).unwrap();
    let cgroup = Point::Cgroup(std::fs::canonicalize(folder.join("cgroup")).unwrap());
    // Should the one who kills be killed itself, this ends all the same.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(5) {
        let active = kernel.generation(kernel.active().unwrap()).unwrap().unwrap();
        let (tables, endpoints) = &orders[usize::try_from(active.number() % 2).unwrap()];
        let place = load(&kernel, tables, endpoints);
        kernel.attach(&Scene::pod_point(), SLOT, TcKind::Best).unwrap();
        kernel.attach(&cgroup, OTHER_SLOT, TcKind::Best).unwrap();
        kernel.switch(place).unwrap();
    }
}

/// Sends every flow of a pair once, and says which of them arrive.
struct Judge {
    sockets: Vec<UdpSocket>,
    fence: UdpSocket,
    listeners: Vec<UdpSocket>,
}

/// Binds the calling thread to the first processor that it may use.
fn stay_on_one_processor() {
    let this = Pid::from_raw(0);
    let may_use = sched_getaffinity(this).unwrap();
    let mut one = CpuSet::new();
    one.set((0..CpuSet::count()).find(|processor| may_use.is_set(*processor).unwrap()).unwrap()).unwrap();
    sched_setaffinity(this, &one).unwrap();
}

/// Of the fence, which no program judges.
const FENCE: u16 = 40_002;

impl Judge {
    fn new(scene: &Scene, pair: &Pair) -> Self {
        // The lab's own service would answer, and an answer from outside lets its flow pass from then on.
        let untouched = "table inet judged {\n chain pre { type filter hook prerouting priority raw; policy accept;\n\
                         udp dport 40000-40002 notrack\n }\n}\n";
        scene.lab.outside().nft(untouched).unwrap();
        let ports = [SENDERS[0].1, SENDERS[1].1, FENCE];
        let listen = |port: u16| {
            let listener = UdpSocket::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        };
        let listeners = scene.lab.outside().run(|| ports.map(listen)).unwrap().into();
        let fence = scene.lab.node().run(|| UdpSocket::bind(SocketAddr::new(NODE_V4, 0))).unwrap().unwrap();
        Self { sockets: sockets(scene, pair), fence, listeners }
    }

    /// Which of the two generations all flows were judged by.
    fn generation(&self, pair: &Pair) -> usize {
        self.judged_by(pair).unwrap_or_else(|neither| panic!("{neither}"))
    }

    fn judged_by(&self, pair: &Pair) -> Result<usize, String> {
        let arrived = self.arrived();
        let told = || pair.flows.iter().flatten().enumerate();
        let allowed = |generation: usize| {
            let flows = told().filter(|(_, flow)| flow.allowed[generation]);
            flows.map(|(place, _)| place).collect::<BTreeSet<usize>>()
        };
        let judged_by = [0, 1].into_iter().find(|generation| allowed(*generation) == arrived);
        judged_by.ok_or_else(|| {
            let wrong = told().filter(|(place, flow)| arrived.contains(place) && flow.allowed == [false; 2]);
            format!("neither: {arrived:?} of {:?}, {:?}", [0, 1].map(allowed), wrong.collect::<Vec<_>>())
        })
    }

    fn arrived(&self) -> BTreeSet<usize> {
        static ROUND: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let round = ROUND.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let bytes = |place: usize| [round.to_be_bytes(), (place as u64).to_be_bytes()].concat();
        // Bound to one processor, whose queues keep packets in their order.
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                stay_on_one_processor();
                for (place, socket) in self.sockets.iter().enumerate() {
                    if let Err(error) = socket.send(&bytes(place)) {
                        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}");
                    }
                }
                self.fence.send_to(&bytes(self.sockets.len()), ("20.0.0.1", FENCE)).unwrap();
            });
            sender.join().unwrap();
        });
        let mut arrived = BTreeSet::new();
        let start = Instant::now();
        // The fence's own listener is drained before the others, which then have all that came before.
        while !self.drain(&self.listeners[2], round).contains(&self.sockets.len()) {
            assert!(start.elapsed() < Duration::from_secs(5), "the fence did not arrive");
            std::thread::sleep(Duration::from_micros(200));
        }
        for listener in &self.listeners[..2] {
            arrived.extend(self.drain(listener, round));
        }
        arrived
    }

    /// What came in this round.
    fn drain(&self, listener: &UdpSocket, round: u64) -> BTreeSet<usize> {
        let mut room = [0; 64];
        let mut arrived = BTreeSet::new();
        while let Ok(length) = listener.recv(&mut room) {
            assert_eq!(length, 16);
            let number = |at: usize| u64::from_be_bytes(room[at..at + 8].try_into().unwrap());
            assert_eq!(number(0), round, "a packet of another round");
            arrived.insert(usize::try_from(number(8)).unwrap());
        }
        arrived
    }
}
