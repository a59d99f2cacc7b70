//! The names that kube-vip reads: annotations of Services, and its own environment.
//!
//! In: nothing. Out: names, which emit and decode share. Never says what a value means.

/// Switches egress on, by the exact text `true`.
pub const EGRESS: &str = "kube-vip.io/egress";
/// Switches from iptables to nftables, by any text at all.
pub const INTERNAL: &str = "kube-vip.io/egress-internal";
/// Rewrites IPv6 instead of IPv4, by the exact text `true`.
pub const IPV6: &str = "kube-vip.io/egress-ipv6";
/// The destination ports that are rewritten, as `tcp:443,udp:53`; all if there are none.
pub const DESTINATION_PORTS: &str = "kube-vip.io/egress-destination-ports";
/// Has no effect on what is rewritten.
pub const SOURCE_PORTS: &str = "kube-vip.io/egress-source-ports";
/// The destinations that are rewritten; all if there are none.
pub const ALLOWED_NETWORKS: &str = "kube-vip.io/egress-allowed-networks";
/// Destinations that are not rewritten.
pub const DENIED_NETWORKS: &str = "kube-vip.io/egress-denied-networks";
/// Rewrites traffic inside the cluster too, by any text but `false`: the opposite of its name.
pub const NO_INTERNAL_TRAFFIC: &str = "kube-vip.io/egress-no-internal-traffic";
/// Adds the API server to the denied networks, by any text at all.
pub const DETECT_API_SERVER: &str = "kube-vip.io/egress-detect-api-server";
/// The virtual addresses.
pub const ADDRESSES: &str = "kube-vip.io/loadbalancerIPs";
/// Leaves the Service alone, by the exact text `true`.
pub const IGNORE: &str = "kube-vip.io/ignore";
/// Forgets connections when the Service is set up.
pub const FLUSH_CONNTRACK: &str = "kube-vip.io/flush-conntrack";

/// The class of Services that kube-vip takes.
pub const CLASS: &str = "kube-vip.io/kube-vip-class";

/// Begins the label that a node gets for a Service that it provides; `/NAME.NAMESPACE` follows.
pub const NODE_LABEL: &str = "service-provided.kube-vip.io";

/// The environment: the range of pods that is not rewritten.
pub const ENV_POD_CIDR: &str = "egress_podcidr";
/// The environment: the range of services that is not rewritten.
pub const ENV_SERVICE_CIDR: &str = "egress_servicecidr";
/// The environment: nftables for every Service.
pub const ENV_NFTABLES: &str = "egress_withnftables";
/// The environment: leaves out the ranges of the cluster whatever a Service says.
pub const ENV_INTERNAL_SNAT: &str = "egress_enableinternalsnat";
/// The environment: the name of the instance, which is part of the names of tables.
pub const ENV_INSTANCE: &str = "instance_name";
