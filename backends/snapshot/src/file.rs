//! Whole snapshots. In: bytes, or meta, tables and perhaps a key. Out: a checked [`Snapshot`], or bytes that read back.
//!
//! | from | what |
//! | --- | --- |
//! | 0 | the header page: `EGRESSC\0`; u32 byte-order mark, u32 version; u64 length of the file, generation, place and length of the tables, place and length of the meta part; u32 whether it is signed; zeros to byte 4096 |
//! | 4096 | the tables, a multiple of 64 bytes; zeros to the next multiple of 4096 |
//! | then | the meta part, JSON in UTF-8 |
//! | then | SHA-256 of every byte before it (32), and where it is signed the ed25519 public key (32) and signature (64) |
//!
//! All numbers are little-endian. Nothing follows. What is claimed is checked before it is used: nothing is allocated
//! that is larger than the file.

use crate::agree::{Disagreement, agree};
use crate::layout::DIGEST_AT;
use crate::meta::Meta;
use crate::sign::{self, SigningKey};
use crate::tables::{TableError, Tables};
use sha2::{Digest, Sha256};
use std::ops::Range;

/// The first bytes of a snapshot.
pub const MAGIC: [u8; 8] = *b"EGRESSC\0";

/// The version of the file's format that is written and read.
pub const VERSION: u32 = 1;

/// What the parts are aligned to.
pub const PAGE: usize = 4096;

/// Says in which order bytes stand.
const MARK: u32 = 0x0102_0304;

/// Where the header's fields end; the rest of its page is zero.
const FIELDS: usize = 68;

/// A snapshot, with every index checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Who is who, and which rule decides.
    pub meta: Meta,
    /// What the kernel reads.
    pub tables: Tables,
    /// The public key whose signature is right; nothing where it is unsigned. Whether it is a trusted key is for the
    /// caller to say.
    pub signer: Option<[u8; 32]>,
    /// SHA-256 over everything before the trailer: the name of this snapshot.
    pub digest: [u8; 32],
}

/// Why bytes are no snapshot.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Too short for a header and a trailer.
    #[error("it has {0} bytes, which is too short for a snapshot")]
    Short(usize),
    /// Does not begin with [`MAGIC`].
    #[error("it does not begin as a snapshot does")]
    Magic,
    /// The bytes stand in the other order.
    #[error("its numbers are big-endian")]
    Endian,
    /// Another version of the format.
    #[error("it has version {0} of the format, but this program reads version {VERSION}")]
    Version(u32),
    /// Not as long as it says.
    #[error("it has {bytes} bytes, but its header says {stated}")]
    Length {
        /// How many bytes there are.
        bytes: usize,
        /// How many the header states.
        stated: u64,
    },
    /// The digest is another.
    #[error("its SHA-256 is not the one that it states: it was damaged or changed")]
    Digest,
    /// A field of the header has a value that does not fit the others.
    #[error("the header's field `{field}` is {found}, but must be {must}")]
    Header {
        /// Which field.
        field: &'static str,
        /// What it is.
        found: u64,
        /// What it must be.
        must: String,
    },
    /// A byte that must be zero is not.
    #[error("byte {0} is padding and not zero")]
    Padding(usize),
    /// The signature is wrong.
    #[error("its signature is not right")]
    Signature,
    /// The tables are wrong.
    #[error("the tables: {0}")]
    Tables(#[from] TableError),
    /// The meta part cannot be read.
    #[error("the meta part is not what its schema says, at line {line}, column {column}")]
    Meta {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// Meta and tables say different things.
    #[error("meta and tables: {0}")]
    Disagree(#[from] Disagreement),
}

impl ReadError {
    /// What to do.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Magic => "give a file that `egressc compile --target ebpf` wrote",
            Self::Version(_) => "compile the policy again with the `egressc` of this version",
            Self::Short(_) | Self::Length { .. } | Self::Digest | Self::Signature => {
                "copy the file again, or compile the policy again; the running policy stays as it is"
            }
            Self::Endian
            | Self::Header { .. }
            | Self::Padding(_)
            | Self::Tables(_)
            | Self::Meta { .. }
            | Self::Disagree(_) => "compile the policy again; a snapshot that `egressc` wrote is never like this",
        }
    }
}

