// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * One generation: judges a packet that leaves a workload, by its own frozen tables.
 *
 * In: cb[0] who sends (a slot, or a row given directly), cb[1] where the IP header stands, cb[3] whether marks still count.
 * Out: pass or not, the mark of the gateway through which it leaves, and in cb[2] the outcome's id + 1, for those who ask
 * by a test run. The way of a packet that passes reads tables alone; only
 * one that would be denied is looked up among the names that its sender learned, and the connections from outside.
 */
#include "abi.h"
#include "events.h"
#include "inbound.h"
#include "layout.h"
#include "lookup.h"
#include "names.h"
#include "parse.h"
#include "shared.h"

/* Who is at a slot, in this generation's rows. The agent writes it while the program runs. */
struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u32);
	MAP_NUMBER(max_entries, 1);
} endpoints SECTION(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct counter);
	MAP_NUMBER(max_entries, 1);
} counters SECTION(".maps");

/* `at` is an outcome, or one of the counters behind them. */
INLINE void count(u32 at, u32 bytes)
{
	struct counter *counter = bpf_map_lookup_elem(&counters, &at);

	if (likely(counter)) {
		counter->packets += 1;
		counter->bytes += bytes;
	}
}

INLINE void count_beyond(u32 identity, u32 which, u32 bytes)
{
	if (!(identity & DIRECT_ROW))
		count(layout.outcome_count + which, bytes);
}

/* The row of who sends. */
INLINE u32 row_of(u32 identity, const struct flow *flow)
{
	u32 *endpoint;

	if (identity & DIRECT_ROW)
		return identity & ~DIRECT_ROW;
	endpoint = bpf_map_lookup_elem(&endpoints, &identity);
	if (unlikely(!endpoint || *endpoint == ENDPOINT_UNKNOWN))
		return layout_word(default_row);
	if (*endpoint == ENDPOINT_BY_ADDRESS)
		return source_row(flow->source_high, flow->source_low, flow->v6);
	return *endpoint - 1;
}

NOINLINE void record(struct __sk_buff *skb, const struct flow *flow, const struct verdict *verdict)
{
	struct event *event = begin_event(flow, verdict);
	u16 source = 0;

	if (!event)
		return;
	if (!flow->fragment && has_ports(flow->protocol) &&
	    !bpf_skb_load_bytes(skb, flow->offset, &source, sizeof(source)))
		event->source_number = be16(source);
	bpf_ringbuf_submit(event, 0);
}

/* 1 when a packet that the tables deny passes after all, as an answer. */
INLINE int denied(struct __sk_buff *skb, const struct flow *flow, const struct verdict *verdict)
{
	if (verdict->slot & DIRECT_ROW)
		return 0;
	if (is_reply(skb, flow, verdict->slot)) {
		count(layout.outcome_count + COUNT_REPLIES, flow->length);
		return 1;
	}
	record(skb, flow, verdict);
	return 0;
}

/* A malformed packet never passes; its record names no outcome. */
NOINLINE int malformed(struct __sk_buff *skb, u32 identity, u32 offset)
{
	struct verdict verdict = { identity, NOTHING, NOTHING, NOTHING, EVENT_MALFORMED, skb->ifindex };
	struct flow flow = {};

	skb->cb[2] = RESULT_MALFORMED;
	if (identity & DIRECT_ROW)
		return 0;
	flow.length = skb->len - offset;
	count(layout.outcome_count + COUNT_MALFORMED, flow.length);
	record(skb, &flow, &verdict);
	return 0;
}

/* What becomes of a packet that does not simply pass. */
NOINLINE int aside(struct __sk_buff *skb, const struct flow *flow, struct verdict *verdict)
{
	u32 word;
	const u8 *base = all_tables();

	if (!base)
		return 0;
	word = outcome_word(base, verdict->outcome);
	if (word == NOTHING || (word & OUTCOME_VERDICT) != OUTCOME_PASS)
		return denied(skb, flow, verdict);
	verdict->flags = EVENT_PASSED;
	if (!(verdict->slot & DIRECT_ROW))
		record(skb, flow, verdict);
	return 1;
}

/*
 * Says in the mark through which gateway a packet leaves, or that it leaves through none, whatever was said before: 1, or 0
 * where it must leave through one and it is too late to say so. One run of bits times its lowest bit is a shift.
 */
INLINE int mark(struct __sk_buff *skb, u32 word)
{
	u32 mask = layout.gateway_mask, number = word >> OUTCOME_GATEWAY_SHIFT;

	if (!skb->cb[3])
		return !number;
	skb->mark = (skb->mark & ~mask) | number * (mask & -mask);
	return 1;
}

