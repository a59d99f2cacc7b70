//! Whole snapshots: what is written reads back, and every damage is found.

use crate::file::{PAGE, read, write};
use crate::sign::{SigningKey, tests::PRIVATE};
use crate::testing::{Random, named, named_meta, small, small_meta};
use crate::{Disagreement, Meta, ReadError};
use sha2::{Digest, Sha256};

fn snapshot(key: Option<&SigningKey>) -> Vec<u8> {
    write(&small_meta(), &small().finish(), key).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_pem(PRIVATE).unwrap()
}

/// The file with a digest that fits again.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.len() - 32;
    let digest: [u8; 32] = Sha256::digest(&bytes[..at]).into();
    bytes[at..].copy_from_slice(&digest);
    bytes
}

#[test]
fn what_is_written_reads_back() {
    let (plain, signed) = (read(&snapshot(None)).unwrap(), read(&snapshot(Some(&key()))).unwrap());
    assert_eq!((plain.signer, signed.signer), (None, Some(key().public())));
    assert_eq!(plain.meta, small_meta());
    assert_eq!(plain.tables, signed.tables);
    let mut bytes = small().finish();
    bytes[DIGEST - PAGE..DIGEST - PAGE + 32].copy_from_slice(&plain.tables.layout().meta_digest);
    assert_eq!(plain.tables.bytes(), bytes);
    assert_eq!(snapshot(None), write(&plain.meta, plain.tables.bytes(), None).unwrap());
}

#[test]
fn every_truncation_is_found() {
    for bytes in [snapshot(None), snapshot(Some(&key()))] {
        for length in 0..bytes.len() {
            let said = read(&bytes[..length]).unwrap_err();
            assert!(matches!(said, ReadError::Short(_) | ReadError::Length { .. }), "{length}: {said}");
        }
        assert!(matches!(read(&[bytes, vec![0]].concat()), Err(ReadError::Length { .. })));
    }
}

#[test]
fn every_flipped_byte_is_found() {
    for mut bytes in [snapshot(None), snapshot(Some(&key()))] {
        for at in 0..bytes.len() {
            for flip in [1 << (at % 8), 0xff] {
                bytes[at] ^= flip;
                assert!(read(&bytes).is_err(), "byte {at} ^ {flip:#x}");
                bytes[at] ^= flip;
            }
        }
        assert!(read(&bytes).is_ok());
    }
}

#[test]
fn other_formats_are_named() {
    let with = |at: usize, with: &[u8]| {
        let mut bytes = snapshot(None);
        bytes[at..at + with.len()].copy_from_slice(with);
        read(&sealed(bytes)).map(drop).unwrap_err()
    };
    assert_eq!(with(0, b"\x7fELF"), ReadError::Magic);
    assert_eq!(read(b"policy shop {}"), Err(ReadError::Magic));
    assert_eq!(with(8, &0x0102_0304u32.to_be_bytes()), ReadError::Endian);
    assert_eq!(with(12, &[0]), ReadError::Version(0));
    assert_eq!(with(12, &[2]), ReadError::Version(2));
    assert!(matches!(with(16, &[0xff; 8]), ReadError::Length { stated: u64::MAX, .. }));
    for at in [32, 40, 48, 56] {
        for value in [0, 1, 64, 4096, u64::MAX, u64::MAX - 63, 1 << 40] {
            if (at, value) != (32, 4096) {
                let said = with(at, &u64::to_le_bytes(value));
                assert!(matches!(said, ReadError::Header { .. }), "{at}, {value}: {said}");
            }
        }
    }
    assert!(matches!(with(64, &[2]), ReadError::Header { field: "signed", .. }));
    // Said to be signed, but there is no room for a signature: its digest stands elsewhere.
    assert_eq!(with(64, &[1]), ReadError::Digest);
    assert_eq!(with(4095, &[1]), ReadError::Padding(4095));
    assert!(matches!(with(24, &[6]), ReadError::Disagree(Disagreement::Generation { header: 6, meta: 5, tables: 5 })));
    assert!(matches!(with(PAGE, b"EGT\x01"), ReadError::Tables(_)));
    let other_digest = with(DIGEST, &[0; 32]);
    assert_eq!(other_digest, ReadError::Disagree(Disagreement::Digest));
}

