//! What became of an artifact, as findings and as a proof.
//!
//! In: [`Held`]. Out: a finding for each direction in which the artifact differs, with the widest blocks and the rules
//! responsible; and one [`Proof`].

use super::{Compared, Held, Source};
use egress_answers::blocks::{People, Words};
use egress_answers::{Proof, ProofKind, Standing, counted, fault};
use egress_compiler::source::Place;
use egress_compiler::{Diagnostic, Label};
use egress_ir::{Exemption, Outcome, RuleId};
use egress_lang::span::Span;
use egress_verifier::diff::responsible;
use egress_verifier::{Answer, Block};

/// The most blocks that a finding writes out.
const BLOCKS: usize = 8;
/// The most rules that a finding shows.
const RULES: usize = 6;

/// Why an artifact is held against its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It was just made: a difference is a defect of egressc.
    Made,
    /// Somebody has it: a difference is what was asked for.
    Given,
}

/// How to tell of an artifact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telling<'t> {
    /// What it was held against.
    pub(crate) source: Source<'t>,
    /// What it is called, such as `the artifact for nftables` or the file `x.nft`.
    pub(crate) name: &'t str,
    /// Why it was held.
    pub(crate) role: Role,
}

impl Telling<'_> {
    /// Findings and the proof.
    pub(crate) fn tell(&self, held: Held) -> (Vec<Diagnostic>, Proof) {
        let proof = |answer, notes: Vec<String>| Proof {
            kind: ProofKind::Artifact,
            assertion: None,
            statement: format!("{} does what the policy says", self.name),
            control: None,
            answer,
            notes,
            blocks: Vec::new(),
            remedy: Vec::new(),
        };
        match held {
            Held::Unreadable(why) => (vec![self.unreadable(&why)], proof(Standing::Unknown, vec![why])),
            Held::Unclear(why) => (vec![self.unknown(&why)], proof(Standing::Unknown, vec![why])),
            Held::Defect(defect) => {
                let why = defect.message.clone();
                (vec![*defect], proof(Standing::Unknown, vec![why]))
            }
            Held::Compared(compared) => match &compared.comparison.answer {
                Answer::Proved => (Vec::new(), proof(Standing::Proved, extent(&compared))),
                Answer::Unknown(why) => (vec![self.unknown(why)], proof(Standing::Unknown, vec![why.clone()])),
                Answer::Refuted(blocks) => {
                    let people = People::new(&compared.senders, &[self.source.program]);
                    let programs = vec![self.source.program];
                    let name = |id| self.source.program.gateways.at(id).name.clone();
                    let words = Words { people, programs, gateway: Box::new(name) };
                    let mut refuted = proof(Standing::Refuted, vec![counted(blocks.len(), "block")]);
                    refuted.blocks = blocks.iter().map(|block| words.tell(block).json("policy", "artifact")).collect();
                    (self.differences(blocks, &words), refuted)
                }
            },
        }
    }

    fn unreadable(&self, why: &str) -> Diagnostic {
        match self.role {
            Role::Made => {
                let message = format!("{} cannot be read back", self.name);
                fault::defect("egress::internal::artifact", message).fact(why)
            }
            Role::Given => {
                fault::unknown(format!("{} is not understood, so nothing is known about it", self.name), why)
                    .help("egressc reads what it makes itself and what is written like it; nothing is guessed")
            }
        }
    }

    fn unknown(&self, why: &str) -> Diagnostic {
        let question = format!("it is not known whether {} does what the policy says", self.name);
        fault::unknown(question, why)
    }

    /// A finding for each direction.
    fn differences(&self, blocks: &[Block], words: &Words<'_>) -> Vec<Diagnostic> {
        let kinds = [
            ("egress::artifact::wider", "lets flows pass that the policy denies"),
            ("egress::artifact::narrower", "stops flows that the policy lets pass"),
            ("egress::artifact::rerouted", "sends flows another way than the policy"),
        ];
        let code = |block: &Block| match (block.left, block.right) {
            (Outcome::Dropped, _) => "egress::artifact::wider",
            (_, Outcome::Dropped) => "egress::artifact::narrower",
            _ => "egress::artifact::rerouted",
        };
        let found = kinds.into_iter().filter_map(|(wanted, what)| {
            let blocks: Vec<&Block> = blocks.iter().filter(|block| code(block) == wanted).collect();
            let widest = blocks.first()?;
            let message = format!("{} {what}", self.name);
            let finding = match self.role {
                Role::Made => fault::defect("egress::internal::artifact", message),
                Role::Given => Diagnostic::error(wanted, message)
                    .help("compile the policy again, or change the policy to what is meant"),
            };
            Some(self.with_rules(with_blocks(finding, &blocks, words), &blocks).witness(widest.witness.clone()))
        });
        found.collect()
    }

    /// The rules that decide the blocks by the source.
    fn with_rules(&self, mut finding: Diagnostic, blocks: &[&Block]) -> Diagnostic {
        let program = self.source.program;
        let mut rules: Vec<RuleId> = Vec::new();
        for rule in blocks.iter().flat_map(|block| responsible(program, block)) {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        for rule in rules.into_iter().take(RULES) {
            let origin = program.origins.entries.at(program.rules.at(rule).origin);
            let place = Place::new(origin.source, Span::new(origin.start, origin.end));
            finding = finding.label(Label::context(place, "the policy decides so here"));
        }
        finding
    }
}

fn with_blocks(finding: Diagnostic, blocks: &[&Block], words: &Words<'_>) -> Diagnostic {
    let told = |finding: Diagnostic, block: &&Block| {
        let told = words.tell(block);
        let running = told.running().map(|pods| format!(" ({pods})")).unwrap_or_default();
        finding.fact(format!("{}{running}: {} by the policy, {} by the artifact", told.line(), told.left, told.right))
    };
    let finding = blocks.iter().take(BLOCKS).fold(finding, told);
    match blocks.len().saturating_sub(BLOCKS) {
        0 => finding,
        more => finding.fact(format!("and {} more, which `--format json` shows", counted(more, "block"))),
    }
}

/// How much was compared, and what was left out.
fn extent(compared: &Compared) -> Vec<String> {
    let extent = compared.comparison.extent;
    let pieces = if extent.pieces == 1 { "1 piece".to_owned() } else { format!("{} pieces", extent.pieces) };
    let mut notes = vec![format!("{}, {pieces} of addresses", counted(extent.senders, "sender"))];
    let except = compared.comparison.exemptions.iter().map(|Exemption { why, .. }| format!("except: {why}"));
    notes.extend(except);
    notes.dedup();
    notes
}
