//! Follows packets through one base chain at postrouting, with much about them open.
//!
//! In: a chain, and [`Packet`]s, each of which stands for many. Out: those that go on. A question about what is open
//! parts a packet in two; one about anything else (its destination, its port, an interface) has no answer here, and a
//! rule whose effect depends on it is [`Unclear`]. Follows `nft_do_chain` as `walk` does.

use super::super::model::{Base, Chain, Field, Kind, Match, Rule, Ruleset, Statement, Values, Verdict};
use super::leaving::{Connection, Packet, Source};
use super::regions::PacketMark;
use super::walk::unclear;
use egress_ir::{RangeSet, Unclear};

/// The kernel's `NFT_JUMP_STACK_SIZE`.
const DEEPEST: usize = 16;
/// The kernel's bits of `ct state`, and that of `ct status` for translated source addresses.
const ESTABLISHED: u128 = 2;
const NEW: u128 = 8;
const TRANSLATED: u128 = 16;
/// `fib … type local`, as rtnetlink(7) numbers it.
const LOCAL: u128 = 2;

/// The family of packets, and what is known of their mark.
pub(super) struct Follow {
    pub(super) v6: bool,
    pub(super) mark: PacketMark,
}

/// An answer for a packet.
enum Answer {
    Known(bool),
    /// It holds for the first of these and fails for the second, either of which may be nobody.
    Parted(Option<Packet>, Option<Packet>),
    /// There is none.
    Open,
}

/// Where packets of a chain go.
#[derive(Default)]
struct Ends {
    accepted: Vec<Packet>,
    returned: Vec<Packet>,
}

impl Follow {
    /// The packets that go on after a base chain.
    pub(super) fn base(
        &self,
        table: &Ruleset,
        base: &Base,
        chain: &Chain,
        packets: Vec<Packet>,
    ) -> Result<Vec<Packet>, Unclear> {
        let is_nat = base.kind == Kind::Nat;
        let (passing, meeting): (Vec<Packet>, Vec<Packet>) =
            packets.into_iter().partition(|packet| is_nat && packet.is_decided);
        let mut ends = Ends { accepted: passing, returned: Vec::new() };
        let fallen = self.chain((table, is_nat), chain, meeting, &mut ends.accepted, 0)?;
        if !base.drops_by_default {
            ends.accepted.extend(fallen);
        }
        Ok(ends.accepted)
    }

    /// The same before translation, where later packets too have the source that they came with.
    pub(super) fn untranslated(
        &self,
        table: &Ruleset,
        base: &Base,
        chain: &Chain,
        packets: Vec<Packet>,
        source: u128,
    ) -> Result<Vec<Packet>, Unclear> {
        let mut going_on = Vec::new();
        for packet in packets {
            let (translated, local) = (packet.source.clone(), packet.is_local);
            let before = Packet { source: Source::Own(source), is_local: None, ..packet };
            for after in self.base(table, base, chain, vec![before])? {
                going_on.push(Packet { source: translated.clone(), is_local: local, ..after });
            }
        }
        Ok(going_on)
    }

    /// The packets that fall off a chain's end or return from it.
    fn chain(
        &self,
        of: (&Ruleset, bool),
        chain: &Chain,
        mut packets: Vec<Packet>,
        accepted: &mut Vec<Packet>,
        depth: usize,
    ) -> Result<Vec<Packet>, Unclear> {
        if depth > DEEPEST {
            return Err(unclear("chains are nested deeper than the kernel takes"));
        }
        let mut returned = Vec::new();
        for rule in &chain.rules {
            let mut ends = Ends::default();
            let mut next = Vec::new();
            for packet in packets {
                self.rule(of, rule, packet, &mut next, &mut ends, depth)?;
            }
            accepted.extend(ends.accepted);
            returned.extend(ends.returned);
            packets = next;
        }
        returned.extend(packets);
        Ok(returned)
    }

    /// Takes a packet through a rule; what goes on to the next one is added to `next`.
    fn rule(
        &self,
        of: (&Ruleset, bool),
        rule: &Rule,
        packet: Packet,
        next: &mut Vec<Packet>,
        ends: &mut Ends,
        depth: usize,
    ) -> Result<(), Unclear> {
        let (mut packet, mut is_open) = (packet, false);
        for statement in &rule.statements {
            match statement {
                Statement::Match(found) => match self.answer(of.0, found, &packet)? {
                    Answer::Known(true) => {}
                    Answer::Known(false) | Answer::Parted(None, None) => {
                        next.push(packet);
                        return Ok(());
                    }
                    Answer::Parted(holds, fails) => {
                        next.extend(fails);
                        let Some(holds) = holds else { return Ok(()) };
                        packet = holds;
                    }
                    Answer::Open => is_open = true,
                },
                // Questions about connection marks and priorities are open here.
                Statement::Counter(_) | Statement::Limit | Statement::Log(_) => {}
                Statement::SetMark { .. } | Statement::SetPriority(_) => {}
                Statement::Verdict(Verdict::Continue) => {}
                _ if is_open => return Err(unclear("what leaves depends on more than the gateway and the way")),
                Statement::Snat { v6, to } => return self.translate(of.1, (*v6, *to), packet, ends),
                Statement::Verdict(verdict) => return self.go(of, verdict, packet, next, ends, depth),
                Statement::SetLabel(bit) => packet.labels |= 1_u128.checked_shl((*bit).into()).unwrap_or(0),
                Statement::SetPacketMark { .. } => return Err(unclear("a mark is set after routing")),
                Statement::VerdictMap { .. } | Statement::Named(_) => {
                    return Err(unclear("something is looked up after routing"));
                }
            }
        }
        next.push(packet);
        Ok(())
    }

