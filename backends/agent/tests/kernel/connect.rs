//! Failing early: what a process is told when it connects, or sends without having connected. The hooks are attached
//! alone where nothing else is said, so that whatever is refused is refused by them.

use crate::support::{Bpffs, random_model, run};
use crate::tables::Model;
use egress_agent::kernel::{Attached, Direction, Early, Endpoint, Event, Kernel, New, Place, Point, Target, TcKind};
use egress_testkit::lab::{Cgroup, or_skip};
use egress_testkit::seed::{Rng, cases, seed};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc;
use std::time::Duration;

const SLOT: u32 = 9;
const OTHER_SLOT: u32 = 10;

/// Rows: nothing; `20.0.0.0/8` and `2001:db8:20::/48` on 443/tcp, 53/udp and echo requests; the same everywhere else;
/// everything.
const NOTHING: u32 = 0;
const TWENTY: u32 = 1;
const OTHERS: u32 = 2;
const ALL: u32 = 3;

fn model(generation: u64) -> Model {
    let open = |number: u32| (0, vec![(0, 0), (number, 1), (number + 1, 0)]);
    let v6 = |group: u128| (0x2001_0db8u128 << 96) | group << 80;
    Model {
        wide: false,
        paged: false,
        generation,
        default_row: NOTHING,
        sources: [
            vec![(0, NOTHING), (0x0a00_0001, TWENTY), (0x0a00_0002, OTHERS), (0x0a00_0003, NOTHING)],
            vec![(0, NOTHING), (v6(0x10) | 1, TWENTY), (v6(0x10) | 2, OTHERS), (v6(0x10) | 3, NOTHING)],
        ],
        destinations: [vec![(0, 0), (0x1400_0000, 1), (0x1500_0000, 0)], vec![(0, 0), (v6(0x20), 1), (v6(0x21), 0)]],
        ports: BTreeMap::from([(6, open(443)), (17, open(53)), (1, open(0x0800)), (58, open(0x8000))]),
        decisions: vec![vec![0, 0], vec![0, 1], vec![1, 0], vec![2, 2]],
        actions: vec![vec![0, 0], vec![0, 1], vec![1, 1]],
        outcomes: vec![0, 1],
    }
}

fn load(kernel: &Kernel, generation: u64, endpoints: &[(u32, Endpoint)]) -> Place {
    let tables = model(generation).tables(&mut Rng::new(seed(), generation));
    let place = kernel.commit(kernel.prepare(&New { tables: &tables, endpoints }).unwrap()).unwrap();
    kernel.switch(place).unwrap();
    place
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Tcp,
    UdpConnect,
    UdpSend,
    Ping,
}

const BOTH_UDP: [Does; 2] = [Does::UdpConnect, Does::UdpSend];

/// What it is told. A connection that is on its way is `Fine`: nobody answers here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Fine,
    Refused,
    NoPermission,
}

