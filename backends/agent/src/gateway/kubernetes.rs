//! A Lease of `coordination.k8s.io/v1` as a [`Store`], by the API server that `kubectl` would ask.
//!
//! In: a kubeconfig, or the service account of the pod that the agent runs in. Out: records with the server's
//! `resourceVersion`, which makes every change a compare-and-swap.

use super::lease::{Record, Refused, Store};
use crate::failure::Failure;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::Path;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// A lease on a server.
pub(super) struct Server {
    runtime: Runtime,
    leases: Api<Lease>,
    namespace: String,
    name: String,
    /// After which a question counts as failed.
    patience: Duration,
}

impl Server {
    /// Connects.
    pub(super) fn new(
        kubeconfig: Option<&Path>,
        namespace: &str,
        name: &str,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let fails = |why: String| Failure::new(format!("cannot reach Kubernetes: {why}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| fails(error.to_string()))?;
        let client = runtime.block_on(async {
            let config = match kubeconfig {
                Some(path) => {
                    let read = Kubeconfig::read_from(path).map_err(|error| error.to_string())?;
                    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
                    config.map_err(|error| error.to_string())?
                }
                None => Config::infer().await.map_err(|error| error.to_string())?,
            };
            Client::try_from(config).map_err(|error| error.to_string())
        });
        let client =
            client.map_err(|why| fails(why).help("give `--kubeconfig FILE`, or run with a service account"))?;
        let leases = Api::namespaced(client, namespace);
        Ok(Self { runtime, leases, namespace: namespace.to_owned(), name: name.to_owned(), patience })
    }

    fn wait<T>(&self, question: impl Future<Output = kube::Result<T>>) -> Result<T, Refused> {
        let answer = self.runtime.block_on(async { tokio::time::timeout(self.patience, question).await });
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err(Refused::Conflict),
            Ok(Err(error)) => Err(Refused::Failed(error.to_string())),
            Err(_) => Err(Refused::Failed("the server does not answer in time".to_owned())),
        }
    }

    fn object(&self, record: &Record, version: Option<&String>) -> Lease {
        let time = |text: &str| text.parse::<Timestamp>().ok().map(MicroTime);
        let spec = LeaseSpec {
            holder_identity: Some(record.holder.clone()),
            lease_duration_seconds: Some(i32::try_from(record.seconds).unwrap_or(i32::MAX)),
            acquire_time: time(&record.acquired),
            renew_time: time(&record.renewed),
            lease_transitions: Some(i32::try_from(record.transitions).unwrap_or(i32::MAX)),
            ..LeaseSpec::default()
        };
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            resource_version: version.cloned(),
            ..ObjectMeta::default()
        };
        Lease { metadata, spec: Some(spec) }
    }
}

impl Store for Server {
    type Version = String;

    fn get(&mut self) -> Result<Option<(Record, String)>, Refused> {
        let Some(lease) = self.wait(self.leases.get_opt(&self.name))? else { return Ok(None) };
        let spec = lease.spec.unwrap_or_default();
        let time = |time: Option<MicroTime>| time.map(|MicroTime(time)| time.to_string()).unwrap_or_default();
        let number = |number: Option<i32>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        let record = Record {
            holder: spec.holder_identity.unwrap_or_default(),
            seconds: number(spec.lease_duration_seconds),
            acquired: time(spec.acquire_time),
            renewed: time(spec.renew_time),
            transitions: number(spec.lease_transitions),
        };
        let version = lease.metadata.resource_version;
        let version = version.ok_or_else(|| Refused::Failed("the lease has no resource version".to_owned()))?;
        Ok(Some((record, version)))
    }

    fn create(&mut self, record: &Record) -> Result<(), Refused> {
        let lease = self.object(record, None);
        self.wait(self.leases.create(&PostParams::default(), &lease)).map(drop)
    }

    fn replace(&mut self, record: &Record, version: &String) -> Result<(), Refused> {
        let lease = self.object(record, Some(version));
        self.wait(self.leases.replace(&self.name, &PostParams::default(), &lease)).map(drop)
    }
}
