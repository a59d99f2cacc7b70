//! Text for snapshots: diagnostics with lines and quoted spans, programs with every set written out.

use egress_compiler::{Compiled, Diagnostic, Label};
use egress_ir::*;
use std::fmt::Write;

/// Every diagnostic of a unit, then its lists.
pub(crate) fn compiled(compiled: &Compiled) -> String {
    let mut text = String::new();
    for diagnostic in &compiled.diagnostics {
        write_diagnostic(&mut text, compiled, diagnostic);
    }
    for list in &compiled.lists {
        writeln!(text, "list {}: {} entries, sha256 {}", list.path, list.entries, list.sha256).expect("to a string");
    }
    text
}

fn write_diagnostic(text: &mut String, compiled: &Compiled, diagnostic: &Diagnostic) {
    let severity = format!("{:?}", diagnostic.severity).to_lowercase();
    writeln!(text, "{severity} {}: {}", diagnostic.code, diagnostic.message).expect("to a string");
    for Label { source, span, text: words, primary } in &diagnostic.labels {
        let source = compiled.sources.at(*source);
        let quoted = span.text(&source.text);
        let mark = if *primary { "-->" } else { "   " };
        let line = source.line(span.start);
        writeln!(text, "  {mark} {}:{line} `{quoted}` {words}", source.path).expect("to a string");
    }
    diagnostic.notes.iter().for_each(|note| writeln!(text, "    = {note}").expect("to a string"));
    diagnostic.help.iter().for_each(|help| writeln!(text, "  help: {help}").expect("to a string"));
    text.push('\n');
}

/// A program, its sets written out where they are used.
pub(crate) fn program(program: &Program) -> String {
    let mut text = format!("inside {}\n", addresses(&program.cluster.inside));
    for gateway in program.gateways.values() {
        writeln!(text, "gateway {} {:?} {:?}", gateway.name, gateway.nodes, gateway.addresses).expect("to a string");
    }
    for block in program.blocks.values() {
        let audit = if block.audit { " audit" } else { "" };
        writeln!(text, "{:?} {}{audit} for {:?}", block.kind, block.name, program.workloads_of(block))
            .expect("to a string");
        for &rule in &block.rules {
            write_rule(&mut text, program, rule);
        }
    }
    for assertion in program.assertions.values() {
        let origin = program.origins.entries.at(assertion.origin);
        let (destinations, ports) = (assertion.destinations, assertion.ports);
        let sets = format!("{} on {}", destination(program, destinations), port_set(program, ports));
        let workloads = program.workload_sets.at(assertion.workloads);
        writeln!(text, "{}: {:?} {:?} {sets}", origin.name, assertion.claim, workloads).expect("to a string");
    }
    text
}

fn write_rule(text: &mut String, program: &Program, id: RuleId) {
    let rule = program.rules.at(id);
    let origin = program.origins.entries.at(rule.origin);
    let sets = format!("{} on {}", destination(program, rule.destinations), port_set(program, rule.ports));
    let gateway = rule.gateway.map(|id| format!(" via {}", program.gateways.at(id).name)).unwrap_or_default();
    let log = if rule.log { " log" } else { "" };
    writeln!(text, "  {} line {}: {:?} {sets}{gateway}{log}", origin.name, origin.line, rule.action)
        .expect("to a string");
    let said = [("owner", &origin.owner), ("because", &origin.because), ("ticket", &origin.ticket)];
    for (what, said) in said {
        said.iter().for_each(|said| writeln!(text, "    {what} {said}").expect("to a string"));
    }
    origin.until.iter().for_each(|day| writeln!(text, "    until {day}").expect("to a string"));
}

fn destination(program: &Program, id: DestinationSetId) -> String {
    let set = program.destination_sets.at(id);
    let hosts = set.hosts.iter().map(|host| format!("host {host}"));
    let all: Vec<String> = std::iter::once(addresses(&set.addresses)).chain(hosts).collect();
    all.join(" ")
}

fn addresses(set: &AddressSet) -> String {
    let ranges = set.ranges().map(|(first, last)| format!("{first}-{last}"));
    format!("[{}]", ranges.collect::<Vec<_>>().join(" "))
}

fn port_set(program: &Program, id: PortSetId) -> String {
    let set = program.port_sets.at(id);
    if set.is_any() {
        return "any".to_owned();
    }
    let ranges = set.per_protocol().map(|(protocol, first, last)| format!("{protocol}:{first}-{last}"));
    ranges.collect::<Vec<_>>().join(",")
}
