//! One generation in the kernel: what it is, what it would do, what it has counted.
//!
//! In: a folder of pins. Out: answers to packets by a test run of the very program that enforces, counters, the tables
//! as the kernel has them. Never: switching.

use super::asked::{Asked, Done, ETHERNET};
use super::shared::{COUNT_BEYOND, DIRECT_ROW, RESULT_EXEMPT};
use super::{Early, Endpoint, KernelError, MOST_SLOTS, early, pins, sys};
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::{CgroupSkb, CgroupSkbAttachType, CgroupSockAddr, ProgramError, SchedClassifier};
use egress_snapshot::layout::{LINE, Layout};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// A generation whose programs and maps are pinned.
#[derive(Debug)]
pub struct Generation {
    folder: PathBuf,
    pub(super) skb: CgroupSkb,
    pub(super) tc: SchedClassifier,
    pub(super) early: Vec<(Early, CgroupSockAddr)>,
    tables: MapData,
    length: usize,
    layout: Layout,
}

/// Which of the two programs is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hook {
    /// `cgroup_skb/egress`.
    Cgroup,
    /// tcx or clsact.
    Tc,
}

impl Hook {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Cgroup, Self::Tc];
}

/// What the program says of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it passes.
    pub passes: bool,
    /// Why.
    pub found: Found,
    /// The packet's mark afterwards, where it was [`MARK_BEFORE`] before.
    pub mark: u32,
}

/// The mark of packets that are asked about, so that what is set, cleared and kept can be told apart.
pub const MARK_BEFORE: u32 = 0xa5a5_a5a5;

/// Why a packet passes or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is no sound packet, or one that would be delivered elsewhere; never passes.
    Malformed,
    /// Neighbour discovery, which no rule judges.
    Exempt,
    /// By this outcome of the tables.
    Outcome(u32),
}

/// How many packets, and how many bytes from the IP header on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a generation has counted, over all processors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// By outcome. Replies are counted here too, with the outcome that would have stopped them.
    pub outcomes: Vec<Counter>,
    /// Malformed packets.
    pub malformed: Counter,
    /// Neighbour discovery.
    pub exempt: Counter,
    /// Packets that the tables deny and that passed as answers to connections from outside.
    pub replies: Counter,
    /// Packets that must leave through a gateway and were seen only where it is too late to say so: at a cgroup, or on their
    /// way out of an interface. They were stopped, and are counted by their outcome too.
    pub late: Counter,
}

impl Generation {
    /// The generation pinned in a folder; nothing when there is no such folder.
    pub(super) fn at(folder: &Path) -> Result<Option<Self>, KernelError> {
        if !folder.exists() {
            return Ok(None);
        }
        let skb = CgroupSkb::from_pin(folder.join("policy_skb"), CgroupSkbAttachType::Egress);
        let skb = skb.map_err(|source| pinned_program(folder, "policy_skb", source))?;
        let tc = SchedClassifier::from_pin(folder.join("policy_tc"));
        let tc = tc.map_err(|source| pinned_program(folder, "policy_tc", source))?;
        let early = early::pinned(folder)?;
        let tables = pins::data(&folder.join("tables"))?;
        let damaged = |why: &str| KernelError::Damaged { path: folder.join("tables"), why: why.to_owned() };
        let length = tables.info().map_err(|source| KernelError::map("tables", source))?.value_size() as usize;
        // One line more than the layout says, see where it is made.
        let length = length.saturating_sub(LINE);
        let head = sys::copy_of(tables.fd().as_fd(), length.min(LINE * 4)).map_err(|e| damaged(&e.to_string()))?;
        let layout = Layout::read(&head).ok_or_else(|| damaged("it is too short"))?;
        Ok(Some(Self { folder: folder.to_owned(), skb, tc, early, tables, length, layout }))
    }

