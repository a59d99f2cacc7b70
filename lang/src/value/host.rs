//! Host names and patterns: `api.example.com`, `*.example.com`, `**.example.com`.

use super::{Fault, HostPattern, Wildcard};

/// Reads a host name or pattern and normalises it (IDNA, UTS 46, RFC 1035 lengths).
/// Underscores are let through, as DNS names of services have them.
///
/// # Errors
/// A wildcard elsewhere than in front, an empty or overlong label, an address.
pub fn host(text: &str) -> Result<HostPattern, Fault> {
    let fault = |help| Fault::Host { text: text.to_owned(), help };
    let (wildcard, name) = split_wildcard(text);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.contains('*') || (wildcard != Wildcard::None && name.is_empty()) {
        return Err(fault(WILDCARD_HELP));
    }
    if name.parse::<std::net::IpAddr>().is_ok() || name.contains(['/', ':']) {
        return Err(fault("an address or prefix is written without `host`, and a URL is not a name"));
    }
    let Ok(ascii) = idna::domain_to_ascii(name) else {
        return Err(fault("the name is not valid under IDNA (UTS 46)"));
    };
    match label_help(&ascii) {
        Some(help) => Err(fault(help)),
        None => Ok(HostPattern { wildcard, name: ascii }),
    }
}

const WILDCARD_HELP: &str = "`*` (one label) and `**` (one or more) stand only as the leftmost label, \
     in front of a name: `*.example.com`";

fn split_wildcard(text: &str) -> (Wildcard, &str) {
    match text.split_once('.') {
        Some(("*", rest)) => (Wildcard::One, rest),
        Some(("**", rest)) => (Wildcard::Many, rest),
        _ => (Wildcard::None, text),
    }
}

fn label_help(ascii: &str) -> Option<&'static str> {
    if ascii.len() > 253 {
        return Some("a name is at most 253 characters long");
    }
    if ascii.rsplit('.').next().is_some_and(|last| !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())) {
        return Some("the last label of a name is not a number; an address is written without `host`");
    }
    ascii.split('.').find_map(|label| {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if label.is_empty() {
            Some("a label between two dots is empty")
        } else if label.len() > 63 {
            Some("a label is at most 63 characters long")
        } else if !label.bytes().all(good) || label.starts_with('-') || label.ends_with('-') {
            Some("labels are letters, digits, `_` and inner `-`")
        } else {
            None
        }
    })
}
