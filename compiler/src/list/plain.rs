//! Plain text lists: an address, prefix or range a line, with comments from `#` or `;` to the end of the line.

use super::content::{Content, EntryPlace, Faults};
use egress_lang::value::address_or_range;

/// No address or range is longer; longer text is cut before it is shown.
const LONGEST: usize = 100;

/// Reads every line; the wrong ones are all noted.
pub(super) fn read(bytes: &[u8], content: &mut Content, faults: &mut Faults) {
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let place = || EntryPlace::Line(number + 1);
        let before = line.split(|byte| matches!(byte, b'#' | b';')).next().unwrap_or(line);
        let entry = before.trim_ascii();
        if entry.is_empty() {
            continue;
        }
        match std::str::from_utf8(entry) {
            Err(_) => faults.push(place, "the line is not UTF-8", None),
            Ok(text) if text.len() > LONGEST => {
                faults.push(place, format!("`{}…` is not an address", text.chars().take(40).collect::<String>()), None);
            }
            Ok(text) => match address_or_range(text) {
                Ok(value) => content.push(value, 0..0),
                Err(fault) => faults.fault(place, &fault),
            },
        }
    }
}
