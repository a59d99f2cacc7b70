//! Attach points, with real packets: a pod's end of a pair of interfaces, and a cgroup.

use crate::support::{Bpffs, plain_model, run};
use egress_agent::kernel::{
    Attached, Direction, Endpoint, Kernel, KernelError, New, Place, Point, Side, Target, TcKind,
};
use egress_testkit::lab::{LabError, or_skip};
use egress_testkit::seed::{Rng, seed};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SLOT: u32 = 9;

/// A generation that denies (row 0) or passes (row 1) everything of the slot.
fn load(kernel: &Kernel, generation: u64, row: u32) -> Place {
    let tables = plain_model(generation, 4, 0).tables(&mut Rng::new(seed(), generation));
    let endpoints = [(SLOT, Endpoint::Row(row))];
    let place = kernel.commit(kernel.prepare(&New { tables: &tables, endpoints: &endpoints }).unwrap()).unwrap();
    kernel.switch(place).unwrap();
    place
}

/// Sends through `lone` to an address that nobody has; whether the local machine let it out.
fn send(socket: &UdpSocket) -> bool {
    let to: SocketAddr = "20.0.0.1:4242".parse().unwrap();
    socket.send_to(b"hello", to).is_ok()
}

/// How many packets came out at the other end.
fn arrived() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix("other:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// An interface that packets can leave by, to a neighbour that is given.
fn network() {
    for line in [
        "link set lone up",
        "link set other up",
        "addr add 10.0.0.1/24 dev lone",
        "route add default via 10.0.0.2",
        "neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev lone",
    ] {
        run("ip", &line.split(' ').collect::<Vec<_>>()).unwrap();
    }
}

/// Sends ten, and says how many came out.
fn ten(socket: &UdpSocket) -> u64 {
    let before = arrived();
    for _ in 0..10 {
        send(socket);
    }
    std::thread::sleep(Duration::from_millis(20));
    arrived() - before
}

#[test]
fn packets_of_an_interface_are_judged() {
    let Some(bpffs) = Bpffs::for_test("packets_of_an_interface_are_judged") else { return };
    network();
    // Linux tells of itself when an interface comes up; nothing else may be counted.
    run("sh", &["-c", "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"]).unwrap();
    for kind in [TcKind::Tcx, TcKind::Clsact] {
        let kernel = bpffs.kernel();
        let socket = UdpSocket::bind("10.0.0.1:0").unwrap();
        let point = Point::Interface { name: "lone".to_owned(), side: Side::Uplink };
        assert_eq!(ten(&socket), 10, "nothing is attached");
        kernel.attach(&point, SLOT, kind).unwrap();
        assert_eq!(ten(&socket), 0, "{kind:?}: attached, and no generation");
        load(&kernel, 1, 1);
        assert_eq!(ten(&socket), 10, "{kind:?}: a generation that passes");
        let place = load(&kernel, 2, 0);
        assert_eq!(ten(&socket), 0, "{kind:?}: a generation that denies");
        let counters = kernel.generation(place).unwrap().unwrap().counters().unwrap();
        assert_eq!(counters.outcomes[0].packets, 10);
        kernel.switch(place.other()).unwrap();
        assert_eq!(ten(&socket), 10, "{kind:?}: rolled back");
        // The agent ends, and another one finds and renews what there is.
        drop(kernel);
        assert_eq!(ten(&socket), 10);
        let kernel = bpffs.kernel();
        kernel.attach(&point, SLOT, kind).unwrap();
        kernel.switch(place).unwrap();
        assert_eq!(ten(&socket), 0, "{kind:?}: renewed");
        let target = if kind == TcKind::Tcx { Target::Interface(bpffs.interface()) } else { Target::Filter };
        let expected = [Direction::Out, Direction::In].map(|direction| Attached { slot: SLOT, direction, target });
        assert_eq!(kernel.attached().unwrap(), expected);
        kernel.detach(&point, SLOT).unwrap();
        assert_eq!(kernel.attached().unwrap(), []);
        assert_eq!(ten(&socket), 10, "{kind:?}: detached");
        kernel.unload().unwrap();
    }
}

/// A cgroup that is removed, and this process out of it.
struct Cgroup {
    path: PathBuf,
    root: PathBuf,
}

impl Cgroup {
    fn new(name: &str) -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let root = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let path = fields.next()?;
            (fields.next()? == "cgroup2").then(|| PathBuf::from(path))
        })?;
        let path = root.join(format!("egressc-test-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        Some(Self { path, root })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _out = std::fs::write(self.root.join("cgroup.procs"), std::process::id().to_string());
        let _gone = std::fs::remove_dir(&self.path);
    }
}