#[test]
fn signatures_of_others_are_refused() {
    let (mut signed, other) = (snapshot(Some(&key())), {
        let mut meta = small_meta();
        meta.compiler = "another".to_owned();
        write(&meta, &small().finish(), Some(&key())).unwrap()
    });
    let end = signed.len();
    signed[end - 64..].copy_from_slice(&other[other.len() - 64..]);
    assert_eq!(read(&signed), Err(ReadError::Signature));
}

/// Where the tables name the digest of the meta part, in a file.
const DIGEST: usize = PAGE + crate::layout::WORDS.len() * 4;

/// A change of the meta part.
type Change<'a> = &'a dyn Fn(&mut Meta);

#[test]
fn meta_and_tables_belong_together() {
    let said = |change: Change<'_>| {
        let mut meta = small_meta();
        change(&mut meta);
        match write(&meta, &small().finish(), None) {
            Err(ReadError::Disagree(said)) => said.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let cases: [(Change<'_>, &str); 21] = [
        (&|meta| meta.generation = 6, "the generation is 6"),
        (&|meta| meta.outcomes.truncate(2), "meta explains 2 outcomes"),
        (&|meta| meta.outcomes[0].verdict = crate::meta::Verdict::Inside, "outcome 0 has the word 0x0"),
        (&|meta| meta.outcomes[2].log = false, "outcome 2 has the word 0x105"),
        (&|meta| meta.outcomes[1].audit = Some(crate::meta::Verdict::Denied), "outcome 1 has the word 0x1"),
        (&|meta| meta.outcomes[1].rules = vec![2], "outcome 1 names rule 2, but there are only 2"),
        (&|meta| meta.outcomes[1].rules = vec![1, 0], "the rules of an outcome are not sorted"),
        (&|meta| meta.outcomes[2].verdict = crate::meta::Verdict::Via(2), "outcome 2 has the word 0x105"),
        (
            &|meta| meta.outcomes[2].audit = Some(crate::meta::Verdict::Via(2)),
            "outcome 2 names gateway 1, but there are only 1",
        ),
        (&|meta| meta.gateways[0].number = 2, "gateway `eu-fixed` has the number 2"),
        (&|meta| meta.gateways.clear(), "the mask 0xff0000 for the numbers of 0 gateways"),
        (&|meta| meta.gateways.push(meta.gateways[0].clone()), "the names of gateways are not sorted"),
        (&|meta| meta.combinations[0].row = 3, "combination 0 names row 3"),
        (&|meta| meta.combinations[0].sets = vec![2], "combination 0 names set 2"),
        (&|meta| meta.combinations.push(meta.combinations[0].clone()), "combinations are not sorted"),
        (&|meta| meta.pods[0].row = 0, "gives 10.0.0.1 the row 1, but meta says 0"),
        (&|meta| meta.pods.push(meta.pods[0].clone()), "the addresses of pods are not sorted"),
        (&|meta| meta.vectors[0].row = 7, "vector 0 names row 7"),
        (&|meta| meta.vectors[1].outcome = 1, "vector 1 comes to outcome 0 in the tables, but should come to 1"),
        (&|meta| meta.rules[0].end = 0, "rule 0 ends before it starts"),
        (
            &|meta| meta.attachments.push(crate::meta::Attachment { point: "x".into(), identity: None, row: Some(3) }),
            "attachment 0 names row 3",
        ),
    ];
    for (change, expected) in cases {
        let said = said(change);
        assert!(said.contains(expected), "{said}, not {expected}");
    }
}

#[test]
fn names_in_meta_and_tables_are_the_same() {
    let written = |meta: &Meta| write(meta, &named().finish(), None);
    assert_eq!(read(&written(&named_meta()).unwrap()).unwrap().meta.names, named_meta().names);
    let said = |change: Change<'_>| {
        let mut meta = named_meta();
        change(&mut meta);
        match written(&meta) {
            Err(ReadError::Disagree(said)) => said.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let other = |meta: &mut Meta| meta.names.as_mut().unwrap().hosts[0] = "api.other".to_owned();
    let cases: [(Change<'_>, &str); 9] = [
        (&other, "outcome 3 asks for other names"),
        (&|meta| meta.outcomes[3].by_name.as_mut().unwrap().outcomes = vec![0, 2], "outcome 3 asks for other names"),
        (&|meta| meta.outcomes[3].by_name.as_mut().unwrap().sets = vec![1], "outcome 3 asks for other names"),
        (&|meta| meta.outcomes[3].by_name = None, "outcome 3 has the word 0x8"),
        (&|meta| meta.name_sets[0] = vec![1], "name set 0 names host pattern 1"),
        (&|meta| meta.name_sets.push(vec![0]), "the ids of sets of names are not sorted"),
        (&|meta| meta.names = None, "name set 0 names host pattern 0"),
        (&|meta| meta.vectors[1].name_sets = vec![1], "vector 1 names name set 1"),
        (&|meta| meta.vectors[1].name_sets.clear(), "vector 1 comes to outcome 0"),
    ];
    for (change, expected) in cases {
        let said = said(change);
        assert!(said.contains(expected), "{said}, not {expected}");
    }
}

#[test]
fn meta_that_is_no_meta_is_refused() {
    let good = snapshot(None);
    let at = PAGE + small().finish().len();
    let at = at.next_multiple_of(PAGE);
    for text in ["", "{}", "null", "{\"generation\":-1}", &"[".repeat(100_000)] {
        let mut bytes = good[..at].to_vec();
        bytes[56..64].copy_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend([0; 32]);
        let length = bytes.len() as u64;
        bytes[16..24].copy_from_slice(&length.to_le_bytes());
        assert!(matches!(read(&sealed(bytes)), Err(ReadError::Meta { .. })));
    }
}

#[test]
fn random_bytes_never_panic() {
    let setting = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let mut random = Random(setting("EGRESS_SEED", 1));
    let (good, mut passed) = (snapshot(None), 0);
    let cases = setting("EGRESS_CASES", 3000);
    for _ in 0..cases {
        let mut bytes = good.clone();
        for _ in 0..random.below(3) {
            // Mostly in the meta part: the tables have their own test.
            let from = if random.below(2) == 0 { 0 } else { PAGE + small().finish().len() };
            let at = from + random.below((bytes.len() - 32 - from) as u64) as usize;
            bytes[at] = random.next() as u8;
        }
        let meta_at = u64::from_le_bytes(bytes[48..56].try_into().unwrap()) as usize;
        if let Some(meta) = bytes.get(meta_at..bytes.len() - 32) {
            let digest: [u8; 32] = Sha256::digest(meta).into();
            bytes[DIGEST..DIGEST + 32].copy_from_slice(&digest);
        }
        passed += u64::from(read(&sealed(bytes)).is_ok());
    }
    assert!(passed > cases / 10 && passed < cases, "{passed} of {cases}");
}

#[test]
fn a_snapshot_is_shown() {
    let snapshot = read(&snapshot(Some(&key()))).unwrap();
    let text = crate::show::text(&snapshot);
    let digest = crate::show::hex(&snapshot.digest);
    for expected in [
        "generation  5\n",
        &format!("digest      sha256:{digest}\n"),
        "signed by   ed25519:",
        "proved      yes\n",
        "ids of 16 bits\n",
        "  2064  IPv4 destinations   2 blocks, 1 chunks of 4\n",
        "    0  all\n",
        "    0  row 1: in the sets 0\n",
        "    0  row 1: 10.0.0.1 shop/till\n",
        "    0  1 is eu-fixed: 203.0.113.10\n",
        "    2  allowed through gateway `eu-fixed` by shop#1, shop#2; recorded\n",
        "shop#1 allows, shop.egress:3, owner \"team-shop\", because \"card payments\", ticket \"SEC-1042\"\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let json = crate::show::json(&snapshot);
    assert_eq!(json["digest"], format!("sha256:{digest}"));
    assert_eq!(
        (&json["generation"], &json["vector_count"], &json["counts"]["rows"]),
        (&5.into(), &5.into(), &3.into())
    );
    assert!(json.get("vectors").is_none() && json["rules"][1]["name"] == "shop#2");
    let bytes: u64 = json["parts"].as_array().unwrap().iter().map(|part| part["bytes"].as_u64().unwrap()).sum();
    assert!(bytes <= snapshot.tables.bytes().len() as u64, "{bytes}");
}
