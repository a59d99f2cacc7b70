//! Values on the right side of comparisons and in the elements of sets and maps.

use super::DecodeError;
use super::names;
use super::reader::{Reader, number};
use crate::nftables::model::{Field, Values};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A value, or the word that is none.
type Parsed<T> = Result<T, String>;

/// What follows a field: a value, a range, a list in braces, a named set, or for `ct state` a list of bits.
pub(super) fn values(reader: &mut Reader<'_>, field: Field) -> Result<Values, DecodeError> {
    if reader.eat_mark("@") {
        return Ok(Values::Set(reader.word("a set's name")?.to_owned()));
    }
    match field {
        Field::State => bits(reader, state),
        Field::Status => bits(reader, status),
        Field::Label => bits(reader, label),
        Field::Input | Field::Output => names(reader),
        _ if reader.eat_mark("{") => {
            let mut ranges = list(reader, |reader| range(reader, field))?;
            sort_disjoint(&mut ranges).map_err(|reason| reader.wrong_before(reason))?;
            Ok(Values::Ranges(ranges))
        }
        _ => Ok(Values::Ranges(vec![range(reader, field)?])),
    }
}

/// One value, prefix or range of a field.
pub(super) fn range(reader: &mut Reader<'_>, field: Field) -> Result<(u128, u128), DecodeError> {
    let word = reader.word("a value")?;
    range_of(word, field).map_err(|reason| reader.wrong_before(reason))
}

/// The items up to the closing brace; the opening one is taken.
pub(super) fn list<T>(
    reader: &mut Reader<'_>,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut items = Vec::new();
    loop {
        reader.skip_lines();
        if reader.eat_mark("}") {
            return Ok(items);
        }
        items.push(item(reader)?);
        reader.skip_lines();
        if !reader.eat_mark(",") {
            reader.expect_mark("}")?;
            return Ok(items);
        }
    }
}

/// Sorts ranges; overlaps are an error, because the kernel refuses some of them and merges others.
pub(super) fn sort_disjoint(ranges: &mut [(u128, u128)]) -> Result<(), &'static str> {
    ranges.sort_unstable();
    let overlap = ranges.iter().zip(ranges.iter().skip(1)).any(|(left, right)| right.0 <= left.1);
    if overlap { Err("values overlap") } else { Ok(()) }
}

fn bits(reader: &mut Reader<'_>, bit: fn(&str) -> Option<u128>) -> Result<Values, DecodeError> {
    let mut bits = 0;
    let braces = reader.eat_mark("{");
    loop {
        let word = reader.word("a connection state")?;
        bits |= bit(word).ok_or_else(|| reader.wrong_before("this is no state or status of a connection"))?;
        if !reader.eat_mark(",") {
            break;
        }
    }
    if braces {
        reader.expect_mark("}")?;
    }
    Ok(Values::Bits(bits))
}

/// A connection's state, as the kernel's bit.
pub(super) fn state(word: &str) -> Option<u128> {
    Some(match word {
        "invalid" => 1,
        "established" => 2,
        "related" => 4,
        "new" => 8,
        "untracked" => 64,
        _ => return None,
    })
}

/// What has happened to a connection, as the kernel's bit (`enum ip_conntrack_status`).
pub(super) fn status(word: &str) -> Option<u128> {
    Some(match word {
        "expected" => 1,
        "seen-reply" => 2,
        "assured" => 4,
        "confirmed" => 8,
        "snat" => 16,
        "dnat" => 32,
        "dying" => 512,
        _ => return None,
    })
}

/// A bit of a connection's label.
pub(super) fn label(word: &str) -> Option<u128> {
    1_u128.checked_shl(number(word)?)
}

fn names(reader: &mut Reader<'_>) -> Result<Values, DecodeError> {
    if !reader.eat_mark("{") {
        return Ok(Values::Names(BTreeSet::from([name(reader)?])));
    }
    let names = list(reader, name)?;
    Ok(Values::Names(names.into_iter().collect()))
}

fn name(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let word = reader.text().or_else(|_| reader.word("an interface name"))?;
    if is_interface(word) { Ok(word.to_owned()) } else { Err(reader.wrong_before("this is no interface name")) }
}

