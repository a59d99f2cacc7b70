//! The scene: a lab with rules that deny what no name allows, dnsmasq on the node, and the agent's command.

use crate::ask;
use crate::bpffs::Bpffs;
use egress_compiler::{Input, MemoryFiles, SourceText};
use egress_testkit::lab::{Lab, NODE_V4, NODE_V6, Namespace, Place, Topology, or_skip, pod_link};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The pod.
pub(crate) const POD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 42, 0, 5));
/// Its IPv6 address.
pub(crate) const POD_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x10, 0, 0, 0, 0, 0, 5));
/// The node's address on the pod's link: dnsmasq answers there too, and nobody has told the agent.
pub(crate) const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 0, 1));
/// How many names `nN.example.com` there are, each with an address of its own.
pub(crate) const NAMES: u32 = 10_000;

pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) folder: tempfile::TempDir,
    /// The file system of the kernel's programs, where they enforce; else nftables does.
    bpffs: Option<Bpffs>,
    /// Ends before the namespaces do.
    server: Running,
}

/// A process that is killed when nobody needs it any more.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Sends a signal, such as that to read files anew.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _gone = (self.0.kill(), self.0.wait());
    }
}

/// The address of a name of number `at`.
pub(crate) fn address(at: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + 256 + at)
}

impl Scene {
    pub(crate) fn for_test(name: &str) -> Option<Self> {
        let scene = Self::without_rules(name, None)?;
        std::fs::write(scene.file(), policy()).unwrap();
        scene.lab.node().nft(&policy()).unwrap();
        Some(scene.answering())
    }

    /// The same with the kernel's programs at the pod's pair.
    pub(crate) fn with_programs(name: &str) -> Option<Self> {
        let bpffs = or_skip(name, Bpffs::new()).unwrap()?;
        let scene = Self::without_rules(name, Some(bpffs))?;
        let (file, identities) = (scene.folder.path().join("egress.egb"), scene.folder.path().join("who.json"));
        std::fs::write(&identities, format!("{{\"interfaces\": {{\"{}\": \"address\"}}}}", pod_link(0))).unwrap();
        scene.load(1, PROGRAM);
        scene.run(&[
            "load",
            &file.display().to_string(),
            "--iface",
            &pod_link(0),
            "--identities",
            &identities.display().to_string(),
        ]);
        Some(scene.answering())
    }

    /// Writes a snapshot.
    pub(crate) fn load(&self, generation: u64, text: &str) {
        let input = Input {
            sources: vec![SourceText { path: "lab.egress".to_owned(), bytes: text.into() }],
            root: ".".to_owned(),
        };
        let compiled = egress_compiler::compile(input, &MemoryFiles::default(), &egress_compiler::Options::default());
        let program = compiled.program.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
        let options = egress_backends::ebpf::Options { generation, ..egress_backends::ebpf::Options::default() };
        let artifact = egress_backends::ebpf::emit(&program, None, &options).unwrap();
        std::fs::write(self.folder.path().join("egress.egb"), artifact.bytes).unwrap();
    }

    /// Runs a verb on the node, with the folders of this scene, and gives what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_egress-agent"));
        command.args(arguments).args(self.folders());
        let output = self.lab.node().run(|| command.output()).unwrap().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn folders(&self) -> Vec<String> {
        let bpffs = self.bpffs.iter().flat_map(|bpffs| ["--bpffs".to_owned(), bpffs.path().display().to_string()]);
        ["--state".to_owned(), self.state()].into_iter().chain(bpffs).collect()
    }