/*
 * A packet whose route and source are chosen already: it passes only as an answer of a connection that was opened from
 * outside. For datagrams that cannot be known.
 */
NOINLINE int late(struct __sk_buff *skb, const struct flow *flow, struct verdict *verdict)
{
	if (verdict->slot & DIRECT_ROW)
		return 0;
	if (flow->protocol != PROTOCOL_UDP && is_reply(skb, flow, verdict->slot)) {
		count(layout.outcome_count + COUNT_REPLIES, flow->length);
		return 1;
	}
	verdict->flags = EVENT_LATE;
	count(layout.outcome_count + COUNT_LATE, flow->length);
	record(skb, flow, verdict);
	return 0;
}

/*
 * The verdict on a sound packet: 1, it passes. Inlined for each kind of packet, with the flow in registers: only a copy
 * of it goes to functions, and only where the packet does not simply pass.
 */
INLINE int verdict_on(struct __sk_buff *skb, const u8 *base, u32 identity, u32 offset, const struct flow *flow)
{
	u32 row, class, port, outcome, word;

	if (unlikely(is_neighbour_discovery(flow))) {
		skb->cb[2] = RESULT_EXEMPT;
		count_beyond(identity, COUNT_EXEMPT, flow->length);
		if (layout.gateway_mask)
			mark(skb, 0);
		return 1;
	}
	row = row_of(identity, flow);
	class = destination_class(base, flow->destination_high, flow->destination_low, flow->v6);
	port = port_class(base, flow->protocol, flow->number, flow->fragment);
	/* Given directly, a row may be anything; all else was checked when the tables were. */
	if (unlikely(row >= layout_word(row_count)))
		return malformed(skb, identity, offset);
	outcome = outcome_of(base, row, class, port);
	word = outcome_word(base, outcome);
	/* Left out, like the marks below, where the tables ask for no names. */
	if (layout.names_line && unlikely(word & OUTCOME_NAMED)) {
		struct flow copy = *flow;

		outcome = settled(&copy, outcome);
		word = outcome_word(base, outcome);
	}
	skb->cb[2] = outcome + 1;
	if (!(identity & DIRECT_ROW))
		count(outcome, flow->length);
	/* A constant when the program is verified, which then leaves this out where there are no gateways. */
	if (layout.gateway_mask && unlikely(!mark(skb, word))) {
		struct verdict verdict = { identity, row, class, outcome, 0, skb->ifindex };
		struct flow copy = *flow;

		return late(skb, &copy, &verdict);
	}
	if (likely((word & (OUTCOME_VERDICT | OUTCOME_RECORD)) == OUTCOME_PASS)) {
		return 1;
	} else {
		struct verdict verdict = { identity, row, class, outcome, 0, skb->ifindex };
		struct flow copy = *flow;

		return aside(skb, &copy, &verdict);
	}
}

NOINLINE int judge_slow(struct __sk_buff *skb, u32 identity, u32 offset)
{
	const u8 *base = all_tables();
	struct flow flow;

	if (!base || !parse_slow(skb, offset, &flow))
		return malformed(skb, identity, offset);
	return verdict_on(skb, base, identity, offset, &flow);
}

/* -1 when the packet was not plain, which says nothing about it. */
NOINLINE int judge_ipv6(struct __sk_buff *skb, u32 identity, u32 offset)
{
	const u8 *base = all_tables();
	struct flow flow;

	/* 14 at most; said again, because functions are given no bounds. */
	offset = offset ? 14 : 0;
	if (likely(base && parse_fast_ipv6(skb, offset, &flow)))
		return verdict_on(skb, base, identity, offset, &flow);
	return -1;
}

/* 1: it passes. */
INLINE int judge(struct __sk_buff *skb, u32 offset)
{
	const u8 *base = all_tables();
	u32 identity = skb->cb[0];
	struct flow flow;
	int passes;

	if (likely(base && parse_fast_ipv4(skb, offset, &flow)))
		return verdict_on(skb, base, identity, offset, &flow);
	passes = judge_ipv6(skb, identity, offset);
	return passes < 0 ? judge_slow(skb, identity, offset) : passes;
}

SECTION("cgroup_skb/egress") int policy_skb(struct __sk_buff *skb)
{
	return judge(skb, 0);
}

enum { TC_NEXT = -1, TC_SHOT = 2 };

SECTION("classifier") int policy_tc(struct __sk_buff *skb)
{
	/* Next, not pass: other programs at the same place still have their say. */
	return judge(skb, skb->cb[1] ? 14 : 0) ? TC_NEXT : TC_SHOT;
}

/* Needs the maps above. */
#include "connect.h"

SECTION("license") char terms[] = "Dual MIT/GPL";
