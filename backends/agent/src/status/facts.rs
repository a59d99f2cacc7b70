//! The facts of a status: from the kernel and the state folder, as they are printed in JSON.

use crate::failure::Failure;
use crate::generations::{self, Loaded};
use crate::load::{Link, fails_early, state_of};
use crate::state::{Recorded, State};
use egress_agent::kernel::{Attached, Counter, Endpoint, Generation, Kernel, MOST_SLOTS};
use egress_snapshot::Meta;
use egress_snapshot::meta::Identity;
use egress_snapshot::show::hex;
use serde::Serialize;

/// Everything.
#[derive(Debug, Default, Serialize)]
pub(super) struct Facts {
    /// The generation that is enforced; nothing: attached points, if there are any, deny everything.
    pub(super) active: Option<Held>,
    /// The other one, for `rollback`.
    pub(super) other: Option<Held>,
    pub(super) points: Vec<Point>,
    /// Slots with links that the state folder does not know; they are judged as unknown.
    pub(super) strays: Vec<u32>,
    /// Records that found their ring full.
    pub(super) lost_records: u64,
    /// The gateways that `gateway` keeps, or that the generation names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gateways: Option<super::gateways::Gateways>,
}

/// A generation in the kernel.
#[derive(Debug, Serialize)]
pub(super) struct Held {
    pub(super) generation: u64,
    pub(super) place: u32,
    /// Nothing where the state folder does not know the snapshot.
    pub(super) digest: Option<String>,
    pub(super) signer: Option<String>,
    pub(super) unproved: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) memory: Memory,
    pub(super) rules: Vec<Rule>,
    pub(super) outcomes: Vec<Count>,
    pub(super) malformed: Count,
    pub(super) exempt: Count,
    pub(super) replies: Count,
    /// Denied, because they must leave through a gateway and were seen too late for that.
    pub(super) late: Count,
}

/// Bytes of the kernel's memory.
#[derive(Debug, Serialize)]
pub(super) struct Memory {
    /// Tables, endpoints and counters by their sizes.
    pub(super) predicted: u64,
    /// What the kernel charges, programs included.
    pub(super) charged: u64,
    pub(super) tables: u64,
}

/// What the outcomes that name a rule counted together.
#[derive(Debug, Serialize)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) allow: bool,
    #[serde(flatten)]
    pub(super) count: Count,
}

/// Packets, and bytes from the IP header on.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Count {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// An attach point.
#[derive(Debug, Serialize)]
pub(super) struct Point {
    pub(super) point: String,
    pub(super) slot: u32,
    /// `attached`, `missing`, `replaced` or `gone`.
    pub(super) state: &'static str,
    pub(super) who: String,
    pub(super) identity: Option<Identity>,
    /// What the kernel has: `unknown`, `address` or a row.
    pub(super) judged: String,
    /// What `load --connect` asked for: `attached` or `missing`; nothing where nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connect: Option<&'static str>,
}

impl From<Counter> for Count {
    fn from(counter: Counter) -> Self {
        Self { packets: counter.packets, bytes: counter.bytes }
    }
}

/// Gathers them.
pub(super) fn facts(kernel: &Kernel, state: &State) -> Result<Facts, Failure> {
    let place = kernel.active()?;
    let (active, other) = (generations::at(kernel, state, place)?, generations::at(kernel, state, place.other())?);
    let (recorded, attached) = (state.attachments()?.points, kernel.attached()?);
    let running = active.as_ref().map(|loaded| &loaded.generation);
    let points: Result<Vec<Point>, Failure> = recorded.iter().map(|one| point(one, &attached, running)).collect();
    let is_stray = |slot: &u32| !recorded.iter().any(|point| point.slot == *slot);
    let mut strays: Vec<u32> = attached.iter().map(|attached| attached.slot).filter(is_stray).collect();
    strays.dedup();
    Ok(Facts {
        active: active.as_ref().map(held).transpose()?,
        other: other.as_ref().map(held).transpose()?,
        points: points?,
        strays,
        lost_records: kernel.lost()?,
        gateways: None,
    })
}

fn point(recorded: &Recorded, attached: &[Attached], running: Option<&Generation>) -> Result<Point, Failure> {
    let judged = match running.map(|generation| generation.endpoint(recorded.slot)).transpose()? {
        None => "nothing is enforced".to_owned(),
        Some(Endpoint::Unknown) => "unknown".to_owned(),
        Some(Endpoint::ByAddress) => "address".to_owned(),
        Some(Endpoint::Row(row)) => format!("row {row}"),
    };
    let identity = match &recorded.who {
        crate::who::Who::Pod(identity) => Some(identity.clone()),
        _ => None,
    };
    let state = match state_of(recorded, attached) {
        Link::Whole => "attached",
        Link::Missing => "missing",
        Link::Other => "replaced",
        Link::Gone => "gone",
    };
    let (point, slot, who) = (recorded.point.text(), recorded.slot, recorded.who.text());
    let connect = recorded.connect.then(|| if fails_early(recorded, attached) { "attached" } else { "missing" });
    Ok(Point { point, slot, state, who, identity, judged, connect })
}

fn held(loaded: &Loaded) -> Result<Held, Failure> {
    let counters = loaded.generation.counters()?;
    let outcomes: Vec<Count> = counters.outcomes.iter().copied().map(Count::from).collect();
    let layout = loaded.generation.layout();
    let tables = u64::from(layout.lines) * egress_snapshot::LINE as u64;
    let beside = u64::from(MOST_SLOTS) * 4 + (u64::from(layout.outcome_count) + 4) * 16 * processors();
    let snapshot = loaded.snapshot.as_ref();
    let meta = snapshot.map(|snapshot| &snapshot.meta);
    Ok(Held {
        generation: loaded.generation.number(),
        place: loaded.place.index(),
        digest: snapshot.map(|snapshot| format!("sha256:{}", hex(&snapshot.digest))),
        signer: snapshot.and_then(|snapshot| snapshot.signer).map(|key| format!("ed25519:{}", hex(&key))),
        unproved: meta.and_then(|meta| meta.unproved.clone()),
        cluster: meta.and_then(|meta| meta.cluster.clone()),
        memory: Memory { predicted: tables + beside, charged: loaded.generation.memory()?, tables },
        rules: meta.map(|meta| rules(meta, &outcomes)).unwrap_or_default(),
        outcomes,
        malformed: counters.malformed.into(),
        exempt: counters.exempt.into(),
        replies: counters.replies.into(),
        late: counters.late.into(),
    })
}

/// The sum of every outcome that names a rule, for each of them.
fn rules(meta: &Meta, outcomes: &[Count]) -> Vec<Rule> {
    let named = (0u32..).zip(&meta.rules).map(|(place, rule)| {
        let own = meta.outcomes.iter().zip(outcomes).filter(|(outcome, _)| outcome.rules.contains(&place));
        let count = own.fold(Count::default(), |sum, (_, count)| Count {
            packets: sum.packets + count.packets,
            bytes: sum.bytes + count.bytes,
        });
        Rule { name: rule.name.clone(), allow: rule.allow, count }
    });
    named.collect()
}

/// How many processors there can be, for each of which the kernel keeps counters; 1 where nobody says.
fn processors() -> u64 {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = text.trim().rsplit(['-', ',']).next().and_then(|last| last.parse::<u64>().ok());
    last.map_or(1, |last| last + 1)
}
