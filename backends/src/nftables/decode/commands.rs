//! Runs the commands of a file in order on an empty table, as nft does within its one transaction.

use super::reader::Reader;
use super::{DecodeError, GATEWAYS, TABLE, learned, rule, values};
use crate::nftables::decode::lexer::Kind;
use crate::nftables::model::{Base, Chain, Element, Field, Hook, Kind as ChainKind, Ruleset, Set, VerdictMap};

/// Runs every command up to the end of the file.
pub(super) fn run(reader: &mut Reader<'_>) -> Result<Ruleset, DecodeError> {
    let mut file = File::default();
    loop {
        reader.skip_ends();
        if reader.peek().is_none() {
            let Some(mut ruleset) = file.egressc else { return Err(reader.wrong("the file makes no table")) };
            ruleset.gateways = file.gateways.map(Box::new);
            return Ok(ruleset);
        }
        file.command(reader)?;
        reader.expect_end()?;
        if reader.peek() == Some(Kind::Mark("}")) {
            return Err(reader.wrong("this closes nothing"));
        }
    }
}

/// The tables as far as the file has made them.
#[derive(Default)]
struct File {
    egressc: Option<Ruleset>,
    gateways: Option<Ruleset>,
}

impl File {
    fn command(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.eat("table") {
            return self.table_block(reader);
        }
        if reader.eat("add") {
            return self.add(reader);
        }
        if reader.eat("flush") {
            return self.flush(reader);
        }
        if reader.eat("delete") {
            return self.delete(reader);
        }
        Err(reader.wrong("this command is not understood"))
    }

    /// `table inet egressc { … }`
    fn table_block(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let table = self.table_name(reader)?.get_or_insert_default();
        block(reader, |reader| table_item(table, reader))
    }

    fn add(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let kind = reader.word("what to add")?;
        if kind == "table" {
            return self.table_block(reader);
        }
        let table = self.known_table(reader)?;
        match kind {
            "rule" => {
                let name = identifier(reader)?;
                let rule = rule::rule(reader)?;
                let chain = table.chains.get_mut(&name);
                chain.ok_or_else(|| reader.wrong(format!("there is no chain {name}")))?.rules.push(rule);
                Ok(())
            }
            "element" => add_elements(table, reader),
            _ => object(table, kind, reader),
        }
    }

    fn flush(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let kind = reader.word("what to flush")?;
        let table = self.known_table(reader)?;
        let found = match kind {
            "table" => {
                table.chains.values_mut().for_each(|chain| chain.rules.clear());
                true
            }
            "chain" => table.chains.get_mut(&identifier(reader)?).map(|chain| chain.rules.clear()).is_some(),
            "map" => table.maps.get_mut(&identifier(reader)?).map(|map| map.elements.clear()).is_some(),
            "set" => {
                let name = identifier(reader)?;
                let known = table.sets.get_mut(&name).map(|set| set.elements.clear()).is_some();
                known || table.names.contains_key(&name)
            }
            _ => return Err(reader.wrong_before("this cannot be flushed")),
        };
        if found { Ok(()) } else { Err(reader.wrong_before("there is nothing of this name")) }
    }

    /// Deletes at once; the check at the end finds what still names the deleted thing.
    fn delete(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let kind = reader.word("what to delete")?;
        if kind == "table" {
            let table = self.table_name(reader)?;
            return if table.take().is_some() { Ok(()) } else { Err(reader.wrong_before(NO_TABLE)) };
        }
        let table = self.known_table(reader)?;
        let found = match kind {
            "chain" => table.chains.remove(&identifier(reader)?).is_some(),
            "map" => table.maps.remove(&identifier(reader)?).is_some(),
            "set" => {
                let name = identifier(reader)?;
                table.sets.remove(&name).is_some() || table.names.remove(&name).is_some()
            }
            "counter" => table.counters.remove(&identifier(reader)?).is_some(),
            _ => return Err(reader.wrong_before("this cannot be deleted")),
        };
        if found { Ok(()) } else { Err(reader.wrong_before("there is nothing of this name")) }
    }

    /// One of our tables, which some command before must have made.
    fn known_table(&mut self, reader: &mut Reader<'_>) -> Result<&mut Ruleset, DecodeError> {
        self.table_name(reader)?.as_mut().ok_or_else(|| reader.wrong_before(NO_TABLE))
    }

    fn table_name(&mut self, reader: &mut Reader<'_>) -> Result<&mut Option<Ruleset>, DecodeError> {
        let place = *reader;
        match (reader.eat("inet"), reader.eat(TABLE), reader.eat(GATEWAYS)) {
            (true, true, false) => Ok(&mut self.egressc),
            (true, false, true) => Ok(&mut self.gateways),
            _ => Err(place.wrong("only table inet egressc and its table for gateways are ours")),
        }
    }
}

