//! The artifact that a new one replaces: where its counting stands.
//!
//! In: the text of an earlier nftables artifact. Out: its generation, and its epoch if it has one. Reads what the
//! ruleset itself says, so that a file whose comments were edited is still understood.

use crate::exit::Failure;

/// Where an earlier artifact's counting stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    /// Its number.
    pub(super) generation: u64,
    /// Its policy epoch.
    pub(super) epoch: Option<Epoch>,
}

/// A policy epoch in the bits of the connection mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    /// The number.
    pub(super) number: u32,
    /// The bits of the mark that hold it.
    pub(super) mask: u32,
}

impl Epoch {
    /// The epoch after this one within `mask`; after the last comes 1, because 0 marks nothing.
    pub(super) fn next(self, mask: u32) -> u32 {
        let largest = mask.checked_shr(mask.trailing_zeros()).unwrap_or(0);
        match self.number.checked_add(1) {
            Some(next) if next <= largest => next,
            _ => 1,
        }
    }
}

/// Reads an artifact.
///
/// # Errors
/// It is no nftables artifact of this program.
pub(super) fn read(path: &str, bytes: &[u8]) -> Result<Replaced, Failure> {
    let text = String::from_utf8_lossy(bytes);
    let generation = text.lines().find_map(|line| line.strip_prefix("# generation ")?.trim().parse().ok());
    let generation = generation.ok_or_else(|| {
        Failure::new(format!("`{path}` is no nftables file of egressc: it names no generation"))
            .help("give the file that is loaded now, or `--generation` and `--epoch`")
    })?;
    Ok(Replaced { generation, epoch: text.lines().find_map(epoch) })
}

/// `ct mark & 0x00ff0000 == 0x00070000 accept`
fn epoch(line: &str) -> Option<Epoch> {
    let rest = line.trim().strip_prefix("ct mark & ")?;
    let (mask, rest) = rest.split_once(" == ")?;
    let hexadecimal = |text: &str| u32::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let mask = hexadecimal(mask)?;
    let value = hexadecimal(rest.strip_suffix(" accept")?)?;
    Some(Epoch { number: value.checked_shr(mask.trailing_zeros())?, mask })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_count_round_within_the_mask() {
        let epoch = |number| Epoch { number, mask: 0x00ff_0000 };
        assert_eq!(epoch(7).next(0x00ff_0000), 8);
        assert_eq!(epoch(255).next(0x00ff_0000), 1);
        assert_eq!(epoch(7).next(0x7), 1);
        assert_eq!(epoch(u32::MAX).next(0), 1);
    }

    #[test]
    fn generation_and_epoch_are_read_from_the_text() {
        let text = b"#!/usr/sbin/nft -f\n# generation 41\n\t\tct mark & 0x00ff0000 == 0x00070000 accept\n";
        let epoch = Some(Epoch { number: 7, mask: 0x00ff_0000 });
        assert_eq!(read("x", text), Ok(Replaced { generation: 41, epoch }));
        assert!(read("x", b"table inet egressc { }").is_err());
    }
}