/// Whether a word names an interface, or with a final `*` the beginning of some. nft writes a star itself as `\\*`.
pub(super) fn is_interface(word: &str) -> bool {
    let fits = !word.is_empty() && word.len() < 16 && !word.trim_end_matches('*').contains(['*', '\\']);
    fits && !word.ends_with("**") && word != "*"
}

/// The values that a word stands for.
pub(super) fn range_of(word: &str, field: Field) -> Parsed<(u128, u128)> {
    match field {
        Field::SourceV4 | Field::DestinationV4 | Field::NextHopV4 => addresses(word, 32, v4),
        Field::SourceV6 | Field::DestinationV6 | Field::NextHopV6 => addresses(word, 128, v6),
        Field::Port(_) => numbers(word, u16::MAX.into(), |_| None),
        Field::HopLimit => numbers(word, u8::MAX.into(), |_| None),
        Field::IcmpCode(58) => numbers(word, u8::MAX.into(), names::icmpv6_code),
        Field::IcmpCode(_) => numbers(word, u8::MAX.into(), names::icmp_code),
        Field::IcmpType(58) => numbers(word, u8::MAX.into(), names::icmpv6_type),
        Field::IcmpType(_) => numbers(word, u8::MAX.into(), names::icmp_type),
        Field::Protocol => numbers(word, u8::MAX.into(), names::protocol),
        Field::Family => numbers(word, u8::MAX.into(), names::family),
        Field::Direction => numbers(word, 1, names::direction),
        Field::DestinationType | Field::SourceType => numbers(word, 11, names::address_type),
        Field::Mark(_) | Field::PacketMark(_) => numbers(word, u32::MAX, |_| None),
        Field::Priority => handle(word).map(|value| (value, value)).ok_or_else(|| "this is no priority".into()),
        Field::State | Field::Status | Field::Label | Field::Input | Field::Output => {
            Err("a value of this field is not understood".into())
        }
    }
}

/// `a`, `a/len` or `a-b`; host bits are refused, because nft would silently drop or keep them by context.
fn addresses(word: &str, width: u32, parse: fn(&str) -> Option<u128>) -> Parsed<(u128, u128)> {
    let bad = || "this is no address, prefix or range of the field's family".to_owned();
    if let Some((address, length)) = word.split_once('/') {
        let address = parse(address).ok_or_else(bad)?;
        let length = number(length).filter(|&length| length <= width).ok_or_else(bad)?;
        let all = u128::MAX >> (128 - width);
        let host = u128::MAX.checked_shr(length + 128 - width).unwrap_or(0) & all;
        return if address & host == 0 { Ok((address, address | host)) } else { Err("host bits are set".into()) };
    }
    let (start, end) = word.split_once('-').unwrap_or((word, word));
    let (start, end) = (parse(start).ok_or_else(bad)?, parse(end).ok_or_else(bad)?);
    if start <= end { Ok((start, end)) } else { Err("the range is reversed".into()) }
}

/// A traffic control handle: two halves in hex, or the names that nft gives to the first and the last.
fn handle(word: &str) -> Option<u128> {
    match word {
        "none" => return Some(0),
        "root" => return Some(u32::MAX.into()),
        _ => {}
    }
    let (major, minor) = word.split_once(':')?;
    let half = |half: &str| if half.starts_with('+') { None } else { u16::from_str_radix(half, 16).ok() };
    Some(u128::from(half(major)?) << 16 | u128::from(half(minor)?))
}

fn v4(word: &str) -> Option<u128> {
    word.parse::<Ipv4Addr>().ok().map(|address| address.to_bits().into())
}

fn v6(word: &str) -> Option<u128> {
    word.parse::<Ipv6Addr>().ok().map(|address| address.to_bits())
}

/// A number or name, or a range of numbers.
fn numbers(word: &str, max: u32, named: fn(&str) -> Option<u32>) -> Parsed<(u128, u128)> {
    let one = |word: &str| number(word).or_else(|| named(word)).filter(|&value| value <= max);
    let range = match one(word) {
        Some(value) => Some((value, value)),
        None => word.split_once('-').and_then(|(start, end)| Some((one(start)?, one(end)?))),
    };
    let (start, end) = range.ok_or_else(|| "this is no value of the field".to_owned())?;
    if start <= end { Ok((start.into(), end.into())) } else { Err("the range is reversed".into()) }
}
