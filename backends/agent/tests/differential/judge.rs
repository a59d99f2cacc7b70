//! Asks the kernel program about packets, and holds each answer against the meaning.
//!
//! In: a case, loaded as a generation, and packets with who sends them. Out: a [`Tally`] of what was asked, and every
//! difference in words. What a packet says is read by the testkit's plain reader, what must become of it is said by
//! [`People`]; the tables are the kernel's alone.

use crate::case::Case;
use crate::people::{Fate, People, STRANGER, Said, Who, gateway, identity, outcomes};
use egress_agent::kernel::{Answer, Endpoint, Fact, Found, Generation, Hook, KernelError, Learned, Lease, MARK_BEFORE};
use egress_ir::{HostPattern, Pod, Workload};
use egress_snapshot::meta::Verdict;
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::packets::{ETHERTYPE_V4, ETHERTYPE_V6, Packet, Read, read};
use egress_testkit::seed::Rng;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The slot whose senders are known by their source addresses.
pub(crate) const BY_ADDRESS: u32 = 1;
/// A slot of which nobody has said who is there.
const NOBODY: u32 = 2;
/// The slot of row 0; those of other rows follow.
const ROWS: u32 = 16;
/// How many rows have a slot at most; filling one takes the agent a while.
const MOST_ROWS: u32 = 48;

/// By what the kernel program learns who sends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sender {
    /// By a row, given directly or by a slot.
    Row(u32, Who),
    /// By the packet's source address.
    Address,
    /// Not at all.
    Nobody,
}

/// How much was asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) programs: u64,
    pub(crate) packets: u64,
    pub(crate) by_hook: [u64; 2],
    pub(crate) v6: u64,
    pub(crate) malformed: u64,
    pub(crate) short: u64,
    pub(crate) exempt: u64,
    pub(crate) fragments: u64,
    pub(crate) mixed: u64,
    pub(crate) gateways: u64,
    /// Names made the difference.
    pub(crate) named: u64,
    pub(crate) late: u64,
    pub(crate) passed: u64,
    pub(crate) denied: u64,
    pub(crate) ruled: u64,
    pub(crate) audit: u64,
    pub(crate) log: u64,
    pub(crate) by_address: u64,
    pub(crate) strangers: u64,
    pub(crate) rows: u64,
    pub(crate) boundaries: u64,
    pub(crate) loading: Duration,
    pub(crate) longest_load: Duration,
    pub(crate) walked: u32,
    pub(crate) asking: Duration,
}

/// One case in the kernel.
pub(crate) struct Judge<'c> {
    pub(crate) case: &'c Case,
    pub(crate) people: People<'c>,
    pub(crate) rng: Rng,
    pub(crate) tally: Tally,
    /// The rows by which something was asked.
    pub(crate) rows: BTreeSet<u32>,
    /// How often each outcome was found.
    pub(crate) found: Vec<u64>,
    pub(crate) differences: Vec<String>,
    outcomes: Vec<Said>,
    learned: Learned,
    /// The sets of names: ids and patterns.
    sets: Vec<(u64, Vec<HostPattern>)>,
}

impl<'c> Judge<'c> {
    pub(crate) fn new(case: &'c Case, rng: Rng, learned: Learned) -> Self {
        let outcomes = outcomes(case);
        let found = vec![0; outcomes.len()];
        let tally = Tally { programs: 1, ..Tally::default() };
        let people = People::new(case);
        let meta = &case.snapshot.meta;
        let set = |set: u32| {
            let hosts = meta.hosts_of(set).unwrap().into_iter().map(|host| host.parse().unwrap());
            (meta.id_of(set).unwrap(), hosts.collect())
        };
        let sets = (0..meta.name_sets.len() as u32).map(set).collect();
        let (rows, differences) = (BTreeSet::new(), Vec::new());
        Self { case, people, rng, tally, rows, found, differences, outcomes, learned, sets }
    }

    /// Who is at which slot.
    pub(crate) fn endpoints(case: &Case) -> Vec<(u32, Endpoint)> {
        let rows = case.snapshot.tables.layout().row_count.min(MOST_ROWS);
        let of_rows = (0..rows).map(|row| (ROWS + row, Endpoint::Row(row)));
        [(BY_ADDRESS, Endpoint::ByAddress)].into_iter().chain(of_rows).collect()
    }

    /// A pod, whose row is found by the meta part alone.
    pub(crate) fn pod(&mut self, pod: &Pod) -> Sender {
        let row = self.case.snapshot.meta.row_of(&identity(pod));
        let row = row.unwrap_or_else(|| panic!("{}: {pod:?} is in no combination", self.case.name));
        Sender::Row(row, self.people.workload(Workload::Pod(pod.clone())))
    }

