//! The hooks at which a process says where it wants to: connecting, and sending a datagram without having connected.
//!
//! In: a cgroup and its slot. Out: links, pinned as `links/SLOT-connect4` and so on. They only make what would be denied
//! fail at once, and say which process it was; packets are judged all the same, so nothing here lets anything pass.
//!
//! Behind each stub is a program array of its own, because the kernel wants all programs of one to be for the same hook.
//! All of them follow the word that switches packets, so that a switch is one for these hooks too.

use super::attach::{Direction, object, pin_link, renew};
use super::load::{program, verified};
use super::pins::{self, Pins};
use super::{KernelError, MOST_SLOTS, Place, sys};
use aya::Ebpf;
use aya::maps::{MapData, MapError, ProgramArray};
use aya::programs::{CgroupAttachMode, CgroupSockAddr, CgroupSockAddrAttachType};
use aya::util::KernelVersion;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

/// One of the hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Early {
    /// Connecting to IPv4.
    Connect4,
    /// Connecting a socket of IPv6, also to a mapped address of IPv4.
    Connect6,
    /// Sending a datagram to IPv4.
    Sendmsg4,
    /// Sending a datagram to IPv6.
    Sendmsg6,
}

impl Early {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Connect4, Self::Connect6, Self::Sendmsg4, Self::Sendmsg6];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Connect4 => "connect4",
            Self::Connect6 => "connect6",
            Self::Sendmsg4 => "sendmsg4",
            Self::Sendmsg6 => "sendmsg6",
        }
    }

    fn kind(self) -> CgroupSockAddrAttachType {
        match self {
            Self::Connect4 => CgroupSockAddrAttachType::Connect4,
            Self::Connect6 => CgroupSockAddrAttachType::Connect6,
            Self::Sendmsg4 => CgroupSockAddrAttachType::UDPSendMsg4,
            Self::Sendmsg6 => CgroupSockAddrAttachType::UDPSendMsg6,
        }
    }

    /// The program of a generation, in its object and among its pins.
    pub(super) fn policy(self) -> String {
        format!("policy_{}", self.word())
    }
}

/// 1 where programs of these hooks may ask which process it is. Before Linux 6.10 the kernel refuses those that do.
pub(super) fn names_process() -> u32 {
    u32::from(KernelVersion::current().is_ok_and(|version| version >= KernelVersion::new(6, 10, 0)))
}

/// Loads a generation's programs.
pub(super) fn load(object: &mut Ebpf) -> Result<(), KernelError> {
    Early::ALL.into_iter().try_for_each(|early| {
        let name = early.policy();
        let policy: &mut CgroupSockAddr = program(object, &name)?;
        verified(|| policy.load()).map_err(|source| KernelError::program(&name, source))
    })
}

/// A generation's programs by its pins. One that an agent without these hooks loaded has none.
pub(super) fn pinned(folder: &Path) -> Result<Vec<(Early, CgroupSockAddr)>, KernelError> {
    let there = Early::ALL.into_iter().filter(|early| folder.join(early.policy()).exists());
    let open = |early: Early| {
        let name = early.policy();
        let policy = CgroupSockAddr::from_pin(folder.join(&name), early.kind());
        policy.map(|policy| (early, policy)).map_err(|source| KernelError::program(&name, source))
    };
    there.map(open).collect()
}

/// Gives a generation's programs to the stubs, and takes away those before it where it has none.
pub(super) fn install(pins: &Pins, place: Place, own: &[(Early, CgroupSockAddr)]) -> Result<(), KernelError> {
    for early in Early::ALL {
        let name = format!("policies_{}", early.word());
        let mut policies: ProgramArray<MapData> = pins::typed(&pins.shared(&name))?;
        let done = match own.iter().find(|(hook, _)| *hook == early) {
            Some((_, policy)) => {
                let fd = policy.fd().map_err(|source| KernelError::program(&early.policy(), source))?;
                policies.set(place.index(), fd, 0)
            }
            None => match policies.clear_index(&place.index()) {
                Err(MapError::KeyNotFound) => Ok(()),
                Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
                other => other,
            },
        };
        done.map_err(|source| KernelError::map(&name, source))?;
    }
    Ok(())
}

/// Attaches the stubs of a slot to a cgroup, or renews them.
pub(super) fn attach(pins: &Pins, path: &Path, slot: u32) -> Result<(), KernelError> {
    if slot >= MOST_SLOTS {
        return Err(KernelError::Slot { slot, most: MOST_SLOTS });
    }
    sys::check_cgroup(path)?;
    Early::ALL.into_iter().try_for_each(|early| attach_one(pins, path, slot, early))
}

fn attach_one(pins: &Pins, path: &Path, slot: u32, early: Early) -> Result<(), KernelError> {
    let direction = Direction::Early(early);
    let name = direction.program("");
    let mut object = object(pins, direction, slot, (0, false))?;
    let stub: &mut CgroupSockAddr = program(&mut object, &name)?;
    verified(|| stub.load()).map_err(|source| KernelError::program(&name, source))?;
    let fd = stub.fd().map_err(|source| KernelError::program(&name, source))?;
    if renew(pins, slot, direction, fd.as_fd())? {
        return Ok(());
    }
    let cgroup = File::open(path).map_err(KernelError::file("open", path))?;
    let id = stub.attach(cgroup, CgroupAttachMode::Single);
    let link = id.and_then(|id| stub.take_link(id)).map_err(|source| KernelError::program(&name, source))?;
    pin_link(pins, slot, direction, link.try_into())
}