/// The bytes of a snapshot. The tables' layout gets the digest of the meta part; what was written is read back.
///
/// # Errors
///
/// Whatever [`read`] finds wrong with it: meta or tables that are not right, or that do not belong together.
pub fn write(meta: &Meta, tables: &[u8], key: Option<&SigningKey>) -> Result<Vec<u8>, ReadError> {
    let json = serde_json::to_vec(meta).map_err(|error| unreadable(&error))?;
    let meta_at = PAGE.saturating_add(tables.len()).next_multiple_of(PAGE);
    let length = meta_at + json.len() + trailer(key.is_some());
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(MAGIC);
    bytes.extend(MARK.to_le_bytes());
    bytes.extend(VERSION.to_le_bytes());
    for field in [length, 0, PAGE, tables.len(), meta_at, json.len()] {
        bytes.extend((field as u64).to_le_bytes());
    }
    if let Some(field) = bytes.get_mut(24..32) {
        field.copy_from_slice(&meta.generation.to_le_bytes());
    }
    bytes.extend(u32::from(key.is_some()).to_le_bytes());
    bytes.resize(PAGE, 0);
    bytes.extend(tables);
    if let Some(digest) = bytes.get_mut(PAGE + DIGEST_AT..PAGE + DIGEST_AT + 32) {
        digest.copy_from_slice(&sha256(&json));
    }
    bytes.resize(meta_at, 0);
    bytes.extend(json);
    let digest = sha256(&bytes);
    bytes.extend(digest);
    if let Some(key) = key {
        bytes.extend(key.public());
        bytes.extend(key.sign(&digest));
    }
    read(&bytes)?;
    Ok(bytes)
}

/// The bytes of a snapshot with another meta part, signed with a key where there is one. The tables stay what they are, but
/// for the digest of the meta part in them; a signature that the snapshot has is not kept.
///
/// # Errors
///
/// Whatever [`read`] finds wrong with what is given or with what comes out.
pub fn rewrite(bytes: &[u8], change: impl FnOnce(&mut Meta), key: Option<&SigningKey>) -> Result<Vec<u8>, ReadError> {
    let Snapshot { mut meta, tables, .. } = read(bytes)?;
    change(&mut meta);
    write(&meta, tables.bytes(), key)
}

/// Reads a snapshot and checks all of it: digest, signature, every index, and that meta and tables belong together.
///
/// # Errors
///
/// The first thing that is wrong. Every flipped bit is an error.
pub fn read(bytes: &[u8]) -> Result<Snapshot, ReadError> {
    let header = Header::read(bytes)?;
    let (digest, signer) = header.trailer(bytes)?;
    let meta_bytes = header.parts(bytes)?;
    let part = |range: Range<usize>| bytes.get(range).unwrap_or_default();
    let tables = Tables::new(part(header.tables()).to_vec())?;
    let json = part(meta_bytes);
    let meta: Meta = serde_json::from_slice(json).map_err(|error| unreadable(&error))?;
    if tables.layout().meta_digest != sha256(json) {
        return Err(Disagreement::Digest.into());
    }
    agree(&meta, &tables, header.generation)?;
    Ok(Snapshot { meta, tables, signer, digest })
}

/// The numbers of the header, as they stand there.
struct Header {
    generation: u64,
    tables_at: u64,
    tables_length: u64,
    meta_at: u64,
    meta_length: u64,
    signed: u32,
}

