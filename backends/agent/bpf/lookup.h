/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * From a flow to its outcome by the generation's tables.
 *
 * `layout` is constant and frozen before the program is loaded, so the verifier knows each of its words and drops every
 * branch that these tables do not need. Every look-up is checked against the map's end; what lies outside is NOTHING,
 * which denies. The agent has checked all of it before: no packet ever sees NOTHING.
 */
#ifndef EGRESS_LOOKUP_H
#define EGRESS_LOOKUP_H

#include "abi.h"
#include "layout.h"

#define NOTHING 0xffffffffu

const volatile struct layout layout = {};

/*
 * One element, as long as all lines together and one more: the agent makes the map with that size. An array of lines would cost a
 * look-up, with a key written to the stack and read again, for each line on the way; so it is one look-up for all.
 */
struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, union line);
	MAP_NUMBER(max_entries, 1);
	MAP_NUMBER(map_flags, BPF_F_RDONLY_PROG | BPF_F_MMAPABLE);
} tables SECTION(".maps");

INLINE const u8 *all_tables(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&tables, &zero);
}

/*
 * Whether what stands `at` bytes from the beginning is inside. The map has one line more than the layout says, so that
 * what begins within the lines ends within the map, whatever its size up to a line; and `lines` is known to the verifier,
 * which so believes the check, and drops it where it knew before.
 */
#define inside(at) ({ opaque(at); likely((at) < layout.lines * 64); })

/* The word at `index` of a part that begins at a line. */
INLINE u32 word_at(const u8 *base, u32 line, u32 index)
{
	u32 at = line * 64 + index * 4;

	return inside(at) ? *(const u32 *)(base + at) : NOTHING;
}

/* The half word at `index`. */
INLINE u32 half_at(const u8 *base, u32 line, u32 index)
{
	u32 at = line * 64 + index * 2;

	return inside(at) ? *(const u16 *)(base + at) : NOTHING;
}

/* 1 when a is less than b, both below 2^63, without a branch. */
INLINE u64 is_less(u64 a, u64 b)
{
	u64 difference = a - b;

	opaque(difference);
	return difference >> 63;
}

/* 1 when a is at least b, without a branch: no borrow in a - b. */
INLINE u64 is_at_least(u64 a, u64 b)
{
	u64 difference = a - b;
	u64 no_borrow = ~((~a & b) | (~(a ^ b) & difference));

	opaque(no_borrow);
	return no_borrow >> 63;
}

/*
 * The value in a chunk of ranges. They ascend, and the first one's start is not above the address, so counting the
 * others that are not above it gives the place. A loop with a way out would make the verifier follow each way.
 */
INLINE u32 chunk_value(const u32 *ranges, u32 count, u32 low)
{
	u64 limit = ((u64)low + 1) << 16;
	u64 place = 0;

#pragma unroll
	for (u32 i = 1; i < count; i++)
		place += is_less(ranges[i], limit);
	return ranges[place] & 0xffff;
}

/* The same in a line of ranges by the whole key. The verifier follows the sum, so that the place needs no mask. */
INLINE u32 line_value(const union line *line, u64 key)
{
	u64 place = 0;

	if (layout.wide) {
#pragma unroll
		for (u32 i = 1; i < 5; i++)
			place += is_at_least(key, line->longs[i]);
		return line->words[10 + place];
	}
#pragma unroll
	for (u32 i = 1; i < 6; i++)
		place += is_at_least(key, line->longs[i]);
	return line->halves[24 + place];
}

/* The value that a form which is no table of entries has for a key. */
INLINE u32 form_value(const u8 *base, u32 entry, u64 key, int v4)
{
	u32 kind = entry >> ENTRY_VALUE_BITS, at = (entry & ENTRY_VALUE_MASK) * 16;

	if (kind == ENTRY_LEAF)
		return entry;
	if (v4 && !layout.wide) {
		u32 low = key >> 32 & 0xffff;

		if (kind == ENTRY_CHUNK4)
			return inside(at) ? chunk_value((const u32 *)(base + at), 4, low) : NOTHING;
		if (kind == ENTRY_CHUNK8)
			return inside(at) ? chunk_value((const u32 *)(base + at), 8, low) : NOTHING;
		if (kind == ENTRY_CHUNK16)
			return inside(at) ? chunk_value((const u32 *)(base + at), 16, low) : NOTHING;
	}
	if (kind == ENTRY_LINE && inside(at))
		return line_value((const union line *)(base + at), key);
	return NOTHING;
}

