//! Names, comments and prefixes as nft takes them.
//!
//! Every identifier has a prefix, because nft reserves words; none is longer than 255 bytes, no comment longer than
//! 127 and no log prefix longer than 126, one byte below what nft 1.0.6 and the kernel take.

use egress_ir::Origin;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest name that nft and the kernel take, in bytes.
pub(super) const LONGEST_NAME: usize = 255;

/// A rule's or block's name as part of an identifier; different names stay different.
///
/// Letters, digits and `-` stand for themselves, `#` becomes `.`, and any other byte `_` and two hex digits.
pub(super) fn identifier(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => written.push(char::from(byte)),
            b'#' => written.push('.'),
            _ => push(&mut written, format_args!("_{byte:02x}")),
        }
    }
    written
}

/// Appends formatted text; writing to a string cannot fail.
pub(super) fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let written = text.write_fmt(arguments);
    debug_assert!(written.is_ok());
}

/// Text that may stand between double quotes, at most `longest` bytes.
///
/// nft has no escapes within quotes, reads `$` as a variable and a final `*` as a wildcard.
pub(super) fn quotable(text: &str, longest: usize) -> String {
    let harmless = text.chars().map(|c| match c {
        '"' => '\'',
        '\\' => '/',
        '$' | '*' => '_',
        c if c.is_control() => ' ',
        c => c,
    });
    let mut cut = String::with_capacity(text.len().min(longest));
    for c in harmless {
        if cut.len() + c.len_utf8() > longest {
            break;
        }
        cut.push(c);
    }
    cut
}

/// Who wants a rule, as a comment of at most 127 bytes; nothing when nobody said. Reasons are in the policy: nft
/// takes as long to read a long comment as a rule.
pub(super) fn comment(rule: &Origin, block: &Origin) -> Option<String> {
    let owner = rule.owner.as_ref().or(block.owner.as_ref());
    let parts = [
        owner.map(|owner| format!("owner {owner}")),
        rule.ticket.as_ref().map(|ticket| format!("ticket {ticket}")),
        rule.until.map(|until| format!("until {until}")),
    ];
    let said: Vec<String> = parts.into_iter().flatten().collect();
    (!said.is_empty()).then(|| quotable(&said.join("; "), 127))
}

/// The prefix of a log line, at most 126 bytes, with a final space.
pub(super) fn log_prefix(text: &str) -> String {
    quotable(text, 125) + " "
}

/// An address, prefix or range of IPv4.
pub(super) fn push_v4(text: &mut String, start: u32, end: u32) {
    push(text, format_args!("{}", Ipv4Addr::from_bits(start)));
    let size = end - start;
    if size == 0 {
        return;
    }
    // A range is a prefix when its size is a power of two and its start is aligned.
    if size & size.wrapping_add(1) == 0 && start & size == 0 {
        push(text, format_args!("/{}", size.leading_zeros()));
    } else {
        push(text, format_args!("-{}", Ipv4Addr::from_bits(end)));
    }
}

/// An address, prefix or range of IPv6, in pure hex.
pub(super) fn push_v6(text: &mut String, start: u128, end: u128) {
    push_hex(text, start);
    let size = end - start;
    if size == 0 {
        return;
    }
    if size & size.wrapping_add(1) == 0 && start & size == 0 {
        push(text, format_args!("/{}", size.leading_zeros()));
    } else {
        text.push('-');
        push_hex(text, end);
    }
}

/// As RFC 5952 writes it, but never with a dotted IPv4 part, which nft 1.0.6 misreads.
fn push_hex(text: &mut String, bits: u128) {
    let address = Ipv6Addr::from_bits(bits);
    let usual = address.to_string();
    if usual.contains('.') {
        let groups: Vec<String> = address.segments().iter().map(|group| format!("{group:x}")).collect();
        text.push_str(&groups.join(":"));
    } else {
        text.push_str(&usual);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_stay_different() {
        let names = ["shop#2", "shop-2", "shop_2", "shop.2", "shop 2", "shöp#2"];
        let written = names.map(identifier);
        assert_eq!(written, ["shop.2", "shop-2", "shop_5f2", "shop_2e2", "shop_202", "sh_c3_b6p.2"]);
    }

    #[test]
    fn quoted_text_cannot_leave_its_quotes() {
        assert_eq!(quotable("a \"b\" $c \\ d\n*", 100), "a 'b' _c / d _");
        assert_eq!(quotable("ééé", 5), "éé");
    }

    #[test]
    fn ranges_are_prefixes_where_they_can_be() {
        let v4 = |start, end| {
            let mut text = String::new();
            push_v4(&mut text, start, end);
            text
        };
        assert_eq!(v4(0, u32::MAX), "0.0.0.0/0");
        assert_eq!(v4(0x0a00_0000, 0x0a00_00ff), "10.0.0.0/24");
        assert_eq!(v4(0x0a00_0001, 0x0a00_0002), "10.0.0.1-10.0.0.2");
        let mut text = String::new();
        push_v6(&mut text, 0xffff_0102_0304, 0xffff_0102_0304);
        assert_eq!(text, "0:0:0:0:0:ffff:102:304");
        text.clear();
        push_v6(&mut text, 0, u128::MAX);
        assert_eq!(text, "::/0");
    }
}