fn socket(does: Does, family: Domain) -> Socket {
    let (kind, protocol) = match does {
        Does::Tcp => (Type::STREAM, Protocol::TCP),
        Does::UdpConnect | Does::UdpSend => (Type::DGRAM, Protocol::UDP),
        Does::Ping if family == Domain::IPV4 => (Type::DGRAM, Protocol::ICMPV4),
        Does::Ping => (Type::DGRAM, Protocol::ICMPV6),
    };
    let socket = Socket::new(family, kind, Some(protocol)).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn attempt_with(socket: &Socket, does: Does, to: SocketAddr) -> Told {
    let to = SockAddr::from(to);
    let done = match does {
        Does::UdpSend => socket.send_to(b"hello", &to).map(drop),
        Does::Tcp | Does::UdpConnect | Does::Ping => socket.connect(&to),
    };
    match done.map_err(|error| error.raw_os_error().unwrap()) {
        Ok(()) | Err(libc::EINPROGRESS) => Told::Fine,
        Err(libc::ECONNREFUSED) => Told::Refused,
        Err(libc::EPERM) => Told::NoPermission,
        Err(number) => panic!("{does:?} to {to:?}: {}", std::io::Error::from_raw_os_error(number)),
    }
}

fn attempt(does: Does, from: Option<&str>, to: &str) -> Told {
    let to: SocketAddr = to.parse().unwrap();
    let socket = socket(does, Domain::for_address(to));
    if let Some(from) = from {
        socket.bind(&SockAddr::from(from.parse::<SocketAddr>().unwrap())).unwrap();
    }
    attempt_with(&socket, does, to)
}

/// A network that nobody answers in, a cgroup, and a kernel to attach with.
struct Scene {
    kernel: Kernel,
    cgroup: Cgroup,
    // Ends after what is attached.
    bpffs: Bpffs,
}

impl Scene {
    fn for_test(name: &str) -> Option<Self> {
        let bpffs = Bpffs::for_test(name)?;
        let cgroup = or_skip(name, Cgroup::new(name)).unwrap()?;
        run("sh", &["-c", "echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6"]).unwrap();
        run("sh", &["-c", "echo '0 0' > /proc/sys/net/ipv4/ping_group_range"]).unwrap();
        for line in [
            "link set lo up",
            "link set other address 02:00:00:00:00:02",
            "link set lone up",
            "link set other up",
            "addr add 10.0.0.1/24 dev lone",
            "addr add 10.0.0.2/24 dev lone",
            "addr add 2001:db8:10::1/64 dev lone nodad",
            "addr add 2001:db8:10::2/64 dev lone nodad",
            "route add default via 10.0.0.9",
            "route add default via 2001:db8:10::9",
            "neigh add 10.0.0.9 lladdr 02:00:00:00:00:02 dev lone",
            "neigh add 2001:db8:10::9 lladdr 02:00:00:00:00:02 dev lone",
        ] {
            run("ip", &line.split(' ').collect::<Vec<_>>()).unwrap();
        }
        Some(Self { kernel: bpffs.kernel(), cgroup, bpffs })
    }

    /// Runs in a thread of the cgroup, whose name is its command.
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("attempts".to_owned());
            let joined = thread.spawn_scoped(scope, || {
                self.cgroup.join().unwrap();
                work()
            });
            joined.unwrap().join().unwrap()
        })
    }

    fn attach(&self, slot: u32) {
        self.kernel.attach_early(self.cgroup.path(), slot).unwrap();
    }

    fn point(&self) -> Point {
        Point::Cgroup(self.cgroup.path().to_owned())
    }

    fn records(&self) -> Vec<Event> {
        let mut events = self.kernel.events().unwrap();
        std::iter::from_fn(|| events.take()).collect()
    }

    /// What each attempt is told, one after the other.
    fn expect(&self, what: &str, cases: &[(Does, Option<&str>, &str, Told)]) {
        self.inside(|| {
            for (does, from, to, told) in cases {
                assert_eq!(attempt(*does, *from, to), *told, "{what}: {does:?} from {from:?} to {to}");
            }
        });
    }
}

/// Every way to an address of each kind that `TWENTY` may reach, and that it may not; the last port is 443 or 53.
fn ways(twenty: Told, others: Told) -> Vec<(Does, Option<&'static str>, &'static str, Told)> {
    let mut all = Vec::new();
    for (to, told) in [
        ("20.0.0.1:443", twenty),
        ("[2001:db8:20::1]:443", twenty),
        ("[::ffff:20.0.0.1]:443", twenty),
        ("30.0.0.1:443", others),
        ("[2001:db8:30::1]:443", others),
        ("[::ffff:30.0.0.1]:443", others),
    ] {
        all.push((Does::Tcp, None, to, told));
    }
    for (to, told) in [
        ("20.0.0.1:53", twenty),
        ("[2001:db8:20::1]:53", twenty),
        ("[::ffff:20.0.0.1]:53", twenty),
        ("30.0.0.1:53", others),
        ("[2001:db8:30::1]:53", others),
        ("[::ffff:30.0.0.1]:53", others),
    ] {
        all.extend(BOTH_UDP.map(|does| (does, None, to, told)));
    }
    for (to, told) in
        [("20.0.0.1:0", twenty), ("[2001:db8:20::1]:0", twenty), ("30.0.0.1:0", others), ("[2001:db8:30::1]:0", others)]
    {
        all.push((Does::Ping, None, to, told));
    }
    all
}

