//! The last steps of a load. In: a generation that has passed every test, out of reach. Out: it is enforced, or the one
//! before is as it was.
//!
//! Where a generation is enforced already, new points are attached under it, and then all points switch at once. Where
//! there is none, the switch comes first, because until then an attached point would deny everything.

use super::plan::Plan;
use crate::failure::Failure;
use crate::gateway::Turn;
use crate::generations::{self, Loaded};
use crate::state::{Recorded, State};
use crate::terminal;
use egress_agent::kernel::{Attached, Direction, Early, Generation, Kernel, Place, Point, Target, TcKind};
use egress_snapshot::Snapshot;

/// Enforces a prepared generation.
pub(super) fn enforce(
    (kernel, state): (&Kernel, &State),
    plan: &Plan,
    (snapshot, bytes): (&Snapshot, &[u8]),
    prepared: Generation,
) -> Result<(), Failure> {
    let place = kernel.active()?.other();
    let running = generations::at(kernel, state, place.other())?;
    let attaching = Attaching { kernel, plan };
    let turn = Turn::new(running.as_ref().and_then(|loaded| loaded.snapshot.as_ref()), snapshot);
    let ready = stage((kernel, state), plan, (place, bytes), running.as_ref()).and_then(|()| match running {
        Some(_) => attaching.attach(),
        None => Ok(()),
    });
    let ready = ready.and_then(|()| turn.begin());
    if let Err(failure) = ready {
        let undone = attaching.undo().and(kernel.abandon(prepared).map_err(Failure::from));
        return Err(failure.and(undone.and(restore(state, plan, place))));
    }
    if let Err(error) = kernel.commit(prepared) {
        return Err(Failure::from(error).and(turn.undo()).and(attaching.undo()).and(restore(state, plan, place)));
    }
    state.promote(place)?;
    kernel.switch(place)?;
    turn.finish(kernel)?;
    if running.is_some() {
        return Ok(());
    }
    attaching.attach().map_err(|failure| failure.and(attaching.undo()).and(state.clear()))
}

/// Writes what is about to be, and tells the running generation who is at the new points.
fn stage(
    (kernel, state): (&Kernel, &State),
    plan: &Plan,
    (place, bytes): (Place, &[u8]),
    running: Option<&Loaded>,
) -> Result<(), Failure> {
    // What the kernel has there is about to go, and a snapshot that lies there for it is of no more use then.
    debug_assert_ne!(kernel.active().ok(), Some(place));
    state.stage(place, bytes)?;
    state.write_attachments(&plan.after)?;
    if let Some(Loaded { generation, snapshot: Some(snapshot), .. }) = running {
        for point in plan.new_points() {
            generation.set_endpoint(point.slot, point.who.endpoint(&snapshot.meta))?;
        }
    }
    Ok(())
}

/// The state as it was.
fn restore(state: &State, plan: &Plan, place: Place) -> Result<(), Failure> {
    state.unstage(place)?;
    state.write_attachments(&plan.before)
}

struct Attaching<'a> {
    kernel: &'a Kernel,
    plan: &'a Plan,
}

impl Attaching<'_> {
    /// Attaches every point that is not attached, or that another version of the agent attached.
    fn attach(&self) -> Result<(), Failure> {
        let attached = self.kernel.attached()?;
        let renew = self.plan.before.agent != self.plan.after.agent;
        for point in &self.plan.after.points {
            match state_of(point, &attached) {
                Link::Whole if !renew => {
                    self.attach_early(point, &attached)?;
                    continue;
                }
                Link::Gone if !self.plan.named.contains(&point.point) => {
                    terminal::note(&format!("{} does not exist at the moment, and is left out", point.point.text()));
                    continue;
                }
                Link::Other => self.kernel.detach(&point.point.point(), point.slot)?,
                Link::Whole | Link::Gone | Link::Missing => {}
            }
            self.kernel.attach(&point.point.point(), point.slot, TcKind::Best)?;
            self.attach_early(point, &[])?;
        }
        Ok(())
    }

    /// Last, because it only says early what packets would find out.
    fn attach_early(&self, point: &Recorded, attached: &[Attached]) -> Result<(), Failure> {
        match point.point.point() {
            Point::Cgroup(path) if point.connect && !fails_early(point, attached) => {
                Ok(self.kernel.attach_early(&path, point.slot)?)
            }
            _ => Ok(()),
        }
    }

    /// Detaches what was not there before.
    fn undo(&self) -> Result<(), Failure> {
        self.plan.newly_early().try_for_each(|point| self.kernel.detach_early(point.slot))?;
        self.plan.new_points().try_for_each(|point| Ok(self.kernel.detach(&point.point.point(), point.slot)?))
    }
}

/// How a point stands in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Its programs are attached to what it names.
    Whole,
    /// They are not.
    Missing,
    /// They are attached to something that had its name before, or only one of them is attached.
    Other,
    /// There is nothing of its name.
    Gone,
}

/// Whether every hook at which a process says where it wants to is attached to what the point names.
pub(crate) fn fails_early(point: &Recorded, attached: &[Attached]) -> bool {
    let Some(target) = point.point.target() else { return false };
    Early::ALL.into_iter().all(|early| {
        let wanted = Attached { slot: point.slot, direction: Direction::Early(early), target };
        attached.contains(&wanted)
    })
}

/// How a point stands, as far as packets are judged there.
pub(crate) fn state_of(point: &Recorded, attached: &[Attached]) -> Link {
    let Some(target) = point.point.target() else { return Link::Gone };
    let mine: Vec<&Attached> = attached.iter().filter(|attached| attached.slot == point.slot).collect();
    let right = |direction| {
        let fits = |at: &Target| *at == target || *at == Target::Filter;
        mine.iter().any(|attached| attached.direction == direction && fits(&attached.target))
    };
    match (mine.is_empty(), right(Direction::Out) && right(Direction::In)) {
        (true, _) => Link::Missing,
        (false, true) => Link::Whole,
        (false, false) => Link::Other,
    }
}
