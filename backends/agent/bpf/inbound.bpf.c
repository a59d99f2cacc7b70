// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * Remembers who opened a conversation from outside, so that its answers pass. Stops nothing: what comes in is not its
 * matter. There is one for each attach point, with the same slot as the stub of the other direction.
 */
#include "abi.h"
#include "inbound.h"
#include "parse.h"
#include "shared.h"

const volatile u32 slot = 0;
const volatile u32 offset = 0;

#define LOOPBACK 1

INLINE void look(struct __sk_buff *skb, u32 at)
{
	struct flow flow;

	if (skb->ifindex != LOOPBACK && parse(skb, at, &flow))
		remember(skb, &flow, slot);
}

SECTION("cgroup_skb/ingress") int inbound_skb(struct __sk_buff *skb)
{
	look(skb, 0);
	return 1;
}

enum { TC_NEXT = -1 };

SECTION("classifier") int inbound_tc(struct __sk_buff *skb)
{
	look(skb, offset ? 14 : 0);
	return TC_NEXT;
}

SECTION("license") char terms[] = "Dual MIT/GPL";