#[test]
fn what_is_denied_fails_at_once() {
    let Some(scene) = Scene::for_test("early") else { return };
    scene.expect("nothing is attached", &ways(Told::Fine, Told::Fine));
    scene.attach(SLOT);
    scene.expect("no generation, which is for packets to judge", &ways(Told::Fine, Told::Fine));
    let first = load(&scene.kernel, 1, &[(SLOT, Endpoint::Row(TWENTY))]);
    scene.expect("twenty", &ways(Told::Fine, Told::NoPermission));
    assert_eq!(attempt(Does::Tcp, None, "30.0.0.1:443"), Told::Fine, "outside of the cgroup");
    let other_ports = [
        (Does::Tcp, None, "20.0.0.1:444", Told::NoPermission),
        (Does::Tcp, None, "20.0.0.1:53", Told::NoPermission),
        (Does::UdpSend, None, "[2001:db8:20::1]:54", Told::NoPermission),
        (Does::UdpConnect, None, "[2001:db8:20::1]:443", Told::NoPermission),
        // It asks for a route.
        (Does::UdpConnect, None, "30.0.0.1:0", Told::Fine),
    ];
    scene.expect("other ports", &other_ports);
    // One store switches these too, here and back.
    load(&scene.kernel, 2, &[(SLOT, Endpoint::Row(OTHERS))]);
    scene.expect("others", &ways(Told::NoPermission, Told::Fine));
    scene.kernel.switch(first).unwrap();
    scene.expect("rolled back", &ways(Told::Fine, Told::NoPermission));
    // The next one takes the place of the second, and nobody at the slot is unknown.
    load(&scene.kernel, 3, &[]);
    scene.expect("unknown", &ways(Told::NoPermission, Told::NoPermission));
    // Another agent finds it.
    let kernel = Kernel::open(scene.bpffs.path()).unwrap();
    scene.expect("opened again", &ways(Told::NoPermission, Told::NoPermission));
    kernel.detach_early(SLOT).unwrap();
    scene.expect("detached", &ways(Told::Fine, Told::Fine));
}

/// Whether connecting is judged at all, and the address that is judged.
fn judged(to: IpAddr) -> Option<IpAddr> {
    let to = to.to_canonical();
    let passes = to.is_loopback() || to.is_unspecified() || to.is_multicast();
    (!passes).then_some(to)
}

/// An address of a model close to where a range starts, or anywhere.
fn near(rng: &mut Rng, model: &Model) -> IpAddr {
    let v6 = rng.between(0, 1) == 1;
    let ranges = &model.destinations[usize::from(v6)];
    let start = ranges[rng.between(0, ranges.len() as u64 - 1) as usize].0;
    let address = match rng.between(0, 3) {
        0 => start,
        1 => start.wrapping_sub(1),
        _ => start ^ u128::from(rng.bits() >> rng.between(0, 63)),
    };
    match (v6, rng.between(0, 3)) {
        (true, _) => IpAddr::V6(address.into()),
        (false, 0) => IpAddr::V6(Ipv4Addr::from(address as u32).to_ipv6_mapped()),
        (false, _) => IpAddr::V4(Ipv4Addr::from(address as u32)),
    }
}

