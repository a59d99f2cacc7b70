//! Four nodes and an outside on one segment: two nodes with a pod each, two that may hold gateways.
//!
//! ```text
//! pod a ── node a ┐
//! pod b ── node b ┤ a bridge ── outside (reports the sources that it sees)
//!          gate c ┤
//!          gate d ┘
//! ```
//!
//! Node `a`, `b` masquerade what leaves, as network plugins do, at priority 100.

use egress_backends::ebpf::{Options, emit};
use egress_compiler::{Input, MemoryFiles, SourceText};
use egress_testkit::lab::{LabError, Namespace};
use nix::sched::{CloneFlags, unshare};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The gateway's addresses.
pub(crate) const A4: &str = "192.0.2.200";
pub(crate) const A6: &str = "2001:db8:feed::200";
/// The outside's, one that is reached through the gateway and one that is not.
pub(crate) const VIA4: &str = "198.51.100.1";
pub(crate) const VIA6: &str = "2001:db8:a::1";
pub(crate) const PLAIN4: &str = "198.51.100.129";
pub(crate) const PLAIN6: &str = "2001:db8:b::1";

const POLICY: &str = "gateway fixed {
  nodes(egress=yes)
  address 192.0.2.200 managed, 2001:db8:feed::200 managed
}
policy pods {
  for all
  allow 198.51.100.0/25, 2001:db8:a::/48 via fixed
  allow 198.51.100.128/25, 2001:db8:b::/48
}
";

/// A node, and its pod where it has one.
pub(crate) struct Node {
    pub(crate) name: &'static str,
    pub(crate) place: Namespace,
    pub(crate) pod: Option<Namespace>,
    pub(crate) v4: String,
    pub(crate) v6: String,
    state: String,
}

/// Everything. What runs in it ends with it.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) outside: Namespace,
    _switch: Namespace,
    folder: tempfile::TempDir,
}

/// A process that is killed when nobody needs it any more.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl Running {
    /// Asks it to end, and waits until it has done what there is to do.
    pub(crate) fn stop(self) {
        assert!(self.end().success());
    }

    /// Asks it to end, and waits.
    pub(crate) fn end(mut self) -> std::process::ExitStatus {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.0.wait().unwrap()
    }
}

impl Cluster {
    /// Nothing, said loudly, where this machine cannot hold one.
    pub(crate) fn for_test(name: &str) -> Option<Self> {
        let why = match Self::new() {
            Ok(cluster) => return Some(cluster),
            Err(why) => why,
        };
        assert!(
            std::env::var("EGRESS_REQUIRE_LAB").is_ok_and(|set| set == "1").then_some(()).is_none(),
            "{name}: {why}"
        );
        eprintln!("SKIPPED {name}: {why}");
        None
    }

    fn new() -> Result<Self, String> {
        if !nix::unistd::Uid::effective().is_root() {
            return Err("it must run as root".to_owned());
        }
        if Command::new("nft").arg("--version").output().is_err() {
            return Err("`nft` is missing (package nftables)".to_owned());
        }
        unshare(CloneFlags::CLONE_NEWNS).map_err(|error| format!("no namespaces: {error}"))?;
        run("mount", &["--make-rprivate", "/"])?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        Self::build(folder).map_err(|error| error.to_string())
    }

    fn build(folder: tempfile::TempDir) -> Result<Self, LabError> {
        let switch = quiet("switch")?;
        switch.ip("link add br0 type bridge forward_delay 0\nlink set br0 up\n")?;
        let outside = quiet("outside")?;
        plug(&switch, &outside, "outside", "192.0.2.1", "2001:db8:feed::1")?;
        for address in [VIA4, PLAIN4, VIA6, PLAIN6] {
            let (length, nodad) = if address.contains(':') { (128, " nodad") } else { (32, "") };
            outside.ip(&format!("addr add {address}/{length} dev lo{nodad}\n"))?;
        }
        let mut nodes = Vec::new();
        for (number, name) in (11..).zip(["a", "b", "c", "d"]) {
            let (v4, v6) = (format!("192.0.2.{number}"), format!("2001:db8:feed::{number}"));
            let place = quiet(name)?;
            for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
                place.sysctl(key, "1")?;
            }
            plug(&switch, &place, name, &v4, &v6)?;
            place.ip("route add default via 192.0.2.1\nroute add default via 2001:db8:feed::1\n")?;
            let state = folder.path().join(name).to_string_lossy().into_owned();
            let mut node = Node { name, place, pod: None, v4, v6, state };
            if number < 13 {
                node.add_pod(number)?;
            }
            nodes.push(node);
        }
        // As a network plugin would: every node knows where pods are, and nobody outside does.
        for at in &nodes {
            for (number, to) in (11..).zip(&nodes).take(2).filter(|(_, to)| to.name != at.name) {
                let (v4, v6) = (&to.v4, &to.v6);
                at.place.ip(&format!(
                    "route add 10.42.{number}.0/24 via {v4}\nroute add fd00:42:{number}::/64 via {v6}\n"
                ))?;
            }
        }
        let cluster = Self { nodes, outside, _switch: switch, folder };
        cluster.mount();
        Ok(cluster)
    }

    fn mount(&self) {
        for node in &self.nodes {
            std::fs::create_dir_all(format!("{}/bpf", node.state)).unwrap();
            run("mount", &["-t", "bpf", "bpf", &format!("{}/bpf", node.state)]).unwrap();
        }
    }

    pub(crate) fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).unwrap()
    }

    /// The snapshot of the policy, as a file; that of an even generation has a gateway of IPv4 alone.
    pub(crate) fn snapshot(&self, generation: u64) -> String {
        let path: PathBuf = self.folder.path().join(format!("{generation}.egb"));
        let text = path.to_string_lossy().into_owned();
        // Written once: somebody may be reading it.
        if path.exists() {
            return text;
        }
        let sources = vec![SourceText { path: "pods.egress".into(), bytes: policy(generation).into_bytes() }];
        let options = egress_compiler::Options::default();
        let compiled = egress_compiler::compile(Input { sources, root: ".".into() }, &MemoryFiles::default(), &options);
        let program = compiled.program.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
        let options = Options { generation, ..Options::default() };
        let artifact = emit(&program, None, &options).unwrap_or_else(|errors| panic!("{errors:?}"));
        std::fs::write(&path, artifact.bytes).unwrap();
        text
    }

    /// A file of the test.
    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// Loads the policy where pods are, and keeps all nodes following.
    pub(crate) fn govern(&self) -> Vec<Running> {
        self.govern_by(1, &[])
    }

    /// Likewise, by the policy of another generation, and with more options.
    pub(crate) fn govern_by(&self, generation: u64, more: &[&str]) -> Vec<Running> {
        let snapshot = self.snapshot(generation);
        for node in self.nodes.iter().filter(|node| node.pod.is_some()) {
            node.done("load", &[&snapshot, "--iface", "pod0"]);
        }
        ["a", "b"].map(|name| self.node(name).start(&[&["--interface", "lan0"], more].concat())).into()
    }
}

