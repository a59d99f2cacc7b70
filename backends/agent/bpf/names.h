/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Names: which outcome holds where that depends on the names by which a client learned the destination.
 *
 * The agent writes what it learns from answers to the client's own questions, with the time until which it holds; what
 * it does not renew ends by itself, whether the agent lives or not. Only outcomes that ask for names come here: what
 * addresses decide never does.
 */
#ifndef EGRESS_NAMES_H
#define EGRESS_NAMES_H

#include "abi.h"
#include "layout.h"
#include "lookup.h"
#include "parse.h"
#include "shared.h"

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
	MAP_NUMBER(map_flags, BPF_F_NO_PREALLOC);
	MAP_TYPE(key, struct learned_key);
	MAP_TYPE(value, struct learned_value);
	MAP_NUMBER(max_entries, MOST_LEARNED);
} learned SECTION(".maps");

/* An address as a key has it. */
INLINE void key_of(u64 *high, u64 *low, u64 from_high, u64 from_low, int v6)
{
	*high = v6 ? from_high : 0;
	*low = v6 ? from_low : 0xffff00000000ull | from_high >> 32;
}

/*
 * 1 where the client has learned the destination by a name of the set. The verifier must not know which: else it would
 * follow each combination of sets on its own. So there is no branch on the answer, and the end of what is not there is a
 * zero that only a packet would tell.
 */
INLINE u32 is_learned(struct learned_key *key, u64 set, u64 now)
{
	struct learned_value *value;
	u64 until = now;

	opaque(until);
	until -= now;
	key->set = set;
	value = bpf_map_lookup_elem(&learned, key);
	if (value) {
		until = value->until;
		value->used = now;
	}
	return is_less(now, until);
}

/* What is said of an outcome: how many sets are asked for, and their ids. Outcomes stand in the next line. */
struct asked {
	u32 count;
	u32 zero;
	u64 sets[MOST_SETS];
};

_Static_assert(sizeof(struct asked) <= sizeof(union line), "within one line");

/* The outcome that holds in the place of one that asks for names; NOTHING, which denies, where there is none. */
NOINLINE u32 settled(const struct flow *flow, u32 outcome)
{
	const u8 *base = all_tables();
	struct learned_key key = {};
	const struct asked *asked;
	u64 now = bpf_ktime_get_boot_ns();
	u32 at, sum = 0;

	if (!base)
		return NOTHING;
	at = word_at(base, layout_offset(names_line), outcome) * sizeof(union line);
	if (!inside(at))
		return NOTHING;
	asked = (const struct asked *)(base + at);
	key_of(&key.client_high, &key.client_low, flow->source_high, flow->source_low, flow->v6);
	key_of(&key.destination_high, &key.destination_low, flow->destination_high, flow->destination_low, flow->v6);
#pragma unroll
	for (u32 i = 0; i < MOST_SETS; i++) {
		if (i >= asked->count)
			break;
		sum |= is_learned(&key, asked->sets[i], now) << i;
	}
	return word_at(base, at + sizeof(union line), sum);
}

#endif
