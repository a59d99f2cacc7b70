//! What runs in the retailer's cluster: namespaces and what is deployed to them.

/// How pods come to be, which decides their names and owners.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A ReplicaSet's pods: `name-hash-suffix`.
    Deployment,
    /// A StatefulSet's pods: `name-0`.
    StatefulSet,
    /// One on every node: `name-suffix`.
    DaemonSet,
    /// The same, on the nodes' network.
    HostDaemonSet,
    /// Written by the kubelet of the control plane: `name-node`, on the node's network.
    Static,
}

/// One workload of the cluster.
pub(crate) struct App {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) replicas: usize,
    pub(crate) account: &'static str,
    /// Labels of its pods, `key=value`, the key that selects it first.
    pub(crate) labels: &'static [&'static str],
    /// The port of its service; 0 for none.
    pub(crate) port: u16,
}

const fn app(
    namespace: &'static str,
    name: &'static str,
    kind: Kind,
    replicas: usize,
    account: &'static str,
    labels: &'static [&'static str],
    port: u16,
) -> App {
    App { namespace, name, kind, replicas, account, labels, port }
}

/// Namespaces with their own labels.
pub(crate) const NAMESPACES: [(&str, &[&str]); 16] = [
    ("default", &[]),
    ("kube-system", &[]),
    ("shop", &["team=storefront", "tracing=on"]),
    ("checkout", &["team=checkout", "pci=in-scope", "tracing=on"]),
    ("payments", &["team=payments", "pci=in-scope", "tracing=on"]),
    ("loyalty", &["team=loyalty", "tracing=on"]),
    ("catalog", &["team=catalog", "tracing=on"]),
    ("search", &["team=catalog", "tracing=on"]),
    ("logistics", &["team=logistics"]),
    ("partners", &["team=partners", "tracing=on"]),
    ("data", &["team=data"]),
    ("ml", &["team=data"]),
    ("ci", &["team=platform"]),
    ("flux-system", &["team=platform"]),
    ("observability", &["team=platform"]),
    ("cert-manager", &["team=platform"]),
];

use Kind::{DaemonSet, Deployment, HostDaemonSet, StatefulSet, Static};

