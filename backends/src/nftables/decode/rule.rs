//! Parses one rule: matches, look-ups, counters, logs, marks and verdicts.

use super::reader::Reader;
use super::values;
use super::{DecodeError, learned};
use crate::nftables::model::{Field, Log, Match, Rule, Statement, Values, Verdict};
use egress_ir::protocol;

/// A rule up to its end, which is not taken.
pub(super) fn rule(reader: &mut Reader<'_>) -> Result<Rule, DecodeError> {
    let mut rule = Rule::default();
    while !reader.at_end() {
        if reader.eat("comment") {
            rule.comment = Some(reader.text()?.to_owned());
            reader.expect_end()?;
            break;
        }
        let place = *reader;
        if ends(&rule.statements) {
            return Err(place.wrong(AFTER_VERDICT));
        }
        let statement = statement(reader)?;
        fits_after(&rule.statements, &statement).map_err(|reason| place.wrong(reason))?;
        rule.statements.push(statement);
    }
    if rule.statements.is_empty() { Err(reader.wrong("expected a rule")) } else { Ok(rule) }
}

const AFTER_VERDICT: &str = "nothing may follow a verdict";

fn ends(statements: &[Statement]) -> bool {
    matches!(statements.last(), Some(Statement::Verdict(_) | Statement::VerdictMap { .. } | Statement::Snat { .. }))
}

/// Whether a rule may go on with this statement; else why not.
pub(super) fn fits_after(statements: &[Statement], next: &Statement) -> Result<(), &'static str> {
    if ends(statements) {
        return Err(AFTER_VERDICT);
    }
    let after_limit = statements.contains(&Statement::Limit);
    if after_limit && !matches!(next, Statement::Log(_) | Statement::Counter(None)) {
        return Err("this would depend on a rate; only a log may follow a limit");
    }
    Ok(())
}

/// A verdict, as at the end of a rule or in an element of a map.
pub(super) fn verdict(reader: &mut Reader<'_>) -> Result<Verdict, DecodeError> {
    Ok(match reader.word("a verdict")? {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "return" => Verdict::Return,
        "continue" => Verdict::Continue,
        "jump" => Verdict::Jump(reader.word("a chain's name")?.to_owned()),
        "goto" => Verdict::Goto(reader.word("a chain's name")?.to_owned()),
        _ => return Err(reader.wrong_before("this is no verdict that is understood")),
    })
}

/// A field, as in a match or after `typeof`.
pub(super) fn field(reader: &mut Reader<'_>) -> Result<Field, DecodeError> {
    let group = reader.word("a field")?;
    let single = match group {
        "iifname" => Some(Field::Input),
        "oifname" => Some(Field::Output),
        _ => None,
    };
    if let Some(field) = single {
        return Ok(field);
    }
    let part = reader.word("the rest of the field's name")?;
    match (group, part) {
        ("fib", "daddr") => return reader.expect("type").map(|()| Field::DestinationType),
        ("fib", "saddr") => return reader.expect("type").map(|()| Field::SourceType),
        ("rt", "ip") => return reader.expect("nexthop").map(|()| Field::NextHopV4),
        ("rt", "ip6") => return reader.expect("nexthop").map(|()| Field::NextHopV6),
        _ => {}
    }
    field_of(group, part).ok_or_else(|| reader.wrong_before("this field is not understood"))
}

/// A field by the two words that nft has for it.
pub(super) fn field_of(group: &str, part: &str) -> Option<Field> {
    Some(match (group, part) {
        ("meta", "priority") => Field::Priority,
        ("ip", "saddr") => Field::SourceV4,
        ("ip", "daddr") => Field::DestinationV4,
        ("ip6", "saddr") => Field::SourceV6,
        ("ip6", "daddr") => Field::DestinationV6,
        ("ip6", "hoplimit") => Field::HopLimit,
        ("meta", "nfproto") => Field::Family,
        ("meta", "l4proto") => Field::Protocol,
        ("meta", "iifname") => Field::Input,
        ("meta", "oifname") => Field::Output,
        ("tcp", "dport") => Field::Port(protocol::TCP),
        ("udp", "dport") => Field::Port(protocol::UDP),
        ("sctp", "dport") => Field::Port(protocol::SCTP),
        ("icmp", "type") => Field::IcmpType(protocol::ICMP),
        ("icmp", "code") => Field::IcmpCode(protocol::ICMP),
        ("icmpv6", "type") => Field::IcmpType(protocol::ICMPV6),
        ("icmpv6", "code") => Field::IcmpCode(protocol::ICMPV6),
        ("ct", "state") => Field::State,
        ("ct", "direction") => Field::Direction,
        ("ct", "mark") => Field::Mark(u32::MAX),
        ("ct", "status") => Field::Status,
        ("ct", "label") => Field::Label,
        ("meta", "mark") => Field::PacketMark(u32::MAX),
        _ => return None,
    })
}

