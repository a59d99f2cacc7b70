//! The library as a front end uses it: everything that is shown of one small unit, without a command.

use egress_answers::explain::{self, From};
use egress_answers::place::Index;
use egress_answers::{Asserted, ProofKind, Question, Standing, claims, coverage};
use egress_compiler::{Compiled, Input, MemoryFiles, Options, SourceText, compile};
use egress_verifier::assertions::Population;
use egress_verifier::{Cache, Limits, Prover};

const UNIT: &str = "workloads web = pods(app=web) in namespace shop
policy lockdown { for all }
policy shop {
  for web
  allow 192.0.2.0/24 on 443/tcp because \"payments\"
}
assert web can reach 192.0.2.7 on 443/tcp
control \"C 1\" \"Nobody else\" { assert only web can reach 192.0.2.0/25 }
assert web cannot reach 192.0.2.9
";

fn compiled() -> Compiled {
    let source = SourceText { path: "unit.egress".into(), bytes: UNIT.into() };
    let input = Input { sources: vec![source], root: ".".into() };
    compile(input, &MemoryFiles::default(), &Options::default())
}

fn prover() -> Prover {
    Prover::new(Limits::default(), Cache::default())
}

#[test]
fn findings_about_rules_are_proved_in_one_proof() {
    let compiled = compiled();
    let (findings, proofs) = claims::confirm(compiled.program.as_ref().unwrap(), &compiled, &mut prover());
    assert!(findings.is_empty(), "{findings:?}");
    let [proof] = proofs.as_slice() else { panic!("{proofs:?}") };
    assert_eq!((proof.kind, proof.answer, proof.assertion), (ProofKind::Findings, Standing::Proved, None));
}

#[test]
fn each_proof_says_which_assertion_it_is_and_where_that_stands() {
    let compiled = compiled();
    let program = compiled.program.as_ref().unwrap();
    let asserted = Asserted { program, sources: &compiled.sources };
    let (findings, proofs) = asserted.prove(Population::Possible(None), &mut prover());
    let index = Index::new(&compiled.sources);
    let told: Vec<_> = proofs
        .iter()
        .map(|proof| {
            let origin = program.origins.entries.at(program.assertions.at(proof.assertion.unwrap()).origin);
            let line = index.file(origin.source).unwrap().position(origin.start).line;
            assert_eq!(proof.statement, UNIT[origin.start as usize..origin.end as usize]);
            (line, proof.answer, proof.control.as_deref())
        })
        .collect();
    let expected =
        [(7, Standing::Proved, None), (8, Standing::Proved, Some("C 1 Nobody else")), (9, Standing::Refuted, None)];
    assert_eq!(told, expected);
    let codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["egress::assert::failed"]);
}

#[test]
fn coverage_is_told_in_lines() {
    let compiled = compiled();
    let asserted = Asserted { program: compiled.program.as_ref().unwrap(), sources: &compiled.sources };
    let found = coverage::coverage(&asserted, Population::Possible(None), &mut prover());
    let text = coverage::lines(&found.covered);
    assert!(text.contains("\n  web\n    IPv4  allowed < 0.0001 %"), "{text}");
    assert_eq!(found.proofs.len(), 3);
}

#[test]
fn a_flow_is_explained_in_text() {
    let compiled = compiled();
    let program = compiled.program.as_ref().unwrap();
    let from = |text: &str| From { from: Some(text.to_owned()), ..From::default() };
    let question = Question::new(from("web"), "192.0.2.7:443", &["API.example.com.".into()]).unwrap();
    let explanation = question.answer(program, &compiled.diagnostics, None).unwrap();
    let text = explain::show(program, &compiled.sources, &explanation, false);
    for line in ["→ 192.0.2.7:443/tcp as api.example.com", "allow  shop#1  unit.egress:5", "no protocol was given: TCP"]
    {
        assert!(text.contains(line), "{text}");
    }
    let nobody = Question::new(from("nobody"), "192.0.2.7:443", &[]).unwrap();
    let refused = nobody.answer(program, &[], None).unwrap_err();
    assert_eq!(refused.message, "`nobody` is neither an address nor a declared set with a member to be found");
    assert!(refused.help.is_some());
    assert!(Question::new(from("web"), "192.0.2.7", &[]).is_err());
}