/* The entry at `index` of a table of entries. */
INLINE u32 entry_at(const u8 *base, u32 entry, u32 index)
{
	u32 at = (entry & ENTRY_VALUE_MASK) * 16 + index * 4;

	return inside(at) ? *(const u32 *)(base + at) : NOTHING;
}

/* The value of a key in the tree that starts with an entry. A key has `bytes` bytes that may be indexed by. */
INLINE u32 tree_value(const u8 *base, u32 entry, u64 key, u32 bytes, int v4)
{
	u64 left = key;

	if (entry >> ENTRY_VALUE_BITS == ENTRY_ROOT) {
		entry = entry_at(base, entry, left >> 48);
		left <<= 16;
		bytes -= 2;
	}
#pragma unroll
	for (u32 i = 0; i < 8; i++) {
		if (i >= bytes || entry >> ENTRY_VALUE_BITS != ENTRY_BLOCK)
			break;
		entry = entry_at(base, entry, left >> 56);
		left <<= 8;
	}
	return form_value(base, entry, key, v4);
}

INLINE u32 tree_value_v4(const u8 *base, u32 entry, u64 key)
{
	return tree_value(base, entry, key, 4, 1);
}

/* Not inlined: it is large, and used for destinations, sources and their low halves. */
NOINLINE u32 tree_value_v6(u32 entry, u64 key)
{
	const u8 *base = all_tables();

	return base ? tree_value(base, entry, key, 8, 0) : NOTHING;
}

/* A value of `count` or more names a tree over the lower half of the address. */
INLINE u32 address_value_v6(const u8 *base, u32 tree, u32 lows, u32 low_count, u32 count, u64 high, u64 low)
{
	u32 value = tree_value_v6(tree, high);

	if (low_count && value >= count && value != NOTHING)
		value = tree_value_v6(word_at(base, lows, value - count), low);
	return value;
}

INLINE u32 destination_class(const u8 *base, u64 high, u64 low, int v6)
{
	if (v6)
		return address_value_v6(base, layout.destination_v6, layout.destination_lows_line, layout.destination_low_count,
					layout.class_count, high, low);
	return tree_value_v4(base, layout.destination_v4, high);
}

/* Not inlined: only attach points without an identity of their own ask. */
NOINLINE u32 source_row(u64 high, u64 low, int v6)
{
	const u8 *base = all_tables();

	if (!base)
		return NOTHING;
	if (v6)
		return address_value_v6(base, layout.source_v6, layout.source_lows_line, layout.source_low_count,
					layout.row_count, high, low);
	return tree_value_v4(base, layout.source_v4, high);
}

INLINE u32 port_class(const u8 *base, u8 protocol, u16 number, int fragment)
{
	u32 word = word_at(base, layout.protocols_line, protocol), page;

	if (unlikely(fragment))
		return word & 0xffff;
	page = half_at(base, layout.port_roots_line, (word >> 16) * 256 + (number >> 8));
	return half_at(base, layout.port_pages_line, page * 256 + (number & 255));
}

/* One cell of a matrix. `wide`, `stride` and `paged` are known when the program is verified. */
INLINE u32 cell(const u8 *base, u32 first, u32 stride, u32 paged, u32 row, u32 column)
{
	u32 line = first + row * stride;
	u32 cells = layout.wide ? 4 : 5;

	if (paged) {
		line = word_at(base, line, column >> cells);
		column &= (1 << cells) - 1;
	}
	return layout.wide ? word_at(base, line, column) : half_at(base, line, column);
}

INLINE u32 profile_of(const u8 *base, u32 row, u32 class)
{
	return cell(base, layout.decisions_line, layout.decisions_stride, layout.decisions_paged, row, class);
}

INLINE u32 outcome_of(const u8 *base, u32 profile, u32 port)
{
	return cell(base, layout.actions_line, layout.actions_stride, layout.actions_paged, profile, port);
}

INLINE u32 outcome_word(const u8 *base, u32 outcome)
{
	return word_at(base, layout.outcomes_line, outcome);
}

#endif