fn statement(reader: &mut Reader<'_>) -> Result<Statement, DecodeError> {
    let mut ahead = *reader;
    match ahead.word("a statement")? {
        "accept" | "drop" | "return" | "continue" | "jump" | "goto" => return Ok(Statement::Verdict(verdict(reader)?)),
        "counter" => {
            *reader = ahead;
            return counter(reader);
        }
        "limit" => {
            *reader = ahead;
            return limit(reader);
        }
        "log" => {
            *reader = ahead;
            return log(reader);
        }
        "meta" if ahead.eat("priority") && ahead.eat("set") => {
            *reader = ahead;
            let (priority, _) = values::range(reader, Field::Priority)?;
            return Ok(Statement::SetPriority(u32::try_from(priority).unwrap_or(u32::MAX)));
        }
        "ct" if ahead.eat("mark") && ahead.eat("set") => {
            *reader = ahead;
            let (and, or) = new_mark(reader, "ct")?;
            return Ok(Statement::SetMark { and, or });
        }
        "meta" if ahead.eat("mark") && ahead.eat("set") => {
            *reader = ahead;
            let (and, or) = new_mark(reader, "meta")?;
            return Ok(Statement::SetPacketMark { and, or });
        }
        "ct" if ahead.eat("label") && ahead.eat("set") => {
            *reader = ahead;
            return label(reader).map(Statement::SetLabel);
        }
        "snat" => {
            *reader = ahead;
            return snat(reader);
        }
        _ => {}
    }
    let field = field(reader)?;
    if reader.eat(".") {
        return learned::look_up(reader, field).map(Statement::Named);
    }
    let masked = *reader;
    let mask = mask(reader, field)?;
    if reader.eat("vmap") {
        reader.expect_mark("@")?;
        return Ok(Statement::VerdictMap { field, mask, map: reader.word("a map's name")?.to_owned() });
    }
    match (field, u32::try_from(mask)) {
        (Field::Mark(_), Ok(mask)) => comparison(reader, Field::Mark(mask)),
        (Field::PacketMark(_), Ok(mask)) => comparison(reader, Field::PacketMark(mask)),
        _ if mask == u128::MAX => comparison(reader, field),
        _ => Err(masked.wrong("a mask is understood in front of vmap only")),
    }
}

/// `& MASK`, or every bit.
fn mask(reader: &mut Reader<'_>, field: Field) -> Result<u128, DecodeError> {
    if !reader.eat_mark("&") {
        let is_mark = matches!(field, Field::Mark(_) | Field::PacketMark(_));
        return Ok(if is_mark { u32::MAX.into() } else { u128::MAX });
    }
    match values::range(reader, field)? {
        (mask, end) if mask == end => Ok(mask),
        _ => Err(reader.wrong_before("this is no mask")),
    }
}

fn comparison(reader: &mut Reader<'_>, field: Field) -> Result<Statement, DecodeError> {
    if reader.eat_mark("<") {
        let below = values::range(reader, field)?;
        let last = below.0.checked_sub(1).filter(|_| below.0 == below.1);
        let last = last.ok_or_else(|| reader.wrong_before("nothing is below this"))?;
        return Ok(Statement::Match(Match { field, negated: false, values: Values::Ranges(vec![(0, last)]) }));
    }
    let place = *reader;
    let negated = reader.eat_mark("!=");
    let equals = !negated && reader.eat_mark("==");
    let values = values::values(reader, field)?;
    if matches!(values, Values::Bits(_)) && equals {
        return Err(place.wrong("a state is compared without =="));
    }
    // Without braces nft compares with all the bits at once, and no packet has two of them.
    let several = matches!(values, Values::Bits(bits) if bits.count_ones() > 1);
    if matches!(field, Field::Status | Field::Label) && negated {
        return Err(place.wrong("a status that is not there is not understood"));
    }
    if negated && several && !reader.follows_brace() {
        return Err(place.wrong("several states after != stand in braces"));
    }
    Ok(Statement::Match(Match { field, negated, values }))
}

