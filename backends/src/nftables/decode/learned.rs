//! Sets of what clients learned by names: `host4/NAME` and `host6/NAME`, whose names say what they mean.
//!
//! In: the name of a set, its declaration, a look-up in it. Out: its pattern. Its elements are pairs of a client and a
//! destination that somebody learned from an answer to the client's question; they are for a time and no part of the
//! ruleset. One that stays for ever is something that nobody learned, and is refused.

use super::reader::Reader;
use super::{DecodeError, rule, values};
use crate::nftables::model::{Field, NameSet};
use egress_snapshot::names::{host_of_set, set_name};

/// Why a look-up is refused that is not for the packet's own client and destination.
pub(super) const KEY: &str = "names are looked up by `ip saddr . ip daddr` or `ip6 saddr . ip6 daddr`";
/// Why an element without a timeout is refused.
pub(super) const FOR_EVER: &str = "an element without a timeout is nothing that was learned by a name";

/// What a set of this name holds; nothing where it is no set of names.
///
/// # Errors
/// Why the name is not understood, though it begins as that of such a set does.
pub(super) fn named(name: &str) -> Result<Option<NameSet>, &'static str> {
    if !name.starts_with("host4/") && !name.starts_with("host6/") {
        return Ok(None);
    }
    let known = host_of_set(name).filter(|(host, v6)| set_name(host, *v6).as_deref() == Some(name));
    let known = known.and_then(|(host, v6)| Some(NameSet { host: host.parse().ok()?, v6 }));
    known.map(Some).ok_or("this says no pattern of host names")
}

/// The fields of a key: the client's address and the destination.
pub(super) fn key(v6: bool) -> [Field; 2] {
    if v6 { [Field::SourceV6, Field::DestinationV6] } else { [Field::SourceV4, Field::DestinationV4] }
}

/// The name of the set in which such a key is looked up.
///
/// # Errors
/// The set is none of names, or of the other family's.
pub(super) fn set_for(name: &str, fields: [Field; 2]) -> Result<String, &'static str> {
    match named(name)? {
        Some(set) if fields == key(set.v6) => Ok(name.to_owned()),
        _ => Err(KEY),
    }
}

/// `FIELD . FIELD @SET`, of which the first field and the dot are taken.
pub(super) fn look_up(reader: &mut Reader<'_>, first: Field) -> Result<String, DecodeError> {
    let place = *reader;
    let fields = [first, rule::field(reader)?];
    reader.eat_mark("==");
    if !reader.eat_mark("@") {
        return Err(place.wrong("pairs of fields are looked up in sets of names only"));
    }
    let name = reader.word("a set's name")?;
    set_for(name, fields).map_err(|reason| place.wrong(reason))
}

/// The block of a set of names.
pub(super) fn declaration(reader: &mut Reader<'_>, v6: bool) -> Result<(), DecodeError> {
    reader.expect_mark("{")?;
    let (mut is_typed, mut has_timeouts) = (false, false);
    loop {
        reader.skip_ends();
        if reader.eat_mark("}") {
            break;
        }
        if reader.eat("typeof") {
            let first = rule::field(reader)?;
            reader.expect(".")?;
            if [first, rule::field(reader)?] != key(v6) {
                return Err(reader.wrong_before("a set of names holds pairs of a client and a destination"));
            }
            is_typed = true;
        } else if reader.eat("flags") {
            reader.expect("timeout")?;
            has_timeouts = true;
        } else if reader.eat("comment") {
            reader.text()?;
        } else if reader.eat("size") {
            reader.number()?;
        } else if !reader.eat("counter") {
            reader.expect("elements")?;
            reader.expect_mark("=")?;
            reader.expect_mark("{")?;
            list(reader, v6)?;
        }
        reader.expect_end()?;
    }
    match (is_typed, has_timeouts) {
        (true, true) => Ok(()),
        (false, _) => Err(reader.wrong_before("the type is missing")),
        (true, false) => Err(reader.wrong_before("a set of names has the flag timeout")),
    }
}

/// The elements that a command adds; the opening brace is taken.
pub(super) fn elements(reader: &mut Reader<'_>, v6: bool) -> Result<(), DecodeError> {
    list(reader, v6)
}

fn list(reader: &mut Reader<'_>, v6: bool) -> Result<(), DecodeError> {
    values::list(reader, |reader| element(reader, v6)).map(|_| ())
}

/// `CLIENT . DESTINATION timeout TIME`, with what nft lists of it besides.
fn element(reader: &mut Reader<'_>, v6: bool) -> Result<(), DecodeError> {
    let [client, destination] = key(v6);
    for field in [client, destination] {
        let (start, end) = values::range(reader, field)?;
        if start != end {
            return Err(reader.wrong_before("a set of names holds single addresses"));
        }
        if field == client {
            reader.expect(".")?;
        }
    }
    let mut for_a_time = false;
    loop {
        if reader.eat("timeout") {
            for_a_time |= time(reader)?;
        } else if reader.eat("expires") {
            time(reader)?;
        } else if reader.eat("comment") {
            reader.text()?;
        } else if reader.eat("counter") {
            if reader.eat("packets") {
                count(reader)?;
                reader.expect("bytes")?;
                count(reader)?;
            }
        } else {
            break;
        }
    }
    if for_a_time { Ok(()) } else { Err(reader.wrong_before(FOR_EVER)) }
}

fn count(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let word = reader.word("a number")?;
    word.parse::<u64>().map(|_| ()).map_err(|_| reader.wrong_before("expected a number"))
}

/// Takes a time such as `1h30m` or `29s956ms`; whether it is more than none.
fn time(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    let word = reader.word("a time")?;
    let (mut rest, mut is_some) = (word, false);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(digits).unwrap_or((rest, ""));
        let unit = ["ms", "d", "h", "m", "s"].into_iter().find(|unit| after.starts_with(unit));
        let (Some(unit), false) = (unit, number.is_empty()) else {
            return Err(reader.wrong_before("this is no time"));
        };
        is_some |= number.bytes().any(|digit| digit != b'0');
        rest = after.strip_prefix(unit).unwrap_or_default();
    }
    Ok(is_some)
}
