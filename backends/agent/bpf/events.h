/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Records of packets that were denied, or that a rule wants recorded.
 *
 * A flood must not fill the ring: of each {slot, destination class, outcome}, ten may come at once and ten in a second.
 * The next record says how many were left out before it. Two processors may race for one token; then there is a record
 * too many, and none is lost uncounted.
 */
#ifndef EGRESS_EVENTS_H
#define EGRESS_EVENTS_H

#include "abi.h"
#include "lookup.h"
#include "parse.h"
#include "shared.h"

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_RINGBUF);
	MAP_NUMBER(max_entries, EVENT_BYTES);
} events SECTION(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_LRU_HASH);
	MAP_TYPE(key, struct rate_key);
	MAP_TYPE(value, struct rate_value);
	MAP_NUMBER(max_entries, MOST_RATES);
} rates SECTION(".maps");

/* How many records found the ring full. */
struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u64);
	MAP_NUMBER(max_entries, 1);
} lost SECTION(".maps");

#define RATE_INTERVAL 100000000ull
#define RATE_BURST 10

/* Who, where to and what came of it. */
struct verdict {
	u32 slot;
	u32 row;
	u32 class;
	u32 outcome;
	u32 flags;
	u32 ifindex;
};

/* 1 when a record may be made now; then `left_out` says how many were not since the last. */
INLINE int may_record(const struct verdict *verdict, u64 now, u64 *left_out)
{
	struct rate_key key = { verdict->slot, verdict->class, verdict->outcome };
	struct rate_value *rate = bpf_map_lookup_elem(&rates, &key);

	*left_out = 0;
	if (!rate) {
		struct rate_value fresh = { now + RATE_INTERVAL, 0 };

		bpf_map_update_elem(&rates, &key, &fresh, 0);
		return 1;
	}
	/* The generic cell rate algorithm: `next` is when the bucket would be full again. */
	if (rate->next > now + (RATE_BURST - 1) * RATE_INTERVAL) {
		add_atomically(&rate->left_out, 1);
		return 0;
	}
	rate->next = (rate->next > now ? rate->next : now) + RATE_INTERVAL;
	*left_out = rate->left_out;
	if (*left_out)
		add_atomically(&rate->left_out, -*left_out);
	return 1;
}

INLINE void event_address(u8 *to, u64 high, u64 low)
{
	u64 parts[2] = { be64(high), be64(low) };

	__builtin_memcpy(to, parts, sizeof(parts));
}

/* A function of its own, so that the object's type information says what an event is. */
NOINLINE void fill_event(struct event *event, const struct flow *flow, const struct verdict *verdict)
{
	event->generation = (u64)layout.generation_high << 32 | layout.generation_low;
	event->slot = verdict->slot;
	event->row = verdict->row;
	event->class = verdict->class;
	event->outcome = verdict->outcome;
	event->ifindex = verdict->ifindex;
	event->length = flow->length;
	event->pid = 0;
	event->number = flow->number;
	event->source_number = 0;
	event->protocol = flow->protocol;
	event->flags = verdict->flags | (flow->v6 ? EVENT_V6 : 0) | (flow->fragment ? EVENT_FRAGMENT : 0);
	event->zero = 0;
	event_address(event->source, flow->source_high, flow->source_low);
	event_address(event->destination, flow->destination_high, flow->destination_low);
	__builtin_memset(event->command, 0, sizeof(event->command));
	event->end = 0;
}

/* Room for a record, filled in but for what the caller knows better; nothing when none may be made now. */
INLINE struct event *begin_event(const struct flow *flow, const struct verdict *verdict)
{
	u64 now = bpf_ktime_get_ns(), left_out;
	struct event *event;
	u32 zero = 0;

	if (!may_record(verdict, now, &left_out))
		return 0;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		u64 *count = bpf_map_lookup_elem(&lost, &zero);

		/* Those that were left out before it are lost with it, and counted with it. */
		if (count)
			*count += 1 + left_out;
		return 0;
	}
	fill_event(event, flow, verdict);
	event->time = now;
	event->left_out = left_out;
	return event;
}

#endif
