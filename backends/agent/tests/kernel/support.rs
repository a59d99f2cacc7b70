//! What the agent's tests share: a BPF file system of their own, hand-made tables, random models.

use crate::tables::{Model, Ranges};
use egress_agent::kernel::{Generation, Kernel, New};
use egress_agent::packet::{Flow, of_flow};
use egress_testkit::lab::{LabError, or_skip};
use egress_testkit::seed::Rng;
use nix::sched::{CloneFlags, unshare};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A BPF file system and a network that this thread alone sees, and that end with it.
pub(crate) struct Bpffs {
    folder: tempfile::TempDir,
}

impl Bpffs {
    /// Nothing, said loudly, where the test may not have one.
    pub(crate) fn for_test(name: &str) -> Option<Self> {
        or_skip(name, Self::new().map_err(LabError::Unavailable)).unwrap()
    }

    fn new() -> Result<Self, String> {
        if !nix::unistd::Uid::effective().is_root() {
            return Err("it must run as root".to_owned());
        }
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
            .map_err(|error| format!("no namespaces: {error}"))?;
        run("mount", &["--make-rprivate", "/"])?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        run("mount", &["-t", "bpf", "bpf", &folder.path().to_string_lossy()])?;
        run("ip", &["link", "add", "lone", "index", "7", "type", "veth", "peer", "name", "other"])?;
        Ok(Self { folder })
    }

    /// The index of an interface that is not lo.
    pub(crate) fn interface(&self) -> u32 {
        7
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn kernel(&self) -> Kernel {
        Kernel::open(self.path()).unwrap()
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.path().join("egressc")
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // The namespace ends with the thread anyway; this lets the folder go.
        let _ended = run("umount", &[&self.path().to_string_lossy()]);
    }
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("`{program}`: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{program} {}`: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Prepares tables, with nobody at any slot.
pub(crate) fn prepare(kernel: &Kernel, tables: &[u8]) -> Generation {
    kernel.prepare(&New { tables, endpoints: &[] }).unwrap_or_else(|error| panic!("{error}"))
}

/// A packet of a flow from a port that is none of the test's.
pub(crate) fn packet(source: IpAddr, destination: IpAddr, protocol: u8, number: u16) -> Vec<u8> {
    of_flow(&Flow { source, destination, protocol, number, fragment: false })
}

/// The same with a source port.
pub(crate) fn slot_packet(source: IpAddr, destination: IpAddr, protocol: u8, from: u16, number: u16) -> Vec<u8> {
    let mut bytes = packet(source, destination, protocol, number);
    bytes[20..22].copy_from_slice(&from.to_be_bytes());
    bytes
}

/// A model where row `n` has outcome `n` whatever it sends: denied for even ones, passed for odd ones. Senders in
/// `10.0.n.0/24` and `2001:db8::n` (or `2001:db8::9:0:0:1`, below /64) are of row `n`.
pub(crate) fn plain_model(generation: u64, rows: u32, default_row: u32) -> Model {
    let v4: Ranges = (0..rows).map(|row| (if row == 0 { 0 } else { (0x0a00_0000 + row * 256).into() }, row)).collect();
    let base = 0x2001_0db8u128 << 96;
    let mut v6: Ranges = vec![(0, 0)];
    v6.extend((1..rows).map(|row| (base | u128::from(row), row)));
    v6.push((base | 0x9 << 48, 1));
    Model {
        wide: false,
        paged: false,
        generation,
        default_row,
        sources: [v4, v6],
        destinations: [vec![(0, 0), (0x1400_0000, 1), (0x1500_0000, 0)], vec![(0, 0)]],
        ports: std::collections::BTreeMap::new(),
        decisions: (0..rows).map(|row| vec![row, row]).collect(),
        actions: (0..rows).map(|row| vec![row]).collect(),
        outcomes: (0..rows).map(|row| row & 1).collect(),
    }
}

/// A model with something of everything, whose shape is drawn.
pub(crate) fn random_model(rng: &mut Rng, wide: bool, paged: bool) -> Model {
    let rows = rng.between(1, 4) as u32;
    let classes = rng.between(2, 70) as u32;
    let (profiles, port_classes, outcomes) = (rng.between(1, 6) as u32, rng.between(2, 40) as u32, 7);
    let matrix = |rng: &mut Rng, rows: u32, columns: u32, values: u32| -> Vec<Vec<u32>> {
        (0..rows).map(|_| (0..columns).map(|_| below(rng, values)).collect()).collect()
    };
    let mut ports = std::collections::BTreeMap::new();
    for protocol in [1u8, 6, 17, 58, 132, 47] {
        let mut starts = vec![(0u32, below(rng, port_classes))];
        for _ in 0..rng.between(0, 12) {
            starts.push((rng.between(1, 65535) as u32, below(rng, port_classes)));
        }
        starts.sort_unstable();
        starts.dedup_by_key(|(start, _)| *start);
        ports.insert(protocol, (below(rng, port_classes), starts));
    }
    Model {
        wide,
        paged,
        generation: rng.bits(),
        default_row: below(rng, rows),
        sources: [ranges(rng, 32, 30, rows), ranges(rng, 128, 30, rows)],
        destinations: [ranges(rng, 32, 300, classes), ranges(rng, 128, 120, classes)],
        ports,
        decisions: matrix(rng, rows, classes, profiles),
        actions: matrix(rng, profiles, port_classes, outcomes),
        // Deny, pass, and both with a record.
        outcomes: (0..outcomes).map(|place| [0, 1, 4, 5][place as usize % 4]).collect(),
    }
}

fn below(rng: &mut Rng, count: u32) -> u32 {
    rng.between(0, u64::from(count) - 1) as u32
}

/// Starts of which many lie close together, some at the very ends.
fn ranges(rng: &mut Rng, bits: u32, most: u64, values: u32) -> Ranges {
    let top = if bits == 128 { u128::MAX } else { (1 << bits) - 1 };
    let mut starts = vec![0u128];
    let mut anchor = 0u128;
    for _ in 0..rng.between(0, most) {
        if rng.between(0, 4) == 0 {
            anchor = rng.between_wide(0, top);
        }
        let near = 1u128 << rng.between(0, u64::from(bits) - 1);
        starts.push(anchor.saturating_add(rng.between_wide(0, near)).min(top));
    }
    if rng.between(0, 1) == 0 {
        starts.push(top);
    }
    starts.sort_unstable();
    starts.dedup();
    let mut ranges: Ranges = starts.into_iter().map(|start| (start, below(rng, values))).collect();
    ranges.dedup_by_key(|(_, value)| *value);
    ranges
}
