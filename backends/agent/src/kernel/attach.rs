//! Attach points: a stub and its recorder of connections from outside, at a cgroup or an interface.
//!
//! In: a point and its slot. Out: links, pinned as `links/SLOT-out` and `links/SLOT-in`, which the kernel keeps when the
//! agent ends. On kernels without tcx (before 6.6), filters of clsact, which need no pin: the pin is then the program's,
//! named `SLOT-out-clsact`.
//!
//! At a cgroup, the hooks at which a process says where it wants to are attached besides where somebody asks for it (see
//! `early`).
//!
//! The recorder is attached first and detached last, so that no connection from outside is missed while packets are judged.
//! Attaching again renews a link's program at once. A filter of clsact is taken away and made again, so that for that
//! instant nothing is judged there; stubs change only with the agent itself.

use super::asked::{Asked, ETHERNET};
use super::load::{INBOUND, STUB, loader, program, verified};
use super::pins::Pins;
use super::{Early, Hook, KernelError, MOST_SLOTS, sys};
use aya::Ebpf;
use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::{NlOptions, TcAttachOptions, TcError, qdisc_add_clsact, qdisc_detach_program};
use aya::programs::{CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, LinkOrder, SchedClassifier, TcAttachType};
use aya::util::KernelVersion;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where packets are judged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// What processes of a cgroup send.
    Cgroup(PathBuf),
    /// What goes over an interface.
    Interface {
        /// Its name in this network namespace.
        name: String,
        /// Which way is out.
        side: Side,
    },
}

/// Which way a workload's packets take through an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The host's end of a pair whose other end is the workload's: what the workload sends comes in here.
    Pod,
    /// The workload's own, or the machine's uplink: what is sent goes out here.
    Uplink,
}

/// How programs are attached to interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcKind {
    /// tcx where the kernel has it, else clsact.
    #[default]
    Best,
    /// tcx.
    Tcx,
    /// clsact.
    Clsact,
}

/// Whether a program judges what leaves the workload, remembers what enters it, or says early what would be denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The stub.
    Out,
    /// The recorder.
    In,
    /// The stub of a hook at which a process says where it wants to.
    Early(Early),
}

/// What a link is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A cgroup, by its id: the inode of its folder.
    Cgroup(u64),
    /// An interface, by its index; 0 when it is gone.
    Interface(u32),
    /// A filter of clsact, which does not say where it is.
    Filter,
}

/// Something attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Its slot.
    pub slot: u32,
    /// What it does.
    pub direction: Direction,
    /// Where.
    pub target: Target,
}

/// A packet on an interface.
#[derive(Clone, Copy, Debug)]
pub struct On<'a> {
    /// The interface's index in this network namespace.
    pub interface: u32,
    /// What the link says.
    pub ethertype: u16,
    /// From the IP header on.
    pub packet: &'a [u8],
}

impl Direction {
    /// Of packets, in the order of attaching.
    const BOTH: [Self; 2] = [Self::In, Self::Out];

    fn word(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Early(early) => early.word(),
        }
    }

    fn object(self) -> &'static [u8] {
        match self {
            Self::Out | Self::Early(_) => STUB,
            Self::In => INBOUND,
        }
    }

    /// The program in the object: that of packets where they are seen, or of an early hook.
    pub(super) fn program(self, at: &str) -> String {
        match self {
            Self::Out => format!("stub_{at}"),
            Self::In => format!("inbound_{at}"),
            Self::Early(early) => format!("stub_{}", early.word()),
        }
    }

    fn cgroup(self) -> CgroupSkbAttachType {
        match self {
            Self::Out | Self::Early(_) => CgroupSkbAttachType::Egress,
            Self::In => CgroupSkbAttachType::Ingress,
        }
    }

    fn interface(self, side: Side) -> TcAttachType {
        match (self, side) {
            (Self::Out | Self::Early(_), Side::Pod) | (Self::In, Side::Uplink) => TcAttachType::Ingress,
            (Self::Out | Self::Early(_), Side::Uplink) | (Self::In, Side::Pod) => TcAttachType::Egress,
        }
    }
}

