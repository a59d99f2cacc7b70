//! Runs the commands of a file in order on an empty table, as nft does within its one transaction.

use super::reader::Reader;
use super::{DecodeError, TABLE, rule, values};
use crate::nftables::decode::lexer::Kind;
use crate::nftables::model::{Base, Chain, Element, Field, Hook, Ruleset, Set, VerdictMap};

/// Runs every command up to the end of the file.
pub(super) fn run(reader: &mut Reader<'_>) -> Result<Ruleset, DecodeError> {
    let mut file = File::default();
    loop {
        reader.skip_ends();
        if reader.peek().is_none() {
            return if file.exists { Ok(file.ruleset) } else { Err(reader.wrong("the file makes no table")) };
        }
        file.command(reader)?;
        reader.expect_end()?;
        if reader.peek() == Some(Kind::Mark("}")) {
            return Err(reader.wrong("this closes nothing"));
        }
    }
}

/// The table as far as the file has made it.
#[derive(Default)]
struct File {
    ruleset: Ruleset,
    exists: bool,
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
        self.table_name(reader)?;
        self.exists = true;
        block(reader, |reader| self.table_item(reader))
    }

    fn table_item(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.eat("comment") {
            self.ruleset.comment = Some(reader.text()?.to_owned());
            return reader.expect_end();
        }
        let kind = reader.word("chain, map, set or counter")?;
        self.object(kind, reader)
    }

    fn object(&mut self, kind: &str, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        match kind {
            "chain" => self.chain(reader),
            "map" => self.map(reader),
            "set" => self.set(reader),
            "counter" => self.counter(reader),
            _ => Err(reader.wrong_before("this kind of object is not understood")),
        }
    }

    fn add(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let kind = reader.word("what to add")?;
        if kind == "table" {
            return self.table_block(reader);
        }
        self.known_table(reader)?;
        match kind {
            "rule" => {
                let name = identifier(reader)?;
                let rule = rule::rule(reader)?;
                let chain = self.ruleset.chains.get_mut(&name);
                chain.ok_or_else(|| reader.wrong(format!("there is no chain {name}")))?.rules.push(rule);
                Ok(())
            }
            "element" => self.add_elements(reader),
            _ => self.object(kind, reader),
        }
    }

    fn add_elements(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let name = identifier(reader)?;
        reader.expect_mark("{")?;
        if let Some(map) = self.ruleset.maps.get_mut(&name) {
            map.elements.extend(map_elements(reader, map.field, map.interval)?);
        } else if let Some(set) = self.ruleset.sets.get_mut(&name) {
            set.elements.extend(set_elements(reader, set.field, set.interval)?);
        } else {
            return Err(reader.wrong(format!("there is no map or set {name}")));
        }
        Ok(())
    }

    fn flush(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let kind = reader.word("what to flush")?;
        self.known_table(reader)?;
        let found = match kind {
            "table" => {
                self.ruleset.chains.values_mut().for_each(|chain| chain.rules.clear());
                true
            }
            "chain" => self.ruleset.chains.get_mut(&identifier(reader)?).map(|chain| chain.rules.clear()).is_some(),
            "map" => self.ruleset.maps.get_mut(&identifier(reader)?).map(|map| map.elements.clear()).is_some(),
            "set" => self.ruleset.sets.get_mut(&identifier(reader)?).map(|set| set.elements.clear()).is_some(),
            _ => return Err(reader.wrong_before("this cannot be flushed")),
        };
        if found { Ok(()) } else { Err(reader.wrong_before("there is nothing of this name")) }
    }

    /// Deletes at once; the check at the end finds what still names the deleted thing.
    fn delete(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let kind = reader.word("what to delete")?;
        self.known_table(reader)?;
        let found = match kind {
            "table" => {
                *self = Self::default();
                true
            }
            "chain" => self.ruleset.chains.remove(&identifier(reader)?).is_some(),
            "map" => self.ruleset.maps.remove(&identifier(reader)?).is_some(),
            "set" => self.ruleset.sets.remove(&identifier(reader)?).is_some(),
            "counter" => self.ruleset.counters.remove(&identifier(reader)?).is_some(),
            _ => return Err(reader.wrong_before("this cannot be deleted")),
        };
        if found { Ok(()) } else { Err(reader.wrong_before("there is nothing of this name")) }
    }

    /// The name of our table, which some command before must have made.
    fn known_table(&self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.table_name(reader)?;
        if self.exists { Ok(()) } else { Err(reader.wrong_before("the table is not there yet")) }
    }

    fn table_name(&self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let place = *reader;
        if reader.eat("inet") && reader.eat(TABLE) {
            Ok(())
        } else {
            Err(place.wrong("only table inet egressc is ours"))
        }
    }

    fn chain(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let name = identifier(reader)?;
        let chain = self.ruleset.chains.entry(name).or_default();
        block(reader, |reader| {
            chain_item(chain, reader)?;
            reader.expect_end()
        })
    }

    fn map(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let name = identifier(reader)?;
        let Declared { field, interval, elements } = declaration(reader, true)?;
        let known = self.ruleset.maps.entry(name);
        let map = known.or_insert(VerdictMap { field, interval, elements: Vec::new() });
        if map.field != field || map.interval != interval {
            return Err(reader.wrong_before("a map of this name is there and is of another type"));
        }
        map.elements.extend(elements);
        Ok(())
    }

    fn set(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let name = identifier(reader)?;
        let Declared { field, interval, elements } = declaration(reader, false)?;
        let known = self.ruleset.sets.entry(name);
        let set = known.or_insert(Set { field, interval, elements: Vec::new() });
        if set.field != field || set.interval != interval {
            return Err(reader.wrong_before("a set of this name is there and is of another type"));
        }
        set.elements.extend(elements.into_iter().map(|element| (element.start, element.end)));
        Ok(())
    }

    fn counter(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
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
        self.ruleset.counters.entry(name).or_insert(comment);
        Ok(())
    }
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
    reader.expect("filter")?;
    reader.expect("hook")?;
    let hook = match reader.word("a hook")? {
        "prerouting" => Hook::Prerouting,
        "output" => Hook::Output,
        _ => return Err(reader.wrong_before("this hook is not understood")),
    };
    reader.expect("priority")?;
    Ok(Base { hook, priority: priority(reader)?, drops_by_default: false })
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