const NO_TABLE: &str = "the table is not there yet";

fn table_item(table: &mut Ruleset, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    if reader.eat("comment") {
        table.comment = Some(reader.text()?.to_owned());
        return reader.expect_end();
    }
    let kind = reader.word("chain, map, set or counter")?;
    object(table, kind, reader)
}

fn object(table: &mut Ruleset, kind: &str, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    match kind {
        "chain" => chain(table, reader),
        "map" => map(table, reader),
        "set" => set(table, reader),
        "counter" => counter(table, reader),
        _ => Err(reader.wrong_before("this kind of object is not understood")),
    }
}

fn add_elements(table: &mut Ruleset, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let name = identifier(reader)?;
    reader.expect_mark("{")?;
    if let Some(map) = table.maps.get_mut(&name) {
        map.elements.extend(map_elements(reader, map.field, map.interval)?);
    } else if let Some(set) = table.sets.get_mut(&name) {
        set.elements.extend(set_elements(reader, set.field, set.interval)?);
    } else if let Some(set) = table.names.get(&name) {
        learned::elements(reader, set.v6)?;
    } else {
        return Err(reader.wrong(format!("there is no map or set {name}")));
    }
    Ok(())
}

fn chain(table: &mut Ruleset, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let name = identifier(reader)?;
    let chain = table.chains.entry(name).or_default();
    block(reader, |reader| {
        chain_item(chain, reader)?;
        reader.expect_end()
    })
}

fn map(table: &mut Ruleset, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let name = identifier(reader)?;
    let Declared { field, interval, elements } = declaration(reader, true)?;
    let known = table.maps.entry(name);
    let map = known.or_insert(VerdictMap { field, interval, elements: Vec::new() });
    if map.field != field || map.interval != interval {
        return Err(reader.wrong_before("a map of this name is there and is of another type"));
    }
    map.elements.extend(elements);
    Ok(())
}

fn set(table: &mut Ruleset, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let name = identifier(reader)?;
    if let Some(set) = learned::named(&name).map_err(|reason| reader.wrong_before(reason))? {
        learned::declaration(reader, set.v6)?;
        table.names.insert(name, set);
        return Ok(());
    }
    let Declared { field, interval, elements } = declaration(reader, false)?;
    let known = table.sets.entry(name);
    let set = known.or_insert(Set { field, interval, elements: Vec::new() });
    if set.field != field || set.interval != interval {
        return Err(reader.wrong_before("a set of this name is there and is of another type"));
    }
    set.elements.extend(elements.into_iter().map(|element| (element.start, element.end)));
    Ok(())
}

fn counter(table: &mut Ruleset, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let name = identifier(reader)?;
    let mut comment = None;
    if reader.eat_mark("{") {
        loop {
            reader.skip_ends();
            if reader.eat_mark("}") {
                break;
            }
            if reader.eat("comment") {
                comment = Some(reader.text()?.to_owned());
            } else {
                reader.expect("packets")?;
                reader.word("a number")?;
                reader.expect("bytes")?;
                reader.word("a number")?;
            }
        }
    }
    table.counters.entry(name).or_insert(comment);
    Ok(())
}

/// A name that nft takes for objects: at most 255 bytes, a letter or underscore first.
fn identifier(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let word = reader.word("a name")?;
    let first = word.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let rest = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/'));
    if first && rest && word.len() <= 255 { Ok(word.to_owned()) } else { Err(reader.wrong_before("this is no name")) }
}

fn chain_item(chain: &mut Chain, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    if reader.eat("type") {
        let base = base(reader)?;
        return match chain.base {
            Some(known) if known != base => Err(reader.wrong_before("the chain hangs on another hook already")),
            _ => {
                chain.base = Some(base);
                Ok(())
            }
        };
    }
    if reader.eat("policy") {
        let drops = reader.eat("drop");
        if !drops {
            reader.expect("accept")?;
        }
        let base = chain.base.as_mut().ok_or_else(|| reader.wrong_before("only a base chain has a policy"))?;
        base.drops_by_default = drops;
        return Ok(());
    }
    if reader.eat("comment") {
        reader.text()?;
        return Ok(());
    }
    chain.rules.push(rule::rule(reader)?);
    Ok(())
}

/// `filter hook H priority P`, perhaps with `; policy P` to follow.
fn base(reader: &mut Reader<'_>) -> Result<Base, DecodeError> {
    let kind = reader.word("the chain's type")?;
    reader.expect("hook")?;
    let hook = reader.word("a hook")?;
    let (kind, hook) = hooked(kind, hook).map_err(|(_, reason)| reader.wrong_before(reason))?;
    reader.expect("priority")?;
    Ok(Base { kind, hook, priority: priority(reader)?, drops_by_default: false })
}

