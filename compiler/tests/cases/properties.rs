//! What holds for every unit and inventory: order never matters, and what was printed is read back.

use egress_compiler::{Compiled, Input, MemoryFiles, Options, SourceText, compile, inventory};
use egress_ir::{Decision, Inventory, Program, RuleId, Verdict, eval};
use egress_testkit::flows::{Sources, biased_flow};
use egress_testkit::kubernetes::to_json;
use egress_testkit::policies::{PolicyShape, generate};
use egress_testkit::programs::{Shape, random_inventory, random_program};
use egress_testkit::seed::{Rng, cases, seed};

fn compiled(sources: Vec<SourceText>) -> Compiled {
    let compiled = compile(Input { sources, root: ".".to_owned() }, &MemoryFiles::default(), &Options::default());
    assert!(!compiled.has_errors(), "{:#?}", compiled.diagnostics);
    compiled
}

fn source(path: String, text: &str) -> SourceText {
    SourceText { path, bytes: text.as_bytes().to_vec() }
}

/// The declarations of a generated policy: its parts that begin at the start of a line.
fn declarations(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in text.lines() {
        let starts = line.starts_with(|c: char| c.is_ascii_lowercase());
        match all.last_mut() {
            Some(last) if !starts => last.extend([line, "\n"]),
            _ if starts => all.push(format!("{line}\n")),
            _ => {}
        }
    }
    all
}

/// The same declarations in another order, spread over some files.
fn scattered(rng: &mut Rng, mut declarations: Vec<String>) -> Vec<SourceText> {
    let mut files = vec![String::new(); 4];
    while !declarations.is_empty() {
        let last = u64::try_from(declarations.len() - 1).expect("a small number");
        let at = usize::try_from(rng.between(0, last)).expect("a small number");
        let file = usize::try_from(rng.between(0, 3)).expect("a small number");
        files[file].push_str(&declarations.swap_remove(at));
    }
    files.iter().enumerate().map(|(n, text)| source(format!("{}.egress", 9 - n), text)).collect()
}

/// A decision in words that do not depend on the order of anything.
fn words(program: &Program, decision: &Decision) -> (String, Vec<String>) {
    let verdict = match &decision.verdict {
        Verdict::Allowed(Some(gateway)) => format!("via {}", program.gateways.at(*gateway).name),
        Verdict::Conflict(gateways) => {
            let mut names: Vec<&str> = gateways.iter().map(|id| program.gateways.at(*id).name.as_str()).collect();
            names.sort_unstable();
            format!("conflict {}", names.join(" "))
        }
        other => format!("{other:?}"),
    };
    let mut rules: Vec<String> = decision.rules.iter().map(|id: &RuleId| program.rule_name(*id).to_owned()).collect();
    rules.sort_unstable();
    (verdict, rules)
}

#[test]
fn order_of_files_and_declarations_never_matters() {
    let (mut judged, mut decided) = (0_u64, 0);
    for case in 0..cases(2000).div_ceil(200) {
        let mut rng = Rng::new(seed(), case);
        let shape = PolicyShape { hosts: true, gateways: 3, address_workloads: true, ..PolicyShape::of(120) };
        let text = generate(seed() ^ case, &shape);
        let plain = compiled(vec![source("a.egress".to_owned(), &text)]).program.expect("a meaning");
        let parts = declarations(&text);
        let count = parts.len();
        let other = compiled(scattered(&mut rng, parts));
        assert_eq!(other.declarations.len(), compiled(vec![source("a.egress".to_owned(), &text)]).declarations.len());
        let other = other.program.expect("a meaning");
        assert!(count > 20, "only {count} declarations");
        for _ in 0..200 {
            let flow = biased_flow(&mut rng, &plain, Sources::Anyone);
            let (one, two) = (eval(&plain, &flow), eval(&other, &flow));
            assert_eq!(words(&plain, &one), words(&other, &two), "{flow}");
            judged += 1;
            decided += u64::from(!one.rules.is_empty());
        }
    }
    assert!(judged > 0 && decided * 20 > judged, "of {judged} flows only {decided} met a rule");
}

#[test]
fn an_inventory_is_read_as_it_was_printed() {
    let mut pods = 0;
    for case in 0..cases(2000).div_ceil(10) {
        let mut rng = Rng::new(seed(), case);
        let program = random_program(&mut rng, &Shape::everything());
        let mut printed: Inventory = random_inventory(&mut rng, &program);
        let read = inventory::read(to_json(&printed).as_bytes()).unwrap_or_else(|errors| panic!("{errors:?}"));
        for pod in &mut printed.pods {
            pod.addresses.sort_unstable();
            if pod.host_network {
                pod.addresses.clear();
            }
        }
        pods += read.pods.len();
        assert_eq!(read, printed);
    }
    assert!(pods > 0, "no inventory had a pod");
}