    fn without_rules(name: &str, bpffs: Option<Bpffs>) -> Option<Self> {
        let lab = Lab::for_test(name, &Topology::default()).unwrap()?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("hosts"), MOVES_FIRST).unwrap();
        let hosts = format!("addn-hosts={}\n", folder.path().join("hosts").display());
        std::fs::write(folder.path().join("dns.conf"), zone() + &hosts).unwrap();
        let config = format!("--conf-file={}", folder.path().join("dns.conf").display());
        let server = start(lab.node(), "dnsmasq", &["--keep-in-foreground", &config]);
        Some(Self { lab, folder, bpffs, server })
    }

    /// Waits until names are answered.
    fn answering(self) -> Self {
        let begin = Instant::now();
        while self.pod(|| ask::udp(&ask::socket(resolver()), 1, "api.example.com")).is_none() {
            assert!(begin.elapsed() < Duration::from_secs(20), "dnsmasq does not answer");
        }
        self
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("egress.nft")
    }

    pub(crate) fn state(&self) -> String {
        self.folder.path().join("state").display().to_string()
    }

    /// The addresses of `moves.example.com` are others from now on.
    pub(crate) fn move_name(&self, hosts: &str) {
        std::fs::write(self.folder.path().join("hosts"), hosts).unwrap();
        self.server.signal(Signal::SIGHUP);
    }

    /// Starts the agent, which asks dnsmasq.
    pub(crate) fn agent(&self, options: &[&str]) -> Running {
        self.agent_asking("192.0.2.1:53", options)
    }

    /// Starts the agent, which asks this resolver.
    pub(crate) fn agent_asking(&self, resolver: &str, options: &[&str]) -> Running {
        let file = self.file().display().to_string();
        let policy = if self.bpffs.is_none() { &["--policy", file.as_str()][..] } else { &[] };
        self.start(&[&["names", "--resolver", resolver], policy, options].concat())
    }

    /// Starts a verb that learns, and waits until it tells what it knows.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let folders = self.folders();
        let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
        let agent = start(self.lab.node(), env!("CARGO_BIN_EXE_egress-agent"), &[arguments, &folders].concat());
        let begin = Instant::now();
        while self.status().is_none_or(|status| status["process"] != agent.0.id()) {
            assert!(begin.elapsed() < Duration::from_secs(20), "the agent does not begin");
            std::thread::sleep(Duration::from_millis(20));
        }
        agent
    }

    pub(crate) fn pod<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.lab.namespace(Place::Pod(0)).unwrap().run(work).unwrap()
    }

    /// What the agent tells.
    pub(crate) fn status(&self) -> Option<Value> {
        let state = self.state();
        let output = Command::new(env!("CARGO_BIN_EXE_egress-agent"))
            .args(["names", "status", "--json", "--state", &state])
            .output()
            .unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// How often something was counted.
    pub(crate) fn counted(&self, what: &str) -> u64 {
        self.status().unwrap()["counts"][what].as_u64().unwrap_or(0)
    }

    /// Whether the pod gets an answer from an address.
    pub(crate) fn passes(&self, to: Ipv4Addr) -> bool {
        self.passes_from(POD, to.into())
    }

    /// Whether an address of the lab gets one.
    pub(crate) fn passes_from(&self, from: IpAddr, to: IpAddr) -> bool {
        self.lab.ask(from, SocketAddr::new(to, 7777), Duration::from_millis(300)).unwrap()
    }

    /// How many pairs the agent says that it knows.
    pub(crate) fn known(&self) -> usize {
        self.status().unwrap()["known"].as_array().unwrap().len()
    }

    /// Looks a name up as the pod.
    pub(crate) fn look_up(&self, server: SocketAddr, name: &str) -> Vec<Ipv4Addr> {
        self.pod(|| ask::udp(&ask::socket(server), 77, name)).unwrap().0
    }
}

/// Where the agent listens, and where dnsmasq does.
pub(crate) fn forwarder() -> SocketAddr {
    SocketAddr::new(NODE_V4, 5353)
}

pub(crate) fn forwarder_v6() -> SocketAddr {
    SocketAddr::new(NODE_V6, 5353)
}

pub(crate) fn resolver() -> SocketAddr {
    SocketAddr::new(NODE_V4, 53)
}

/// Starts a program in a namespace. It ends with the calling thread at the latest, so that a test that is killed leaves
/// nothing; therefore it is `nsenter` that goes into the namespace, not a thread that ends at once.
fn start(place: &Namespace, program: &str, arguments: &[&str]) -> Running {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "nsenter", &format!("--net={}", place.path()), program]);
    Running(command.args(arguments).stdin(Stdio::null()).process_group(0).spawn().unwrap())
}

/// The same policy for the kernel's programs, with a deny of an address that a name has.
pub(crate) const PROGRAM: &str = "policy names {
  for all
  allow host **.example.com, host moved.example.net
  allow 192.0.2.1
}
guardrail never { for all deny 198.18.200.7 }
";