    /// Asks one of the hooks about a packet.
    pub(crate) fn ask(&mut self, generation: &Generation, sender: Sender, packet: &Packet) {
        let read = read(packet.ethertype, &packet.bytes);
        let who = self.who(sender, read.as_ref());
        let (names, facts) = self.learn(read.as_ref());
        let mut expected = self.people.fate(who, read.as_ref(), &names);
        self.tally.named +=
            u64::from(!names.is_empty() && self.people.fate(who, read.as_ref(), &BTreeSet::new()) != expected);
        let hook = if self.rng.bits() >> 63 == 0 { Hook::Cgroup } else { Hook::Tc };
        let begin = Instant::now();
        let Answer { passes, found, mark } = self.answer(generation, hook, sender, packet);
        self.tally.asking += begin.elapsed();
        facts.iter().for_each(|fact| self.learned.remove(fact).unwrap());
        // At a cgroup it is too late for gateways.
        expected.0 &= hook == Hook::Tc || gateway(&expected.1) == 0;
        let wanted = match hook {
            Hook::Cgroup => MARK_BEFORE,
            Hook::Tc => self.marked(gateway(&expected.1)),
        };
        let fate = self.fate(found);
        self.count(hook, sender, read.as_ref(), &expected);
        // What depends on names and on ports at once stops fragments, more of them than it would have to.
        let of_names = self.case.snapshot.meta.names.is_some() && read.as_ref().is_some_and(|read| read.fragment);
        let is_stopped = of_names && (!passes || expected.0 && mark == wanted);
        let differs = (passes, &fate) != (expected.0, &expected.1) || passes && mark != wanted;
        if differs && !is_stopped {
            let at = &self.case.name;
            self.differences.push(format!(
                "{at}: {hook:?}, {sender:?}, {}: {:02x?}\n  read as {read:?}\n  must be {expected:?} with {wanted:#x}\n  but is {:?}",
                packet.shape,
                packet.bytes,
                (passes, fate, mark),
            ));
        }
    }

    /// Now and then lets the source of a packet have learned its destination by some names, in the kernel too. What it
    /// learned has ended, or another has learned it, now and then: then there are no names.
    fn learn(&mut self, read: Option<&Read>) -> (BTreeSet<String>, Vec<Fact>) {
        let Some(read) = read.filter(|_| !self.sets.is_empty() && self.rng.chance(60)) else {
            return Default::default();
        };
        let names = biased_flow(&mut self.rng, &self.case.program, Sources::Anyone).destination.names;
        let is_of = |hosts: &[HostPattern]| names.iter().any(|name| hosts.iter().any(|host| host.matches(name)));
        let of_names = self.sets.iter().filter(|(_, hosts)| is_of(hosts));
        let mut facts: Vec<Fact> =
            of_names.map(|(set, _)| Fact { set: *set, client: read.source, destination: read.destination }).collect();
        let mut until = Duration::MAX;
        let is_void = self.rng.chance(15);
        if is_void && self.rng.chance(50) {
            until = Duration::from_secs(1);
        } else if is_void {
            facts.iter_mut().for_each(|fact| fact.client = other(fact.client));
        }
        facts.iter().for_each(|fact| self.learned.put(fact, Lease { until, used: Duration::ZERO }).unwrap());
        (if is_void { BTreeSet::new() } else { names }, facts)
    }

    /// The mark of a packet that leaves through a gateway, or through none.
    fn marked(&self, gateway: u32) -> u32 {
        let mask = self.case.snapshot.tables.layout().gateway_mask;
        if mask == 0 { MARK_BEFORE } else { MARK_BEFORE & !mask | gateway << mask.trailing_zeros() }
    }

    /// Who sends a packet; nobody looks at a malformed one's source.
    pub(crate) fn who(&mut self, sender: Sender, read: Option<&Read>) -> Who {
        match (sender, read) {
            (Sender::Row(_, who), _) => who,
            (Sender::Address, Some(read)) => self.people.at(read.source),
            (Sender::Address, None) | (Sender::Nobody, _) => STRANGER,
        }
    }

    /// What the snapshot says of an outcome.
    pub(crate) fn fate(&mut self, found: Found) -> Fate {
        match found {
            Found::Malformed => Fate::Malformed,
            Found::Exempt => Fate::Exempt,
            Found::Outcome(outcome) => {
                self.found[outcome as usize] += 1;
                Fate::Judged(self.outcomes[outcome as usize].clone())
            }
        }
    }

