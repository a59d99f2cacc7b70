//! The table of gateways around a switch of generations, so that no packet leaves through another gateway than the
//! generation that marked it meant.
//!
//! In: the gateways of the generation that is enforced and of the one that will be. Out: the table of the one before the
//! switch, of the other behind it. Where both call different addresses by one number, everything that is marked is stopped
//! between the two, for the few milliseconds that it takes.

use super::source::Gateways;
use super::table;
use crate::failure::Failure;
use egress_agent::kernel::Kernel;
use egress_snapshot::Snapshot;
use std::net::IpAddr;

/// A switch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn {
    from: Gateways,
    to: Gateways,
}

impl Turn {
    /// From what is enforced, if anything is known of it, to what will be.
    pub(crate) fn new(from: Option<&Snapshot>, to: &Snapshot) -> Self {
        Self { from: from.map(Gateways::of).unwrap_or_default(), to: Gateways::of(to) }
    }

    /// Before the switch. If the switch does not come, [`Turn::undo`] must.
    pub(crate) fn begin(&self) -> Result<(), Failure> {
        if self.to.all.is_empty() {
            return Ok(());
        }
        if self.from.all.is_empty() || meanings(&self.from) == meanings(&self.to) {
            return table::load(&self.to.all, self.to.mask);
        }
        table::load(&[], between(self.from.mask, self.to.mask))
    }

    /// Behind the switch.
    pub(crate) fn finish(&self, kernel: &Kernel) -> Result<(), Failure> {
        if self.from.all.is_empty() || meanings(&self.from) == meanings(&self.to) {
            return Ok(());
        }
        // No packet that the old generation marked is on its way any more.
        kernel.settle();
        if self.to.all.is_empty() { table::remove() } else { table::load(&self.to.all, self.to.mask) }
    }

    /// The table is as it was.
    pub(crate) fn undo(&self) -> Result<(), Failure> {
        if self.to.all.is_empty() {
            return Ok(());
        }
        if self.from.all.is_empty() { table::remove() } else { table::load(&self.from.all, self.from.mask) }
    }
}

/// The addresses of a gateway by its number.
type Meaning = (u32, [Option<IpAddr>; 2]);

/// What a mark means: the mask, and the addresses of each number.
fn meanings(of: &Gateways) -> (u32, Vec<Meaning>) {
    let all = of.all.iter().map(|one| (one.number, [false, true].map(|v6| one.address(v6).map(|one| one.address))));
    (of.mask, all.collect())
}

/// The smallest run of bits that covers two masks. Others' bits may lie between them: for the instant of a switch that
/// changes the mask, their packets are stopped too.
fn between(one: u32, other: u32) -> u32 {
    let both = one | other;
    let above = both.checked_shr(both.trailing_zeros()).unwrap_or(0);
    let ones = u32::MAX.checked_shr(above.leading_zeros()).unwrap_or(0);
    ones.checked_shl(both.trailing_zeros()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_covers_both_masks() {
        assert_eq!(between(0x00ff_0000, 0x00ff_0000), 0x00ff_0000);
        assert_eq!(between(0x0000_000f, 0x00f0_0000), 0x00ff_ffff);
        assert_eq!(between(0x8000_0000, 0x4000_0000), 0xc000_0000);
        assert_eq!(between(1, 1 << 31), u32::MAX);
    }
}
