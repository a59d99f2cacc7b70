//! What a packet needs of the tables' layout, written into the programs of an object as numbers.
//!
//! In: an object whose programs hold placeholders (`bpf/layout.h` says which), and tables. Out: the object with numbers in
//! their place. Never: anything else of an object, or an object in which a placeholder is left.

use super::KernelError;
use egress_snapshot::layout::{LINE, Layout, WORDS};

/// The upper half of a placeholder; the lower one says which constant is meant.
const PLACEHOLDER: u32 = 0x6c79;

/// The instruction that loads a number into a register, whichever: `dst = imm`, see Documentation/bpf/standardization.
const MOVE: u8 = 0xb7;

/// The kinds of constants, as in `bpf/layout.h`.
const WORD: u32 = 0;
const OFFSET: u32 = 1;
const PROTOCOL: u32 = 2;
const DIRECT: u32 = 3;

/// The object for these tables.
///
/// # Errors
/// Where the tables have no layout, or not what a placeholder means: the object is of another version.
pub fn write(object: &[u8], tables: &[u8]) -> Result<Vec<u8>, KernelError> {
    let wrong = |why: &str| KernelError::Tables { why: why.to_owned() };
    let layout = Layout::read(tables).ok_or_else(|| wrong("there is no layout"))?;
    let mut object = object.to_vec();
    // Programs stand at multiples of eight bytes, as each of their instructions is as long.
    let (instructions, _) = object.as_chunks_mut::<8>();
    for instruction in instructions {
        let [operation, registers, 0, 0, number @ ..] = *instruction else { continue };
        let number = u32::from_le_bytes(number);
        if operation != MOVE || registers > 9 || number >> 16 != PLACEHOLDER {
            continue;
        }
        let value = constant(number & 0xffff, &layout, tables);
        let value = value.ok_or_else(|| wrong("they lack what the programs of this agent read"))?;
        let [a, b, c, d] = value.to_le_bytes();
        *instruction = [operation, registers, 0, 0, a, b, c, d];
    }
    Ok(object)
}

fn constant(which: u32, layout: &Layout, tables: &[u8]) -> Option<u32> {
    let place = which & 0xff;
    match which >> 8 {
        WORD => word_of(layout, place),
        OFFSET => word_of(layout, place)?.checked_mul(LINE as u32),
        PROTOCOL => {
            let at = (layout.protocols_line as usize).checked_mul(LINE)?.checked_add(place as usize * 4)?;
            word(tables, at)
        }
        DIRECT => {
            let lines = if place == 0 { 1 } else { layout.port_class_count };
            // Where there is no such part, nobody asks, and the product may be anything.
            let bytes = u64::from(lines) * u64::from(layout.direct_stride()) * LINE as u64;
            if layout.direct_line == 0 { Some(0) } else { u32::try_from(bytes).ok() }
        }
        _ => None,
    }
}

fn word_of(layout: &Layout, place: u32) -> Option<u32> {
    let known = (place as usize) < WORDS.len();
    word(&layout.bytes(), place as usize * 4).filter(|_| known)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(word.try_into().ok()?))
}