pub(super) fn attach(pins: &Pins, point: &Point, slot: u32, kind: TcKind) -> Result<(), KernelError> {
    if slot >= MOST_SLOTS {
        return Err(KernelError::Slot { slot, most: MOST_SLOTS });
    }
    for direction in Direction::BOTH {
        match point {
            Point::Cgroup(path) => attach_cgroup(pins, path, slot, direction)?,
            Point::Interface { name, side } => {
                if !sys::interface_exists(name) {
                    return Err(KernelError::NoInterface { name: name.clone() });
                }
                if kind == TcKind::Clsact || kind == TcKind::Best && !has_tcx() {
                    attach_clsact(pins, name, *side, slot, direction)?;
                } else {
                    attach_tcx(pins, name, *side, slot, direction)?;
                }
            }
        }
    }
    Ok(())
}

fn attach_cgroup(pins: &Pins, path: &Path, slot: u32, direction: Direction) -> Result<(), KernelError> {
    sys::check_cgroup(path)?;
    let name = direction.program("skb");
    let mut object = object(pins, direction, slot, (0, false))?;
    let stub: &mut CgroupSkb = program(&mut object, &name)?;
    verified(|| stub.load()).map_err(|source| KernelError::program(&name, source))?;
    let fd = stub.fd().map_err(|source| KernelError::program(&name, source))?;
    if renew(pins, slot, direction, fd.as_fd())? {
        return Ok(());
    }
    let cgroup = File::open(path).map_err(KernelError::file("open", path))?;
    // Single is what a link knows: its place beside others is the kernel's matter, and all must let a packet pass.
    let id = stub.attach(cgroup, direction.cgroup(), CgroupAttachMode::Single);
    let link = id.and_then(|id| stub.take_link(id)).map_err(|source| KernelError::program(&name, source))?;
    pin_link(pins, slot, direction, link.try_into())
}

fn attach_tcx(pins: &Pins, interface: &str, side: Side, slot: u32, direction: Direction) -> Result<(), KernelError> {
    let name = direction.program("tc");
    let mut object = object(pins, direction, slot, (header_length(interface)?, side == Side::Pod))?;
    let stub: &mut SchedClassifier = program(&mut object, &name)?;
    verified(|| stub.load()).map_err(|source| KernelError::program(&name, source))?;
    let fd = stub.fd().map_err(|source| KernelError::program(&name, source))?;
    if renew(pins, slot, direction, fd.as_fd())? {
        return Ok(());
    }
    // First: a program before ours could let packets pass that ours would stop, by ending the chain.
    let options = TcAttachOptions::TcxOrder(LinkOrder::first());
    let id = stub.attach_with_options(interface, direction.interface(side), options);
    let link = id.and_then(|id| stub.take_link(id)).map_err(|source| KernelError::program(&name, source))?;
    pin_link(pins, slot, direction, link.try_into())
}

/// Where filters of clsact say which of several comes first; the least is 1.
const PRIORITY: u16 = 1;

fn attach_clsact(pins: &Pins, interface: &str, side: Side, slot: u32, direction: Direction) -> Result<(), KernelError> {
    let name = direction.program("tc");
    let mut object = object(pins, direction, slot, (header_length(interface)?, side == Side::Pod))?;
    let stub: &mut SchedClassifier = program(&mut object, &name)?;
    verified(|| stub.load()).map_err(|source| KernelError::program(&name, source))?;
    let path = clsact_path(pins, slot, direction);
    let renewed = path.exists();
    match qdisc_add_clsact(interface) {
        Ok(()) => {}
        // Somebody made it before; it is shared.
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => {}
        Err(error) => return Err(KernelError::of(format!("add clsact to `{interface}`"), &error)),
    }
    let options = TcAttachOptions::Netlink(NlOptions { priority: PRIORITY, ..NlOptions::default() });
    if renewed {
        remove_filter(interface, side, direction)?;
        remove(&path)?;
    }
    let id = stub.attach_with_options(interface, direction.interface(side), options);
    let link = id.and_then(|id| stub.take_link(id)).map_err(|source| KernelError::program(&name, source))?;
    // Dropping it would take the filter away; the filter itself is what stays.
    std::mem::forget(link);
    stub.pin(&path).map_err(|source| KernelError::pin(&path, source))
}

