//! What a file says about gateways: the lines of its header, the marks, and the table that rewrites source addresses.
//!
//! In: the gateways that rules name, numbered, and the mask. Out: [`Routes`]. The table's text is that of
//! [`egress_snapshot::gateway`], which the agent loads for snapshots too.

use super::words::{push, quotable};
use crate::target::EmitError;
use egress_snapshot::gateway::{Gateway, Gateways, TABLE, route_table, table};

/// Gateways as text; all empty where no rule names one.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// The bits of the mark and what they hold, by number; the bits are 0 where there is no gateway.
    pub(super) mask: u32,
    pub(super) marks: Vec<(u32, u32)>,
    /// Comment lines for the header.
    pub(super) header: String,
    /// The commands that load the table.
    pub(super) table: String,
}

impl Routes {
    /// The text for these gateways.
    ///
    /// # Errors
    /// Gateways that nodes cannot tell apart, or whose names are too long.
    pub(super) fn new(gateways: Vec<Gateway>, mask: u32) -> Result<Self, EmitError> {
        if gateways.is_empty() {
            return Ok(Self::default());
        }
        let refuse = |error: egress_snapshot::gateway::GatewayError| EmitError {
            code: "egress::target::gateway",
            origin: None,
            message: error.to_string(),
            help: "give gateways short names and addresses of their own".to_owned(),
        };
        let marks = gateways.iter().filter_map(|one| Some((one.number, one.mark(mask)?))).collect();
        let table = table(&gateways, mask).map_err(refuse)?;
        let all = Gateways { mask, gateways };
        Ok(Self { mask, marks, header: header(&all, &all.line().map_err(refuse)?), table })
    }
}

/// What the nodes need beside this file, for people and for the agent.
fn header(all: &Gateways, line: &str) -> String {
    let mut text = format!(
        "{line}\n\
         # Flows through these gateways are marked here and leave by table inet {TABLE} below. What they need besides is\n\
         # kept up by `egress-agent gateway`; by hand it is, on every node that does not have the address:\n"
    );
    for gateway in &all.gateways {
        describe(&mut text, gateway, all.mask);
    }
    text
}

fn describe(text: &mut String, gateway: &Gateway, mask: u32) {
    let mark = gateway.mark(mask).unwrap_or(0);
    let addresses: Vec<String> = [false, true]
        .into_iter()
        .filter_map(|v6| gateway.address(v6))
        .map(|one| format!("{}{}", one.address, if one.managed { " (managed)" } else { "" }))
        .collect();
    let held = match &gateway.nodes {
        Some(nodes) => format!("held by one node of `{}`", quotable(nodes, usize::MAX)),
        None => "held by every node".to_owned(),
    };
    push(
        text,
        format_args!(
            "# {}: mark {mark:#010x}/{mask:#010x}, {}, {held}\n",
            quotable(&gateway.name, usize::MAX),
            addresses.join(", ")
        ),
    );
    let Some(_) = &gateway.nodes else { return };
    let table = route_table(gateway.number);
    for (v6, ip) in [(false, "ip"), (true, "ip -6")] {
        if let Some(one) = gateway.address(v6) {
            push(
                text,
                format_args!(
                    "#   {ip} rule add fwmark {mark:#010x}/{mask:#010x} lookup {table}\n\
                     #   {ip} route add default via {} dev LAN onlink table {table}\n\
                     #   {ip} route add unreachable default metric 4278198272 table {table}\n",
                    one.address
                ),
            );
        }
    }
}
