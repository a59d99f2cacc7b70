//! Who learns nothing for a while, because something was sent to it in a resolver's name by a workload.
//!
//! Such a packet may come back from the node as if the resolver had sent it, at once or, while the node asks for the link's
//! address of its receiver, some seconds later. In: interfaces, clients, the time. Out: whether to believe answers there.

use egress_agent::learning::Time;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Longer than a node keeps a packet whose receiver's link address it asks for.
const LASTS: Time = 10_000;
/// So many clients of an interface are told apart; where there are more, none is believed.
const MOST: usize = 1_024;

/// Until when clients are distrusted, by interface; and whole interfaces.
#[derive(Debug, Default)]
pub(super) struct Distrust {
    clients: BTreeMap<usize, BTreeMap<IpAddr, Time>>,
    whole: BTreeMap<usize, Time>,
}

impl Distrust {
    /// Something was sent to a client in a resolver's name, from an interface of workloads.
    pub(super) fn add(&mut self, interface: usize, client: IpAddr, now: Time) {
        let clients = self.clients.entry(interface).or_default();
        if clients.len() >= MOST {
            clients.retain(|_, ends| *ends > now);
        }
        let ends = now.saturating_add(LASTS);
        if clients.len() < MOST {
            clients.insert(client, ends);
        } else {
            self.whole.insert(interface, ends);
        }
    }

    /// Whether what leaves there towards a client is not to be believed.
    pub(super) fn holds(&self, interface: usize, client: IpAddr, now: Time) -> bool {
        let of_client = self.clients.get(&interface).and_then(|clients| clients.get(&client));
        of_client.into_iter().chain(self.whole.get(&interface)).any(|ends| *ends > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_and_is_bounded() {
        let mut distrust = Distrust::default();
        let client = |at: u32| IpAddr::from(at.to_be_bytes());
        distrust.add(1, client(1), 0);
        assert!(distrust.holds(1, client(1), LASTS - 1) && !distrust.holds(1, client(1), LASTS));
        assert!(!distrust.holds(2, client(1), 1) && !distrust.holds(1, client(2), 1));
        for at in 0..2 * MOST as u32 {
            distrust.add(1, client(at), 5);
        }
        assert!(distrust.holds(1, client(u32::MAX), 6) && !distrust.holds(2, client(u32::MAX), 6));
        distrust.add(1, client(7), 6 + LASTS);
        assert!(!distrust.holds(1, client(u32::MAX), 6 + LASTS));
        assert!(distrust.clients[&1].len() <= MOST);
    }
}