    /// The layout in its tables.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        u64::from(self.layout.generation_high) << 32 | u64::from(self.layout.generation_low)
    }

    /// Asks the program itself about a packet: an IP packet without a link header, sent by a row. `ethertype` is what the
    /// link would say (0x0800, 0x86dd). Nothing is counted, recorded or remembered.
    ///
    /// # Errors
    /// What the kernel refuses: packets of no bytes, and those of more than a page or so.
    pub fn run(&self, hook: Hook, row: u32, ethertype: u16, packet: &[u8]) -> Result<Answer, KernelError> {
        self.run_as(hook, DIRECT_ROW | row, ethertype, packet)
    }

    /// As [`Generation::run`], but sent from a slot, exactly as its stub would say it: it is counted, recorded, and
    /// looked up among connections from outside.
    ///
    /// # Errors
    /// As [`Generation::run`].
    pub fn run_from(&self, hook: Hook, slot: u32, ethertype: u16, packet: &[u8]) -> Result<Answer, KernelError> {
        self.run_as(hook, slot & !DIRECT_ROW, ethertype, packet)
    }

    fn run_as(&self, hook: Hook, identity: u32, ethertype: u16, packet: &[u8]) -> Result<Answer, KernelError> {
        let offset = if hook == Hook::Tc { ETHERNET as u32 } else { 0 };
        let marks = u32::from(hook == Hook::Tc);
        let control = [identity, offset, 0, marks];
        let asked = Asked { control, mark: MARK_BEFORE, interface: 0, ethertype, packet };
        let Done { passes, word, mark } = match hook {
            Hook::Cgroup => asked.of_cgroup(&self.skb),
            Hook::Tc => asked.of_tc(&self.tc),
        }?;
        Ok(Answer { passes, found: found(word), mark })
    }

    /// What it has counted.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn counters(&self) -> Result<Counters, KernelError> {
        let map: PerCpuArray<MapData, [u64; 2]> = pins::typed(&self.folder.join("counters"))?;
        let mut all = Vec::new();
        for place in 0..self.layout.outcome_count.saturating_add(COUNT_BEYOND) {
            let values = map.get(&place, 0).map_err(|source| KernelError::map("counters", source))?;
            let sum = |sum: Counter, [packets, bytes]: &[u64; 2]| Counter {
                packets: sum.packets + packets,
                bytes: sum.bytes + bytes,
            };
            all.push(values.iter().fold(Counter::default(), sum));
        }
        let beyond = all.split_off(self.layout.outcome_count as usize);
        let at = |place: usize| beyond.get(place).copied().unwrap_or_default();
        Ok(Counters { outcomes: all, malformed: at(0), exempt: at(1), replies: at(2), late: at(3) })
    }

    /// The tables as the kernel has them, layout included.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn tables(&self) -> Result<Vec<u8>, KernelError> {
        sys::copy_of(self.tables.fd().as_fd(), self.length).map_err(|e| KernelError::io("read the tables back", &e))
    }

    /// The bytes of memory that the kernel charges for its maps and programs.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn memory(&self) -> Result<u64, KernelError> {
        let mut sum = charged(self.tables.fd().as_fd())?;
        for name in ["endpoints", "counters", "layout"] {
            sum += charged(pins::data(&self.folder.join(name))?.fd().as_fd())?;
        }
        let early = self.early.iter().map(|(_, program)| program.fd());
        for fd in [self.skb.fd(), self.tc.fd()].into_iter().chain(early) {
            sum += charged(fd.map_err(|source| KernelError::program("policy", source))?.as_fd())?;
        }
        Ok(sum)
    }

    /// How many instructions the verifier walked for each program, and how many bytes each is after translation:
    /// `(walked, bytes)` of the cgroup's and of tc's. Zero where the kernel does not say.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn sizes(&self) -> Result<[(u32, u32); 2], KernelError> {
        let of = |info: Result<aya::programs::ProgramInfo, ProgramError>| {
            let info = info.map_err(|source| KernelError::program("policy", source))?;
            Ok((info.verified_instruction_count().unwrap_or(0), info.size_translated().unwrap_or(0)))
        };
        Ok([of(self.skb.info())?, of(self.tc.info())?])
    }

    /// Says who is at a slot, for this generation; packets see it at once.
    ///
    /// # Errors
    /// Where the slot or row does not exist, and what the kernel refuses.
    pub fn set_endpoint(&self, slot: u32, endpoint: Endpoint) -> Result<(), KernelError> {
        if slot >= MOST_SLOTS {
            return Err(KernelError::Slot { slot, most: MOST_SLOTS });
        }
        if let Endpoint::Row(row) = endpoint
            && row >= self.layout.row_count
        {
            return Err(KernelError::Tables { why: format!("there is no row {row}") });
        }
        let mut map: Array<MapData, u32> = pins::typed(&self.folder.join("endpoints"))?;
        map.set(slot, endpoint.word(), 0).map_err(|source| KernelError::map("endpoints", source))
    }

    /// Who is at a slot, for this generation.
    ///
    /// # Errors
    /// Where the slot does not exist, and what the kernel refuses.
    pub fn endpoint(&self, slot: u32) -> Result<Endpoint, KernelError> {
        let map: Array<MapData, u32> = pins::typed(&self.folder.join("endpoints"))?;
        let word = map.get(&slot, 0).map_err(|source| KernelError::map("endpoints", source))?;
        Ok(Endpoint::of_word(word))
    }
}

fn found(word: u32) -> Found {
    match word {
        0 => Found::Malformed,
        RESULT_EXEMPT => Found::Exempt,
        outcome => Found::Outcome(outcome - 1),
    }
}

fn pinned_program(folder: &Path, name: &str, source: ProgramError) -> KernelError {
    match KernelError::program(name, source) {
        KernelError::Kernel { errno: Some(libc::ENOENT), .. } => {
            KernelError::Damaged { path: folder.join(name), why: "it is missing".to_owned() }
        }
        other => other,
    }
}

/// What the kernel charges for a map or program: `memlock` of its description.
fn charged(fd: BorrowedFd<'_>) -> Result<u64, KernelError> {
    let path = PathBuf::from(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()));
    let text = std::fs::read_to_string(&path).map_err(KernelError::file("read", &path))?;
    let line = text.lines().find_map(|line| line.strip_prefix("memlock:"));
    line.and_then(|number| number.trim().parse().ok()).ok_or_else(|| KernelError::Kernel {
        what: "say how much memory it charges".to_owned(),
        why: "there is no `memlock` in the description".to_owned(),
        errno: None,
    })
}
