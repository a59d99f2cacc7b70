//! Writes a program as one snapshot.
//!
//! In: program, inventory, options. Out: the [`Artifact`], or every reason why there is none. The stages: what cannot be
//! said ([`check`]), who sends ([`sources`]), which ports and destinations rules tell apart ([`ports`], [`profiles`],
//! [`destinations`]), the tables' bytes ([`tables`], [`tree`], [`matrix`]), what people read ([`meta`]), and flows to ask
//! the kernel for ([`vectors`]).

mod check;
mod destinations;
mod intern;
mod matrix;
mod meta;
mod names;
mod outcomes;
mod ports;
mod profiles;
mod sources;
mod tables;
mod tree;
mod vectors;

use super::options::Options;
use crate::gateways::Gateways;
use crate::target::{Artifact, EmitError};
use check::TooLarge;
use destinations::Destinations;
use egress_ir::{DestinationSetId, Id, Inventory, PortSet, PortSetId, Program, RuleId};
use egress_snapshot::{Meta, file};
use intern::place;
use ports::Ports;
use profiles::Profiles;
use sources::{Sources, UNKNOWN};
use std::collections::{BTreeMap, BTreeSet};
use tables::Built;
use vectors::{Choice, Vectors};

/// Writes a program as a snapshot, unsigned. The bytes are a function of the arguments alone.
///
/// # Errors
/// All that a snapshot cannot say: denies of names, gateways without an address for flows that rules send through them, two
/// pods with one address, and dimensions that explode.
pub fn emit(program: &Program, inventory: Option<&Inventory>, options: &Options) -> Result<Artifact, Vec<EmitError>> {
    let gateways = Gateways::of(program, options.routing);
    let errors = check::refusals(program, gateways.refusals(program, options.gateway_mask));
    if !errors.is_empty() {
        return Err(errors);
    }
    let too_large = |what: TooLarge| vec![what.error()];
    let sources = Sources::new(program, inventory, options.limits.combinations).map_err(too_large)?;
    let errors = check::ambiguous_pods(&sources);
    if !errors.is_empty() {
        return Err(errors);
    }
    let (built, meta, missed) =
        parts(program, (inventory, &sources), &gateways, options).map_err(|error| vec![error])?;
    let mut notices = check::notices(program, inventory, &built);
    notices.extend(check::untested(missed));
    notices.sort();
    let bytes = file::write(&meta, &built.bytes, None).map_err(|error| vec![defect(&error.to_string())])?;
    Ok(Artifact { file_name: "egress.egb", size: Some(check::size(&built)), bytes, notices })
}

/// Tables and meta part, and what no test vector reaches.
fn parts(
    program: &Program,
    (inventory, sources): (Option<&Inventory>, &Sources<'_>),
    gateways: &Gateways,
    options: &Options,
) -> Result<(Built, Meta, [usize; 3]), EmitError> {
    let live = Live::of(program);
    let ports = Ports::new(&live.port_sets).ok_or(TooLarge::Ports).map_err(TooLarge::error)?;
    let cells = options.limits.cells;
    let mut profiles = Profiles::new((program, gateways), &ports, &live.set_of, cells);
    let destinations = Destinations::new(program, sources, &live.by_destinations, &mut profiles, cells);
    let destinations = destinations.map_err(TooLarge::error)?;
    let default_row = place(destinations.matrix.rows.len()).saturating_sub(1);
    let row_of = |row: u32| match row {
        UNKNOWN => default_row,
        row => destinations.row_of.get(row as usize).copied().unwrap_or(default_row),
    };
    let source_lines = sources.lines.each_ref().map(|line| mapped(line, row_of));
    let built = tables::build(&source_lines, &destinations, &ports, &profiles, options).map_err(TooLarge::error)?;
    let mut meta = meta::meta(program, sources, &profiles.outcomes, row_of, options);
    meta.gateways = gateways.listed(program);
    names::say(&mut meta, program, inventory, sources, &profiles.names);
    let choice =
        Choice { program, gateways, sources, destinations: &destinations, ports: &ports, profiles: &profiles, options };
    let Vectors { vectors, missed, defect: found } = vectors::vectors(&choice);
    if let Some(flow) = found {
        return Err(defect(&format!("no outcome is that of {flow}")));
    }
    meta.vectors = vectors;
    Ok((built, meta, missed))
}

/// A mistake of this program, found by itself before anything was handed out.
fn defect(what: &str) -> EmitError {
    EmitError {
        code: "egress::internal::artifact",
        origin: None,
        message: format!("the snapshot that was made does not hold together: {what}"),
        help: "this is a defect of the compiler; nothing was written".to_owned(),
    }
}

/// The rules that some packet may match, and what they name.
struct Live<'p> {
    port_sets: Vec<&'p PortSet>,
    /// The place of each rule's port set.
    set_of: Vec<Option<u32>>,
    by_destinations: BTreeMap<DestinationSetId, Vec<RuleId>>,
}

impl<'p> Live<'p> {
    fn of(program: &'p Program) -> Self {
        let mut port_ids: BTreeSet<PortSetId> = BTreeSet::new();
        let mut by_destinations: BTreeMap<DestinationSetId, Vec<RuleId>> = BTreeMap::new();
        for (id, rule) in program.rules.iter() {
            let set = program.destination_sets.at(rule.destinations);
            let is_empty = set.addresses.is_empty() && set.hosts.is_empty();
            if !is_empty && !program.port_sets.at(rule.ports).is_empty() {
                port_ids.insert(rule.ports);
                by_destinations.entry(rule.destinations).or_default().push(id);
            }
        }
        let port_ids: Vec<PortSetId> = port_ids.into_iter().collect();
        let mut set_of = vec![None; program.rules.len()];
        for rule in by_destinations.values().flatten() {
            let found = port_ids.binary_search(&program.rules.at(*rule).ports).ok().map(place);
            set_of.get_mut(rule.index()).into_iter().for_each(|set| *set = found);
        }
        let port_sets = port_ids.iter().map(|id| program.port_sets.at(*id)).collect();
        Self { port_sets, set_of, by_destinations }
    }
}

/// A line with other values, neighbours of one value joined.
fn mapped(line: &[(u128, u32)], value: impl Fn(u32) -> u32) -> Vec<(u128, u32)> {
    let mut mapped: Vec<(u128, u32)> = Vec::with_capacity(line.len());
    for (start, value) in line.iter().map(|(start, known)| (*start, value(*known))) {
        if mapped.last().is_none_or(|before| before.1 != value) {
            mapped.push((start, value));
        }
    }
    mapped
}