impl Header {
    /// The header of a file that is as long as it says.
    fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let short = || ReadError::Short(bytes.len());
        let u32_at = |at: usize| {
            let found = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            found.map(u32::from_le_bytes).ok_or_else(short)
        };
        let u64_at = |at: usize| Ok::<u64, ReadError>(u64::from(u32_at(at + 4)?) << 32 | u64::from(u32_at(at)?));
        if !bytes.starts_with(&MAGIC) {
            return Err(if MAGIC.starts_with(bytes) { short() } else { ReadError::Magic });
        }
        match u32_at(8)? {
            MARK => {}
            mark if mark == MARK.swap_bytes() => return Err(ReadError::Endian),
            mark => return Err(wrong("byte order", mark.into(), MARK.to_string())),
        }
        match u32_at(12)? {
            VERSION => {}
            version => return Err(ReadError::Version(version)),
        }
        let stated = u64_at(16)?;
        if stated != bytes.len() as u64 {
            return Err(ReadError::Length { bytes: bytes.len(), stated });
        }
        let header = Self {
            generation: u64_at(24)?,
            tables_at: u64_at(32)?,
            tables_length: u64_at(40)?,
            meta_at: u64_at(48)?,
            meta_length: u64_at(56)?,
            signed: u32_at(64)?,
        };
        if bytes.len() < PAGE { Err(short()) } else { Ok(header) }
    }

    /// Checks digest and signature before anything else is believed. Out: the digest, and who signed it.
    fn trailer(&self, bytes: &[u8]) -> Result<([u8; 32], Option<[u8; 32]>), ReadError> {
        let short = || ReadError::Short(bytes.len());
        if self.signed > 1 {
            return Err(wrong("signed", self.signed.into(), "0 or 1".to_owned()));
        }
        let signed = self.signed == 1;
        let at = bytes.len().checked_sub(trailer(signed)).filter(|at| *at >= PAGE).ok_or_else(short)?;
        let (content, trailer) = bytes.split_at_checked(at).ok_or_else(short)?;
        let (digest, rest) = trailer.split_first_chunk::<32>().ok_or_else(short)?;
        if sha256(content) != *digest {
            return Err(ReadError::Digest);
        }
        if !signed {
            return Ok((*digest, None));
        }
        let (key, rest) = rest.split_first_chunk::<32>().ok_or_else(short)?;
        let signature = rest.first_chunk::<64>().ok_or_else(short)?;
        let right = sign::is_right(key, digest, signature);
        if right { Ok((*digest, Some(*key))) } else { Err(ReadError::Signature) }
    }

    /// Checks that the parts stand one behind the other and fill the file. Out: where the meta part is.
    fn parts(&self, bytes: &[u8]) -> Result<Range<usize>, ReadError> {
        let end = (bytes.len() - trailer(self.signed == 1)) as u64;
        let page = PAGE as u64;
        if self.tables_at != page {
            return Err(wrong("place of the tables", self.tables_at, page.to_string()));
        }
        if !self.tables_length.is_multiple_of(64) || self.tables_length > end - page {
            let must = format!("a multiple of 64 that is at most {}", end - page);
            return Err(wrong("length of the tables", self.tables_length, must));
        }
        let meta_at = (page + self.tables_length).next_multiple_of(page);
        if self.meta_at != meta_at || meta_at > end {
            return Err(wrong("place of the meta part", self.meta_at, format!("{meta_at}, and at most {end}")));
        }
        if self.meta_length != end - meta_at {
            return Err(wrong("length of the meta part", self.meta_length, (end - meta_at).to_string()));
        }
        for gap in [FIELDS..PAGE, self.tables().end..meta_at as usize] {
            let part = bytes.get(gap.clone()).unwrap_or_default();
            if let Some((at, _)) = gap.zip(part).find(|(_, byte)| **byte != 0) {
                return Err(ReadError::Padding(at));
            }
        }
        Ok(meta_at as usize..end as usize)
    }

    fn tables(&self) -> Range<usize> {
        PAGE..PAGE + self.tables_length as usize
    }
}

/// How many bytes the trailer takes.
fn trailer(signed: bool) -> usize {
    if signed { 32 + 32 + 64 } else { 32 }
}

fn wrong(field: &'static str, found: u64, must: String) -> ReadError {
    ReadError::Header { field, found, must }
}

fn unreadable(error: &serde_json::Error) -> ReadError {
    ReadError::Meta { line: error.line(), column: error.column() }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
