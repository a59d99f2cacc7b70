//! Signature-like help: the form of what is being written, and which part of it comes now.

use crate::syntax::touched;
use crate::syntax::words::{item_start, tokens};
use crate::view::View;
use egress_lang::TokenKind;
use egress_lang::ast::Item;
use egress_lang::span::Span;
use gen_lsp_types::{
    ActiveParameter, ParameterInformation, ParameterInformationLabel, SignatureHelp, SignatureInformation,
};

/// A form: its parts, each with the keyword that begins it; the first follows the opening word itself.
struct Form {
    opening: &'static str,
    parts: &'static [(&'static str, &'static str)],
    about: &'static str,
}

const FORMS: [Form; 8] = [
    Form {
        opening: "allow",
        parts: RULE,
        about: "Lets flows to these destinations pass, unless some `deny` matches too.",
    },
    Form {
        opening: "deny",
        parts: &[
            ("", "deny DESTINATIONS"),
            ("on", "on PORTS"),
            ("log", "log"),
            ("because", "because \"…\""),
            ("ticket", "ticket \"…\""),
            ("until", "until YYYY-MM-DD"),
        ],
        about: "Stops flows to these destinations, whoever allows them.",
    },
    Form { opening: "assert", parts: ASSERT, about: "Must be provable of every flow." },
    Form {
        opening: "workloads",
        parts: &[("", "workloads NAME"), ("=", "= SET"), ("except", "except SET")],
        about: "A named set of sources.",
    },
    Form {
        opening: "destinations",
        parts: &[("", "destinations NAME"), ("=", "= SET"), ("except", "except SET")],
        about: "A named set of destinations.",
    },
    Form {
        opening: "ports",
        parts: &[("", "ports NAME"), ("=", "= PORT/PROTOCOL, …")],
        about: "A named set of protocols and ports.",
    },
    Form { opening: "policy", parts: BLOCK, about: "Governs its workloads: what no policy allows them is denied." },
    Form { opening: "guardrail", parts: BLOCK, about: "Forbids, and does not put its workloads under default deny." },
];

const RULE: &[(&str, &str)] = &[
    ("", "allow DESTINATIONS"),
    ("on", "on PORTS"),
    ("via", "via GATEWAY"),
    ("log", "log"),
    ("because", "because \"…\""),
    ("ticket", "ticket \"…\""),
    ("until", "until YYYY-MM-DD"),
];

const ASSERT: &[(&str, &str)] = &[
    ("", "assert [only] WORKLOADS"),
    ("can", "can reach [only] DESTINATIONS"),
    ("cannot", "cannot reach DESTINATIONS"),
    ("via", "only via GATEWAY"),
    ("on", "on PORTS"),
    ("because", "because \"…\""),
];

const BLOCK: &[(&str, &str)] =
    &[("", "NAME {"), ("for", "for WORKLOADS"), ("owner", "owner \"…\""), ("mode", "mode audit"), ("allow", "RULES }")];

/// The form of the rule, assertion or declaration around a byte offset.
#[must_use]
pub fn help(view: &View<'_>, at: u32) -> Option<SignatureHelp> {
    let text = view.text();
    let start = start(view, at);
    let before = tokens(text, Span::new(start, at.max(start)));
    let is_opening = |word: &str| FORMS.iter().any(|form| form.opening == word);
    let words: Vec<&str> = before.iter().filter(|it| it.kind != TokenKind::Text).map(|it| it.span.text(text)).collect();
    let opened = words.iter().rposition(|word| is_opening(word) || word == &"}")?;
    let form = FORMS.iter().find(|form| Some(&form.opening) == words.get(opened))?;
    let keywords = words.iter().skip(opened + 1);
    let part = |word: &&str| form.parts.iter().position(|(keyword, _)| keyword == word);
    let active = keywords.filter_map(part).next_back().unwrap_or(0);
    Some(shown(form, active))
}

/// Where the rule or declaration starts that an offset is in, or comes after.
fn start(view: &View<'_>, at: u32) -> u32 {
    let file = &view.file.parse.file;
    let item = item_start(file, at);
    let block = touched(&file.items, at, Item::span).and_then(|item| match item {
        Item::Policy(it) | Item::Guardrail(it) => {
            it.rules.iter().map(|rule| rule.span.start).rfind(|start| *start <= at)
        }
        Item::Control(it) => it.asserts.iter().map(|assert| assert.span.start).rfind(|start| *start <= at),
        _ => None,
    });
    block.unwrap_or(item)
}

fn shown(form: &Form, active: usize) -> SignatureHelp {
    let label: Vec<&str> = form.parts.iter().map(|(_, part)| *part).collect();
    let parameter = |(_, part): &(&str, &str)| ParameterInformation {
        label: ParameterInformationLabel::String((*part).to_owned()),
        documentation: None,
    };
    let opening =
        if form.parts.first().is_some_and(|(_, part)| part.contains(form.opening)) { "" } else { form.opening };
    let active = u32::try_from(active).unwrap_or_default();
    SignatureHelp {
        signatures: vec![SignatureInformation {
            label: format!("{opening} {}", label.join(" ")).trim_start().to_owned(),
            documentation: Some(form.about.to_owned().into()),
            parameters: Some(form.parts.iter().map(parameter).collect()),
            active_parameter: Some(ActiveParameter::from(active)),
        }],
        active_signature: Some(0),
        active_parameter: Some(ActiveParameter::from(active)),
    }
}
