//! What clients have learned by name, in the map that every generation asks.
//!
//! In: the id of a set of names, a client, a destination, and until when it holds. Out: what the kernel has. What has
//! ended is no longer believed by the kernel, but stays in its map until somebody removes it.

use super::KernelError;
use super::pins;
use aya::maps::{HashMap, MapData, MapError};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

/// Who learned which destination, by a name of which set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fact {
    /// The set's id, see [`egress_snapshot::names::set_id`].
    pub set: u64,
    /// Who learned it.
    pub client: IpAddr,
    /// What was learned; of the client's family.
    pub destination: IpAddr,
}

/// Until when something holds, and when a packet last asked for it; both since the machine was started, time asleep
/// included (`CLOCK_BOOTTIME`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The end.
    pub until: Duration,
    /// The last packet; zero: none yet.
    pub used: Duration,
}

/// The kernel's map.
#[derive(Debug)]
pub struct Learned(HashMap<MapData, [u64; 5], [u64; 2]>);

impl Learned {
    pub(super) fn open(path: &Path) -> Result<Self, KernelError> {
        Ok(Self(pins::typed(path)?))
    }

    /// Says that something holds until then; packets see it at once.
    ///
    /// # Errors
    /// Where the map is full, and what else the kernel refuses.
    pub fn put(&mut self, fact: &Fact, lease: Lease) -> Result<(), KernelError> {
        let value = [nanoseconds(lease.until), nanoseconds(lease.used)];
        self.0.insert(fact.key(), value, 0).map_err(|source| KernelError::map("learned", source))
    }

    /// What the kernel has of a fact; nothing where it has nothing.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn lease(&self, fact: &Fact) -> Result<Option<Lease>, KernelError> {
        match self.0.get(&fact.key(), 0) {
            Ok(value) => Ok(Some(lease(value))),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(source) => Err(KernelError::map("learned", source)),
        }
    }

    /// Removes a fact; one that is not there is no error.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn remove(&mut self, fact: &Fact) -> Result<(), KernelError> {
        match self.0.remove(&fact.key()) {
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(source) => Err(KernelError::map("learned", source)),
        }
    }

    /// All that the kernel has, what has ended included, in no order. What changes meanwhile may be missed.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn all(&self) -> Result<Vec<(Fact, Lease)>, KernelError> {
        let entry = |entry: Result<([u64; 5], [u64; 2]), MapError>| {
            let (key, value) = entry.map_err(|source| KernelError::map("learned", source))?;
            Ok((Fact::of_key(key), lease(value)))
        };
        self.0.iter().map(entry).collect()
    }
}

impl Fact {
    fn key(&self) -> [u64; 5] {
        let [client_high, client_low] = words(self.client);
        let [high, low] = words(self.destination);
        [self.set, client_high, client_low, high, low]
    }

    fn of_key([set, client_high, client_low, high, low]: [u64; 5]) -> Self {
        Self { set, client: address([client_high, client_low]), destination: address([high, low]) }
    }
}

fn words(address: IpAddr) -> [u64; 2] {
    let bits = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    };
    [(bits >> 64) as u64, (bits & u128::from(u64::MAX)) as u64]
}

fn address([high, low]: [u64; 2]) -> IpAddr {
    let address = Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low));
    address.to_ipv4_mapped().map_or(IpAddr::V6(address), |address: Ipv4Addr| IpAddr::V4(address))
}

fn lease([until, used]: [u64; 2]) -> Lease {
    Lease { until: Duration::from_nanos(until), used: Duration::from_nanos(used) }
}

/// As the kernel program compares them: below 2^63, which no clock reaches.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back() {
        for (client, destination) in [("10.42.0.5", "192.0.2.1"), ("fd00::5", "2001:db8::1"), ("0.0.0.0", "::")] {
            let fact = Fact { set: 7, client: client.parse().unwrap(), destination: destination.parse().unwrap() };
            assert_eq!(Fact::of_key(fact.key()), fact);
        }
        let v4 = Fact { set: 1, client: Ipv4Addr::new(10, 0, 0, 1).into(), destination: Ipv4Addr::LOCALHOST.into() };
        assert_eq!(v4.key(), [1, 0, 0xffff_0a00_0001, 0, 0xffff_7f00_0001]);
    }
}
