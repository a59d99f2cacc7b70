//! Values: labels, namespaces and accounts of the inventory, services, list files and their fields.

use super::Offer;
use crate::syntax::Labelled;
use crate::uri;
use egress_ir::Labels;
use gen_lsp_types::{CompletionItem, CompletionItemKind};
use std::collections::{BTreeMap, BTreeSet};

/// Well-known services (IANA) that people know by name.
const SERVICES: [(&str, &str); 16] = [
    ("ssh", "22/tcp"),
    ("smtp", "25/tcp"),
    ("dns", "53/udp"),
    ("http", "80/tcp"),
    ("ntp", "123/udp"),
    ("ldap", "389/tcp"),
    ("https", "443/tcp"),
    ("submission", "587/tcp"),
    ("ldaps", "636/tcp"),
    ("mssql", "1433/tcp"),
    ("mysql", "3306/tcp"),
    ("postgresql", "5432/tcp"),
    ("amqp", "5672/tcp"),
    ("redis", "6379/tcp"),
    ("kafka", "9092/tcp"),
    ("mongodb", "27017/tcp"),
];

/// The fields by which publishers' lists are filtered.
const FILTERS: [(&str, &str); 11] = [
    ("region", "AWS, Azure"),
    ("service", "AWS, Google"),
    ("network_border_group", "AWS"),
    ("scope", "Google"),
    ("key", "GitHub"),
    ("name", "Azure"),
    ("id", "Azure"),
    ("platform", "Azure"),
    ("systemService", "Azure"),
    ("regionId", "Azure"),
    ("changeNumber", "Azure"),
];

/// The most values that are offered at once.
const MOST: usize = 500;

pub(super) fn services(offer: &Offer<'_>) -> Vec<CompletionItem> {
    let item = |(name, port): &(&str, &str)| CompletionItem {
        filter_text: Some(format!("{name} {port}")),
        ..offer.item(port, CompletionItemKind::Value, name)
    };
    SERVICES.iter().map(item).collect()
}

pub(super) fn filter_keys(offer: &Offer<'_>) -> Vec<CompletionItem> {
    FILTERS.iter().map(|(key, of)| offer.item(key, CompletionItemKind::Field, of)).collect()
}

/// The labels of everything that has some, namespaces with their names.
fn labels(offer: &Offer<'_>, of: Labelled) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |labels: &Labels| {
        for (key, value) in labels {
            if let Some(values) = all.get_mut(key) {
                values.insert(value.clone());
            } else {
                all.insert(key.clone(), BTreeSet::from([value.clone()]));
            }
        }
    };
    let Some(inventory) = &offer.view.unit.inventory else { return all };
    match of {
        Labelled::Pods => inventory.pods.iter().for_each(|pod| add(&pod.identity.labels)),
        Labelled::Nodes => inventory.nodes.iter().for_each(|node| add(&node.labels)),
        Labelled::Namespaces => {
            inventory.namespaces.values().for_each(&mut add);
            let names = inventory.namespaces.keys().cloned().collect();
            all.insert(egress_ir::NAMESPACE_NAME_LABEL.to_owned(), names);
        }
    }
    all
}

pub(super) fn keys(offer: &Offer<'_>, of: Labelled) -> Vec<CompletionItem> {
    let told = |values: BTreeSet<String>| values.into_iter().take(3).collect::<Vec<_>>().join(", ");
    let item =
        |(key, values): (String, BTreeSet<String>)| offer.item(&key, CompletionItemKind::Property, &told(values));
    labels(offer, of).into_iter().take(MOST).map(item).collect()
}

pub(super) fn label_values(offer: &Offer<'_>, of: Labelled, key: &str) -> Vec<CompletionItem> {
    let values = labels(offer, of).remove(key).unwrap_or_default();
    values.iter().take(MOST).map(|value| offer.item(value, CompletionItemKind::Value, key)).collect()
}

pub(super) fn namespaces(offer: &Offer<'_>) -> Vec<CompletionItem> {
    let Some(inventory) = &offer.view.unit.inventory else { return Vec::new() };
    let of_pods = inventory.pods.iter().map(|pod| &pod.identity.namespace);
    let names: BTreeSet<&String> = inventory.namespaces.keys().chain(of_pods).collect();
    names.into_iter().take(MOST).map(|name| offer.item(name, CompletionItemKind::Module, "namespace")).collect()
}

pub(super) fn accounts(offer: &Offer<'_>) -> Vec<CompletionItem> {
    let Some(inventory) = &offer.view.unit.inventory else { return Vec::new() };
    let names: BTreeSet<&String> = inventory.pods.iter().map(|pod| &pod.identity.service_account).collect();
    let named = names.into_iter().filter(|name| !name.is_empty()).take(MOST);
    named.map(|name| offer.item(name, CompletionItemKind::Value, "serviceaccount")).collect()
}

/// The list files that the unit names already, as paths from the document's folder.
pub(super) fn lists(offer: &Offer<'_>) -> Vec<CompletionItem> {
    let folder = format!("{}/", uri::folder(&offer.view.file.source.path).trim_end_matches('/'));
    let paths = offer.view.unit.list_paths();
    let here = paths.iter().filter_map(|path| path.strip_prefix(&folder));
    here.take(MOST).map(|path| offer.item(path, CompletionItemKind::File, "list")).collect()
}
