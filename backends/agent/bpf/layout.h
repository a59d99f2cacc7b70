/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The tables' layout, word for word as in backends/snapshot/src/layout.rs, whose page explains it. A test compares the
 * names and their order through the type information of the built object.
 */
#ifndef EGRESS_LAYOUT_H
#define EGRESS_LAYOUT_H

#include "abi.h"

struct layout {
	u32 magic;
	u32 lines;
	u32 wide;
	u32 row_count;
	u32 class_count;
	u32 profile_count;
	u32 port_class_count;
	u32 outcome_count;
	u32 default_row;
	u32 source_v4;
	u32 source_v6;
	u32 source_lows_line;
	u32 source_low_count;
	u32 destination_v4;
	u32 destination_v6;
	u32 destination_lows_line;
	u32 destination_low_count;
	u32 protocols_line;
	u32 port_roots_line;
	u32 port_root_count;
	u32 port_pages_line;
	u32 port_page_count;
	u32 decisions_line;
	u32 decisions_stride;
	u32 decisions_paged;
	u32 actions_line;
	u32 actions_stride;
	u32 actions_paged;
	u32 outcomes_line;
	u32 generation_low;
	u32 generation_high;
	u32 direct_line;
	u32 gateway_mask;
	u32 names_line;
	u32 names_count;
};

_Static_assert(sizeof(struct layout) == 140, "thirty-five words");

/*
 * What a packet needs of the layout stands in the programs as numbers, which the agent writes there before the kernel sees
 * them (backends/agent/src/kernel/constants.rs): a word would be two instructions more, a dozen times a packet. The
 * compiler gives it places to write to: instructions that load this number and which constant is meant.
 */
enum { PLACEHOLDER = 0x6c790000 };

enum constant {
	CONSTANT_WORD = 0 << 8,     /* and the place of a word in the layout: that word */
	CONSTANT_OFFSET = 1 << 8,   /* likewise: the word, which counts lines, in bytes */
	CONSTANT_PROTOCOL = 2 << 8, /* and a protocol: its word in the part `protocols` */
	CONSTANT_DIRECT = 3 << 8,   /* and 0: bytes from port class to port class of `direct`; and 1: from row to row */
};

#define constant(which) \
	({ \
		u64 number; \
		asm volatile("%0 = %1" : "=r"(number) : "i"(PLACEHOLDER | (which))); \
		(u32)number; \
	})
#define layout_word(name) constant(CONSTANT_WORD | __builtin_offsetof(struct layout, name) / 4)
#define layout_offset(name) constant(CONSTANT_OFFSET | __builtin_offsetof(struct layout, name) / 4)

/* One cache line of the tables, in the widths that are read from it. */
union line {
	u32 words[16];
	u16 halves[32];
	u64 longs[8];
	u8 bytes[64];
};

_Static_assert(sizeof(union line) == 64, "one cache line");

/* Kinds of tree entries: the upper three bits; the rest is a value or a place in units of 16 bytes. */
enum entry_kind {
	ENTRY_LEAF = 0,
	ENTRY_BLOCK = 1,
	ENTRY_ROOT = 2,
	ENTRY_CHUNK4 = 3,
	ENTRY_CHUNK8 = 4,
	ENTRY_CHUNK16 = 5,
	ENTRY_LINE = 6,
};

enum {
	ENTRY_VALUE_BITS = 29,
	ENTRY_VALUE_MASK = (1 << ENTRY_VALUE_BITS) - 1,
};

/* Sets of names that one outcome may ask for. */
enum { MOST_SETS = 4 };

/* Words of the part `outcomes`. */
enum outcome_bits {
	OUTCOME_VERDICT = 3,
	OUTCOME_PASS = 1,
	OUTCOME_RECORD = 1 << 2,
	/* The part `names` says which outcome holds in its place. */
	OUTCOME_NAMED = 1 << 3,
	/* From here up: the number of a gateway, or 0. */
	OUTCOME_GATEWAY_SHIFT = 8,
};

#endif
