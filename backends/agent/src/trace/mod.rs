//! `egress-agent trace`: asks the program in the kernel what would become of a flow. Nothing is counted or recorded.
//!
//! In: `FROM to ADDRESS:PORT/PROTO`. Out: whether it passes, and the rules that decide. The verdict is the kernel's; only
//! its meaning comes from the state folder. Connections from outside are not looked at: a reply may pass all the same.

mod flow;

use crate::arguments::Folders;
use crate::failure::{Failure, Outcome};
use crate::generations::{self, Loaded};
use crate::state::State;
use crate::terminal;
use crate::words;
use egress_agent::kernel::{Answer, Found, Hook};
use egress_agent::packet::{Flow, ethertype, of_flow};
use egress_snapshot::meta::Verdict;
use egress_snapshot::{Meta, Snapshot, show};
use flow::{Asked, Sender};
use serde_json::{Value, json};

/// The options of `trace`.
#[derive(Debug, clap::Args)]
pub(crate) struct Trace {
    /// The flow: `FROM to ADDRESS:PORT/PROTO`
    ///
    /// FROM is an attach point (the path of a cgroup, the name of an interface), a source address, `namespace/name` of a
    /// pod that the snapshot lists, or `row N`. The rest is such as `1.2.3.4:443/tcp`, `[2001:db8::1]:53/udp`,
    /// `1.2.3.4 icmp/8` or `1.2.3.4 protocol/47`.
    #[arg(value_name = "FLOW", required = true, num_args = 1..)]
    flow: Vec<String>,

    /// Ask about a fragment that is not the first
    #[arg(long)]
    fragment: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    folders: Folders,
}

/// Asks.
pub(crate) fn run(options: &Trace) -> Result<Outcome, Failure> {
    let text = options.flow.join(" ");
    let asked = flow::parse(&text)?;
    let state = State::at(&options.folders.state);
    let kernel = generations::look(&options.folders.bpffs)?;
    let active = generations::active(&kernel, &state)?;
    let sender = flow::sender(&asked, &active, &state)?;
    let answer = ask(options, &asked, &sender, &active)?;
    let snapshot = active.known()?;
    let names = names(snapshot, &asked, &sender, options.fragment);
    let said = if options.json {
        let json = serde_json::to_string_pretty(&as_json(&snapshot.meta, &asked, &sender, (answer, &names)));
        json.map_err(|error| Failure::new(format!("the answer cannot be written: {error}")))? + "\n"
    } else {
        as_text(&snapshot.meta, &text, &sender, (answer, &names))
    };
    terminal::print(said.as_bytes())?;
    Ok(Outcome::Done)
}

/// The answer of the programs of both hooks, which must be one; where it is that a packet leaves through a gateway, a cgroup's
/// hook stops it, because it comes too late to say so.
fn ask(options: &Trace, asked: &Asked, sender: &Sender, active: &Loaded) -> Result<Answer, Failure> {
    let Asked { destination, protocol, number, .. } = *asked;
    let packet = of_flow(&Flow { source: sender.source, destination, protocol, number, fragment: options.fragment });
    let [cgroup, tc] = Hook::BOTH.map(|hook| active.generation.run(hook, sender.row, ethertype(destination), &packet));
    let (cgroup, tc) = (cgroup?, tc?);
    let mask = active.generation.layout().gateway_mask;
    let is_late = tc.passes && !cgroup.passes && tc.mark & mask != 0;
    if cgroup.found == tc.found && (cgroup.passes == tc.passes || is_late) {
        return Ok(tc);
    }
    let message = format!("the kernel programs disagree: {cgroup:?} at cgroups and {tc:?} at interfaces");
    Err(Failure::found(message).help("this is a fault of the agent; please report it"))
}

/// The patterns on which it depends what happens, whatever the sender has learned so far.
fn names<'s>(snapshot: &'s Snapshot, asked: &Asked, sender: &Sender, fragment: bool) -> Vec<&'s str> {
    let flow = (sender.row, asked.destination, asked.protocol, asked.number, fragment);
    let outcome = snapshot.meta.outcomes.get(snapshot.tables.asked(flow) as usize);
    let sets = outcome.and_then(|outcome| outcome.by_name.as_ref()).map_or(&[][..], |by_name| &by_name.sets);
    sets.iter().filter_map(|set| snapshot.meta.hosts_of(*set)).flatten().collect()
}

fn as_text(meta: &Meta, asked: &str, sender: &Sender, (answer, names): (Answer, &[&str])) -> String {
    let does = if answer.passes { "passes" } else { "is denied" };
    let mut text = format!("{asked}: {does}\n");
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<12}{value}\n"));
    line("generation", &meta.generation.to_string());
    line("sender", &format!("{}, row {}", sender.text, sender.row));
    match answer.found {
        Found::Malformed => line("because", "no sound packet says this"),
        Found::Exempt => line("because", "it is neighbour discovery, which no rule judges"),
        Found::Outcome(id) => {
            let Some(outcome) = meta.outcomes.get(id as usize) else { return text };
            line("verdict", &format!("{}, outcome {id}", show::way(meta, outcome.verdict)));
            if !names.is_empty() {
                line("names", &format!("it depends on whether the sender learned the address by {}", names.join(", ")));
            }
            if matches!(outcome.verdict, Verdict::Via(_)) {
                line("note", "denied where it is only seen at a cgroup or an uplink: too late for a gateway");
            }
            words::rules(meta, outcome).for_each(|rule| line("rule", &words::rule(rule)));
            if let Some(audit) = outcome.audit {
                line("audit", &format!("would be {} if audit blocks were enforced", show::way(meta, audit)));
            }
        }
    }
    text
}

fn as_json(meta: &Meta, asked: &Asked, sender: &Sender, (answer, names): (Answer, &[&str])) -> Value {
    let (found, outcome) = match answer.found {
        Found::Malformed => ("malformed", None),
        Found::Exempt => ("exempt", None),
        Found::Outcome(id) => ("outcome", Some(id)),
    };
    let meaning = outcome.and_then(|id| meta.outcomes.get(id as usize));
    let rules: Vec<Value> = meaning.map_or_else(Vec::new, |outcome| {
        words::rules(meta, outcome).map(|rule| serde_json::to_value(rule).unwrap_or_default()).collect()
    });
    json!({
        "passes": answer.passes,
        "found": found,
        "outcome": outcome,
        "verdict": meaning.map(|outcome| outcome.verdict),
        "audit": meaning.and_then(|outcome| outcome.audit),
        "rules": rules,
        "names": names,
        "generation": meta.generation,
        "row": sender.row,
        "sender": sender.text,
        "source": sender.source,
        "destination": asked.destination,
        "protocol": asked.protocol,
        "number": asked.number,
    })
}
