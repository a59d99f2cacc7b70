// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
/*
 * What is attached: says who sends, and goes on to the generation that is active.
 *
 * There is one stub for each attach point, with its slot as a constant. `active` is one word that all stubs read, so one
 * store switches all of them. Where there is no generation, the tail call fails and the packet is denied.
 */
#include "abi.h"
#include "connecting.h"
#include "parse.h"
#include "shared.h"

const volatile u32 slot = 0;
/* Where packets of the interface have their IP header: behind 14 bytes of Ethernet, or at once. */
const volatile u32 offset = 0;
/* Whether a packet's mark still decides by which way it leaves. */
const volatile u32 marks = 0;

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u32);
	MAP_NUMBER(max_entries, 1);
} active SECTION(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PROG_ARRAY);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u32);
	MAP_NUMBER(max_entries, 2);
} policies_skb SECTION(".maps"), policies_tc SECTION(".maps"), policies_connect4 SECTION(".maps"),
	policies_connect6 SECTION(".maps"), policies_sendmsg4 SECTION(".maps"), policies_sendmsg6 SECTION(".maps");

/* With a constant index, which the kernel turns into a jump. In assembly, or the compiler joins both calls into one. */
#define tail_call(context, array, index)                                                                               \
	asm volatile("r1 = %[c]\n\tr2 = %[a]\n\tr3 = %[i]\n\tcall 12"                                                  \
		     :                                                                                                 \
		     : [c] "r"(context), [a] "r"(array), [i] "i"(index)                                                \
		     : "r0", "r1", "r2", "r3", "r4", "r5", "memory")

INLINE int second_is_active(void)
{
	u32 zero = 0, *place = bpf_map_lookup_elem(&active, &zero);

	return place && (*place & 1);
}

/* lo: the packet stays on the machine, within its network namespace. */
#define LOOPBACK 1

SECTION("cgroup_skb/egress") int stub_skb(struct __sk_buff *skb)
{
	if (skb->ifindex == LOOPBACK)
		return 1;
	skb->cb[0] = slot;
	skb->cb[1] = 0;
	/* This hook comes after routing and translation. */
	skb->cb[3] = 0;
	if (second_is_active())
		tail_call(skb, &policies_skb, 1);
	else
		tail_call(skb, &policies_skb, 0);
	return 0;
}

enum { TC_NEXT = -1, TC_SHOT = 2 };

SECTION("classifier") int stub_tc(struct __sk_buff *skb)
{
	if (skb->ifindex == LOOPBACK)
		return TC_NEXT;
	if (offset) {
		u16 type;

		/* What the frame says must be what the kernel believes: a packet socket may say one and write the other. */
		if (bpf_skb_load_bytes(skb, 12, &type, sizeof(type)) || type != skb->protocol)
			return TC_SHOT;
		if (type == be16(ETHERTYPE_ARP))
			return TC_NEXT;
		if (type != be16(ETHERTYPE_IPV4) && type != be16(ETHERTYPE_IPV6))
			return TC_SHOT;
	}
	skb->cb[0] = slot;
	skb->cb[1] = offset;
	skb->cb[3] = marks;
	if (second_is_active())
		tail_call(skb, &policies_tc, 1);
	else
		tail_call(skb, &policies_tc, 0);
	return TC_SHOT;
}

/*
 * Where a process connects or sends: only to fail early, so whatever goes wrong here lets it go on to where packets are
 * judged. `connect.h` says why the slot is safe where it is written.
 */
INLINE int hand_on(struct bpf_sock_addr *attempt, void *policies)
{
	u32 *who = bpf_sk_storage_get(&connecting, attempt->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!who)
		return 1;
	*who = slot;
	if (second_is_active())
		tail_call(attempt, policies, 1);
	else
		tail_call(attempt, policies, 0);
	return 1;
}

SECTION("cgroup/connect4") int stub_connect4(struct bpf_sock_addr *attempt)
{
	return hand_on(attempt, &policies_connect4);
}

SECTION("cgroup/connect6") int stub_connect6(struct bpf_sock_addr *attempt)
{
	return hand_on(attempt, &policies_connect6);
}

SECTION("cgroup/sendmsg4") int stub_sendmsg4(struct bpf_sock_addr *attempt)
{
	return hand_on(attempt, &policies_sendmsg4);
}

SECTION("cgroup/sendmsg6") int stub_sendmsg6(struct bpf_sock_addr *attempt)
{
	return hand_on(attempt, &policies_sendmsg6);
}

SECTION("license") char terms[] = "Dual MIT/GPL";
