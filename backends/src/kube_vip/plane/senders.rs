//! Senders of the filter, split where kube-vip rewrites only some of their members.

use egress_ir::{AddressSet, Prefix, Sender, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Where a sender comes from.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The place of the filter's sender.
    pub(super) of: usize,
    /// The addresses of its only member that are rewritten; none where nobody rewrites.
    pub(super) rewritten: Vec<IpAddr>,
}

/// The filter's senders, with every member that is rewritten, or that rules send through gateways, as a sender of its own.
pub(super) fn split(
    senders: &[Sender],
    rewritten: &BTreeSet<IpAddr>,
    pods: &BTreeMap<(String, Option<String>), Vec<IpAddr>>,
    asks: &dyn Fn(&Workload) -> bool,
) -> (Vec<Sender>, Vec<Part>) {
    let (mut split, mut parts) = (Vec::new(), Vec::new());
    for (of, sender) in senders.iter().enumerate() {
        let mut rest = sender.clone();
        for pod in &sender.pods {
            let known = pods.get(&(pod.namespace.clone(), pod.name.clone()));
            let own: Vec<IpAddr> = known.into_iter().flatten().copied().filter(|a| rewritten.contains(a)).collect();
            if !own.is_empty() || asks(&Workload::Pod(pod.clone())) {
                rest.pods.retain(|other| other != pod);
                // A pod sends by the families that it has addresses of, of which a filter by labels knows nothing.
                let has = |v6: bool| known.is_some_and(|all| all.iter().any(|address| address.is_ipv6() == v6));
                split.push(Sender {
                    workload: Workload::Pod(pod.clone()),
                    v4: sender.v4 && has(false),
                    v6: sender.v6 && has(true),
                    pods: vec![pod.clone()],
                    addresses: AddressSet::empty(),
                });
                parts.push(Part { of, rewritten: own });
            }
        }
        for &address in rewritten.iter().filter(|address| sender.addresses.contains(**address)) {
            let addresses = AddressSet::from_prefixes([Prefix::host(address)]);
            rest.addresses = rest.addresses.difference(&addresses);
            split.push(Sender { workload: Workload::Address(address), pods: Vec::new(), addresses, ..*sender });
            parts.push(Part { of, rewritten: vec![address] });
        }
        let nobody = |sender: &Sender| sender.pods.is_empty() && sender.addresses.is_empty();
        // A sender without members stands for workloads that do not run, which nobody rewrites and a gateway is for only
        // once they do.
        if !nobody(&rest) || (nobody(sender) && !asks(&sender.workload)) {
            choose(&mut rest);
            split.push(rest);
            parts.push(Part { of, rewritten: Vec::new() });
        }
    }
    (split, parts)
}

/// Makes sure that the workload that stands for all is still one of them.
fn choose(sender: &mut Sender) {
    let is_member = match &sender.workload {
        Workload::Pod(pod) => sender.pods.is_empty() || sender.pods.contains(pod),
        Workload::Address(address) => sender.addresses.contains(*address),
    };
    if !is_member {
        let pod = sender.pods.first().map(|pod| Workload::Pod(pod.clone()));
        if let Some(other) = pod.or_else(|| sender.addresses.first().map(Workload::Address)) {
            sender.workload = other;
        }
    }
}
