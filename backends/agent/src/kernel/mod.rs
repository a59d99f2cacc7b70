//! The kernel, behind one seam: generations in and out, attach points, counters, events. Everything that is unsafe is in
//! `sys`; nobody else in the workspace speaks to bpf(2).
//!
//! In: checked tables and where to attach. Out: what the kernel enforces, and what it knows. Never: reading snapshots,
//! choosing what to load, keeping anything in this process that enforcement needs.
//!
//! # What is pinned
//!
//! Below `BPFFS/egressc`: `active` (one word: 0 or 1), `policies_skb`, `policies_tc`, `policies_connect4`, … (program
//! arrays of two, one for each hook), `connecting`, `inbound`, `learned`, `events`, `rates`, `lost`, and the folders `place-0`,
//! `place-1` (`tables`, `endpoints`, `counters`, `layout`, `policy_skb`, `policy_tc`, `policy_connect4`, …) and `links`
//! (`SLOT-out`, `SLOT-in`, and with [`Kernel::attach_early`] `SLOT-connect4`, …). Every attach point runs a stub of its
//! own, which reads `active` and jumps into the program at that place.
//!
//! # Why one whole generation is enforced whatever happens
//!
//! Only [`Kernel::switch`] stores into `active`: four bytes, at once, for every attach point and hook. All else happens
//! in the place that is not active, in this order, and each step can be the last:
//!
//! 1. [`Kernel::prepare`]: maps and programs, pinned in `place-N-new`. No packet can reach them.
//! 2. [`Kernel::commit`]: `place-N` is renamed to `place-N-old`, then `place-N-new` to `place-N`. The program arrays
//!    still have the old programs, which keep their maps alive.
//! 3. It waits until no packet is between reading `active` and its jump, which matters only right after a switch.
//! 4. It puts the new programs into the program arrays, and removes `place-N-old`.
//! 5. [`Kernel::switch`].
//!
//! [`Kernel::open`] finishes or undoes what was begun: `place-N-new` is removed; `place-N-old` is renamed back when there
//! is no `place-N`, else removed; programs pinned in the place that is not active are put into the arrays again. The
//! active place is never written. Attaching pins a link at once after making it; a link that nobody pinned vanishes with
//! the agent. One agent at a time is the caller's duty (its lock file).

mod asked;
mod attach;
pub mod constants;
mod early;
mod error;
mod events;
mod generation;
mod learned;
mod load;
mod pins;
mod shared;
mod sys;

pub use attach::{Attached, Direction, On, Point, Side, Target, TcKind};
pub use early::Early;
pub use error::KernelError;
pub use events::{Event, Events};
pub use generation::{Answer, Counter, Counters, Found, Generation, Hook, MARK_BEFORE};
pub use learned::{Fact, Learned, Lease};
pub use load::New;
pub use shared::{Endpoint, MOST_SLOTS, RECORDS, Record};

use aya::maps::{Array, PerCpuArray};
use pins::Pins;
use std::path::Path;

/// One of the two places for generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// `place-0`.
    First,
    /// `place-1`.
    Second,
}

impl Place {
    /// 0 or 1.
    #[must_use]
    pub fn index(self) -> u32 {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// Both.
    pub const BOTH: [Self; 2] = [Self::First, Self::Second];
}

/// What is pinned below a BPF file system.
#[derive(Debug)]
pub struct Kernel {
    pins: Pins,
}

impl Kernel {
    /// Opens what is pinned below `bpffs` (usually `/sys/fs/bpf`), making what is not there, and finishing or undoing what
    /// a killed agent had begun.
    ///
    /// # Errors
    /// Where there is no BPF file system, no privilege, or too old a kernel; and what the kernel refuses.
    pub fn open(bpffs: &Path) -> Result<Self, KernelError> {
        sys::check_kernel()?;
        sys::check_bpffs(bpffs)?;
        let kernel = Self { pins: Pins::below(bpffs) };
        kernel.pins.make()?;
        load::make_shared(&kernel.pins)?;
        load::recover(&kernel.pins)?;
        Ok(kernel)
    }

    /// Opens what is pinned below `bpffs` for looking only; nothing where nothing is.
    ///
    /// # Errors
    /// As [`Kernel::open`].
    pub fn look(bpffs: &Path) -> Result<Option<Self>, KernelError> {
        sys::check_kernel()?;
        sys::check_bpffs(bpffs)?;
        let kernel = Self { pins: Pins::below(bpffs) };
        Ok(kernel.pins.shared("active").exists().then_some(kernel))
    }

    /// Which place is enforced. It may be empty, when nothing was ever loaded; then everything is denied.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn active(&self) -> Result<Place, KernelError> {
        load::active(&self.pins)
    }

