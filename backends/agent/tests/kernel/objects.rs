//! The committed objects: that they are what the sources give, byte for byte, and that their types are ours.

use crate::support::{plain_model, run};
use crate::tables::Forms;
use aya::Btf;
use egress_agent::kernel::{RECORDS, constants};
use egress_snapshot::layout::{Layout, WORDS};
use egress_testkit::seed::{Rng, seed};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The agent's objects, and the bench's.
const FOLDERS: [(&str, &[&str]); 2] =
    [("bpf", &["inbound.bpf.o", "policy.bpf.o", "stub.bpf.o"]), ("benches/bpf", &["bench.bpf.o"])];

fn at(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn folder() -> PathBuf {
    at("bpf")
}

#[test]
fn digests_are_those_that_are_written_down() {
    for (folder, objects) in FOLDERS {
        let text = std::fs::read_to_string(at(folder).join("OBJECTS")).unwrap();
        let (compiler, digests) = text.split_once('\n').unwrap();
        assert!(compiler.contains("clang version"));
        let digest = |name: &&str| {
            let digest = Sha256::digest(std::fs::read(at(folder).join(name)).unwrap());
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{digest}  {name}\n")
        };
        assert_eq!(digests, objects.iter().map(digest).collect::<String>());
    }
}

#[test]
fn objects_are_what_the_sources_give() {
    let name = "objects_are_what_the_sources_give";
    let written = std::fs::read_to_string(folder().join("OBJECTS")).unwrap();
    let wanted = written.lines().next().unwrap();
    let found = Command::new("clang").arg("--version").output();
    let found = found.map(|output| String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("").to_owned());
    match found {
        Ok(found) if found == wanted => {}
        Ok(found) => return eprintln!("SKIPPED {name}: the objects were made by `{wanted}`, and here is `{found}`"),
        Err(error) => return eprintln!("SKIPPED {name}: no clang: {error}"),
    }
    for (folder, objects) in FOLDERS {
        let to = tempfile::tempdir().unwrap();
        let script = at("bpf").join("build.sh");
        let words = [script.as_path(), to.path(), at(folder).as_path()].map(|path| path.to_string_lossy().into_owned());
        run("sh", &words.each_ref().map(String::as_str)).unwrap();
        for object in objects.iter().chain([&"OBJECTS"]) {
            let same =
                std::fs::read(at(folder).join(object)).unwrap() == std::fs::read(to.path().join(object)).unwrap();
            assert!(same, "`{folder}/{object}` is not what the sources give; run `bpf/build.sh`, for benches too");
        }
    }
}

/// The type information of an object: a plain reading of its section, as the kernel's documentation of BTF describes it.
struct Types {
    /// Name, and members with their offsets in bytes.
    structures: Vec<(String, Vec<(String, u32)>)>,
}

impl Types {
    fn of(object: &Path) -> Self {
        let bytes = std::fs::read(object).unwrap();
        let section = section(&bytes, ".BTF");
        // It is also what the loader understands.
        Btf::parse(&section, aya::Endianness::Little).unwrap();
        let word = |at: usize| u32::from_le_bytes(section[at..at + 4].try_into().unwrap());
        let (header, types, types_size, strings) = (word(4), word(8), word(12), word(16));
        let text = |at: u32| {
            let from = (header + strings + at) as usize;
            let end = section[from..].iter().position(|byte| *byte == 0).unwrap();
            String::from_utf8(section[from..from + end].to_vec()).unwrap()
        };
        let (mut at, end) = ((header + types) as usize, (header + types + types_size) as usize);
        let mut structures = Vec::new();
        while at < end {
            let (name, info) = (word(at), word(at + 4));
            let (kind, count) = (info >> 24 & 31, (info & 0xffff) as usize);
            at += 12;
            if kind == 4 {
                let member = |place: usize| (text(word(at + place * 12)), word(at + place * 12 + 8) / 8);
                structures.push((text(name), (0..count).map(member).collect()));
            }
            // How much follows each kind: integer, array, structure, union, enumeration, prototype, variable, section.
            at += match kind {
                1 | 14 | 17 => 4,
                3 => 12,
                4 | 5 | 15 | 19 => 12 * count,
                6 | 13 => 8 * count,
                _ => 0,
            };
        }
        Self { structures }
    }

    fn members(&self, name: &str) -> &[(String, u32)] {
        let found = self.structures.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("there is no structure `{name}`")).1
    }
}