impl Node {
    fn add_pod(&mut self, number: u8) -> Result<(), LabError> {
        let pod = quiet("pod")?;
        self.place.ip(&format!(
            "link add pod0 type veth peer name eth0 netns {}\n\
             addr add 10.42.{number}.1/24 dev pod0\naddr add fd00:42:{number}::1/64 dev pod0 nodad\nlink set pod0 up\n",
            pod.path()
        ))?;
        pod.ip(&format!(
            "addr add 10.42.{number}.2/24 dev eth0\naddr add fd00:42:{number}::2/64 dev eth0 nodad\nlink set eth0 up\n\
             route add default via 10.42.{number}.1\nroute add default via fd00:42:{number}::1\n"
        ))?;
        self.pod = Some(pod);
        self.masquerade()
    }

    /// What a network plugin does, again: the table is taken away and made anew.
    pub(crate) fn masquerade(&self) -> Result<(), LabError> {
        self.place.nft(
            "add table inet plugin\ndelete table inet plugin\ntable inet plugin {\n chain post {\n  \
             type nat hook postrouting priority 100; policy accept;\n  oifname \"lan0\" masquerade\n }\n}\n",
        )
    }

    fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_egress-agent"));
        command.arg(verb).args(arguments);
        command.args(["--bpffs", &format!("{}/bpf", self.state), "--state", &format!("{}/state", self.state)]);
        command
    }

    /// What a verb prints that must succeed.
    pub(crate) fn done(&self, verb: &str, arguments: &[&str]) -> String {
        let output = self.place.run(|| self.command(verb, arguments).output().unwrap()).unwrap();
        assert!(output.status.success(), "{verb} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a verb says that must fail.
    pub(crate) fn fails(&self, verb: &str, arguments: &[&str]) -> String {
        let output = self.place.run(|| self.command(verb, arguments).output().unwrap()).unwrap();
        assert!(!output.status.success(), "{verb} {arguments:?} succeeds");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Starts `gateway` here.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command("gateway", arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Running(self.place.run(|| command.spawn().unwrap()).unwrap())
    }

    /// Whether the node has an address.
    pub(crate) fn has(&self, address: &str) -> bool {
        let output = self.place.command("ip", &["-o", "addr", "show"], "").unwrap();
        String::from_utf8(output.stdout).unwrap().contains(&format!(" {address}/"))
    }

    pub(crate) fn wait_until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is(self) {
            assert!(begin.elapsed() < Duration::from_secs(30), "{}: {what}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in &self.nodes {
            let _ended = run("umount", &[&format!("{}/bpf", node.state)]);
        }
    }
}

fn policy(generation: u64) -> String {
    if generation % 2 == 1 {
        return POLICY.to_owned();
    }
    POLICY.replace(", 2001:db8:feed::200 managed", "").replace(", 2001:db8:a::/48 via", " via")
}

fn quiet(role: &str) -> Result<Namespace, LabError> {
    let namespace = Namespace::new(role)?;
    for key in ["net/ipv6/conf/default/accept_dad", "net/ipv6/conf/default/accept_ra"] {
        namespace.sysctl(key, "0")?;
    }
    Ok(namespace)
}

fn plug(switch: &Namespace, place: &Namespace, name: &str, v4: &str, v6: &str) -> Result<(), LabError> {
    switch.ip(&format!(
        "link add to-{name} type veth peer name lan0 netns {}\nlink set to-{name} master br0\nlink set to-{name} up\n",
        place.path()
    ))?;
    place.ip(&format!("addr add {v4}/24 dev lan0\naddr add {v6}/64 dev lan0 nodad\nlink set lan0 up\n"))
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("`{program}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{program} {}`: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}