pub(super) fn detach(pins: &Pins, point: &Point, slot: u32) -> Result<(), KernelError> {
    detach_early(pins, slot)?;
    for direction in Direction::BOTH.into_iter().rev() {
        let filter = clsact_path(pins, slot, direction);
        if filter.exists() {
            if let Point::Interface { name, side } = point
                && sys::interface_exists(name)
            {
                remove_filter(name, *side, direction)?;
            }
            remove(&filter)?;
        }
        end_link(&link_path(pins, slot, direction))?;
    }
    Ok(())
}

/// Ends the links of a slot at the hooks at which a process says where it wants to.
pub(super) fn detach_early(pins: &Pins, slot: u32) -> Result<(), KernelError> {
    let directions = Early::ALL.map(Direction::Early);
    directions.into_iter().try_for_each(|direction| end_link(&link_path(pins, slot, direction)))
}

/// Ends every link; filters of clsact stay, because only their points say where they are.
pub(super) fn detach_links(pins: &Pins) -> Result<(), KernelError> {
    for found in attached(pins)?.into_iter().filter(|found| found.target != Target::Filter) {
        end_link(&link_path(pins, found.slot, found.direction))?;
    }
    Ok(())
}

/// Ends a pinned link and removes its pin.
fn end_link(path: &Path) -> Result<(), KernelError> {
    if !path.exists() {
        return Ok(());
    }
    match sys::detach_link(open_link(path)?.as_fd()) {
        // What it was attached to is gone.
        Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => {}
        other => other.map_err(|error| KernelError::io(format!("detach `{}`", path.display()), &error))?,
    }
    remove(path)
}

pub(super) fn rehearse(
    pins: &Pins,
    hook: Hook,
    direction: Direction,
    slot: u32,
    on: On<'_>,
) -> Result<bool, KernelError> {
    let asked = Asked { control: [0; 4], mark: 0, interface: on.interface, ethertype: on.ethertype, packet: on.packet };
    let (at, offset) = match hook {
        Hook::Cgroup => ("skb", 0),
        Hook::Tc => ("tc", ETHERNET as u32),
    };
    let name = direction.program(at);
    let mut object = object(pins, direction, slot, (offset, hook == Hook::Tc))?;
    let answer = match hook {
        Hook::Cgroup => {
            let loaded: &mut CgroupSkb = program(&mut object, &name)?;
            verified(|| loaded.load()).map_err(|source| KernelError::program(&name, source))?;
            asked.of_cgroup(loaded)
        }
        Hook::Tc => {
            let loaded: &mut SchedClassifier = program(&mut object, &name)?;
            verified(|| loaded.load()).map_err(|source| KernelError::program(&name, source))?;
            asked.of_tc(loaded)
        }
    };
    answer.map(|done| done.passes)
}

