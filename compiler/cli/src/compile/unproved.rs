//! Artifacts that are not proved, and written all the same because somebody asked for it.
//!
//! In: an artifact and its proof. Out: the artifact with a comment that says so, and findings that warn.

use super::options::Target;
use egress_answers::{Proof, Standing};
use egress_compiler::{Diagnostic, Severity};

/// What is to be said of an artifact that is not proved.
pub(super) fn finding(mut finding: Diagnostic, written: bool) -> Diagnostic {
    if written {
        finding.severity = Severity::Warning;
        finding.message.push_str("; it is written all the same, and says so");
    } else {
        finding.message.push_str("; nothing was written");
        let unproved = "`--unproved` writes it all the same";
        let help = finding.help.take().map_or_else(|| unproved.to_owned(), |help| format!("{help}; {unproved}"));
        finding.help = Some(help);
    }
    finding
}

/// The artifact with a comment at its head, or a snapshot whose meta part says it.
pub(super) fn marked(target: Target, bytes: &[u8], proof: &Proof) -> Vec<u8> {
    let why: Vec<&str> = proof.notes.iter().flat_map(|note| note.split_whitespace()).collect();
    let standing = match proof.answer {
        Standing::Refuted => "it does not do what the policy says",
        Standing::Unknown | Standing::Proved => "it is not known whether it does what the policy says",
    };
    let why = format!("{standing}: {}", why.join(" "));
    let comment = format!("# unproved: {why}\n");
    let head = match target {
        Target::Ebpf => return snapshot(bytes, why),
        // The first line of an nftables file says what to run it with.
        Target::Nftables if bytes.starts_with(b"#!") => {
            bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1)
        }
        Target::Nftables | Target::Cilium | Target::KubeVip => 0,
    };
    let (before, after) = bytes.split_at(head);
    [before, comment.as_bytes(), after].concat()
}

/// The snapshot with the reason in its meta part. What cannot be read is not written again, so that no reader takes it.
fn snapshot(bytes: &[u8], why: String) -> Vec<u8> {
    egress_snapshot::file::rewrite(bytes, |meta| meta.unproved = Some(why), None).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use egress_answers::ProofKind;

    #[test]
    fn the_comment_is_one_line_after_the_first() {
        let proof = Proof {
            kind: ProofKind::Artifact,
            assertion: None,
            statement: String::new(),
            control: None,
            answer: Standing::Unknown,
            notes: vec!["no\nway".into()],
            blocks: Vec::new(),
            remedy: Vec::new(),
        };
        let text = |target, bytes: &[u8]| String::from_utf8(marked(target, bytes, &proof)).unwrap();
        let comment = "# unproved: it is not known whether it does what the policy says: no way\n";
        assert_eq!(text(Target::Nftables, b"#!/usr/sbin/nft -f\ntable"), format!("#!/usr/sbin/nft -f\n{comment}table"));
        assert_eq!(text(Target::Cilium, b"kind: X\n"), format!("{comment}kind: X\n"));
    }
}