/// `counter`, `counter name N`, `counter packets N bytes N`.
fn counter(reader: &mut Reader<'_>) -> Result<Statement, DecodeError> {
    if reader.eat("name") {
        let name = reader.text().or_else(|_| reader.word("a counter's name"))?;
        return Ok(Statement::Counter(Some(name.to_owned())));
    }
    if reader.eat("packets") {
        count(reader)?;
        reader.expect("bytes")?;
        count(reader)?;
    }
    Ok(Statement::Counter(None))
}

fn count(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let word = reader.word("a number")?;
    word.parse::<u64>().map(|_| ()).map_err(|_| reader.wrong_before("expected a number"))
}

/// `limit rate N/unit [burst N packets]`. `over` turns the sense round and is not understood.
fn limit(reader: &mut Reader<'_>) -> Result<Statement, DecodeError> {
    reader.expect("rate")?;
    let rate = reader.word("a rate")?;
    let known = rate.split_once('/').is_some_and(|(count, unit)| {
        count.parse::<u64>().is_ok_and(|count| count > 0) && ["second", "minute", "hour", "day"].contains(&unit)
    });
    if !known {
        return Err(reader.wrong_before("this is no rate"));
    }
    if reader.eat("burst") {
        reader.number()?;
        reader.expect("packets")?;
    }
    Ok(Statement::Limit)
}

fn log(reader: &mut Reader<'_>) -> Result<Statement, DecodeError> {
    let mut log = Log::default();
    loop {
        if reader.eat("prefix") {
            log.prefix = reader.text()?.to_owned();
        } else if reader.eat("group") {
            let group = u16::try_from(reader.number()?).map_err(|_| reader.wrong_before("this is no group"))?;
            log.group = Some(group);
        } else if reader.eat("snaplen") || reader.eat("queue-threshold") {
            reader.number()?;
        } else if reader.eat("level") {
            reader.word("a level")?;
        } else {
            return Ok(Statement::Log(log));
        }
    }
}

/// A bit of a connection's label, by its number; `connlabel.conf` may have names for them, which say nothing here.
fn label(reader: &mut Reader<'_>) -> Result<u8, DecodeError> {
    let number = u8::try_from(reader.number()?).ok().filter(|number| *number < 128);
    number.ok_or_else(|| reader.wrong_before("a label has 128 bits"))
}

/// `snat ip to A`, `snat ip to ip saddr`, for IPv6 likewise.
fn snat(reader: &mut Reader<'_>) -> Result<Statement, DecodeError> {
    let v6 = match reader.word("ip or ip6")? {
        "ip" => false,
        "ip6" => true,
        _ => return Err(reader.wrong_before("expected ip or ip6")),
    };
    reader.expect("to")?;
    let (own, field) = if v6 { ("ip6", Field::SourceV6) } else { ("ip", Field::SourceV4) };
    if reader.eat(own) {
        reader.expect("saddr")?;
        return Ok(Statement::Snat { v6, to: None });
    }
    match values::range(reader, field)? {
        (start, end) if start == end => Ok(Statement::Snat { v6, to: Some(start) }),
        _ => Err(reader.wrong_before("only single addresses are understood here")),
    }
}

/// What is kept and what is set by `ct mark set N`, `ct mark set ct mark & AND | OR`, with either half left out; for
/// `meta mark` likewise.
fn new_mark(reader: &mut Reader<'_>, group: &str) -> Result<(u32, u32), DecodeError> {
    if !reader.eat(group) {
        return Ok((0, reader.number()?));
    }
    reader.expect("mark")?;
    let and = if reader.eat_mark("&") { reader.number()? } else { u32::MAX };
    let or = if reader.eat_mark("|") { reader.number()? } else { 0 };
    // nft folds `& AND | OR` into one bitwise expression whose OR wins.
    Ok((and & !or, or))
}
