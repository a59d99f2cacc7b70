/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Connections that somebody outside opened, whose replies pass although the pod could not have opened them.
 *
 * Written where packets enter (inbound.bpf.c), read where a packet would be denied (policy.bpf.c). Both sides make the
 * same key from opposite directions. An entry is made only by what opens a conversation, and a packet that opens one
 * itself is never a reply; so an entry lets the pod answer, and nothing else.
 */
#ifndef EGRESS_INBOUND_H
#define EGRESS_INBOUND_H

#include "abi.h"
#include "parse.h"
#include "shared.h"

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_LRU_HASH);
	MAP_TYPE(key, struct inbound_key);
	MAP_TYPE(value, struct inbound_value);
	MAP_NUMBER(max_entries, MOST_INBOUND);
} inbound SECTION(".maps");

/* How long an entry lasts after it was last used, in nanoseconds; as connection tracking has it by default. */
#define DATAGRAM_LASTS (180ull * 1000000000)
#define STREAM_LASTS (432000ull * 1000000000)

enum { TCP_SYN = 2, TCP_ACK = 16, SCTP_INIT = 1 };
enum { ECHO_REPLY = 0, ECHO_REQUEST = 8, ECHO_REQUEST_V6 = 128, ECHO_REPLY_V6 = 129 };

INLINE int is_stream(u8 protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_SCTP;
}

/* Fills a key's peer address. */
INLINE void key_address(struct inbound_key *key, u64 high, u64 low)
{
	u64 parts[2] = { be64(high), be64(low) };

	__builtin_memcpy(key->address, parts, sizeof(key->address));
}

/* 1 when the packet opens a connection (stream protocols only). */
INLINE int opens(struct __sk_buff *skb, const struct flow *flow)
{
	u8 byte;

	if (flow->protocol == PROTOCOL_TCP) {
		if (bpf_skb_load_bytes(skb, flow->offset + 13, &byte, 1))
			return 0;
		return (byte & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	}
	if (flow->protocol == PROTOCOL_SCTP) {
		if (bpf_skb_load_bytes(skb, flow->offset + 12, &byte, 1))
			return 0;
		return byte == SCTP_INIT;
	}
	return 0;
}

/*
 * The numbers of a key, for a packet that goes out (`out`) or comes in: 1, or 0 for what is never remembered. Numbers
 * keep the packet's byte order.
 */
INLINE int key_numbers(struct __sk_buff *skb, const struct flow *flow, struct inbound_key *key, int out)
{
	u16 numbers[2];

	if (flow->fragment)
		return 0;
	if (has_ports(flow->protocol)) {
		if (bpf_skb_load_bytes(skb, flow->offset, numbers, sizeof(numbers)))
			return 0;
		key->local = numbers[out ? 0 : 1];
		key->peer = numbers[out ? 1 : 0];
		return 1;
	}
	if (flow->protocol == (flow->v6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP)) {
		u32 request = flow->v6 ? ECHO_REQUEST_V6 : ECHO_REQUEST;
		u32 reply = flow->v6 ? ECHO_REPLY_V6 : ECHO_REPLY;

		if (flow->number >> 8 != (out ? reply : request))
			return 0;
		if (bpf_skb_load_bytes(skb, flow->offset + 4, numbers, 2))
			return 0;
		key->local = numbers[0];
		key->peer = numbers[0];
		return 1;
	}
	return 0;
}

/* 1 when a packet that goes out answers somebody outside. Refreshes the entry. */
INLINE int is_reply(struct __sk_buff *skb, const struct flow *flow, u32 slot)
{
	struct inbound_key key = {};
	struct inbound_value *value;
	u64 now;

	if (!key_numbers(skb, flow, &key, 1) || opens(skb, flow))
		return 0;
	key.slot = slot;
	key.protocol = flow->protocol;
	key.v6 = flow->v6;
	key_address(&key, flow->destination_high, flow->destination_low);
	value = bpf_map_lookup_elem(&inbound, &key);
	if (!value)
		return 0;
	now = bpf_ktime_get_ns();
	if (now - value->seen > (is_stream(flow->protocol) ? STREAM_LASTS : DATAGRAM_LASTS))
		return 0;
	/*
	 * Only a stream is kept alive by its own packets: a datagram's permission comes from outside alone, or the pod
	 * could keep it for ever.
	 */
	if (is_stream(flow->protocol))
		value->seen = now;
	return 1;
}

/* Remembers a packet that comes in, when it opens a conversation. */
INLINE void remember(struct __sk_buff *skb, const struct flow *flow, u32 slot)
{
	struct inbound_key key = {};
	struct inbound_value fresh = {}, *value;

	if (is_stream(flow->protocol) && !opens(skb, flow))
		return;
	if (!key_numbers(skb, flow, &key, 0))
		return;
	key.slot = slot;
	key.protocol = flow->protocol;
	key.v6 = flow->v6;
	key_address(&key, flow->source_high, flow->source_low);
	fresh.seen = bpf_ktime_get_ns();
	value = bpf_map_lookup_elem(&inbound, &key);
	if (value)
		value->seen = fresh.seen;
	else
		bpf_map_update_elem(&inbound, &key, &fresh, 0);
}

#endif
