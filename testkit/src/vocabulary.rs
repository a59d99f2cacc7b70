//! The few words that random programs, pods and flows share, so that they meet by chance.

/// Namespaces; the last one is hardly ever named by a program.
pub(crate) const NAMESPACES: [&str; 6] = ["shop", "shop-eu", "data", "platform", "kube-system", "sandbox"];

/// Keys and values of pod labels.
pub(crate) const POD_LABELS: [(&str, &[&str]); 5] = [
    ("app", &["checkout", "web", "etl", "ledger"]),
    ("tier", &["front", "back", "batch"]),
    ("app.kubernetes.io/name", &["api", "worker"]),
    ("legacy", &["true", "false"]),
    ("example.com/zone", &["a", "b", ""]),
];

/// Keys and values of namespace labels.
pub(crate) const NAMESPACE_LABELS: [(&str, &[&str]); 3] =
    [("team", &["shop", "data", "core"]), ("env", &["prod", "test"]), ("example.com/pci", &["yes", "no"])];

/// Service accounts.
pub(crate) const SERVICE_ACCOUNTS: [&str; 3] = ["default", "builder", "etl-runner"];

/// Domains under which host patterns and names are made.
pub(crate) const DOMAINS: [&str; 4] = ["example.org", "pay.example.org", "cdn.test", "xn--bcher-kva.example"];

/// Key and values of the node label by which gateways choose nodes.
pub(crate) const NODE_ZONES: (&str, [&str; 2]) = ("egress-zone", ["eu", "us"]);
