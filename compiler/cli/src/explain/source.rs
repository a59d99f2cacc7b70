//! Who sends: the options that say it.
//!
//! In: `--from` or `--labels` and their like. Out: what the library looks for. Never looks itself.

use egress_answers::explain;
use egress_ir::Labels;

/// Who sends.
#[derive(Debug, clap::Args)]
pub(super) struct From {
    /// Who sends: NAMESPACE/POD, NAMESPACE/SET or NAMESPACE/APP, a declared set of workloads, or an address
    #[arg(long, value_name = "WORKLOAD", conflicts_with = "labels", required_unless_present_any = ["labels", "paths"])]
    from: Option<String>,
    /// The labels of the pod that sends, as KEY=VALUE,…
    #[arg(long, value_name = "LABELS", value_parser = labels)]
    labels: Option<Labels>,
    /// The namespace of the pod that sends [default: default]
    #[arg(long, value_name = "NAME", requires = "labels")]
    namespace: Option<String>,
    /// The labels of its namespace, as KEY=VALUE,… [default: the inventory's]
    #[arg(long, value_name = "LABELS", value_parser = labels)]
    namespace_labels: Option<Labels>,
    /// Its service account [default: default]
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
}

impl From {
    /// What the library looks for.
    pub(super) fn sender(&self) -> explain::From {
        explain::From {
            from: self.from.clone(),
            labels: self.labels.clone(),
            namespace: self.namespace.clone(),
            namespace_labels: self.namespace_labels.clone(),
            service_account: self.service_account.clone(),
        }
    }
}

fn labels(text: &str) -> Result<Labels, String> {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err(format!("`{pair}` is not KEY=VALUE")),
    };
    text.split(',').filter(|part| !part.is_empty()).map(pair).collect()
}