#[test]
fn random_policies_are_judged_as_the_model_says() {
    let Some(scene) = Scene::for_test("random") else { return };
    scene.attach(SLOT);
    let mut rng = Rng::new(seed(), 77);
    let (mut passed, mut denied) = (0, 0);
    for round in 0..cases(12) {
        let model = random_model(&mut rng, round & 1 == 1, round & 2 == 2);
        let row = rng.between(0, model.decisions.len() as u64 - 1) as u32;
        let tables = model.tables(&mut rng);
        let new = New { tables: &tables, endpoints: &[(SLOT, Endpoint::Row(row))] };
        let place = scene.kernel.commit(scene.kernel.prepare(&new).unwrap()).unwrap();
        scene.kernel.switch(place).unwrap();
        scene.inside(|| {
            for _ in 0..1000 {
                let (address, port) = (near(&mut rng, &model), rng.between(1, 65535) as u16);
                let to = SocketAddr::new(address, port);
                // Connecting a UDP socket sends nothing; after the hook it may fail in other ways, for lack of a route.
                let done = socket(Does::UdpConnect, Domain::for_address(to)).connect(&SockAddr::from(to));
                let passes = done.err().and_then(|error| error.raw_os_error()) != Some(libc::EPERM);
                let expected = judged(address)
                    .is_none_or(|to| model.outcomes[model.outcome(row, to, 17, port, false) as usize] & 3 == 1);
                assert_eq!(passes, expected, "round {round}: {to}");
                *(if passes { &mut passed } else { &mut denied }) += 1;
            }
        });
    }
    assert!(passed > 0 && denied > 0, "{passed} passed, {denied} denied");
}

#[test]
fn what_stays_on_the_machine_is_not_judged() {
    let Some(scene) = Scene::for_test("local") else { return };
    scene.attach(SLOT);
    load(&scene.kernel, 1, &[(SLOT, Endpoint::Row(NOTHING))]);
    let mut cases = vec![(Does::Tcp, None, "30.0.0.1:443", Told::NoPermission)];
    for to in ["127.0.0.1:9", "127.3.2.1:9", "0.0.0.0:9", "[::1]:9", "[::]:9", "[::ffff:127.0.0.1]:9"] {
        cases.push((Does::UdpSend, None, to, Told::Fine));
        cases.push((Does::UdpConnect, None, to, Told::Fine));
    }
    scene.expect("loopback", &cases);
    scene.inside(|| {
        for to in ["127.0.0.1:9", "0.0.0.0:9", "[::1]:9", "[::]:9", "[::ffff:127.0.0.1]:9"] {
            let to: SocketAddr = to.parse().unwrap();
            let socket = socket(Does::Tcp, Domain::for_address(to));
            socket.set_nonblocking(false).unwrap();
            assert_eq!(attempt_with(&socket, Does::Tcp, to), Told::Refused, "nobody listens at {to}");
        }
        let bound = socket(Does::UdpSend, Domain::IPV4);
        bound.bind_device(Some(b"lo")).unwrap();
        let to = "30.0.0.1:53".parse().unwrap();
        let sent = bound.send_to(b"hello", &SockAddr::from(SocketAddr::V4(to)));
        assert!(sent.is_ok() || sent.unwrap_err().raw_os_error() != Some(libc::EPERM), "it leaves by lo");
    });
}

#[test]
fn by_address_the_source_must_be_known() {
    let Some(scene) = Scene::for_test("source") else { return };
    scene.attach(SLOT);
    load(&scene.kernel, 1, &[(SLOT, Endpoint::ByAddress)]);
    scene.expect("without a source", &ways(Told::Fine, Told::Fine));
    let (one, two) = (Some("10.0.0.1:0"), Some("10.0.0.2:0"));
    let (one6, two6) = (Some("[2001:db8:10::1]:0"), Some("[2001:db8:10::2]:0"));
    let (mapped, any) = (Some("[::ffff:10.0.0.1]:0"), Some("0.0.0.0:0"));
    let mut cases = Vec::new();
    for (does, port) in [(Does::Tcp, 443), (Does::UdpConnect, 53), (Does::UdpSend, 53)] {
        for (from, to, told) in [
            (one, "20.0.0.1", Told::Fine),
            (one, "30.0.0.1", Told::NoPermission),
            (two, "20.0.0.1", Told::NoPermission),
            (two, "30.0.0.1", Told::Fine),
            (one6, "[2001:db8:20::1]", Told::Fine),
            (one6, "[2001:db8:30::1]", Told::NoPermission),
            (two6, "[2001:db8:20::1]", Told::NoPermission),
            (two6, "[2001:db8:30::1]", Told::Fine),
            (mapped, "[::ffff:20.0.0.1]", Told::Fine),
            (mapped, "[::ffff:30.0.0.1]", Told::NoPermission),
            (any, "30.0.0.1", Told::Fine),
        ] {
            cases.push((does, from, format!("{to}:{port}"), told));
        }
    }
    let cases: Vec<_> = cases.iter().map(|(does, from, to, told)| (*does, *from, to.as_str(), *told)).collect();
    scene.expect("bound", &cases);
}

