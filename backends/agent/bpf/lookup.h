/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * From a flow to its outcome by the generation's tables.
 *
 * All that is known of the tables before a packet comes stands in the program as numbers (`layout.h`), so the verifier
 * knows it too and drops every branch that these tables do not need. Every look-up is checked against the map's end;
 * what lies outside is NOTHING, which denies. The agent has checked all of it before: no packet ever sees NOTHING.
 */
#ifndef EGRESS_LOOKUP_H
#define EGRESS_LOOKUP_H

#include "abi.h"
#include "layout.h"
#include "parse.h"

#define NOTHING 0xffffffffu

/* For what is not on the way of every packet; constant, and frozen before the program is loaded. */
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
 * what begins within the lines ends within the map, whatever its size up to a line; and the number is known to the verifier,
 * which so believes the check, and drops it where it knew before.
 */
#define inside(at) ({ opaque(at); likely((at) < layout_offset(lines)); })

/* The word at `index` of what begins at a byte. */
INLINE u32 word_at(const u8 *base, u32 first, u32 index)
{
	u32 at = first + index * 4;

	return inside(at) ? *(const u32 *)(base + at) : NOTHING;
}

/* The half word at `index`. */
INLINE u32 half_at(const u8 *base, u32 first, u32 index)
{
	u32 at = first + index * 2;

	return inside(at) ? *(const u16 *)(base + at) : NOTHING;
}

/* The id at `index`. */
INLINE u32 id_at(const u8 *base, u32 first, u32 index)
{
	return layout_word(wide) ? word_at(base, first, index) : half_at(base, first, index);
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

	if (layout_word(wide)) {
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
	if (!inside(at))
		return NOTHING;
	if (v4 && !layout_word(wide)) {
		const u32 *ranges = (const u32 *)(base + at);
		u32 low = key >> 32 & 0xffff;

		if (likely(kind == ENTRY_CHUNK4))
			return chunk_value(ranges, 4, low);
		if (likely(kind == ENTRY_CHUNK8))
			return chunk_value(ranges, 8, low);
		if (likely(kind == ENTRY_CHUNK16))
			return chunk_value(ranges, 16, low);
	}
	return kind == ENTRY_LINE ? line_value((const union line *)(base + at), key) : NOTHING;
}

/* The entry at `index` of a table of entries. */
INLINE u32 entry_at(const u8 *base, u32 entry, u32 index)
{
	u32 at = (entry & ENTRY_VALUE_MASK) * 16 + index * 4;

	return inside(at) ? *(const u32 *)(base + at) : NOTHING;
}

/* The value of a key in the tree below an entry, `used` bits and at most `steps` blocks from its end. */
INLINE u32 value_below(const u8 *base, u32 entry, u64 key, u32 used, u32 steps, int v4)
{
	u64 left = key << used;

#pragma unroll
	for (u32 i = 0; i < 8; i++) {
		if (i >= steps || likely(entry >> ENTRY_VALUE_BITS != ENTRY_BLOCK))
			break;
		entry = entry_at(base, entry, left >> 56);
		left <<= 8;
	}
	return form_value(base, entry, key, v4);
}

/* The value of an IPv4 address, which is the upper half of its key. */
INLINE u32 tree_value_v4(const u8 *base, u32 entry, u64 key)
{
	if (entry >> ENTRY_VALUE_BITS == ENTRY_ROOT)
		return value_below(base, entry_at(base, entry, key >> 48), key, 16, 2, 1);
	return value_below(base, entry, key, 0, 4, 1);
}

/* The value of half an IPv6 address. Not inlined: it is large, and used for destinations, sources and their low halves. */
NOINLINE u32 tree_value_v6(u32 entry, u64 key)
{
	const u8 *base = all_tables();

	if (!base)
		return NOTHING;
	if (entry >> ENTRY_VALUE_BITS == ENTRY_ROOT)
		return value_below(base, entry_at(base, entry, key >> 48), key, 16, 6, 0);
	return value_below(base, entry, key, 0, 8, 0);
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
		return address_value_v6(base, layout_word(destination_v6), layout_offset(destination_lows_line),
					layout_word(destination_low_count), layout_word(class_count), high, low);
	return tree_value_v4(base, layout_word(destination_v4), high);
}

/* Not inlined: only attach points without an identity of their own ask. */
NOINLINE u32 source_row(u64 high, u64 low, int v6)
{
	const u8 *base = all_tables();

	if (!base)
		return NOTHING;
	if (v6)
		return address_value_v6(base, layout_word(source_v6), layout_offset(source_lows_line),
					layout_word(source_low_count), layout_word(row_count), high, low);
	return tree_value_v4(base, layout_word(source_v4), high);
}

/* The protocols of nearly all packets have their words in the program. */
INLINE u32 protocol_word(const u8 *base, u8 protocol)
{
	if (likely(protocol == PROTOCOL_TCP))
		return constant(CONSTANT_PROTOCOL | PROTOCOL_TCP);
	if (likely(protocol == PROTOCOL_UDP))
		return constant(CONSTANT_PROTOCOL | PROTOCOL_UDP);
	return word_at(base, layout_offset(protocols_line), protocol);
}

INLINE u32 port_class(const u8 *base, u8 protocol, u16 number, int fragment)
{
	u32 word = protocol_word(base, protocol), page;

	if (unlikely(fragment))
		return word & 0xffff;
	page = half_at(base, layout_offset(port_roots_line), (word >> 16) * 256 + (number >> 8));
	return half_at(base, layout_offset(port_pages_line), page * 256 + (number & 255));
}

/* One cell of a matrix. The constants are known when the program is verified. */
INLINE u32 cell(const u8 *base, u32 first, u32 stride, u32 paged, u32 row, u32 column)
{
	u32 at = first + row * stride;
	u32 cells = layout_word(wide) ? 4 : 5;

	if (paged) {
		at = word_at(base, at, column >> cells) * 64;
		column &= (1 << cells) - 1;
	}
	return id_at(base, at, column);
}

INLINE u32 outcome_of(const u8 *base, u32 row, u32 class, u32 port)
{
	u32 profile;

	if (layout_word(direct_line)) {
		/* Summed up in the order in which its parts are known: the class is last. */
		u32 at = layout_offset(direct_line) + row * constant(CONSTANT_DIRECT | 1);

		opaque(at);
		at += port * constant(CONSTANT_DIRECT | 0);
		opaque(at);
		return id_at(base, at, class);
	}
	profile = cell(base, layout_offset(decisions_line), layout_offset(decisions_stride),
		       layout_word(decisions_paged), row, class);
	return cell(base, layout_offset(actions_line), layout_offset(actions_stride), layout_word(actions_paged),
		    profile, port);
}

INLINE u32 outcome_word(const u8 *base, u32 outcome)
{
	return word_at(base, layout_offset(outcomes_line), outcome);
}

#endif
