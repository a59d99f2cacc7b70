/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Failing early: a process that connects, or sends a datagram without having connected, to where the policy would deny
 * its packets is told so at once, and the record says which process it was.
 *
 * Nothing passes because of what is said here: packets are judged where they leave, whatever happened before. So whatever
 * is not surely denied there passes here: what goes by lo, what may be an answer, and what the kernel has not yet chosen
 * a source for where that is what decides.
 *
 * Who it is comes in the socket's storage, because this kind of context has no room of its own: the stub writes its slot
 * there and jumps here. The kernel runs both with the socket locked (TCP connects under its lock, and for datagrams it
 * takes the lock around the hooks alone), so that nobody writes in between: neither another thread with the same socket,
 * nor the stub of a cgroup above, whose turn is after this.
 */
#ifndef EGRESS_CONNECT_H
#define EGRESS_CONNECT_H

#include "abi.h"
#include "connecting.h"
#include "events.h"
#include "inbound.h"
#include "lookup.h"
#include "parse.h"
#include "shared.h"

/* Whether this kernel tells these programs which process it is; the agent says so. */
const volatile u32 names_process = 0;

enum { LOOPBACK_INTERFACE = 1 };

/* The row of who connects: 1, or 0 when only the packet's source will tell. */
INLINE int row_of_attempt(u32 slot, const struct flow *flow, u32 *row)
{
	u32 *endpoint = bpf_map_lookup_elem(&endpoints, &slot);
	u32 who = endpoint ? *(volatile u32 *)endpoint : ENDPOINT_UNKNOWN;

	if (who == ENDPOINT_UNKNOWN) {
		*row = layout.default_row;
	} else if (who == ENDPOINT_BY_ADDRESS) {
		if (!flow->source_high && !flow->source_low)
			return 0;
		*row = source_row(flow->source_high, flow->source_low, flow->v6);
	} else {
		*row = who - 1;
	}
	return 1;
}

/* 1 when a datagram from `local` to this destination would answer somebody outside. */
INLINE int would_answer(const struct flow *flow, u32 slot, u16 local)
{
	struct inbound_key key = {};
	struct inbound_value *value;

	if (flow->protocol != PROTOCOL_UDP || !local)
		return 0;
	key.slot = slot;
	key.protocol = flow->protocol;
	key.v6 = flow->v6;
	key.local = be16(local);
	key.peer = be16(flow->number);
	key_address(&key, flow->destination_high, flow->destination_low);
	value = bpf_map_lookup_elem(&inbound, &key);
	return value && bpf_ktime_get_ns() - value->seen <= DATAGRAM_LASTS;
}

INLINE void record_attempt(const struct flow *flow, const struct verdict *verdict, u16 local)
{
	struct event *event = begin_event(flow, verdict);

	if (!event)
		return;
	event->source_number = local;
	if (names_process) {
		event->pid = bpf_get_current_pid_tgid() >> 32;
		bpf_get_current_comm(event->command, sizeof(event->command));
	}
	bpf_ringbuf_submit(event, 0);
}

/* 1: go on. An attempt that is denied counts as one packet of no bytes; others are counted by their packets. */
NOINLINE int judge_attempt(const struct flow *flow, u32 slot, u32 local, u32 ifindex)
{
	const u8 *base = all_tables();
	u32 row, class, outcome, word;

	if (!base || !row_of_attempt(slot, flow, &row) || row >= layout.row_count)
		return 1;
	class = destination_class(base, flow->destination_high, flow->destination_low, flow->v6);
	outcome = outcome_of(base, row, class, port_class(base, flow->protocol, flow->number, 0));
	word = outcome_word(base, outcome);
	/* Which names the sender knows is a matter of its address, which the kernel has not chosen yet. */
	if (word & OUTCOME_NAMED)
		return 1;
	/* What must leave through a gateway does not pass the cgroup's hook of packets, which comes too late to say so. */
	if (((word & OUTCOME_VERDICT) == OUTCOME_PASS && !(word >> OUTCOME_GATEWAY_SHIFT)) ||
	    would_answer(flow, slot, local))
		return 1;
	struct verdict verdict = { slot, row, class, outcome, EVENT_CONNECT, ifindex };

	count(outcome, 0);
	record_attempt(flow, &verdict, local);
	return 0;
}

