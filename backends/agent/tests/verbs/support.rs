//! What the tests of verbs share: a node of their own, and snapshots of a small policy.

use egress_backends::ebpf::{Options, emit};
use egress_compiler::{Input, MemoryFiles, SourceText};
use egress_snapshot::{SigningKey, Snapshot, file};
use egress_testkit::lab::{LabError, or_skip};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A network, a BPF file system and a cgroup that this thread alone has, and a folder for files.
pub(crate) struct Node {
    folder: tempfile::TempDir,
    pub(crate) cgroup: PathBuf,
    cgroup_root: PathBuf,
}

impl Node {
    /// Nothing, said loudly, where the test may not have one.
    pub(crate) fn for_test(name: &str) -> Option<Self> {
        or_skip(name, Self::new(name).map_err(LabError::Unavailable)).unwrap()
    }

    fn new(name: &str) -> Result<Self, String> {
        if !nix::unistd::Uid::effective().is_root() {
            return Err("it must run as root".to_owned());
        }
        let cgroup_root = cgroup_root().ok_or("there is no cgroup of version 2")?;
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
            .map_err(|error| format!("no namespaces: {error}"))?;
        run("mount", &["--make-rprivate", "/"])?;
        let cgroup = cgroup_root.join(format!("egressc-verbs-{}-{name}", std::process::id()));
        std::fs::create_dir(&cgroup).map_err(|error| format!("no cgroup: {error}"))?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let node = Self { folder, cgroup, cgroup_root };
        std::fs::create_dir(node.file("bpf")).map_err(|error| error.to_string())?;
        run("mount", &["-t", "bpf", "bpf", &node.text("bpf")])?;
        for line in [
            "link set lo up",
            "link add near type veth peer name far",
            "link set near up",
            "link set far up",
            "address add 10.0.0.1/8 dev near",
            "route add 20.0.0.0/8 via 10.0.0.2",
            "neighbour add 10.0.0.2 lladdr 02:00:00:00:00:02 dev near",
        ] {
            run("ip", &line.split(' ').collect::<Vec<_>>())?;
        }
        Ok(node)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.file(name).to_string_lossy().into_owned()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.file(name), content).unwrap();
        self.text(name)
    }

    pub(crate) fn cgroup(&self) -> String {
        self.cgroup.to_string_lossy().into_owned()
    }

    /// The command of a verb with this node's folders.
    pub(crate) fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_egress-agent"));
        command.arg(verb).args(arguments).args(["--bpffs", &self.text("bpf"), "--state", &self.text("state")]);
        command
    }

    pub(crate) fn run(&self, verb: &str, arguments: &[&str]) -> Said {
        Said::of(self.command(verb, arguments).output().unwrap())
    }

    /// What a verb prints that must succeed.
    pub(crate) fn done(&self, verb: &str, arguments: &[&str]) -> String {
        let said = self.run(verb, arguments);
        assert_eq!(said.code, 0, "{verb} {arguments:?}: {}", said.errors);
        said.text
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.done("status", &["--json"])).unwrap()
    }

    pub(crate) fn trace(&self, flow: &str) -> Value {
        serde_json::from_str(&self.done("trace", &["--json", flow])).unwrap()
    }

    /// Whether a process of the cgroup may send a datagram.
    pub(crate) fn sends(&self, address: &str, port: u16) -> bool {
        let join = format!("echo $$ > {}/cgroup.procs && echo hello > /dev/udp/{address}/{port}", self.cgroup());
        run("bash", &["-c", &join]).is_ok()
    }

    /// An identities file for the cgroup.
    pub(crate) fn till(&self) -> String {
        let identity = r#"{"namespace": "shop", "labels": {"app": "checkout"}, "name": "till"}"#;
        self.write("identities.json", format!(r#"{{"cgroups": {{"{}": {identity}}}}}"#, self.cgroup()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _out = std::fs::write(self.cgroup_root.join("cgroup.procs"), std::process::id().to_string());
        let _gone = std::fs::remove_dir(&self.cgroup);
        let _ended = run("umount", &[&self.text("bpf")]);
    }
}

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) text: String,
    pub(crate) errors: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), text: text(output.stdout), errors: text(output.stderr) }
    }
}

fn cgroup_root() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let path = fields.next()?;
        (fields.next()? == "cgroup2").then(|| Path::new(path).to_owned())
    })
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("`{program}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{program} {}`: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Two pods; `till` may send to 20.0.0.0/8 on two ports, but never to 20.0.0.9.
const POLICY: &str = r#"
policy shop {
  for pods(app=checkout) in namespace shop
  owner "team-shop"
  allow 20.0.0.0/8, 2001:db8::/32 on 443/tcp, 4242/udp because "card payments" ticket "SEC-1042"
  deny 20.0.0.9 log because "nobody, ever"
}
"#;

const INVENTORY: &str = r#"{"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {}}},
  {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "till", "namespace": "shop", "labels": {"app": "checkout"}},
   "spec": {"serviceAccountName": "default"},
   "status": {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}},
  {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other", "namespace": "shop", "labels": {"app": "other"}},
   "spec": {"serviceAccountName": "default"},
   "status": {"phase": "Running", "podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}]}}]}"#;

/// The snapshot of the policy; the second kind does not allow 4242/udp.
pub(crate) fn snapshot(generation: u64, allows_udp: bool) -> Vec<u8> {
    compiled(if allows_udp { POLICY.to_owned() } else { POLICY.replace(", 4242/udp", "") }, generation)
}

/// The snapshot of any policy.
pub(crate) fn compiled(policy: String, generation: u64) -> Vec<u8> {
    let sources = vec![SourceText { path: "shop.egress".into(), bytes: policy.into_bytes() }];
    let options = egress_compiler::Options::default();
    let compiled = egress_compiler::compile(Input { sources, root: ".".into() }, &MemoryFiles::default(), &options);
    let program = compiled.program.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let inventory = egress_compiler::inventory::read(INVENTORY.as_bytes()).unwrap();
    let options = Options { generation, ..Options::default() };
    emit(&program, Some(&inventory), &options).unwrap_or_else(|errors| panic!("{errors:?}")).bytes
}

pub(crate) fn read(bytes: &[u8]) -> Snapshot {
    file::read(bytes).unwrap()
}

/// The same snapshot with a change of its meta part, and perhaps signed.
pub(crate) fn changed(bytes: &[u8], change: impl FnOnce(&mut Snapshot), key: Option<&SigningKey>) -> Vec<u8> {
    let mut snapshot = read(bytes);
    change(&mut snapshot);
    file::write(&snapshot.meta, snapshot.tables.bytes(), key).unwrap()
}

/// Tables without the digest of their meta part.
pub(crate) fn tables(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = snapshot.tables.bytes().to_vec();
    let digest = egress_snapshot::layout::WORDS.len() * 4;
    bytes[digest..digest + 32].fill(0);
    bytes
}

/// A new key: the private half for signing, and a file of the public one.
pub(crate) fn key(node: &Node, name: &str) -> (SigningKey, String) {
    let (private, public) = (node.text(&format!("{name}.pem")), node.text(&format!("{name}.pub.pem")));
    run("openssl", &["genpkey", "-algorithm", "ed25519", "-out", &private]).unwrap();
    run("openssl", &["pkey", "-in", &private, "-pubout", "-out", &public]).unwrap();
    (SigningKey::from_pem(&std::fs::read_to_string(private).unwrap()).unwrap(), public)
}
