//! Bringing a generation into the kernel: preparing it out of reach, and giving it its place.
//!
//! In: tables and endpoints. Out: a folder of pins. The order of the steps is on the page of the module above.

use super::pins::{self, Pins};
use super::shared::COUNT_BEYOND;
use super::{Early, Endpoint, Generation, KernelError, MOST_SLOTS, Place, constants, early, sys};
use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::{CgroupSkb, Program, ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use egress_snapshot::layout::{LINE, Layout, MAGIC, WORDS};
use std::io::ErrorKind;
use std::path::Path;

static POLICY: &[u8] = include_bytes_aligned!("../../bpf/policy.bpf.o");
pub(super) static STUB: &[u8] = include_bytes_aligned!("../../bpf/stub.bpf.o");
pub(super) static INBOUND: &[u8] = include_bytes_aligned!("../../bpf/inbound.bpf.o");

/// Maps that both generations and all attach points use.
const SHARED: [&str; 13] = [
    "active",
    "policies_skb",
    "policies_tc",
    "policies_connect4",
    "policies_connect6",
    "policies_sendmsg4",
    "policies_sendmsg6",
    "connecting",
    "inbound",
    "learned",
    "events",
    "rates",
    "lost",
];

/// What is to be loaded.
#[derive(Clone, Copy, Debug)]
pub struct New<'a> {
    /// The tables, layout included, which must have passed every check of the snapshot's reader: the program trusts them.
    pub tables: &'a [u8],
    /// Who is at which slot; all others are unknown.
    pub endpoints: &'a [(u32, Endpoint)],
}

/// Makes the shared maps, or finds those that are pinned.
pub(super) fn make_shared(pins: &Pins) -> Result<(), KernelError> {
    loader(pins).load(STUB).map_err(|source| KernelError::object("stub", source))?;
    loader(pins).load(POLICY).map_err(|source| KernelError::object("policy", source))?;
    Ok(())
}

/// A loader that finds shared maps at their pins. Without the kernel's type information: nothing here needs it, and
/// reading it would take longer than all the rest.
pub(super) fn loader(pins: &Pins) -> EbpfLoader<'static> {
    let mut loader = EbpfLoader::new();
    loader.btf(None);
    for name in SHARED {
        loader.map_pin_path(name, pins.shared(name));
    }
    loader
}

pub(super) fn active(pins: &Pins) -> Result<Place, KernelError> {
    let active: Array<MapData, u32> = pins::typed(&pins.shared("active"))?;
    let word = active.get(&0, 0).map_err(|source| KernelError::map("active", source))?;
    // As the stubs read it.
    Ok(if word & 1 == 0 { Place::First } else { Place::Second })
}

/// Loads a generation into the prepared folder of a place.
pub(super) fn prepare(pins: &Pins, place: Place, new: &New<'_>) -> Result<Generation, KernelError> {
    let layout = check(new.tables)?;
    let folder = pins.make_new(place)?;
    let made = load(pins, &layout, new.tables, &folder).and_then(|object| pin(object, &folder));
    let generation = made.and_then(|()| {
        let generation = Generation::at(&folder)?;
        let generation = generation.ok_or_else(|| KernelError::EmptyPlace { place: place.index() })?;
        new.endpoints.iter().try_for_each(|(slot, endpoint)| generation.set_endpoint(*slot, *endpoint))?;
        Ok(generation)
    });
    if generation.is_err() {
        pins.clear_new()?;
    }
    generation
}

/// What the program's own bounds rest on; all else was checked by the snapshot's reader.
fn check(tables: &[u8]) -> Result<Layout, KernelError> {
    let wrong = |why: &str| KernelError::Tables { why: why.to_owned() };
    let layout = Layout::read(tables).ok_or_else(|| wrong("there is no layout"))?;
    if layout.magic != MAGIC {
        return Err(wrong("they are of another version"));
    }
    if !tables.len().is_multiple_of(LINE) || (tables.len() / LINE) as u64 != u64::from(layout.lines) {
        return Err(wrong("their length is not what the layout says"));
    }
    Ok(layout)
}

