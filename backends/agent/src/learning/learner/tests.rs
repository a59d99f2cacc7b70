//! Random answers, sweeps, restarts, reloads and changes of the policy, against a kernel that is made of a map.
//!
//! After every step: the kernel has nothing that the policy or the defence against rebinding forbids, and has whatever the
//! memory calls known, for as long. The kernel's clock is the test's.

use super::*;
use crate::learning::message::Question;
use crate::learning::{Present, RebindOk};
use egress_snapshot::names::{Clients, Names};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A pattern, a client and an address.
type Key = (String, IpAddr, IpAddr);

/// A kernel's sets.
#[derive(Debug, Default)]
struct Kernel {
    now: Time,
    sets: BTreeSet<String>,
    /// When each ends, and its packets.
    elements: BTreeMap<Key, (Time, u64)>,
    /// The most elements of all sets.
    room: usize,
    /// The next command is refused.
    fails: bool,
}

impl Kernel {
    fn forget(&mut self) {
        let (now, sets) = (self.now, &self.sets);
        self.elements.retain(|(host, ..), (ends, _)| *ends > now && sets.contains(host));
    }
}

#[derive(Clone, Debug, Default)]
struct Fake(Rc<RefCell<Kernel>>);

impl Sink for Fake {
    fn put(&mut self, all: &[Put]) -> io::Result<Vec<Answer>> {
        let mut kernel = self.0.borrow_mut();
        if std::mem::take(&mut kernel.fails) {
            return Err(io::Error::other("refused"));
        }
        let (now, room) = (kernel.now, kernel.room);
        let mut tell = |put: &Put| {
            if !kernel.sets.contains(&put.host) {
                return Answer::NoSet;
            }
            let key = (put.host.clone(), put.client, put.to);
            let had = kernel.elements.contains_key(&key);
            if !had && kernel.elements.len() >= room {
                return Answer::Full;
            }
            // One that is there already keeps its time, unless it is said to be there.
            if !had || put.again {
                kernel.elements.insert(key, (now + put.lasts, 0));
            }
            Answer::Done
        };
        Ok(all.iter().map(&mut tell).collect())
    }

    fn remove(&mut self, all: &[Put]) -> io::Result<()> {
        for put in all {
            self.0.borrow_mut().elements.remove(&(put.host.clone(), put.client, put.to));
        }
        Ok(())
    }

    fn list(&mut self, host: &str, v6: bool, most: usize) -> io::Result<Vec<Present>> {
        let kernel = self.0.borrow();
        let mine = kernel.elements.iter().filter(|((of, client, _), _)| of == host && client.is_ipv6() == v6);
        let present = |((_, client, to), (ends, packets)): (&Key, &(Time, u64))| Present {
            client: *client,
            to: *to,
            remains: ends - kernel.now,
            packets: Some(*packets),
        };
        Ok(mine.take(most).map(present).collect())
    }

    fn look(&mut self, host: &str, client: IpAddr, to: IpAddr) -> io::Result<Option<Present>> {
        let kernel = self.0.borrow();
        let found = kernel.elements.get(&(host.to_owned(), client, to));
        Ok(found.map(|(ends, packets)| Present { client, to, remains: ends - kernel.now, packets: Some(*packets) }))
    }
}

const HOSTS: [&str; 6] = ["**.b", "*.a.b", "a.b", "c", "**.d", "x.d"];
const NAMES: [&str; 8] = ["a.b", "x.a.b", "y.x.a.b", "b", "c", "x.d", "y.d", "e"];
const CLIENTS: [&str; 6] = ["10.42.0.5", "fd00::5", "10.42.0.6", "10.9.0.1", "192.0.2.1", "127.0.0.1"];
const ADDRESSES: [&str; 9] = [
    "198.18.0.1",
    "198.18.0.2",
    "198.19.0.1",
    "192.0.2.1",
    "10.0.0.1",
    "127.0.0.1",
    "2001:db9::1",
    "fd00::9",
    "64:ff9b::a00:1",
];

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }

    fn of<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[self.below(all.len())]
    }

    fn some<'t>(&mut self, all: &[&'t str]) -> Vec<&'t str> {
        all.iter().copied().filter(|_| self.below(3) > 0).collect()
    }

    fn policy(&mut self) -> Policy {
        let hosts: Vec<String> = self.some(&HOSTS).into_iter().map(str::to_owned).collect();
        let mut places = || (0..hosts.len() as u32).filter(|_| self.below(3) > 0).collect::<Vec<u32>>();
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let clients = vec![
            Clients { workloads: vec![vec![ip("10.42.0.5"), ip("fd00::5")]], hosts: places(), ..Clients::default() },
            Clients { workloads: vec![vec![ip("192.0.2.1")]], hosts: places(), ..Clients::default() },
            Clients { prefixes: vec!["10.9.0.0/16".to_owned()], hosts: places(), ..Clients::default() },
        ];
        let inside = ["198.19.0.0/16", "198.18.0.2/32"];
        let inside = inside[..1 + self.below(2)].iter().map(|text| (*text).to_owned()).collect();
        let prefix = (self.below(2) > 0).then(|| prefix("198.19.0.0/16").unwrap());
        let ok = RebindOk { pattern: self.of(&["**.d", "x.d", "*.b"]).parse().unwrap(), prefix };
        let ok = if self.below(2) > 0 { vec![ok] } else { Vec::new() };
        Policy::new(&Names { hosts, inside, clients, ..Names::default() }, ok).unwrap()
    }
}

