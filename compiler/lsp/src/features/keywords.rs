//! Words of the language, a sentence each.

/// What a keyword says; nothing for a word that is none.
#[must_use]
pub fn meaning(word: &str) -> Option<&'static str> {
    KEYWORDS.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
}

const KEYWORDS: [(&str, &str); 49] = [
    (
        "cluster",
        "The cluster's own ranges: what is *inside*. Flows to them are not governed; NetworkPolicy speaks there.",
    ),
    ("workloads", "A named set of sources: pods, or addresses outside of Kubernetes."),
    ("destinations", "A named set of destinations: addresses, and names by which they are looked up."),
    ("ports", "A named set of protocols and ports."),
    ("gateway", "Where chosen traffic leaves, and the source addresses that others see."),
    ("policy", "Governs the workloads after its `for`: what no policy allows them is denied."),
    ("guardrail", "Forbids, and nothing more: its denies hold, but it does not put its workloads under default deny."),
    ("assert", "What must be provable of every flow of its sets."),
    ("control", "Groups assertions as evidence for one control."),
    ("for", "The workloads that a policy governs, or that a guardrail forbids things."),
    ("owner", "Who answers for the block."),
    ("mode", "`mode audit`: the block does not count; where it would have changed a decision, the flow is logged."),
    ("audit", "`mode audit`: the block does not count; where it would have changed a decision, the flow is logged."),
    ("allow", "Lets flows to these destinations pass, unless some `deny` matches too."),
    ("deny", "Stops flows to these destinations, whoever allows them."),
    ("on", "Only these ports. Without it, any protocol and port."),
    ("via", "Allowed flows leave through this gateway."),
    ("log", "Asks for a record of each matching flow."),
    ("because", "The reason."),
    ("ticket", "Where it was agreed."),
    ("until", "The last day on which the rule holds. A rule past its last day is an error, never dropped in silence."),
    ("except", "Takes a set away from everything before it."),
    ("all", "Every pod and every address."),
    ("pods", "Pods by labels, namespace and service account. In `cluster`, the pods' address ranges."),
    ("services", "The service address ranges of the cluster."),
    ("nodes", "The nodes' address ranges of the cluster; in a gateway, the nodes that it lives on."),
    ("dns", "The pods that resolve names for others."),
    ("in", "Only pods in this namespace, or in namespaces with these labels; in a selector, one of these values."),
    ("notin", "None of these values, or no such label."),
    ("namespace", "The namespace of this name."),
    ("namespaces", "Namespaces with these labels."),
    ("as", "Only pods that run as this service account."),
    ("serviceaccount", "Only pods that run as this service account."),
    (
        "address",
        "Sources outside of Kubernetes by their address, never a pod; in a gateway, a source address that others see.",
    ),
    ("managed", "Nobody configures the address on a node by hand: what enforces the policy brings it up and moves it."),
    ("host", "Destinations that were looked up by this name, whatever address it resolves to."),
    ("list", "The entries of a file of addresses, or of what a provider publishes."),
    ("world", "Every address outside of the cluster."),
    ("private", "RFC 1918, RFC 6598, RFC 4193 and link-local addresses."),
    ("any", "Every IP protocol and port."),
    ("can", "`can reach`: each flow is allowed."),
    ("cannot", "`cannot reach`: each flow is denied; an ungoverned flow fails it."),
    ("reach", "`can reach`: each flow is allowed; `cannot reach`: each is denied."),
    (
        "only",
        "`only W can reach D`: each allowed flow into D comes from W. `W can reach only D`: each allowed flow of W ends in D.",
    ),
    ("tcp", "TCP: every port, unless ports stand before it."),
    ("udp", "UDP: every port, unless ports stand before it."),
    ("sctp", "SCTP: every port, unless ports stand before it."),
    ("icmp", "ICMP for IPv4: every type, unless one follows."),
    ("icmpv6", "ICMP for IPv6: every type, unless one follows."),
];
