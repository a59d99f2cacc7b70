//! Writes a program as one nftables file.
//!
//! In: program, inventory, options. Out: the [`Artifact`], or every reason why there is none. The stages: what cannot
//! be said ([`check`]), who sends ([`sources`]), which tables and chains there are ([`plan`]), and their text ([`text`]).

mod asking;
mod check;
mod groups;
mod intern;
mod levels;
mod lookup;
mod named;
mod outcome;
mod plan;
mod ports;
mod routes;
mod sources;
mod spread;
mod text;
mod tree;
mod words;

use super::model::Hook;
use super::options::Options;
use crate::gateways::Gateways;
use crate::names;
use crate::target::{Artifact, EmitError};
use egress_ir::{Inventory, Program};

/// Writes a program as a file for `nft -f`. The bytes are a function of the arguments alone.
///
/// # Errors
/// All that nftables cannot say: denies of names, gateways without an address of the family, pods without an inventory, nodes where only forwarded
/// packets are seen, options out of range.
pub fn emit(program: &Program, inventory: Option<&Inventory>, options: &Options) -> Result<Artifact, Vec<EmitError>> {
    let hooks = hooks(program, options);
    let gateways = Gateways::of(program, options.routing);
    let mut errors = check::refusals(program, inventory, options, &hooks);
    errors.extend(gateways.refusals(program, options.gateway_mask));
    errors.sort();
    errors.dedup();
    if !errors.is_empty() {
        return Err(errors);
    }
    let sources = sources::Sources::new(program, inventory);
    let errors = check::ambiguous_pods(&sources);
    if !errors.is_empty() {
        return Err(errors);
    }
    let names = names::names(program, inventory, &sources.clients(inventory)).unwrap_or_default();
    let hosts = names.hosts.iter().filter_map(|host| host.parse().ok()).collect();
    let plan = plan::plan(program, &sources, &gateways, hosts)?;
    let routes = routes::Routes::new(gateways.listed(program), options.gateway_mask).map_err(|error| vec![error])?;
    Ok(Artifact {
        file_name: "egress.nft",
        size: None,
        bytes: text::text(program, &plan, options, &hooks, &routes, &names).into_bytes(),
        notices: check::notices(program, inventory, &hooks),
    })
}

/// The hooks that were chosen, or those that fit: what a node forwards for its pods; on a plain host its own too.
fn hooks(program: &Program, options: &Options) -> Vec<Hook> {
    let mut hooks = options.hooks.clone();
    if hooks.is_empty() {
        hooks.push(Hook::Prerouting);
        if program.cluster.name.is_none() {
            hooks.push(Hook::Output);
        }
    }
    hooks.sort_unstable();
    hooks.dedup();
    hooks
}
