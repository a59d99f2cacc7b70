//! The scene: a lab with rules that deny what no name allows, dnsmasq on the node, and the agent's command.

use crate::ask;
use crate::bpffs::Bpffs;
use egress_compiler::{Input, MemoryFiles, SourceText};
use egress_testkit::lab::{Lab, NODE_V4, Namespace, Place, Topology, or_skip, pod_link};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The pod.
pub(crate) const POD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 42, 0, 5));
/// How many names `nN.example.com` there are, each with an address of its own.
pub(crate) const NAMES: u32 = 10_000;

pub(crate) struct Scene {
    pub(crate) lab: Lab,
    pub(crate) folder: tempfile::TempDir,
    /// The file system of the kernel's programs, where they enforce; else nftables does.
    bpffs: Option<Bpffs>,
    /// Ends before the namespaces do.
    _server: Running,
}

/// A process that is killed when nobody needs it any more.
pub(crate) struct Running(pub(crate) Child);

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
        std::fs::write(folder.path().join("dns.conf"), zone()).unwrap();
        let config = format!("--conf-file={}", folder.path().join("dns.conf").display());
        let server = start(lab.node(), "dnsmasq", &["--keep-in-foreground", &config]);
        Some(Self { lab, folder, bpffs, _server: server })
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

    /// Starts the agent and waits until it tells what it knows.
    pub(crate) fn agent(&self, options: &[&str]) -> Running {
        let file = self.file().display().to_string();
        let policy = if self.bpffs.is_none() { &["--policy", file.as_str()][..] } else { &[] };
        self.start(&[&["names", "--resolver", "192.0.2.1:53"], policy, options].concat())
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
        self.lab.ask(POD, SocketAddr::new(to.into(), 7777), Duration::from_millis(300)).unwrap()
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

pub(crate) fn resolver() -> SocketAddr {
    SocketAddr::new(NODE_V4, 53)
}

fn start(place: &Namespace, program: &str, arguments: &[&str]) -> Running {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let child = place.run(|| command.process_group(0).spawn()).unwrap().unwrap();
    Running(child)
}

/// The same policy for the kernel's programs, with a deny of an address that a name has.
pub(crate) const PROGRAM: &str = "policy names {
  for all
  allow host **.example.com, host moved.example.net
  allow 192.0.2.1
}
guardrail never { for all deny 198.18.200.7 }
";

/// What the nftables target emits for names, by hand: the same sets, and everything else denied.
pub(crate) fn policy() -> String {
    "# egressc-names {\"hosts\":[\"**.example.com\",\"moved.example.net\"],\"inside\":[\"198.19.0.0/16\"],\"clients\":\
     [{\"workloads\":[[\"10.42.0.5\"]],\"hosts\":[0,1]}]}
table inet egressc {
  set host4/any/example.com { typeof ip saddr . ip daddr; flags timeout; counter; }
  set host6/any/example.com { typeof ip6 saddr . ip6 daddr; flags timeout; counter; }
  set host4/moved.example.net { typeof ip saddr . ip daddr; flags timeout; counter; }
  set host6/moved.example.net { typeof ip6 saddr . ip6 daddr; flags timeout; counter; }
  chain pre { type filter hook prerouting priority dstnat + 10; policy accept;
    iifname != \"pod0\" accept
    ip daddr 192.0.2.1 accept
    ip saddr . ip daddr @host4/any/example.com accept
    ip saddr . ip daddr @host4/moved.example.net accept
    meta nfproto ipv4 drop
  }
}
"
    .to_owned()
}

fn zone() -> String {
    let mut text = "no-resolv\nno-hosts\nport=53\nlisten-address=192.0.2.1\nbind-interfaces\nuser=root\npid-file\n\
                    cache-size=0\ndns-forward-max=1000\n"
        .to_owned();
    for (name, address) in [
        ("api.example.com", "198.18.0.1,60"),
        ("cdn.example.org", "198.18.0.2,60"),
        ("short.example.com", "198.18.0.3,1"),
        ("alone.example.org", "198.18.0.4,60"),
        ("moved.example.net", "198.18.0.5,60"),
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