#[test]
fn the_process_is_recorded() {
    let Some(scene) = Scene::for_test("record") else { return };
    scene.attach(SLOT);
    let place = load(&scene.kernel, 7, &[(SLOT, Endpoint::Row(TWENTY))]);
    let cases = [
        (Does::Tcp, Some("10.0.0.1:4141"), "30.0.0.1:443", Told::NoPermission),
        (Does::UdpSend, Some("[2001:db8:10::1]:4242"), "[2001:db8:20::1]:54", Told::NoPermission),
        (Does::Tcp, None, "20.0.0.1:443", Told::Fine),
    ];
    scene.expect("recorded", &cases);
    let records = scene.records();
    assert_eq!(records.len(), 2, "{records:?}");
    for (record, (_, from, to, _)) in records.iter().zip(&cases) {
        assert_eq!((record.pid, record.command.as_deref()), (Some(std::process::id()), Some("attempts")));
        assert_eq!((record.generation, record.slot, record.row), (7, SLOT, Some(TWENTY)));
        assert_eq!((record.outcome, record.passed, record.length), (Some(0), false, 0));
        let (from, to): (SocketAddr, SocketAddr) = (from.unwrap().parse().unwrap(), to.parse().unwrap());
        assert_eq!((record.source, record.source_number), (Some(from.ip()), from.port()));
        assert_eq!((record.destination, record.number), (Some(to.ip()), to.port()));
    }
    assert_eq!([records[0].protocol, records[1].protocol], [6, 17]);
    let counters = scene.kernel.generation(place).unwrap().unwrap().counters().unwrap();
    let counted: Vec<_> = counters.outcomes.iter().map(|counter| (counter.packets, counter.bytes)).collect();
    assert_eq!(counted, [(2, 0), (0, 0)], "attempts that are denied, without bytes");
}

#[test]
fn datagrams_that_answer_go_on() {
    let Some(scene) = Scene::for_test("answers") else { return };
    scene.kernel.attach(&scene.point(), SLOT, TcKind::Best).unwrap();
    scene.attach(SLOT);
    load(&scene.kernel, 1, &[(SLOT, Endpoint::Row(NOTHING))]);
    let server = scene.inside(|| UdpSocket::bind("10.0.0.1:5353").unwrap());
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // The other end of the pair goes to a network of its own, and sends from there.
    std::thread::scope(|scope| {
        let ((tell, told), (go, gone)) = (mpsc::channel(), mpsc::channel());
        let outside = scope.spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            tell.send(nix::unistd::gettid().to_string()).unwrap();
            gone.recv().unwrap();
            for line in ["addr add 10.0.0.9/24 dev other", "addr add 30.0.0.1/32 dev other", "link set other up"] {
                run("ip", &line.split(' ').collect::<Vec<_>>()).unwrap();
            }
            let client = UdpSocket::bind("30.0.0.1:7777").unwrap();
            client.send_to(b"hello", "10.0.0.1:5353").unwrap();
            client
        });
        run("ip", &["link", "set", "other", "netns", &told.recv().unwrap()]).unwrap();
        go.send(()).unwrap();
        let client = outside.join().unwrap();
        let mut bytes = [0; 16];
        let (_, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(from.to_string(), "30.0.0.1:7777");
        let server = Socket::from(server);
        let to = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(attempt_with(&server, Does::UdpSend, to("30.0.0.1:7778")), Told::NoPermission, "another port");
        assert_eq!(attempt_with(&server, Does::UdpSend, to("30.0.0.2:7777")), Told::NoPermission, "somebody else");
        assert_eq!(attempt_with(&server, Does::UdpSend, from), Told::Fine);
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert_eq!(client.recv(&mut bytes).unwrap(), 5, "the answer is there");
        assert_eq!(attempt_with(&server, Does::UdpConnect, from), Told::Fine, "to answer it alone");
        let cases = BOTH_UDP.map(|does| (does, Some("10.0.0.1:5354"), "30.0.0.1:7777", Told::NoPermission));
        scene.expect("from another port", &cases);
    });
}

