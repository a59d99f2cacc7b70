// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * What a verdict costs, beside what nothing, parsing alone, and the shape of a well-known data path cost.
 *
 * A test run repeats one packet. So each program first writes the next flow of a list into it, and then does its work on
 * the packet as it would on any; what the writing costs is what `bench_nothing` shows.
 */
#include "../../bpf/policy.bpf.c"

enum { MOST_FLOWS = 65536, MOST_PREFIXES = 131072 };

struct bench_flow {
	u32 source;
	u32 destination;
	u16 from;
	u16 to;
	u32 zero;
};

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct bench_flow);
	MAP_NUMBER(max_entries, MOST_FLOWS);
} flows SECTION(".maps");

struct bench_turn {
	u32 next;
	u32 mask; /* how many flows there are, less one */
};

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct bench_turn);
	MAP_NUMBER(max_entries, 1);
} turn SECTION(".maps");

struct prefix_key {
	u32 length;
	u32 address;
};

struct policy_key {
	u32 length;
	u32 identity;
	u8 direction;
	u8 protocol;
	u16 port;
};

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u32);
	MAP_NUMBER(max_entries, 1024);
} senders SECTION(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_LPM_TRIE);
	MAP_TYPE(key, struct prefix_key);
	MAP_TYPE(value, u32);
	MAP_NUMBER(max_entries, MOST_PREFIXES);
	MAP_NUMBER(map_flags, BPF_F_NO_PREALLOC);
} addresses SECTION(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_LPM_TRIE);
	MAP_TYPE(key, struct policy_key);
	MAP_TYPE(value, u32);
	MAP_NUMBER(max_entries, MOST_PREFIXES);
	MAP_NUMBER(map_flags, BPF_F_NO_PREALLOC);
} policy SECTION(".maps");

/* Writes the next flow into the packet, which is IPv4 and TCP in Ethernet. */
INLINE int next_flow(struct __sk_buff *skb)
{
	struct bench_turn *turns;
	u32 zero = 0, at;
	u8 *data = (u8 *)(u64)skb->data, *end = (u8 *)(u64)skb->data_end;
	struct bench_flow *flow;

	turns = bpf_map_lookup_elem(&turn, &zero);
	if (!turns || data + 14 + 40 > end)
		return 0;
	at = turns->next++ & turns->mask;
	flow = bpf_map_lookup_elem(&flows, &at);
	if (!flow)
		return 0;
	*(u32 *)(data + 26) = flow->source;
	*(u32 *)(data + 30) = flow->destination;
	*(u16 *)(data + 34) = flow->from;
	*(u16 *)(data + 36) = flow->to;
	skb->cb[0] = 0;
	skb->cb[1] = 14;
	return 1;
}

SECTION("classifier") int bench_nothing(struct __sk_buff *skb)
{
	return next_flow(skb) ? TC_NEXT : TC_SHOT;
}

SECTION("classifier") int bench_parse(struct __sk_buff *skb)
{
	struct flow flow;

	if (!next_flow(skb) || !parse(skb, 14, &flow))
		return TC_SHOT;
	/* Something of it all must be used, or nothing is read. */
	return flow.destination_high + flow.source_high + flow.number + flow.protocol == 1 ? TC_SHOT : TC_NEXT;
}

/* The very program, with identity by slot and counters. */
SECTION("classifier") int bench_verdict(struct __sk_buff *skb)
{
	return next_flow(skb) && judge(skb, 14) ? TC_NEXT : TC_SHOT;
}

/* Parse, and the destination by longest prefix: what any data path pays that looks destinations up so. */
SECTION("classifier") int bench_trie(struct __sk_buff *skb)
{
	struct prefix_key key = { 32, 0 };
	struct flow flow;
	u32 *identity;

	if (!next_flow(skb) || !parse(skb, 14, &flow))
		return TC_SHOT;
	key.address = be32((u32)(flow.destination_high >> 32));
	identity = bpf_map_lookup_elem(&addresses, &key);
	return identity && *identity == 0xffffffff ? TC_SHOT : TC_NEXT;
}

/* Parse, the sender by a hash, the destination by longest prefix, then the policy by longest prefix: once or twice. */
INLINE int by_tries(struct __sk_buff *skb, int twice)
{
	struct policy_key policy_key = { 64, 0, 1, 0, 0 };
	struct prefix_key key = { 32, 0 };
	u32 source, *sender, *identity, *found, *wild;
	struct flow flow;

	if (!next_flow(skb) || !parse(skb, 14, &flow))
		return TC_SHOT;
	source = be32((u32)(flow.source_high >> 32));
	sender = bpf_map_lookup_elem(&senders, &source);
	if (!sender)
		return TC_SHOT;
	key.address = be32((u32)(flow.destination_high >> 32));
	identity = bpf_map_lookup_elem(&addresses, &key);
	policy_key.identity = identity ? *identity : 2;
	policy_key.protocol = flow.protocol;
	policy_key.port = be16(flow.number);
	found = bpf_map_lookup_elem(&policy, &policy_key);
	if (twice) {
		/* The wildcard of identities, which is always asked too. */
		policy_key.identity = 0;
		wild = bpf_map_lookup_elem(&policy, &policy_key);
		if (wild)
			found = found ? found : wild;
	}
	count(found ? *found & 1 : 0, flow.length);
	return found ? TC_NEXT : TC_SHOT;
}

SECTION("classifier") int bench_tries(struct __sk_buff *skb)
{
	return by_tries(skb, 0);
}

SECTION("classifier") int bench_tries_twice(struct __sk_buff *skb)
{
	return by_tries(skb, 1);
}