/// A section of an ELF file of 64 bits.
fn section(elf: &[u8], wanted: &str) -> Vec<u8> {
    let long = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().unwrap()) as usize;
    let short = |at: usize| usize::from(u16::from_le_bytes(elf[at..at + 2].try_into().unwrap()));
    let word = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap()) as usize;
    let (table, size, count, names) = (long(40), short(58), short(60), short(62));
    let names = long(table + names * size + 24);
    let header = (0..count).map(|place| table + place * size).find(|header| {
        let name = &elf[names + word(*header)..];
        name.starts_with(wanted.as_bytes()) && name[wanted.len()] == 0
    });
    let header = header.unwrap_or_else(|| panic!("there is no section `{wanted}`"));
    elf[long(header + 24)..long(header + 24) + long(header + 32)].to_vec()
}

#[test]
fn the_layout_has_the_words_of_the_snapshot() {
    let types = Types::of(&folder().join("policy.bpf.o"));
    let members: Vec<_> = types.members("layout").iter().map(|(name, at)| (name.as_str(), *at)).collect();
    let words: Vec<_> = WORDS.iter().enumerate().map(|(place, name)| (*name, place as u32 * 4)).collect();
    assert_eq!(members, words);
}

/// The numbers that instructions of a section load.
fn loaded(object: &[u8], section_name: &str) -> Vec<u32> {
    let section = section(object, section_name);
    let (instructions, _) = section.as_chunks::<8>();
    let moves = instructions.iter().filter(|instruction| instruction[0] == 0xb7);
    moves.map(|instruction| u32::from_le_bytes(instruction[4..].try_into().unwrap())).collect()
}

#[test]
fn constants_of_the_tables_take_the_place_of_all_placeholders() {
    let object = std::fs::read(folder().join("policy.bpf.o")).unwrap();
    let is_placeholder = |number: &&u32| **number >> 16 == 0x6c79;
    let tables = plain_model(7, 5, 0).tables_with(Forms::Smallest, &mut Rng::new(seed(), 0));
    let layout = Layout::read(&tables).unwrap();
    let written = constants::write(&object, &tables).unwrap();
    let sections = [".text", "cgroup_skb/egress", "classifier", "cgroup/connect4", "cgroup/sendmsg6"];
    let mut places = 0;
    for name in sections {
        let (before, after) = (loaded(&object, name), loaded(&written, name));
        places += before.iter().filter(is_placeholder).count();
        assert_eq!(after.iter().filter(is_placeholder).count(), 0, "section `{name}`");
        let direct = layout.direct_line * 64;
        assert!(name.starts_with("cgroup/") || after.contains(&direct), "section `{name}`");
        assert!(name.starts_with("cgroup/") || after.contains(&(layout.lines * 64)), "section `{name}`");
    }
    // Nothing else of the object is touched, whatever its other sections hold.
    let different = object.chunks(8).zip(written.chunks(8)).filter(|(before, after)| before != after).count();
    assert_eq!(object.len(), written.len());
    assert!(places > 100 && different == places, "{different} of {places}");
    assert!(constants::write(&object, &tables[..100]).is_err());
}

#[test]
fn structures_have_the_members_that_the_agent_reads() {
    let types = Types::of(&folder().join("policy.bpf.o"));
    for (name, expected) in RECORDS {
        let members: Vec<_> = types.members(name).iter().map(|(name, at)| (name.as_str(), *at)).collect();
        assert_eq!(members, *expected, "structure `{name}`");
    }
}