pub(super) fn attached(pins: &Pins) -> Result<Vec<Attached>, KernelError> {
    let folder = pins.links();
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(KernelError::file("list", &folder))? {
        let entry = entry.map_err(KernelError::file("list", &folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((slot, direction, filter)) = parse_name(&name) else { continue };
        let target = if filter { Target::Filter } else { target(&entry.path())? };
        found.push(Attached { slot, direction, target });
    }
    found.sort_by_key(|attached| (attached.slot, attached.direction));
    Ok(found)
}

/// `12-out`, `12-in`, `12-connect4`, `12-out-clsact`.
fn parse_name(name: &str) -> Option<(u32, Direction, bool)> {
    let (name, filter) = name.strip_suffix("-clsact").map_or((name, false), |name| (name, true));
    let (slot, word) = name.split_once('-')?;
    let known = Direction::BOTH.into_iter().chain(Early::ALL.map(Direction::Early));
    let direction = known.into_iter().find(|direction| direction.word() == word)?;
    Some((slot.parse().ok()?, direction, filter))
}

const LINK_CGROUP: u32 = 3;

fn target(path: &Path) -> Result<Target, KernelError> {
    let link = open_link(path)?;
    let info = sys::link_info(link.as_fd()).map_err(|error| KernelError::io("describe a link", &error))?;
    let [a, b, c, d] = info.first.to_ne_bytes();
    let [e, f, g, h] = info.second.to_ne_bytes();
    Ok(match info.kind {
        LINK_CGROUP => Target::Cgroup(u64::from_ne_bytes([a, b, c, d, e, f, g, h])),
        _ => Target::Interface(info.first),
    })
}

fn open_link(path: &Path) -> Result<OwnedFd, KernelError> {
    sys::open_pin(path).map_err(|error| KernelError::io(format!("open `{}`", path.display()), &error))
}

/// Gives a pinned link a new program; false when there is no such link, or its target is gone.
pub(super) fn renew(
    pins: &Pins,
    slot: u32,
    direction: Direction,
    program: BorrowedFd<'_>,
) -> Result<bool, KernelError> {
    let path = link_path(pins, slot, direction);
    if !path.exists() {
        return Ok(false);
    }
    let link = open_link(&path)?;
    match sys::update_link(link.as_fd(), program) {
        Ok(()) => Ok(true),
        // The cgroup or interface is gone, and with it what was attached.
        Err(error) if error.raw_os_error() == Some(libc::ENOLINK) => remove(&path).map(|()| false),
        Err(error) => Err(KernelError::io(format!("renew `{}`", path.display()), &error)),
    }
}

pub(super) fn pin_link(
    pins: &Pins,
    slot: u32,
    direction: Direction,
    link: Result<FdLink, LinkError>,
) -> Result<(), KernelError> {
    let path = link_path(pins, slot, direction);
    let link = link.map_err(|source| KernelError::of("make a link".to_owned(), &source))?;
    let _pinned: PinnedLink = link.pin(&path).map_err(|source| KernelError::pin(&path, source))?;
    Ok(())
}

fn link_path(pins: &Pins, slot: u32, direction: Direction) -> PathBuf {
    pins.links().join(format!("{slot}-{}", direction.word()))
}

fn clsact_path(pins: &Pins, slot: u32, direction: Direction) -> PathBuf {
    pins.links().join(format!("{slot}-{}-clsact", direction.word()))
}

/// The object of a direction. `marks`: whether a packet's mark still decides by which way it leaves, which is so only where
/// it comes in from a pod; only the stub asks for that.
pub(super) fn object(
    pins: &Pins,
    direction: Direction,
    slot: u32,
    (offset, marks): (u32, bool),
) -> Result<Ebpf, KernelError> {
    let (mut loader, marks) = (loader(pins), u32::from(marks));
    loader.override_global("slot", &slot, true).override_global("offset", &offset, true);
    loader.override_global("marks", &marks, direction == Direction::Out);
    loader.load(direction.object()).map_err(|source| KernelError::object(direction.word(), source))
}

fn remove_filter(interface: &str, side: Side, direction: Direction) -> Result<(), KernelError> {
    match qdisc_detach_program(interface, direction.interface(side), &direction.program("tc")) {
        Err(TcError::IoError(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| KernelError::of(format!("remove the filter of `{interface}`"), &source)),
    }
}

fn remove(path: &Path) -> Result<(), KernelError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map_err(KernelError::file("remove", path)),
    }
}

/// 14 where frames have a header of Ethernet, 0 where packets begin with IP.
fn header_length(interface: &str) -> Result<u32, KernelError> {
    let kind = sys::interface_kind(interface);
    let kind = kind.map_err(|error| KernelError::io(format!("ask what kind of interface `{interface}` is"), &error))?;
    Ok(if kind == libc::ARPHRD_ETHER { 14 } else { 0 })
}

/// tcx came with Linux 6.6.
fn has_tcx() -> bool {
    KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 6, 0))
}
