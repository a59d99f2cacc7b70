//! A resolver for flows to names.

use egress_ir::Pod;

/// A pod that the resolver's set selects.
pub(crate) fn resolver() -> Pod {
    Pod {
        namespace: "kube-system".to_owned(),
        name: Some("coredns".to_owned()),
        labels: [("k8s-app".to_owned(), "kube-dns".to_owned())].into(),
        service_account: "coredns".to_owned(),
        ..Pod::default()
    }
}