/// The type and the hook of a base chain by their names, of those that go together in egress rulesets; else which of the
/// words is not understood, and why.
pub(super) fn hooked<'t>(kind: &'t str, hook: &'t str) -> Result<(ChainKind, Hook), (&'t str, &'static str)> {
    let at = match hook {
        "prerouting" => Hook::Prerouting,
        "output" => Hook::Output,
        "postrouting" => Hook::Postrouting,
        _ => return Err((hook, "this hook is not understood")),
    };
    match (kind, at) {
        ("filter", _) => Ok((ChainKind::Filter, at)),
        ("route", Hook::Output) => Ok((ChainKind::Route, at)),
        ("nat", Hook::Postrouting) => Ok((ChainKind::Nat, at)),
        _ => Err((kind, "this type of chain is not understood")),
    }
}

/// `-90`, `dstnat`, `dstnat + 10`, `dstnat - 5`.
fn priority(reader: &mut Reader<'_>) -> Result<i32, DecodeError> {
    let word = reader.word("a priority")?;
    let named = match word {
        "raw" => Some(-300),
        "mangle" => Some(-150),
        "dstnat" => Some(-100),
        "filter" => Some(0),
        "security" => Some(50),
        "srcnat" => Some(100),
        _ => None,
    };
    let Some(start) = named else {
        return word.parse().map_err(|_| reader.wrong_before("this is no priority"));
    };
    let sign = match () {
        () if reader.eat_mark("+") => 1,
        () if reader.eat_mark("-") => -1,
        () => return Ok(start),
    };
    let offset = reader.number()?;
    let offset = i32::try_from(offset).map_err(|_| reader.wrong_before("this is no priority"))?;
    Ok(start + sign * offset)
}

/// The inside of a map's or set's block. Elements of a set have the verdict `continue`.
struct Declared {
    field: Field,
    interval: bool,
    elements: Vec<Element>,
}

/// The items of a block in braces; nothing where the command ends without one.
fn block(
    reader: &mut Reader<'_>,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    if reader.at_end() {
        return Ok(());
    }
    reader.expect_mark("{")?;
    loop {
        reader.skip_ends();
        if reader.eat_mark("}") {
            return Ok(());
        }
        item(reader)?;
    }
}

fn declaration(reader: &mut Reader<'_>, is_map: bool) -> Result<Declared, DecodeError> {
    reader.expect_mark("{")?;
    let (mut field, mut interval, mut size, mut elements) = (None, false, None, Vec::new());
    loop {
        reader.skip_ends();
        if reader.eat_mark("}") {
            break;
        }
        if reader.eat("typeof") {
            field = Some(rule::field(reader)?);
            if is_map {
                reader.expect_mark(":")?;
                reader.expect("verdict")?;
            }
        } else if reader.eat("flags") {
            reader.expect("interval")?;
            interval = true;
        } else if reader.eat("comment") {
            reader.text()?;
        } else if reader.eat("size") {
            size = Some(reader.number()?);
        } else {
            reader.expect("elements")?;
            reader.expect_mark("=")?;
            reader.expect_mark("{")?;
            let field = field.ok_or_else(|| reader.wrong("the type comes before the elements"))?;
            elements = element_list(reader, field, interval, is_map)?;
        }
        reader.expect_end()?;
    }
    let field = field.ok_or_else(|| reader.wrong_before("the type is missing"))?;
    if size.is_some_and(|size| u32::try_from(elements.len()).is_ok_and(|count| count > size)) {
        return Err(reader.wrong_before("there are more elements than the size allows"));
    }
    Ok(Declared { field, interval, elements })
}

fn element_list(
    reader: &mut Reader<'_>,
    field: Field,
    interval: bool,
    is_map: bool,
) -> Result<Vec<Element>, DecodeError> {
    if is_map {
        return map_elements(reader, field, interval);
    }
    let verdict = crate::nftables::model::Verdict::Continue;
    let ranges = set_elements(reader, field, interval)?;
    Ok(ranges.into_iter().map(|(start, end)| Element { start, end, verdict: verdict.clone() }).collect())
}

fn map_elements(reader: &mut Reader<'_>, field: Field, interval: bool) -> Result<Vec<Element>, DecodeError> {
    values::list(reader, |reader| {
        let (start, end) = key(reader, field, interval)?;
        reader.expect_mark(":")?;
        Ok(Element { start, end, verdict: rule::verdict(reader)? })
    })
}

fn set_elements(reader: &mut Reader<'_>, field: Field, interval: bool) -> Result<Vec<(u128, u128)>, DecodeError> {
    values::list(reader, |reader| key(reader, field, interval))
}

fn key(reader: &mut Reader<'_>, field: Field, interval: bool) -> Result<(u128, u128), DecodeError> {
    let (start, end) = values::range(reader, field)?;
    if start == end || interval { Ok((start, end)) } else { Err(reader.wrong_before("this needs flags interval")) }
}
