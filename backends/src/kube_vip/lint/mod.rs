//! Mistakes in manifests that people wrote for kube-vip: sixteen traps that can be seen before anything is applied.
//!
//! In: the text of one file, and an inventory if there is one. Out: [`Finding`]s, each with the bytes to blame, what
//! kube-vip will really do, and what to write instead; sorted by place. A file that cannot be read is one finding too
//! (`KV000`). How kube-vip is set up is taken from its own manifest where the file holds it; without it, a Service is in
//! iptables mode unless it asks for nftables.

mod lists;
mod service;
mod switches;

use super::annotations as name;
use super::decode;
use super::model::{Model, Service, Text};
use super::settings::Settings;
use crate::lint::{Finding, Level};
use egress_ir::Inventory;
use std::ops::Range;

/// Looks for mistakes in a file.
///
/// ```
/// let text = "apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {kube-vip.io/egress: 'true'}}\n\
///             spec: {type: LoadBalancer, selector: {app: a}}\n";
/// let codes: Vec<&str> = egress_backends::kube_vip::lint(text, None).iter().map(|finding| finding.code).collect();
/// assert!(codes.contains(&"KV002"));
/// ```
#[must_use]
pub fn lint(text: &str, inventory: Option<&Inventory>) -> Vec<Finding> {
    let model = match decode(text.as_bytes()) {
        Ok(model) => model,
        Err(error) => return error.problems.into_iter().map(unreadable).collect(),
    };
    let settings = model.daemons.first().map(Settings::of).unwrap_or_default();
    let mut work = Work { text, model: &model, inventory, settings, findings: Vec::new() };
    for service in &model.services {
        switches::egress(&mut work, service);
        if service.has_egress() {
            service::check(&mut work, service);
            lists::check(&mut work, service);
            switches::check(&mut work, service);
        }
    }
    service::shared_addresses(&mut work);
    service::shared_chain(&mut work);
    switches::environment(&mut work);
    let mut findings = work.findings;
    findings
        .sort_by(|one, two| (one.span.start, one.code, one.span.end).cmp(&(two.span.start, two.code, two.span.end)));
    findings
}

fn unreadable(problem: decode::Problem) -> Finding {
    Finding {
        code: "KV000",
        level: Level::Error,
        span: problem.span,
        object: problem.object,
        message: problem.message,
        happens: "the API server refuses the file, or nobody can say what it holds".to_owned(),
        fix: "mend the file; `kubectl apply --dry-run=server` says more".to_owned(),
    }
}

/// What is at hand while a file is looked at.
struct Work<'w> {
    text: &'w str,
    model: &'w Model,
    inventory: Option<&'w Inventory>,
    settings: Settings,
    findings: Vec<Finding>,
}

/// A mistake without its place.
struct Mistake<'m> {
    code: &'static str,
    level: Level,
    message: String,
    happens: &'m str,
    fix: &'m str,
}

impl Work<'_> {
    fn find(&mut self, service: &Service, span: Range<usize>, mistake: Mistake<'_>) {
        let Mistake { code, level, message, happens, fix } = mistake;
        let (object, happens, fix) = (service.object(), happens.to_owned(), fix.to_owned());
        self.findings.push(Finding { code, level, span, object, message, happens, fix });
    }

    /// Whether kube-vip enforces the Service by nftables.
    fn by_nftables(&self, service: &Service) -> bool {
        self.settings.nftables || !service.annotation(name::INTERNAL).is_empty()
    }

    /// The bytes of a part of a value. A value with escapes is blamed as a whole.
    fn part(&self, text: &Text, part: &Range<usize>) -> Range<usize> {
        let written = self.text.get(text.span.clone()).unwrap_or_default();
        match written.find(&text.value).filter(|_| !text.value.is_empty() && !part.is_empty()) {
            Some(offset) => text.span.start + offset + part.start..text.span.start + offset + part.end,
            None => text.span.clone(),
        }
    }
}

/// The words of an annotation without what all of them begin with, in back-ticks.
fn short(key: &str) -> String {
    format!("`{}`", key.strip_prefix("kube-vip.io/").unwrap_or(key))
}