    fn answer(&mut self, generation: &Generation, hook: Hook, sender: Sender, packet: &Packet) -> Answer {
        let by_slot = self.rng.chance(25);
        let ask = |ethertype: u16| match sender {
            Sender::Row(row, _) if by_slot && row < MOST_ROWS => {
                generation.run_from(hook, ROWS + row, ethertype, &packet.bytes)
            }
            Sender::Row(row, _) => generation.run(hook, row, ethertype, &packet.bytes),
            Sender::Address => generation.run_from(hook, BY_ADDRESS, ethertype, &packet.bytes),
            Sender::Nobody => generation.run_from(hook, NOBODY, ethertype, &packet.bytes),
        };
        let answer = match ask(packet.ethertype) {
            // A test run takes no packet that is shorter than the header of what the link says it is. Such ones are
            // asked about as what they are not; real links carry them, see the tests of frames.
            Err(KernelError::Kernel { .. }) if packet.bytes.len() < shortest(packet.ethertype) => {
                self.tally.short += 1;
                ask(UNASSIGNED)
            }
            answer => answer,
        };
        answer.unwrap_or_else(|error| panic!("{}: {}: {error}", self.case.name, packet.shape))
    }

    fn count(&mut self, hook: Hook, sender: Sender, read: Option<&Read>, (passes, fate): &(bool, Fate)) {
        let tables = &self.case.snapshot.tables;
        // What the tables say of an address is looked at to know what was reached; nothing is expected by it.
        self.rows.extend(match (sender, read) {
            (Sender::Row(row, _), _) => Some(row),
            (Sender::Nobody, _) => Some(tables.layout().default_row),
            (Sender::Address, read) => read.map(|read| tables.source(read.source)),
        });
        let tally = &mut self.tally;
        tally.packets += 1;
        tally.by_hook[usize::from(hook == Hook::Tc)] += 1;
        tally.by_address += u64::from(matches!(sender, Sender::Address));
        tally.v6 += u64::from(read.is_some_and(|read| read.destination.is_ipv6()));
        tally.fragments += u64::from(read.is_some_and(|read| read.fragment));
        match fate {
            Fate::Malformed => tally.malformed += 1,
            Fate::Exempt => tally.exempt += 1,
            Fate::Judged(said) => {
                *(if *passes { &mut tally.passed } else { &mut tally.denied }) += 1;
                tally.ruled += u64::from(!said.rules.is_empty());
                tally.strangers += u64::from(said.verdict == Verdict::Unknown);
                tally.mixed += u64::from(said.fragment);
                tally.gateways += u64::from(*passes && gateway(fate) != 0);
                tally.late += u64::from(!*passes && gateway(fate) != 0);
                tally.audit += u64::from(said.audit.is_some());
                tally.log += u64::from(said.log);
            }
        }
    }
}

/// Another address.
fn other(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() ^ 1).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() ^ 1).into()),
    }
}

/// An ethertype that means nothing ("local experimental").
const UNASSIGNED: u16 = 0x88b5;

fn shortest(ethertype: u16) -> usize {
    match ethertype {
        ETHERTYPE_V4 => 20,
        ETHERTYPE_V6 => 40,
        _ => 1,
    }
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.programs += other.programs;
        self.packets += other.packets;
        self.by_hook = [self.by_hook[0] + other.by_hook[0], self.by_hook[1] + other.by_hook[1]];
        self.v6 += other.v6;
        self.malformed += other.malformed;
        self.short += other.short;
        self.exempt += other.exempt;
        self.fragments += other.fragments;
        self.mixed += other.mixed;
        self.gateways += other.gateways;
        self.named += other.named;
        self.late += other.late;
        self.passed += other.passed;
        self.denied += other.denied;
        self.ruled += other.ruled;
        self.audit += other.audit;
        self.log += other.log;
        self.by_address += other.by_address;
        self.strangers += other.strangers;
        self.rows += other.rows;
        self.boundaries += other.boundaries;
        self.loading += other.loading;
        self.longest_load = self.longest_load.max(other.longest_load);
        self.walked = self.walked.max(other.walked);
        self.asking += other.asking;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [cgroup, tc] = self.by_hook;
        writeln!(f, "{} packets over {} programs, {cgroup} at cgroups and {tc} at tc", self.packets, self.programs)?;
        writeln!(
            f,
            "  {} passed, {} denied, {} malformed ({} shorter than a header), {} exempt; {} of IPv6, {} at boundaries",
            self.passed, self.denied, self.malformed, self.short, self.exempt, self.v6, self.boundaries
        )?;
        writeln!(
            f,
            "  {} by rules, {} with audit, {} with log, {} later fragments ({} of mixed ports), {} known by address, {} of \
             strangers, {} rows, {} through gateways, {} too late for them, {} decided by names",
            self.ruled,
            self.audit,
            self.log,
            self.fragments,
            self.mixed,
            self.by_address,
            self.strangers,
            self.rows,
            self.gateways,
            self.late,
            self.named
        )?;
        let each = |whole: Duration, count: u64| whole / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        write!(
            f,
            "  {:?} for loading one generation ({:?} at most, {} instructions walked at most), {:?} for asking once",
            each(self.loading, self.programs),
            self.longest_load,
            self.walked,
            each(self.asking, self.packets)
        )
    }
}
