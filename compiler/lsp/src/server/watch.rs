//! Files that change on the disk.
//!
//! A client that can is asked to tell of policies, lists and inventories; for others the disk is looked at now and then.

use super::Server;
use serde_json::json;
use std::collections::BTreeSet;

impl Server {
    /// Asks the client to watch policies, and whatever else is known to matter.
    pub(super) fn watch(&mut self) {
        if !self.state.client.watches {
            return;
        }
        let others = self.state.units.values().flat_map(|known| known.others.keys().cloned());
        let wanted: BTreeSet<String> = others.chain(["**/*.egress".to_owned()]).collect();
        if wanted == self.watched {
            return;
        }
        if !self.watched.is_empty() {
            let old =
                json!({ "unregisterations": [{ "id": "egress-watch", "method": "workspace/didChangeWatchedFiles" }] });
            self.ask("client/unregisterCapability", old);
        }
        let watchers: Vec<_> = wanted.iter().map(|pattern| json!({ "globPattern": pattern })).collect();
        let registration = json!({
            "id": "egress-watch",
            "method": "workspace/didChangeWatchedFiles",
            "registerOptions": { "watchers": watchers },
        });
        self.ask("client/registerCapability", json!({ "registrations": [registration] }));
        self.watched = wanted;
    }

    /// Notes which lists a unit reads.
    pub(super) fn watch_lists(&mut self, key: &str) {
        let Some(known) = self.state.units.get_mut(key) else { return };
        let Some(unit) = known.unit().cloned() else { return };
        let world = &self.state.world;
        for path in unit.list_paths() {
            known.others.entry(path).or_insert_with_key(|path| world.stamp(path));
        }
        self.watch();
    }
}