/// Everything that runs.
pub(crate) const APPS: [App; 48] = [
    app("shop", "storefront", Deployment, 24, "storefront", &["app=storefront", "tier=front"], 8080),
    app("shop", "bff-mobile", Deployment, 8, "storefront", &["app=bff-mobile", "tier=front"], 8080),
    app("shop", "sessions", StatefulSet, 3, "default", &["app=sessions", "tier=cache", "tracing=off"], 6379),
    app("shop", "mailer", Deployment, 3, "mailer", &["app=mailer", "tier=back"], 8080),
    app("checkout", "checkout-api", Deployment, 14, "checkout", &["app=checkout-api", "tier=back"], 8080),
    app("checkout", "checkout-worker", Deployment, 5, "checkout", &["app=checkout-worker", "tier=batch"], 0),
    app("checkout", "basket", Deployment, 6, "basket", &["app=basket", "tier=back"], 8080),
    app("checkout", "outbox", StatefulSet, 3, "default", &["app=outbox", "tier=queue", "tracing=off"], 5672),
    app("payments", "payment-gateway", Deployment, 6, "payment-gateway", &["app=payment-gateway", "tier=back"], 8443),
    app("payments", "fraud-scoring", Deployment, 4, "fraud", &["app=fraud-scoring", "tier=back"], 8080),
    app("payments", "fraud-scoring-shadow", Deployment, 1, "fraud", &["app=fraud-scoring", "shadow=true"], 0),
    app("payments", "token-vault", StatefulSet, 3, "token-vault", &["app=token-vault", "tier=store"], 8200),
    app("loyalty", "loyalty-api", Deployment, 5, "loyalty", &["app.kubernetes.io/name=loyalty-api"], 8080),
    app("loyalty", "points-ledger", StatefulSet, 2, "default", &["app.kubernetes.io/name=points-ledger"], 5432),
    app("catalog", "catalog-api", Deployment, 12, "catalog", &["app=catalog-api", "tier=back"], 8080),
    app("catalog", "image-pipeline", Deployment, 4, "images", &["app=image-pipeline", "tier=batch"], 0),
    app("catalog", "feed-crawler", Deployment, 3, "feeds", &["app=feed-crawler", "tier=batch"], 0),
    app("catalog", "pricing", Deployment, 4, "catalog", &["app=pricing", "tier=back"], 8080),
    app("search", "search-api", Deployment, 10, "search", &["app=search-api", "tier=back"], 8080),
    app("search", "opensearch-data", StatefulSet, 5, "opensearch", &["app=opensearch", "role=data"], 9200),
    app("search", "indexer", Deployment, 2, "search", &["app=indexer", "tier=batch"], 0),
    app("logistics", "carrier-labels", Deployment, 4, "carriers", &["app=carrier-labels", "tier=back"], 8080),
    app("logistics", "erp-sync", Deployment, 2, "erp", &["app=erp-sync", "tier=batch"], 0),
    app("logistics", "stock", Deployment, 5, "default", &["app=stock", "tier=back"], 8080),
    app("partners", "webhook-dispatcher", Deployment, 4, "webhooks", &["app=webhook-dispatcher", "tier=batch"], 0),
    app("partners", "partner-api", Deployment, 5, "partner-api", &["app=partner-api", "tier=front"], 8080),
    app("data", "orders-etl", Deployment, 6, "etl", &["app=orders-etl", "tier=etl"], 0),
    app("data", "old-export", Deployment, 1, "etl", &["app=old-export", "tier=etl", "legacy=true"], 0),
    app("data", "reporting", Deployment, 2, "reporting", &["app=reporting", "tier=back"], 8080),
    app("data", "kafka", StatefulSet, 5, "kafka", &["app=kafka", "tier=queue"], 9092),
    app("ml", "recommender-train", Deployment, 3, "ml", &["app=recommender-train", "tier=ml"], 0),
    app("ml", "recommender", Deployment, 6, "ml", &["app=recommender", "tier=back"], 8080),
    app("ci", "runner", Deployment, 12, "runner", &["role=runner", "app=runner"], 0),
    app("ci", "runner-cache", StatefulSet, 1, "default", &["app=runner-cache"], 9000),
    app("flux-system", "source-controller", Deployment, 1, "source-controller", &["app=source-controller"], 80),
    app("flux-system", "image-reflector", Deployment, 1, "image-reflector", &["app=image-reflector"], 0),
    app("flux-system", "helm-controller", Deployment, 1, "helm-controller", &["app=helm-controller"], 0),
    app("observability", "log-shipper", DaemonSet, 0, "shipper", &["app=log-shipper"], 0),
    app("observability", "prometheus", StatefulSet, 2, "prometheus", &["app=prometheus"], 9090),
    app("observability", "grafana", Deployment, 2, "grafana", &["app=grafana"], 3000),
    app("cert-manager", "cert-manager", Deployment, 1, "cert-manager", &["app=cert-manager"], 9402),
    app("cert-manager", "cainjector", Deployment, 1, "cainjector", &["app=cainjector"], 0),
    app("kube-system", "coredns", Deployment, 3, "coredns", &["k8s-app=kube-dns"], 53),
    app("kube-system", "metrics-server", Deployment, 2, "metrics-server", &["k8s-app=metrics-server"], 443),
    app("kube-system", "cilium", HostDaemonSet, 0, "cilium", &["k8s-app=cilium"], 0),
    app("kube-system", "node-exporter", HostDaemonSet, 0, "node-exporter", &["app=node-exporter"], 0),
    app("kube-system", "kube-apiserver", Static, 0, "default", &["component=kube-apiserver"], 0),
    app("kube-system", "etcd", Static, 0, "default", &["component=etcd"], 0),
];
