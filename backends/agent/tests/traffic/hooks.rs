//! What each hook sees: every case under every hook alone, as a table, which must be the one in `docs/agent.md`.

use crate::cases::{CASES, Case, Sending, furnish};
use crate::counting::{POLICY, arrivals, count, destination};
use crate::scene::{SLOT, Scene, snapshot};
use egress_agent::kernel::{Endpoint, Point, TcKind};
use egress_snapshot::{Snapshot, meta};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, Instant};

/// The columns.
const HOOKS: [&str; 4] = ["cgroup", "pod's pair, tcx", "pod's pair, clsact", "uplink, tcx"];
/// What a pair of interfaces may still hold when the sender is done.
const SETTLE: Duration = Duration::from_millis(15);

/// By row and column.
type Table = BTreeMap<String, Vec<String>>;

#[test]
fn every_hook_sees_what_the_manual_says() {
    let Some(mut scene) = Scene::for_test("every_hook_sees_what_the_manual_says") else { return };
    furnish(&scene);
    count(&scene);
    let loaded = snapshot(1, POLICY);
    let mut table = Table::new();
    for hook in HOOKS {
        for (case, cell) in column(&scene, &loaded, hook) {
            table.entry(case.to_owned()).or_default().push(cell);
        }
        scene.start_over();
    }
    println!("{}", markdown(&table));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/agent.md");
    let manual = std::fs::read_to_string(&path).unwrap();
    assert!(manual.contains(&format!("| | {} |", HOOKS.join(" | "))), "{}: other columns", path.display());
    let manual = written(&manual);
    assert_eq!(manual, table, "left: {}; right: what the packets did\n{}", path.display(), markdown(&table));
}

/// One hook alone: what becomes of each case.
fn column(scene: &Scene, loaded: &Snapshot, hook: &str) -> Vec<(&'static str, String)> {
    let (point, kind) = match hook {
        "cgroup" => (scene.cgroup_point(), TcKind::Best),
        "uplink, tcx" => (Scene::uplink_point(), TcKind::Tcx),
        "pod's pair, tcx" => (Scene::pod_point(), TcKind::Tcx),
        _ => (Scene::pod_point(), TcKind::Clsact),
    };
    let make = |case: &'static Case| {
        let sendings =
            [false, true].map(|v6| [true, false].map(|allowed| (case.make)(scene, destination(v6, allowed))));
        (case.name, sendings)
    };
    let made: Vec<_> = CASES.iter().map(make).collect();
    scene.enforce(loaded, &[(SLOT, Endpoint::ByAddress)]);
    scene.attach(&point, SLOT, kind);
    let cells = made.into_iter().map(|(name, sendings)| {
        let families = sendings.map(|[allowed, denied]| {
            check_allowed(scene, allowed, &format!("{hook}: {name}"));
            observe(scene, loaded, denied, &format!("{hook}: {name}"))
        });
        let [v4, v6] = families;
        (name, if v4 == v6 { v4 } else { format!("IPv4 {v4}, IPv6 {v6}") })
    });
    let cells = cells.collect();
    detach(scene, &point);
    cells
}

fn detach(scene: &Scene, point: &Point) {
    scene.detach(point, SLOT);
    assert_eq!(scene.kernel.attached().unwrap(), []);
}

fn check_allowed(scene: &Scene, sending: Sending<'_>, at: &str) {
    let before = arrivals(scene);
    let told = sending();
    let arrived = soon(|| arrivals(scene).allowed > before.allowed);
    assert!(arrived, "{at}: what is allowed does not arrive: {told:?}");
    assert!(told.is_ok(), "{at}: what is allowed is refused: {told:?}");
}

/// Sends what is denied, and puts into words what became of it.
fn observe(scene: &Scene, loaded: &Snapshot, sending: Sending<'_>, at: &str) -> String {
    let (before, counted) = (arrivals(scene), counted(scene, loaded));
    let told = sending();
    let signs = || {
        let [denials, replies] = self::counted(scene, loaded);
        (arrivals(scene).denied > before.denied, denials > counted[0], replies > counted[1])
    };
    // It has arrived, or was stopped: then nothing more comes but what is on its way.
    let ended = soon(|| matches!(signs(), (true, ..) | (false, true, false)));
    std::thread::sleep(SETTLE);
    match signs() {
        (false, true, false) => format!("denied{}", words(&told)),
        (true, true, true) => "passes, as an answer".to_owned(),
        (true, false, false) => "missed".to_owned(),
        other => panic!("{at}: (arrived, seen, replied) is {other:?}, ended: {ended}; the sender was told {told:?}"),
    }
}

/// Whether something comes true within a while.
fn soon(mut is: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !is() {
        if start.elapsed() > Duration::from_secs(2) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

/// What the sender is told.
fn words(told: &io::Result<()>) -> &'static str {
    match told.as_ref().map_err(io::Error::kind) {
        Err(ErrorKind::PermissionDenied) => ", EPERM",
        Ok(()) => "",
        // A connection, which hears nothing.
        Err(ErrorKind::TimedOut | ErrorKind::WouldBlock) => "",
        Err(_) => panic!("{told:?}"),
    }
}

/// Packets that the written deny has stopped or would have, and answers that passed.
fn counted(scene: &Scene, loaded: &Snapshot) -> [u64; 2] {
    let counters = scene.active().counters().unwrap();
    let outcomes = loaded.meta.outcomes.iter().zip(&counters.outcomes);
    let denials = outcomes.filter(|(outcome, _)| outcome.verdict == meta::Verdict::Denied && !outcome.rules.is_empty());
    [denials.map(|(_, counter)| counter.packets).sum(), counters.replies.packets]
}

const TITLE: &str = "## What each hook sees";

fn markdown(table: &Table) -> String {
    let mut lines = vec![format!("| | {} |", HOOKS.join(" | ")), format!("|---{}|", "|---".repeat(HOOKS.len()))];
    for case in CASES {
        let cells = table.get(case.name).map(|cells| cells.join(" | ")).unwrap_or_default();
        lines.push(format!("| {} | {cells} |", case.name));
    }
    lines.join("\n")
}

/// The table of the manual, whose head begins with an empty cell.
fn written(manual: &str) -> Table {
    let section = manual.split(TITLE).nth(1).unwrap_or_else(|| panic!("there is no `{TITLE}`"));
    let section = section.split("\n## ").next().unwrap();
    let lines = section.lines().filter(|line| !line.starts_with("| | "));
    let rows = lines.filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let rows = rows.map(|row| row.split(" | ").map(str::to_owned).collect::<Vec<_>>());
    rows.map(|row| (row[0].clone(), row[1..].to_vec())).collect()
}