#[test]
fn packets_of_a_cgroup_are_judged() {
    let name = "packets_of_a_cgroup_are_judged";
    let Some(bpffs) = Bpffs::for_test(name) else { return };
    let cgroup = Cgroup::new("judged");
    let cgroup = cgroup.ok_or_else(|| LabError::Unavailable("no cgroup of version 2 can be made".to_owned()));
    let Some(cgroup) = or_skip(name, cgroup).unwrap() else { return };
    network();
    let kernel = bpffs.kernel();
    let point = Point::Cgroup(cgroup.path.clone());
    kernel.attach(&point, SLOT, TcKind::Best).unwrap();
    load(&kernel, 1, 0);
    // A child that joins the cgroup, in this network: whether it may send.
    let send = || {
        let join = format!("echo $$ > {}/cgroup.procs && echo hello > /dev/udp/20.0.0.1/4242", cgroup.path.display());
        run("bash", &["-c", &join]).is_ok()
    };
    assert!(!send(), "it is denied, and told so");
    load(&kernel, 2, 1);
    assert!(send());
    assert_eq!(kernel.attached().unwrap().len(), 2);
    assert!(matches!(kernel.attached().unwrap()[0].target, Target::Cgroup(id) if id != 0));
    let here = UdpSocket::bind("10.0.0.1:0").unwrap();
    load(&kernel, 3, 0);
    assert!(!send() && self::send(&here), "those outside the cgroup are not judged");
    kernel.unload().unwrap();
    assert!(send(), "nothing is attached");
}

#[test]
fn points_that_are_none_are_refused() {
    let Some(bpffs) = Bpffs::for_test("points_that_are_none_are_refused") else { return };
    let kernel = bpffs.kernel();
    let refuse = |point: &Point| kernel.attach(point, SLOT, TcKind::Best).unwrap_err();
    let gone = Point::Interface { name: "nowhere".to_owned(), side: Side::Pod };
    assert!(matches!(refuse(&gone), KernelError::NoInterface { .. }));
    assert!(matches!(refuse(&Point::Cgroup("/tmp".into())), KernelError::NoCgroup { .. }));
    assert!(matches!(refuse(&Point::Cgroup("/nowhere".into())), KernelError::NoCgroup { .. }));
    let v1 = Path::new("/sys/fs/cgroup/memory");
    if std::fs::read_to_string("/proc/mounts").unwrap().contains("/sys/fs/cgroup/memory cgroup ") {
        assert!(matches!(refuse(&Point::Cgroup(v1.into())), KernelError::CgroupV1 { .. }));
    }
    let lone = Point::Interface { name: "lone".to_owned(), side: Side::Pod };
    assert!(matches!(kernel.attach(&lone, 4096, TcKind::Best), Err(KernelError::Slot { .. })));
    assert_eq!(kernel.attached().unwrap(), []);
    assert!(matches!(Kernel::open(Path::new("/tmp")), Err(KernelError::NoBpffs { .. })));
    assert!(matches!(Kernel::look(Path::new("/nowhere")), Err(KernelError::NoBpffs { .. })));
    assert!(Kernel::look(bpffs.path()).unwrap().is_some());
}