#[test]
fn each_stub_is_judged_as_its_own_slot() {
    let Some(scene) = Scene::for_test("slots") else { return };
    // One behind the other at the same socket, with many threads at it.
    [SLOT, OTHER_SLOT].into_iter().for_each(|slot| scene.attach(slot));
    load(&scene.kernel, 1, &[(SLOT, Endpoint::Row(ALL)), (OTHER_SLOT, Endpoint::Row(TWENTY))]);
    scene.inside(|| {
        let shared = socket(Does::UdpSend, Domain::IPV4);
        let hammer = || {
            for _ in 0..5000 {
                for (to, told) in [("20.0.0.1:53", Told::Fine), ("30.0.0.1:53", Told::NoPermission)] {
                    let to: SocketAddr = to.parse().unwrap();
                    match shared.send_to(b"hello", &SockAddr::from(to)).map_err(|error| error.raw_os_error()) {
                        // The queue is full now and then.
                        Ok(_) | Err(Some(libc::EAGAIN | libc::ENOBUFS)) => assert_eq!(told, Told::Fine, "{to}"),
                        Err(number) => assert_eq!((number, told), (Some(libc::EPERM), Told::NoPermission), "{to}"),
                    }
                }
            }
        };
        // Threads of this one are in its cgroup.
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(hammer))));
    });
    let records = scene.records();
    assert!(!records.is_empty());
    for record in records {
        assert_eq!((record.slot, record.row), (OTHER_SLOT, Some(TWENTY)), "{record:?}");
    }
}

#[test]
fn only_who_asks_gets_it() {
    let Some(scene) = Scene::for_test("asked") else { return };
    let target = Target::Cgroup(std::fs::metadata(scene.cgroup.path()).unwrap().ino());
    let attached = |directions: &[Direction]| -> Vec<Attached> {
        directions.iter().map(|direction| Attached { slot: SLOT, direction: *direction, target }).collect()
    };
    let packets = [Direction::Out, Direction::In];
    let early = Early::ALL.map(Direction::Early);
    let all = [packets.as_slice(), early.as_slice()].concat();
    let found = || scene.kernel.attached().unwrap();
    scene.kernel.attach(&scene.point(), SLOT, TcKind::Best).unwrap();
    assert_eq!(found(), attached(&packets));
    load(&scene.kernel, 1, &[(SLOT, Endpoint::Row(NOTHING))]);
    let tcp = [(Does::Tcp, None, "30.0.0.1:443", Told::Fine)];
    scene.expect("only its packets are judged", &tcp);
    for _ in 0..2 {
        scene.attach(SLOT);
        assert_eq!(found(), attached(&all));
    }
    scene.expect("at once", &tcp.map(|(does, from, to, _)| (does, from, to, Told::NoPermission)));
    scene.kernel.detach_early(SLOT).unwrap();
    assert_eq!(found(), attached(&packets));
    scene.expect("no more", &tcp);
    scene.attach(SLOT);
    scene.kernel.detach(&scene.point(), SLOT).unwrap();
    assert_eq!(found(), []);
    scene.attach(SLOT);
    let Scene { kernel, cgroup, bpffs } = scene;
    kernel.unload().unwrap();
    assert!(!bpffs.pins().exists());
    drop(cgroup);
}