    fn go(
        &self,
        of: (&Ruleset, bool),
        verdict: &Verdict,
        packet: Packet,
        next: &mut Vec<Packet>,
        ends: &mut Ends,
        depth: usize,
    ) -> Result<(), Unclear> {
        match verdict {
            Verdict::Accept => ends.accepted.push(packet),
            Verdict::Drop => {}
            Verdict::Return => ends.returned.push(packet),
            Verdict::Continue => next.push(packet),
            Verdict::Jump(name) | Verdict::Goto(name) => {
                let chain = of.0.chains.get(name).ok_or_else(|| unclear(format!("the chain `{name}` is not there")))?;
                let back = self.chain(of, chain, vec![packet], &mut ends.accepted, depth + 1)?;
                let back_to = if matches!(verdict, Verdict::Jump(_)) { next } else { &mut ends.returned };
                back_to.extend(back);
            }
        }
        Ok(())
    }

    fn translate(
        &self,
        is_nat: bool,
        (v6, to): (bool, Option<u128>),
        packet: Packet,
        ends: &mut Ends,
    ) -> Result<(), Unclear> {
        if !is_nat {
            return Err(unclear("an address is translated in a chain that is not of type nat"));
        }
        if v6 != self.v6 {
            return Err(unclear("the address of one family is given to packets of the other"));
        }
        let mut is_translated = packet.is_translated;
        let source = match (to, &packet.source) {
            (Some(address), Source::Own(own)) => {
                is_translated |= address != *own;
                Source::Given(address)
            }
            _ => packet.source.clone(),
        };
        ends.accepted.push(Packet { source, is_translated, is_decided: true, is_local: None, ..packet });
        Ok(())
    }

    fn answer(&self, table: &Ruleset, found: &Match, packet: &Packet) -> Result<Answer, Unclear> {
        let answer = match &found.values {
            Values::Bits(bits) => bits_answer(found.field, *bits, packet),
            Values::Names(_) => Answer::Open,
            Values::Ranges(ranges) => {
                self.in_set(found.field, &RangeSet::from_ranges(ranges.iter().copied()), packet)?
            }
            Values::Set(name) => match table.sets.get(name) {
                Some(set) => self.in_set(found.field, &RangeSet::from_ranges(set.elements.iter().copied()), packet)?,
                None => return Err(unclear(format!("the set `{name}` is not there"))),
            },
        };
        // A field that a packet lacks matches nothing, negated or not.
        let is_absent = match found.field {
            Field::SourceV4 | Field::NextHopV4 => self.v6,
            Field::SourceV6 | Field::NextHopV6 => !self.v6,
            _ => false,
        };
        Ok(match answer {
            _ if is_absent => Answer::Known(false),
            Answer::Known(holds) => Answer::Known(holds != found.negated),
            Answer::Parted(holds, fails) if found.negated => Answer::Parted(fails, holds),
            answer => answer,
        })
    }

    /// Whether a field has one of the values.
    fn in_set(&self, field: Field, values: &RangeSet<u128>, packet: &Packet) -> Result<Answer, Unclear> {
        let holds = |value: u128| Answer::Known(values.contains(value));
        Ok(match field {
            Field::Family => holds(if self.v6 { 10 } else { 2 }),
            Field::Direction => holds(0),
            Field::PacketMark(mask) => match self.mark.bits(mask) {
                Some(bits) => holds(bits.into()),
                None => {
                    return Err(unclear(
                        "what leaves depends on bits of the packet's mark that nothing has set before",
                    ));
                }
            },
            Field::SourceV4 | Field::SourceV6 => match &packet.source {
                Source::Own(source) | Source::Given(source) => holds(*source),
                Source::Foreign(set) => {
                    let with = |set: RangeSet<u128>| {
                        let source = Source::Foreign(set.clone());
                        (!set.is_empty()).then(|| Packet { source, ..packet.clone() })
                    };
                    Answer::Parted(with(set.intersection(values)), with(set.difference(values)))
                }
            },
            Field::NextHopV4 | Field::NextHopV6 => {
                let with =
                    |next_hop: RangeSet<u128>| (!next_hop.is_empty()).then(|| Packet { next_hop, ..packet.clone() });
                Answer::Parted(with(packet.next_hop.intersection(values)), with(packet.next_hop.difference(values)))
            }
            Field::SourceType if *values == RangeSet::range(LOCAL, LOCAL) => match packet.is_local {
                Some(is_local) => Answer::Known(is_local),
                None => {
                    let with = |is_local| Some(Packet { is_local: Some(is_local), ..packet.clone() });
                    Answer::Parted(with(true), with(false))
                }
            },
            _ => Answer::Open,
        })
    }
}

/// Whether the connection is in one of these states, or has one of these bits of its status.
fn bits_answer(field: Field, bits: u128, packet: &Packet) -> Answer {
    let state = if packet.kind == Connection::First { NEW } else { ESTABLISHED };
    match field {
        Field::State if bits & (NEW | ESTABLISHED) == 0 => Answer::Known(false),
        Field::State if bits & (NEW | ESTABLISHED) == NEW | ESTABLISHED => Answer::Known(true),
        // A later packet may be new too, until something answers.
        Field::State if packet.kind == Connection::First => Answer::Known(bits & state != 0),
        Field::Label => Answer::Known(bits & packet.labels != 0),
        Field::Status if bits == TRANSLATED => Answer::Known(packet.is_translated),
        _ => Answer::Open,
    }
}