/* 1 when packets to there are never judged, or leave by an interface that only routing knows (multicast). */
INLINE int is_not_judged(const struct flow *flow)
{
	u64 high = flow->destination_high, low = flow->destination_low;

	if (!flow->v6)
		return high >> 56 == 127 || high == 0 || high >> 60 == 14;
	return (high == 0 && low <= 1) || high >> 56 == 0xff;
}

/* The protocol and number that packets of the socket will have: 1, or 0 for a socket that only packets tell about. */
INLINE int take_protocol(struct flow *flow, u32 protocol, u32 port, int sends)
{
	flow->protocol = protocol;
	if (protocol == (flow->v6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP)) {
		flow->number = (flow->v6 ? ECHO_REQUEST_V6 : ECHO_REQUEST) << 8;
		return 1;
	}
	flow->number = be16((u16)port);
	/* Connecting a datagram socket to port 0 asks for a route: nothing can be sent there. */
	if (protocol == PROTOCOL_UDP)
		return sends || flow->number;
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_SCTP;
}

INLINE int judge_flow(struct bpf_sock_addr *attempt, struct flow *flow, int sends)
{
	struct bpf_sock *socket = attempt->sk;
	u32 *slot, local, ifindex;

	if (is_not_judged(flow) || !take_protocol(flow, attempt->protocol, attempt->user_port, sends))
		return 1;
	local = socket->src_port;
	ifindex = socket->bound_dev_if;
	slot = bpf_sk_storage_get(&connecting, socket, 0, 0);
	if (!slot || ifindex == LOOPBACK_INTERFACE)
		return 1;
	return judge_attempt(flow, *slot, local, ifindex);
}

INLINE int judge_attempt_v4(struct bpf_sock_addr *attempt, u32 source, int sends)
{
	struct flow flow = {};

	flow.source_high = (u64)be32(source) << 32;
	flow.destination_high = (u64)be32(attempt->user_ip4) << 32;
	return judge_flow(attempt, &flow, sends);
}

/* Words in the packet's order. */
struct address_v6 {
	u32 words[4];
};

INLINE int judge_attempt_v6(struct bpf_sock_addr *attempt, const struct address_v6 *source, u32 source_v4, int sends)
{
	u32 a = attempt->user_ip6[0], b = attempt->user_ip6[1], c = attempt->user_ip6[2], d = attempt->user_ip6[3];
	struct flow flow = {};

	if (!a && !b && c == be32(0xffff)) {
		/* A mapped address: what leaves is IPv4. */
		flow.source_high = (u64)be32(source_v4) << 32;
		flow.destination_high = (u64)be32(d) << 32;
	} else {
		flow.v6 = 1;
		flow.source_high = joined(source->words[0], source->words[1]);
		flow.source_low = joined(source->words[2], source->words[3]);
		flow.destination_high = joined(a, b);
		flow.destination_low = joined(c, d);
	}
	return judge_flow(attempt, &flow, sends);
}

SECTION("cgroup/connect4") int policy_connect4(struct bpf_sock_addr *attempt)
{
	struct bpf_sock *socket = attempt->sk;

	return judge_attempt_v4(attempt, socket->src_ip4, 0);
}

SECTION("cgroup/connect6") int policy_connect6(struct bpf_sock_addr *attempt)
{
	struct bpf_sock *socket = attempt->sk;
	struct address_v6 source = { { socket->src_ip6[0], socket->src_ip6[1], socket->src_ip6[2],
				       socket->src_ip6[3] } };

	return judge_attempt_v6(attempt, &source, socket->src_ip4, 0);
}

SECTION("cgroup/sendmsg4") int policy_sendmsg4(struct bpf_sock_addr *attempt)
{
	return judge_attempt_v4(attempt, attempt->msg_src_ip4, 1);
}

SECTION("cgroup/sendmsg6") int policy_sendmsg6(struct bpf_sock_addr *attempt)
{
	struct address_v6 source = { { attempt->msg_src_ip6[0], attempt->msg_src_ip6[1], attempt->msg_src_ip6[2],
				       attempt->msg_src_ip6[3] } };

	/* The kernel sends to mapped addresses as IPv4, and asks there. */
	return judge_attempt_v6(attempt, &source, source.words[3], 1);
}

#endif