    /// The generation at a place; nothing when it is empty.
    ///
    /// # Errors
    /// Where pins are missing or of another shape, and what the kernel refuses.
    pub fn generation(&self, place: Place) -> Result<Option<Generation>, KernelError> {
        Generation::at(&self.pins.place(place))
    }

    /// Loads a generation where no packet can reach it, in the name of the place that is not active. What stands in that
    /// place stays until [`Kernel::commit`].
    ///
    /// # Errors
    /// Where the tables are not what their layout says, and what the kernel or its verifier refuses. Nothing is left behind.
    pub fn prepare(&self, new: &New<'_>) -> Result<Generation, KernelError> {
        load::prepare(&self.pins, self.active()?.other(), new)
    }

    /// Gives a prepared generation its place, which is not the active one, and says which. What was there before is gone.
    /// Nothing is switched.
    ///
    /// # Errors
    /// What the kernel refuses; the active generation is as it was.
    pub fn commit(&self, prepared: Generation) -> Result<Place, KernelError> {
        let place = self.active()?.other();
        load::commit(&self.pins, place, prepared)?;
        Ok(place)
    }

    /// Removes a prepared generation.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn abandon(&self, prepared: Generation) -> Result<(), KernelError> {
        drop(prepared);
        self.pins.clear_new()
    }

    /// Makes a place the enforced one, for every attach point at once. Rolling back is switching to the other place.
    ///
    /// # Errors
    /// Where the place is empty, and what the kernel refuses.
    pub fn switch(&self, place: Place) -> Result<(), KernelError> {
        if !self.pins.place(place).exists() {
            return Err(KernelError::EmptyPlace { place: place.index() });
        }
        let mut active: Array<_, u32> = pins::typed(&self.pins.shared("active"))?;
        active.set(0, place.index(), 0).map_err(|source| KernelError::map("active", source))
    }

    /// Waits until every packet that was being judged has gone on its way.
    pub fn settle(&self) {
        sys::wait_for_programs();
    }

    /// How many records found the ring full since it was made.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn lost(&self) -> Result<u64, KernelError> {
        let lost: PerCpuArray<_, u64> = pins::typed(&self.pins.shared("lost"))?;
        let values = lost.get(&0, 0).map_err(|source| KernelError::map("lost", source))?;
        Ok(values.iter().sum())
    }

    /// What clients have learned by name.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn learned(&self) -> Result<Learned, KernelError> {
        Learned::open(&self.pins.shared("learned"))
    }

    /// The ring of records. There can be one reader at a time: two would each see some.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn events(&self) -> Result<Events, KernelError> {
        Events::open(&self.pins.shared("events"))
    }

    /// Attaches the programs of a slot to a point, or renews them where they already are.
    ///
    /// # Errors
    /// Where the point does not exist, is of cgroup v1, or the kernel refuses. Whatever was attached before stays.
    pub fn attach(&self, point: &Point, slot: u32, kind: TcKind) -> Result<(), KernelError> {
        attach::attach(&self.pins, point, slot, kind)
    }

    /// Attaches the programs of a slot to the hooks of a cgroup at which a process says where it wants to, or renews them:
    /// what the policy denies fails at once, and is recorded with the process. Packets are judged all the same.
    ///
    /// # Errors
    /// Where there is no such cgroup, it is of version 1, or the kernel refuses.
    pub fn attach_early(&self, cgroup: &Path, slot: u32) -> Result<(), KernelError> {
        early::attach(&self.pins, cgroup, slot)
    }

    /// Detaches a slot's programs from those hooks. What is already gone is no error.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn detach_early(&self, slot: u32) -> Result<(), KernelError> {
        attach::detach_early(&self.pins, slot)
    }

    /// Detaches a slot's programs from the point that it was attached to. What is already gone is no error.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn detach(&self, point: &Point, slot: u32) -> Result<(), KernelError> {
        attach::detach(&self.pins, point, slot)
    }

    /// What the program of a slot would do with a packet on an interface (by its index): the stub with its jump into the
    /// active generation, or the recorder, which then does remember. Everything is counted as if the packet were real.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn rehearse(&self, hook: Hook, direction: Direction, slot: u32, on: On<'_>) -> Result<bool, KernelError> {
        attach::rehearse(&self.pins, hook, direction, slot, on)
    }

    /// What is attached, as the kernel says.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn attached(&self) -> Result<Vec<Attached>, KernelError> {
        attach::attached(&self.pins)
    }

    /// Detaches every link and removes everything that is pinned. Filters of clsact must be detached by their points
    /// before, see [`Kernel::detach`].
    ///
    /// # Errors
    /// What the file system refuses; the rest goes at the next try.
    pub fn unload(self) -> Result<(), KernelError> {
        attach::detach_links(&self.pins)?;
        self.pins.remove_links()?;
        self.pins.remove_all()
    }
}
