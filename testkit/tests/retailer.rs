//! Writes the inventory of `testdata/retailer`, and holds the committed file against it.
//!
//! With `EGRESS_UPDATE=1` the file is written; otherwise it must be what would be written.

#[cfg(test)]
#[path = "retailer/apps.rs"]
mod apps;
#[cfg(test)]
#[path = "retailer/inventory.rs"]
mod inventory;

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/retailer/inventory.json")
}

#[test]
fn the_committed_inventory_is_the_one_that_is_described_here() {
    let text = inventory::text();
    if std::env::var_os("EGRESS_UPDATE").is_some() {
        std::fs::write(path(), &text).unwrap();
    }
    let committed = std::fs::read_to_string(path()).unwrap();
    assert!(committed == text, "{} differs: run with EGRESS_UPDATE=1 and read the difference", path().display());
}

#[test]
fn the_inventory_is_large_and_varied_enough() {
    let list: Value = serde_json::from_str(&inventory::text()).unwrap();
    let items = list["items"].as_array().unwrap();
    let of = |kind: &str| items.iter().filter(|item| item["kind"] == kind).collect::<Vec<_>>();
    let (pods, services) = (of("Pod"), of("Service"));
    assert!(pods.len() >= 200, "{} pods", pods.len());
    assert!(of("Namespace").len() >= 10 && of("Node").len() >= 4);
    let phase = |phase: &str| pods.iter().filter(|pod| pod["status"]["phase"] == phase).count();
    assert!(phase("Succeeded") >= 2 && phase("Pending") >= 2 && phase("Failed") >= 1);
    assert!(pods.iter().filter(|pod| pod["spec"]["hostNetwork"] == true).count() >= 10);
    assert!(services.iter().any(|service| service["spec"]["clusterIP"] == "None"));
    let own = pods.iter().filter(|pod| pod["spec"]["hostNetwork"] != true && pod["status"]["phase"] == "Running");
    let mut addresses = BTreeSet::new();
    for pod in own {
        let ips = pod["status"]["podIPs"].as_array().unwrap();
        assert_eq!(ips.len(), 2, "{}", pod["metadata"]["name"]);
        assert_eq!(ips[0]["ip"], pod["status"]["podIP"]);
        for ip in ips {
            assert!(addresses.insert(ip["ip"].as_str().unwrap().to_owned()), "{ip} is used twice");
        }
    }
    assert!(addresses.len() >= 400, "{} addresses", addresses.len());
    let names: BTreeSet<String> =
        pods.iter().map(|pod| format!("{}/{}", pod["metadata"]["namespace"], pod["metadata"]["name"])).collect();
    assert_eq!(names.len(), pods.len());
}
