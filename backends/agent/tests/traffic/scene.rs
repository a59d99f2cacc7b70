//! A lab with a node that the agent has loaded snapshots into, and a cgroup beside it.

#[path = "bpffs.rs"]
mod bpffs;

use bpffs::Bpffs;
use egress_agent::kernel::{Endpoint, Generation, Kernel, New, Place, Point, Side, TcKind};
use egress_backends::ebpf::{Options, emit};
use egress_compiler::{Input, MemoryFiles, SourceText};
use egress_ir::{Inventory, Program};
use egress_snapshot::{Snapshot, file};
use egress_testkit::lab::{Cgroup, Lab, Namespace, OUTSIDE_LINK, Topology, or_skip, pod_link};

/// The slot of whatever is attached first, and of what is attached besides.
pub(crate) const SLOT: u32 = 5;
pub(crate) const OTHER_SLOT: u32 = 6;

/// A network, a cgroup, and a BPF file system that this thread and those that it starts see, and that end with it.
pub(crate) struct Scene {
    pub(crate) lab: Lab,
    /// A namespace of nobody in the lab.
    pub(crate) guest: Namespace,
    pub(crate) kernel: Kernel,
    // What is attached goes with the file system, and the cgroup after it.
    pub(crate) bpffs: Bpffs,
    pub(crate) cgroup: Cgroup,
}

impl Scene {
    /// Nothing, said loudly, where this machine cannot hold one.
    pub(crate) fn for_test(name: &str) -> Option<Self> {
        Self::with(name, &Topology::default())
    }

    pub(crate) fn with(name: &str, topology: &Topology) -> Option<Self> {
        let lab = Lab::for_test(name, topology).unwrap()?;
        let built = Cgroup::new("traffic").and_then(|cgroup| Ok((cgroup, Bpffs::new()?)));
        let (cgroup, bpffs) = or_skip(name, built).unwrap()?;
        let kernel = Kernel::open(bpffs.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let guest = Namespace::new("guest").unwrap();
        Some(Self { lab, guest, kernel, bpffs, cgroup })
    }

    /// Attaches a slot within the node.
    pub(crate) fn attach(&self, point: &Point, slot: u32, kind: TcKind) {
        let attached = self.lab.node().run(|| self.kernel.attach(point, slot, kind)).unwrap();
        attached.unwrap_or_else(|error| panic!("{point:?}: {error}"));
    }

    pub(crate) fn detach(&self, point: &Point, slot: u32) {
        let detached = self.lab.node().run(|| self.kernel.detach(point, slot)).unwrap();
        detached.unwrap_or_else(|error| panic!("{point:?}: {error}"));
    }

    /// The host's end of pod 0's pair.
    pub(crate) fn pod_point() -> Point {
        Point::Interface { name: pod_link(0), side: Side::Pod }
    }

    pub(crate) fn uplink_point() -> Point {
        Point::Interface { name: OUTSIDE_LINK.to_owned(), side: Side::Uplink }
    }

    pub(crate) fn cgroup_point(&self) -> Point {
        Point::Cgroup(self.cgroup.path().to_owned())
    }

    /// Loads a snapshot with these endpoints, and switches to it.
    pub(crate) fn enforce(&self, snapshot: &Snapshot, endpoints: &[(u32, Endpoint)]) -> Place {
        let place = load(&self.kernel, snapshot.tables.bytes(), endpoints);
        self.kernel.switch(place).unwrap();
        place
    }

    /// Takes everything down, and opens anew.
    pub(crate) fn start_over(&mut self) {
        let open = || Kernel::open(self.bpffs.path()).unwrap();
        std::mem::replace(&mut self.kernel, open()).unload().unwrap();
        self.kernel = open();
    }

    /// The generation that is enforced.
    pub(crate) fn active(&self) -> Generation {
        self.kernel.generation(self.kernel.active().unwrap()).unwrap().unwrap()
    }
}

/// Gives tables the place that is not active.
pub(crate) fn load(kernel: &Kernel, tables: &[u8], endpoints: &[(u32, Endpoint)]) -> Place {
    let prepared = kernel.prepare(&New { tables, endpoints }).unwrap_or_else(|error| panic!("{error}"));
    kernel.commit(prepared).unwrap_or_else(|error| panic!("{error}"))
}

/// The program of one file.
pub(crate) fn program(text: &str) -> Program {
    let sources = vec![SourceText { path: "lab.egress".to_owned(), bytes: text.as_bytes().to_vec() }];
    let input = Input { sources, root: ".".to_owned() };
    let compiled = egress_compiler::compile(input, &MemoryFiles::default(), &egress_compiler::Options::default());
    // Rules that others cover are errors, and mean something all the same.
    compiled.program.unwrap_or_else(|| panic!("{:?}\n{text}", compiled.diagnostics))
}

/// The snapshot of one file without an inventory.
pub(crate) fn snapshot(generation: u64, text: &str) -> Snapshot {
    emitted(generation, &program(text), None)
}

pub(crate) fn emitted(generation: u64, program: &Program, inventory: Option<&Inventory>) -> Snapshot {
    let options = Options { generation, ..Options::default() };
    let artifact = emit(program, inventory, &options).unwrap_or_else(|errors| panic!("{errors:?}"));
    file::read(&artifact.bytes).unwrap_or_else(|error| panic!("{error}"))
}