fn load(pins: &Pins, layout: &Layout, tables: &[u8], folder: &Path) -> Result<Ebpf, KernelError> {
    pin_tables(tables, &folder.join("tables"))?;
    let bytes = layout.bytes();
    let words = bytes.get(..WORDS.len() * 4).unwrap_or_default();
    let mut loader = loader(pins);
    let mut object = loader
        .override_global("layout", words, true)
        .override_global("names_process", &early::names_process(), true)
        .map_pin_path("tables", folder.join("tables"))
        .map_max_entries("endpoints", MOST_SLOTS)
        .map_max_entries("counters", layout.outcome_count.saturating_add(COUNT_BEYOND))
        .load(&constants::write(POLICY, tables)?)
        .map_err(|source| KernelError::object("policy", source))?;
    let skb: &mut CgroupSkb = program(&mut object, "policy_skb")?;
    verified(|| skb.load()).map_err(|source| KernelError::program("policy_skb", source))?;
    let tc: &mut SchedClassifier = program(&mut object, "policy_tc")?;
    verified(|| tc.load()).map_err(|source| KernelError::program("policy_tc", source))?;
    early::load(&mut object)?;
    Ok(object)
}

/// Makes the map of the tables, whose one element is as long as they are and one line more, which lets the program check
/// where a read begins and not where it ends. No loader of objects can say that. Frozen before
/// programs are verified, so that the verifier even knows what stands at places that it knows.
fn pin_tables(tables: &[u8], path: &Path) -> Result<(), KernelError> {
    let mut padded = tables.to_vec();
    padded.extend([0; LINE]);
    let map = sys::frozen_array("tables", &padded).map_err(|error| match error.raw_os_error() {
        Some(libc::E2BIG | libc::ENOMEM) => {
            KernelError::Tables { why: format!("the kernel takes no table of {} bytes", tables.len()) }
        }
        _ => KernelError::io("make and fill the map of the tables", &error),
    })?;
    let map = MapData::from_fd(map).map_err(|source| KernelError::map("tables", source))?;
    map.pin(path).map_err(|source| KernelError::pin(path, source))
}

fn pin(mut object: Ebpf, folder: &Path) -> Result<(), KernelError> {
    for (map, name) in [("endpoints", "endpoints"), ("counters", "counters"), (".rodata", "layout")] {
        let path = folder.join(name);
        let map = object.map(map).ok_or_else(|| missing(map))?;
        map.pin(&path).map_err(|source| KernelError::pin(&path, source))?;
    }
    let packets = ["policy_skb", "policy_tc"].map(str::to_owned);
    for name in packets.into_iter().chain(Early::ALL.map(Early::policy)) {
        let path = folder.join(&name);
        let program = object.program_mut(&name).ok_or_else(|| missing(&name))?;
        program.pin(&path).map_err(|source| KernelError::pin(&path, source))?;
    }
    Ok(())
}

/// Gives the prepared generation its place, and the programs of the place to the stubs.
pub(super) fn commit(pins: &Pins, place: Place, prepared: Generation) -> Result<(), KernelError> {
    pins.promote(place)?;
    sys::wait_for_programs();
    install(pins, place, &prepared)?;
    pins.clear_old(place)
}

/// Finishes or undoes what was begun when an agent was killed.
pub(super) fn recover(pins: &Pins) -> Result<(), KernelError> {
    pins.recover()?;
    let idle = active(pins)?.other();
    match Generation::at(&pins.place(idle))? {
        Some(generation) => install(pins, idle, &generation),
        None => Ok(()),
    }
}

fn install(pins: &Pins, place: Place, generation: &Generation) -> Result<(), KernelError> {
    let skb = generation.skb.fd().map_err(|source| KernelError::program("policy_skb", source))?;
    let tc = generation.tc.fd().map_err(|source| KernelError::program("policy_tc", source))?;
    for (name, program) in [("policies_skb", skb), ("policies_tc", tc)] {
        let mut policies: ProgramArray<MapData> = pins::typed(&pins.shared(name))?;
        policies.set(place.index(), program, 0).map_err(|source| KernelError::map(name, source))?;
    }
    early::install(pins, place, &generation.early)
}

/// How often a program is given to the verifier before its interruptions are an error.
const TRIES: usize = 5;

/// Loads a program. The kernel stops verifying when a signal comes, and wants to be asked again.
pub(super) fn verified(mut load: impl FnMut() -> Result<(), ProgramError>) -> Result<(), ProgramError> {
    for _ in 1..TRIES {
        match load() {
            Err(ProgramError::LoadError { io_error, .. }) if io_error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
    load()
}

/// A program of an object, as what it must be.
pub(super) fn program<'a, P>(object: &'a mut Ebpf, name: &str) -> Result<&'a mut P, KernelError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let program = object.program_mut(name).ok_or_else(|| missing(name))?;
    program.try_into().map_err(|source| KernelError::program(name, source))
}

fn missing(name: &str) -> KernelError {
    KernelError::Kernel { what: "load a program".to_owned(), why: format!("the object has no `{name}`"), errno: None }
}
