//! How many of something each client has, so that none has all.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Counts by client.
#[derive(Debug)]
pub(super) struct Fellows {
    counts: BTreeMap<IpAddr, usize>,
    most: usize,
}

impl Fellows {
    pub(super) fn new(most: usize) -> Self {
        Self { counts: BTreeMap::new(), most }
    }

    /// One more; false if the client has as many as it may.
    pub(super) fn enter(&mut self, client: IpAddr) -> bool {
        let count = self.counts.entry(client).or_default();
        let fits = *count < self.most;
        *count += usize::from(fits);
        fits
    }

    /// One less.
    pub(super) fn leave(&mut self, client: IpAddr) {
        if let Some(count) = self.counts.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&client);
            }
        }
    }

    /// How many all have together.
    pub(super) fn all(&self) -> usize {
        self.counts.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_has_more_than_its_part() {
        let (mut fellows, one, other) = (Fellows::new(2), [1, 1, 1, 1].into(), [2, 2, 2, 2].into());
        assert_eq!([one, one, one, other].map(|client: IpAddr| fellows.enter(client)), [true, true, false, true]);
        fellows.leave(one);
        assert_eq!((fellows.all(), fellows.enter(one), fellows.all()), (2, true, 3));
    }
}