/// Whether something becomes so within a generous time.
pub(crate) fn soon(mut what: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(20) {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// Nobody drops what was started: both programs end with the thread all the same.
#[test]
fn what_was_started_ends_with_its_thread() {
    let Some(mut scene) = Scene::for_test("what_was_started_ends_with_its_thread") else { return };
    let agent = std::thread::scope(|scope| {
        scope.spawn(|| std::mem::ManuallyDrop::new(scene.agent(&["--listen", &forwarder().to_string()]))).join()
    });
    let mut agent = std::mem::ManuallyDrop::into_inner(agent.unwrap());
    assert!(soon(|| agent.0.try_wait().unwrap().is_some()), "the agent runs on");
    assert!(scene.server.0.try_wait().unwrap().is_none(), "dnsmasq has another thread");
}

/// What the nftables target emits for names, by hand: the same sets, and everything else denied, to the pod and the node.
pub(crate) fn policy() -> String {
    let hosts = ["**.example.com", "moved.example.net", "*.one.example.net"];
    let mut text = format!(
        "# egressc-names {{\"hosts\":{hosts:?},\"inside\":[\"198.19.0.0/16\"],\"clients\":\
         [{{\"workloads\":[[\"{POD}\",\"{POD_V6}\"],[\"{NODE_V4}\",\"{NODE_V6}\"]],\"hosts\":[0,1,2]}}]}}\n\
         table inet egressc {{\n"
    );
    let sets = ["any/example.com", "moved.example.net", "one/one.example.net"];
    let mut rules = String::new();
    for set in sets {
        for (number, family) in [("4", "ip"), ("6", "ip6")] {
            let pair = format!("{family} saddr . {family} daddr");
            text += &format!("set host{number}/{set} {{ typeof {pair}; flags timeout; counter; }}\n");
            rules += &format!("{pair} @host{number}/{set} accept\n");
        }
    }
    text += &format!(
        "chain pre {{ type filter hook prerouting priority dstnat + 10; policy accept;
    iifname != \"pod0\" accept
    ip daddr {{ {NODE_V4}, {OTHER} }} accept
    ip6 daddr {NODE_V6} accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    {rules} drop
  }}
  chain out {{ type filter hook output priority filter; policy accept;
    oifname != \"out0\" accept
    icmp type destination-unreachable accept
    icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
    {rules} drop
  }}
}}
"
    );
    text
}

/// Where `moves.example.com` is at first.
pub(crate) const MOVES_FIRST: &str = "198.18.0.20 moves.example.com\n";

fn zone() -> String {
    let mut text = "no-resolv\nno-hosts\nport=53\nbind-interfaces\nuser=root\ngroup=root\npid-file\n\
                    local-ttl=2\ncache-size=0\ndns-forward-max=1000\n"
        .to_owned();
    for address in [NODE_V4, NODE_V6, OTHER] {
        text += &format!("listen-address={address}\n");
    }
    for (name, address) in [
        ("api.example.com", "198.18.0.1,60"),
        ("cdn.example.org", "198.18.0.2,60"),
        ("short.example.com", "198.18.0.3,1"),
        ("alone.example.org", "198.18.0.4,60"),
        ("moved.example.net", "198.18.0.5,60"),
        ("shared.example.com", "198.18.0.6,60"),
        ("shared.example.org", "198.18.0.6,60"),
        ("six.example.com", "198.18.0.7,2001:db9::7,60"),
        ("within.example.com", "fd00:10::9"),
        ("one.example.net", "198.18.0.8,60"),
        ("a.one.example.net", "198.18.0.9,60"),
        ("b.a.one.example.net", "198.18.0.10,60"),
        ("metadata.example.com", "169.254.169.254"),
        ("private.example.com", "10.0.0.1"),
        ("loopback.example.com", "127.0.0.1"),
        ("inside.example.com", "198.19.0.7"),
        ("node.example.com", "192.0.2.1"),
    ] {
        text += &format!("host-record={name},{address}\n");
    }
    text += "cname=www.example.com,cdn.example.org,60\n";
    for at in 0..NAMES {
        text += &format!("host-record=n{at}.example.com,{},1\n", address(at));
    }
    for at in 1..=60 {
        text += &format!("host-record=many.example.com,198.18.200.{at},60\n");
    }
    text
}