/// What the policy says of an element, in its own words: some name of the pattern may have the address.
fn is_allowed(policy: &Policy, own: &BTreeSet<IpAddr>, (host, client, to): &Key) -> bool {
    let Some(place) = policy.hosts().iter().position(|other| other == host) else { return false };
    let pattern = host.parse::<egress_ir::HostPattern>().unwrap();
    let mut names = NAMES.iter().filter(|name| pattern.matches(name));
    policy.may_use(*client, place as u32) && names.any(|name| policy.may_have(name, *to, own).is_ok())
}

struct World {
    dice: Dice,
    kernel: Fake,
    learner: Learner<Fake>,
    own: BTreeSet<IpAddr>,
    limits: Limits,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let limits = Limits { least: 1_000, greatest: 9_000, grace: 2_000, in_use: 15_000, most: 4 + dice.below(12) };
        let (kernel, policy) = (Fake::default(), dice.policy());
        kernel.0.borrow_mut().room = 4 + dice.below(20);
        kernel.0.borrow_mut().sets = policy.hosts().iter().cloned().collect();
        let own = BTreeSet::from(["192.0.2.1".parse().unwrap()]);
        let mut learner = Learner::new(policy, limits, kernel.clone());
        learner.set_own(own.clone());
        Self { dice, kernel, learner, own, limits }
    }

    fn step(&mut self) {
        let passed = self.dice.below(700) as Time;
        let now = {
            let mut kernel = self.kernel.0.borrow_mut();
            kernel.now += passed;
            kernel.forget();
            kernel.now
        };
        match self.dice.below(20) {
            0 => self.change(now),
            1 => self.reload(now),
            2 => self.restart(now),
            3..=5 => self.learner.sweep(now).unwrap(),
            6..=7 => self.send(),
            other => self.teach(now, other == 8),
        }
    }

    fn teach(&mut self, now: Time, fails: bool) {
        let client = self.dice.of(&CLIENTS).parse().unwrap();
        let question = Question { name: self.dice.of(&NAMES).to_owned(), rtype: 1, class: 1 };
        let found: BTreeSet<Found> = (0..=self.dice.below(3))
            .map(|_| Found { address: self.dice.of(&ADDRESSES).parse().unwrap(), ttl: self.dice.below(9) as u32 })
            .collect();
        self.kernel.0.borrow_mut().fails = fails;
        // As from a message: of an address that stands there twice, the shorter time counts.
        let mut found: Vec<Found> = found.into_iter().collect();
        found.dedup_by_key(|found| found.address);
        let told = self.learner.teach(client, &Query { id: 1, question }, &found, now);
        // A command that was empty refuses nothing either.
        assert!(fails || told.is_ok());
        self.kernel.0.borrow_mut().fails = false;
    }

    /// Packets pass by some elements.
    fn send(&mut self) {
        for (_, packets) in self.kernel.0.borrow_mut().elements.values_mut() {
            *packets += self.dice.below(2) as u64;
        }
    }

    /// Other rules are loaded, with the elements of the old ones or without; then the agent reads the policy.
    fn change(&mut self, now: Time) {
        let policy = self.dice.policy();
        self.load(&policy);
        self.learner.change(policy, now).unwrap();
    }

    fn load(&mut self, policy: &Policy) {
        let mut kernel = self.kernel.0.borrow_mut();
        kernel.sets = policy.hosts().iter().cloned().collect();
        if self.dice.below(3) == 0 {
            kernel.sets.pop_first();
        }
        if self.dice.below(2) == 0 {
            kernel.elements.clear();
        }
        kernel.forget();
    }

    fn reload(&mut self, now: Time) {
        self.kernel.0.borrow_mut().elements.clear();
        self.learner.refill(now).unwrap();
    }

    /// The agent begins anew, perhaps with another policy.
    fn restart(&mut self, now: Time) {
        let policy = if self.dice.below(2) == 0 { self.dice.policy() } else { self.learner.policy().clone() };
        self.load(&policy);
        self.learner = Learner::new(policy, self.limits, self.kernel.clone());
        self.learner.set_own(self.own.clone());
        self.learner.restore(now).unwrap();
    }

    /// How many elements were looked at.
    fn check(&self, step: usize) -> usize {
        let kernel = self.kernel.0.borrow();
        for key in kernel.elements.keys() {
            assert!(is_allowed(self.learner.policy(), &self.own, key), "step {step}: the kernel has {key:?}");
        }
        for (element, known) in self.learner.memory().iter().filter(|(_, known)| known.ends > kernel.now) {
            let host = self.learner.policy().host(element.host).unwrap().to_owned();
            let has = kernel.elements.get(&(host, element.client, element.to));
            assert!(has.is_some_and(|(ends, _)| *ends >= known.ends), "step {step}: {element:?}: {known:?}, {has:?}");
        }
        assert!(self.learner.memory().len() <= self.limits.most);
        kernel.elements.len()
    }
}

#[test]
fn the_kernel_has_what_is_known_and_nothing_forbidden() {
    let mut seen = 0;
    let mut counts = Counts::default();
    for seed in 0..200 {
        let mut world = World::new(seed);
        for step in 0..300 {
            world.step();
            seen += world.check(step);
        }
        for (reason, count) in world.learner.counts().iter() {
            counts.add_many(reason, count);
        }
    }
    assert!(seen > 10_000, "{seen}");
    for reason in [
        Reason::Learned,
        Reason::Renewed,
        Reason::Extended,
        Reason::Expired,
        Reason::Evicted,
        Reason::Restored,
        Reason::Refilled,
        Reason::Full,
        Reason::NoSet,
        Reason::KernelRefused,
        Reason::Inside,
        Reason::Private,
    ] {
        assert!(counts.get(reason) > 0, "{reason:?} was never met");
    }
}
