//! What is to be attached where, as whom. In: what was, what the user names, identities. Out: what shall be.

use crate::failure::Failure;
use crate::points::Name;
use crate::state::{Attachments, Recorded};
use crate::who::{Identities, Who};
use egress_agent::kernel::{Endpoint, MOST_SLOTS};
use egress_snapshot::Meta;
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
    /// Points that were attached before stay, with their identities unless the file says otherwise.
    pub(super) fn make(before: Attachments, named: Vec<Name>, identities: Option<&Path>) -> Result<Self, Failure> {
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
            after.points.push(Recorded { slot, point: name, who });
        }
        after.points.sort_by_key(|point| point.slot);
        Ok(Self { before, after, named })
    }

    /// Points that were not there before.
    pub(super) fn new_points(&self) -> impl Iterator<Item = &Recorded> {
        let is_new = |point: &&Recorded| !self.before.points.iter().any(|known| known.point == point.point);
        self.after.points.iter().filter(is_new)
    }

    /// What the user should know before it is done.
    pub(super) fn notes(&self, meta: &Meta) -> Vec<String> {
        let mut notes = Vec::new();
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
