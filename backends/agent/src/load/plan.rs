//! What is to be attached where, as whom. In: what was, what the user names, identities. Out: what shall be.

use crate::failure::Failure;
use crate::points::Name;
use crate::state::{Attachments, Recorded};
use crate::who::{Identities, Who};
use egress_agent::kernel::{Endpoint, MOST_SLOTS};
use egress_snapshot::Snapshot;
use egress_snapshot::layout::outcome;
use std::collections::BTreeSet;
use std::path::Path;

/// What was and what shall be.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) before: Attachments,
    pub(crate) after: Attachments,
    /// What the user named now, so that it must be attached.
    pub(crate) named: Vec<Name>,
}

impl Plan {
    /// Points that were attached before stay, with their identities unless the file says otherwise. With `connect`, the
    /// named cgroups fail early, or all of them where none is named.
    pub(super) fn make(
        before: Attachments,
        named: Vec<Name>,
        identities: Option<&Path>,
        connect: bool,
    ) -> Result<Self, Failure> {
        let mut after = Attachments { points: before.points.clone(), ..Attachments::default() };
        let is_known = |name: &Name| before.points.iter().any(|point| point.point == *name);
        let new: Vec<Name> = named.iter().filter(|name| !is_known(name)).cloned().collect();
        let all: Vec<Name> = before.points.iter().map(|point| &point.point).chain(&new).cloned().collect();
        let identities = identities.map(|path| Identities::read(path, &all)).transpose()?;
        if let Some(identities) = &identities {
            for point in &mut after.points {
                if let Some(who) = identities.of(&point.point) {
                    point.who = who.clone();
                }
            }
        }
        let mut slots: BTreeSet<u32> = after.points.iter().map(|point| point.slot).collect();
        for name in new {
            let who = match &identities {
                None => Who::Address,
                Some(identities) => identities.of(&name).cloned().unwrap_or(Who::Unknown),
            };
            let slot = (0..MOST_SLOTS).find(|slot| !slots.contains(slot)).ok_or_else(|| {
                Failure::new(format!("there are already {MOST_SLOTS} attach points, and no more are possible"))
                    .help("detach some with `egress-agent unload --cgroup PATH`")
            })?;
            slots.insert(slot);
            after.points.push(Recorded { slot, point: name, who, connect: false });
        }
        after.points.sort_by_key(|point| point.slot);
        if connect {
            fail_early(&mut after.points, &named)?;
        }
        Ok(Self { before, after, named })
    }

    /// Points that were not there before.
    pub(super) fn new_points(&self) -> impl Iterator<Item = &Recorded> {
        let is_new = |point: &&Recorded| !self.before.points.iter().any(|known| known.point == point.point);
        self.after.points.iter().filter(is_new)
    }

    /// Points that were there before and did not fail early.
    pub(super) fn newly_early(&self) -> impl Iterator<Item = &Recorded> {
        let before = |point: &Recorded| self.before.points.iter().find(|known| known.point == point.point);
        let is_newly = move |point: &&Recorded| point.connect && before(point).is_some_and(|known| !known.connect);
        self.after.points.iter().filter(is_newly)
    }

    /// Refuses points of pods whose flows must leave through a gateway, where it is too late to say so.
    pub(super) fn check_gateways(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        for point in self.after.points.iter().filter(|point| is_late(&point.point)) {
            let rows = match point.who.endpoint(&snapshot.meta) {
                Endpoint::Row(row) => [row],
                Endpoint::Unknown => [snapshot.tables.layout().default_row],
                // Somebody with an address may send through a gateway, and somebody else may not: packets tell.
                Endpoint::ByAddress => continue,
            };
            if let Some((rules, gateway)) = through(snapshot, &rows) {
                let (point, who) = (point.point.text(), point.who.text());
                return Err(Failure::new(format!(
                    "{point}: by {rules}, `{who}` leaves through gateway `{gateway}`, and there it is too late to say so"
                ))
                .help("give the host's end of the pod's pair of interfaces as `--iface` and leave this point out"));
            }
        }
        Ok(())
    }

    /// What the user should know before it is done.
    pub(super) fn notes(&self, snapshot: &Snapshot) -> Vec<String> {
        let meta = &snapshot.meta;
        let mut notes = Vec::new();
        let by_address = |point: &&Recorded| is_late(&point.point) && point.who == Who::Address;
        if let (false, Some(point)) = (meta.gateways.is_empty(), self.after.points.iter().find(by_address)) {
            notes.push(format!("{}: flows that must leave through a gateway are denied there", point.point.text()));
        }
        if self.after.points.is_empty() {
            notes.push(
                "no attach point is given, so nothing is enforced yet; give `--cgroup`, `--iface` or `--uplink`"
                    .to_owned(),
            );
        }
        for point in &self.after.points {
            let (name, who) = (point.point.text(), point.who.text());
            if matches!(point.who, Who::Pod(_)) && point.who.endpoint(meta) == Endpoint::Unknown {
                notes.push(format!("{name}: the snapshot does not know `{who}`, so its default for the unknown holds"));
            }
        }
        notes
    }
}

/// Whether packets are seen at a point only when their way and their source are chosen.
fn is_late(point: &Name) -> bool {
    matches!(point, Name::Cgroup(_) | Name::Uplink(_))
}

/// The rules by which some flow of these rows leaves through a gateway, and the gateway's name.
fn through(snapshot: &Snapshot, rows: &[u32]) -> Option<(String, String)> {
    let (tables, meta) = (&snapshot.tables, &snapshot.meta);
    let layout = tables.layout();
    let profiles: BTreeSet<u32> =
        rows.iter().flat_map(|row| (0..layout.class_count).map(|class| tables.profile(*row, class))).collect();
    let ports = 0..layout.port_class_count;
    let outcomes: BTreeSet<u32> =
        profiles.iter().flat_map(|profile| ports.clone().map(|port| tables.outcome(*profile, port))).collect();
    outcomes.iter().find_map(|outcome| {
        let number = outcome::gateway(tables.word(*outcome));
        let gateway = meta.gateways.iter().find(|gateway| gateway.number == number)?;
        let rules = meta.outcomes.get(*outcome as usize)?.rules.iter();
        let names: Vec<String> =
            rules.filter_map(|rule| meta.rules.get(*rule as usize)).map(|rule| format!("`{}`", rule.name)).collect();
        Some((names.join(" and "), gateway.name.clone()))
    })
}

fn fail_early(points: &mut [Recorded], named: &[Name]) -> Result<(), Failure> {
    let is_cgroup = |name: &Name| matches!(name, Name::Cgroup(_));
    let all = !named.iter().any(is_cgroup);
    let mut found = false;
    for point in points.iter_mut().filter(|point| is_cgroup(&point.point) && (all || named.contains(&point.point))) {
        point.connect = true;
        found = true;
    }
    match found {
        true => Ok(()),
        false => Err(Failure::new("`--connect` is for cgroups, and there is none")
            .help("give `--cgroup PATH` too: only there a process is known when it connects")),
    }
}
