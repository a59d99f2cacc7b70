/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * From a packet to the flow that is judged, or to a refusal.
 *
 * Most packets take the fast path: linear, IPv4 without options or IPv6 without extension headers, whole. All others,
 * and all in which anything is odd, take the slow path, which copies what it reads and says the last word. Both must
 * agree wherever the fast one answers.
 *
 * The rules: what is short, contradicts itself or would be delivered elsewhere than it says is malformed, and malformed
 * packets never pass.
 */
#ifndef EGRESS_PARSE_H
#define EGRESS_PARSE_H

#include "abi.h"

enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMPV6 = 58, PROTOCOL_SCTP = 132 };
enum { NEXT_HOP_BY_HOP = 0, NEXT_ROUTING = 43, NEXT_FRAGMENT = 44, NEXT_DESTINATION = 60 };
enum { OPTION_END = 0, OPTION_NOTHING = 1, OPTION_LOOSE_ROUTE = 131, OPTION_STRICT_ROUTE = 137 };
enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806, ETHERTYPE_IPV6 = 0x86dd };
enum { IPV4_HEADER = 20, IPV6_HEADER = 40, MOST_EXTENSIONS = 6 };

/* What is judged. Addresses are numbers of this machine's order; IPv4 stands in the upper half of `*_high`. */
struct flow {
	u64 source_high;
	u64 source_low;
	u64 destination_high;
	u64 destination_low;
	u32 offset; /* of the transport header */
	u32 length; /* of the packet, from its IP header on */
	u16 number;
	u8 protocol;
	u8 v6;
	u8 fragment; /* 1: one that is not the first; the transport header is elsewhere */
	u8 first;    /* 1: the first of several fragments */
	u8 hops;
	u8 zero;
};

struct ipv4 {
	u8 version_ihl;
	u8 tos;
	u16 total;
	u16 id;
	u16 fragment;
	u8 ttl;
	u8 protocol;
	u16 checksum;
	u32 source;
	u32 destination;
};

struct ipv6 {
	u32 version_class_label;
	u16 payload;
	u8 next;
	u8 hops;
	/* Words, because a packet's IP header is aligned to four bytes at best. */
	u32 source[4];
	u32 destination[4];
};

enum { V4_OFFSET = 0x1fff, V4_MORE = 0x2000, V6_OFFSET = 0xfff8, V6_MORE = 1 };

/* How many bytes a transport header must have before its numbers are believed. */
INLINE u32 transport_header(u8 protocol)
{
	switch (protocol) {
	case PROTOCOL_TCP:
		return 20;
	case PROTOCOL_UDP:
	case PROTOCOL_ICMP:
	case PROTOCOL_ICMPV6:
		return 8;
	case PROTOCOL_SCTP:
		return 12;
	default:
		return 0;
	}
}

INLINE int has_ports(u8 protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_SCTP;
}

/* The number that is judged, from the first two halves of the transport header. */
INLINE u16 number_of(u8 protocol, u16 first, u16 second)
{
	if (has_ports(protocol))
		return be16(second);
	if (protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6)
		return be16(first);
	return 0;
}

INLINE u64 joined(u32 high, u32 low)
{
	return (u64)be32(high) << 32 | be32(low);
}

INLINE void take_ipv4(struct flow *flow, const struct ipv4 *ip)
{
	flow->source_high = (u64)be32(ip->source) << 32;
	flow->destination_high = (u64)be32(ip->destination) << 32;
	flow->source_low = 0;
	flow->destination_low = 0;
	flow->protocol = ip->protocol;
	flow->hops = ip->ttl;
	flow->v6 = 0;
	flow->zero = 0;
}

INLINE void take_ipv6(struct flow *flow, const struct ipv6 *ip)
{
	flow->source_high = joined(ip->source[0], ip->source[1]);
	flow->source_low = joined(ip->source[2], ip->source[3]);
	flow->destination_high = joined(ip->destination[0], ip->destination[1]);
	flow->destination_low = joined(ip->destination[2], ip->destination[3]);
	flow->protocol = ip->next;
	flow->hops = ip->hops;
	flow->v6 = 1;
	flow->zero = 0;
}

/* A fast path's transport header: 1 when taken, 0 when the slow path must look. */
INLINE int take_transport(struct flow *flow, const u8 *at, const u8 *end, u32 room)
{
	u32 needed = transport_header(flow->protocol);

	flow->fragment = 0;
	flow->first = 0;
	flow->number = 0;
	/* Most packets, so they come first. */
	if (likely(flow->protocol == PROTOCOL_TCP)) {
		if (unlikely(room < 20 || at + 20 > end))
			return 0;
		flow->number = number_of(PROTOCOL_TCP, ((const u16 *)at)[0], ((const u16 *)at)[1]);
		return 1;
	}
	if (!needed)
		return 1;
	if (unlikely(room < needed))
		return 0;
	/* Constants, because the verifier follows a packet's end only by them. */
	if (flow->protocol == PROTOCOL_SCTP) {
		if (unlikely(at + 12 > end))
			return 0;
	} else if (unlikely(at + 8 > end)) {
		return 0;
	}
	flow->number = number_of(flow->protocol, ((const u16 *)at)[0], ((const u16 *)at)[1]);
	return 1;
}

/* The fast path of IPv4: 1 when the packet was plain, else 0, which says nothing about it. */
INLINE int parse_fast_ipv4(struct __sk_buff *skb, u32 offset, struct flow *flow)
{
	const u8 *end = (const u8 *)(u64)skb->data_end;
	const u8 *at = (const u8 *)(u64)skb->data + offset;
	const struct ipv4 *ip = (const struct ipv4 *)at;
	u32 length = skb->len - offset, total;

	if (unlikely(at + IPV4_HEADER > end || at[0] != 0x45))
		return 0;
	total = be16(ip->total);
	if (unlikely(skb->protocol != be16(ETHERTYPE_IPV4) || total < IPV4_HEADER || total > length ||
		     (ip->fragment & be16(V4_OFFSET | V4_MORE))))
		return 0;
	take_ipv4(flow, ip);
	flow->length = total;
	flow->offset = offset + IPV4_HEADER;
	return take_transport(flow, at + IPV4_HEADER, end, total - IPV4_HEADER);
}

/* The same of IPv6. */
INLINE int parse_fast_ipv6(struct __sk_buff *skb, u32 offset, struct flow *flow)
{
	const u8 *end = (const u8 *)(u64)skb->data_end;
	const u8 *at = (const u8 *)(u64)skb->data + offset;
	const struct ipv6 *ip = (const struct ipv6 *)at;
	u32 length = skb->len - offset, payload;

	if (unlikely(at + IPV6_HEADER > end || at[0] >> 4 != 6))
		return 0;
	payload = be16(ip->payload);
	/* Whatever has no transport header that we know may be an extension header. */
	if (unlikely(skb->protocol != be16(ETHERTYPE_IPV6) || payload + IPV6_HEADER > length ||
		     !transport_header(ip->next)))
		return 0;
	take_ipv6(flow, ip);
	flow->length = payload + IPV6_HEADER;
	flow->offset = offset + IPV6_HEADER;
	return take_transport(flow, at + IPV6_HEADER, end, payload);
}

/* Whether IPv4 options are well-formed and leave the destination what it is. `size` is at most 40. */
INLINE int options_are_sound(const u8 *options, u32 size)
{
	u32 at = 0;

	for (u32 step = 0; step < 40; step++) {
		u32 left, length;
		u8 kind;

		if (at >= size)
			return 1;
		/* Opaque, so that every step looks the same to the verifier; size is never more than the buffer. */
		at &= 63;
		opaque(at);
		kind = options[at & 63];
		if (kind == OPTION_END)
			return 1;
		if (kind == OPTION_NOTHING) {
			at += 1;
			continue;
		}
		if (kind == OPTION_LOOSE_ROUTE || kind == OPTION_STRICT_ROUTE)
			return 0;
		left = size - at;
		length = options[(at + 1) & 63];
		if (length < 2 || length > left)
			return 0;
		at += length;
	}
	return at >= size;
}

/* The transport header of the slow path. `room` is what the IP header leaves for it. */
INLINE int copy_transport(struct __sk_buff *skb, struct flow *flow, u32 room)
{
	u32 needed = transport_header(flow->protocol);
	u16 numbers[2];

	flow->number = 0;
	if (flow->fragment || !needed)
		return 1;
	/* The packet itself has at least as many bytes as `room` says, so that the four bytes are there. */
	if (room < needed || bpf_skb_load_bytes(skb, flow->offset, numbers, sizeof(numbers)))
		return 0;
	flow->number = number_of(flow->protocol, numbers[0], numbers[1]);
	return 1;
}

NOINLINE int parse_slow_ipv4(struct __sk_buff *skb, u32 offset, struct flow *flow)
{
	u8 options[64] = {};
	struct ipv4 ip;
	u32 length = skb->len - offset, header, total, fragment;

	if (skb->protocol != be16(ETHERTYPE_IPV4) || bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
		return 0;
	header = (ip.version_ihl & 15) * 4;
	total = be16(ip.total);
	/* Segments that are still to be cut apart (BIG TCP) are longer than the field can say, which then is 0. */
	if (!total && length > 0xffff)
		total = length;
	if (header < IPV4_HEADER || total < header || total > length)
		return 0;
	if (header > IPV4_HEADER) {
		u32 size = header - IPV4_HEADER;

		if (size > 40 || bpf_skb_load_bytes(skb, offset + IPV4_HEADER, options, size))
			return 0;
		if (!options_are_sound(options, size))
			return 0;
	}
	take_ipv4(flow, &ip);
	fragment = be16(ip.fragment);
	flow->fragment = !!(fragment & V4_OFFSET);
	flow->first = !flow->fragment && (fragment & V4_MORE);
	flow->length = total;
	flow->offset = offset + header;
	return copy_transport(skb, flow, total - header);
}

/* A walked header's first eight bytes, which every one of them has. */
struct extension {
	u8 next;
	u8 size;
	u16 fragment;
	u8 rest[4];
};

INLINE int is_extension(u8 next)
{
	return next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_FRAGMENT || next == NEXT_DESTINATION;
}

NOINLINE int parse_slow_ipv6(struct __sk_buff *skb, u32 offset, struct flow *flow)
{
	struct ipv6 ip;
	u32 length = skb->len - offset, room;

	if (skb->protocol != be16(ETHERTYPE_IPV6) || bpf_skb_load_bytes(skb, offset, &ip, sizeof(ip)))
		return 0;
	room = be16(ip.payload);
	if (!room && length > 0xffff + IPV6_HEADER)
		room = length - IPV6_HEADER;
	if (room + IPV6_HEADER > length)
		return 0;
	take_ipv6(flow, &ip);
	flow->length = room + IPV6_HEADER;
	flow->offset = offset + IPV6_HEADER;
	flow->fragment = 0;
	flow->first = 0;
	for (u32 walked = 0; walked < MOST_EXTENSIONS; walked++) {
		struct extension header;
		u32 size = 8;

		if (!is_extension(flow->protocol))
			break;
		if (room < 8 || bpf_skb_load_bytes(skb, flow->offset, &header, sizeof(header)))
			return 0;
		if (flow->protocol == NEXT_FRAGMENT) {
			u16 fragment = be16(header.fragment);

			if (fragment & V6_OFFSET) {
				/* What follows is the middle of something: no header, whatever it looks like. */
				flow->fragment = 1;
				flow->first = 0;
				flow->protocol = header.next;
				flow->offset += 8;
				room -= 8;
				break;
			}
			if (fragment & V6_MORE)
				flow->first = 1;
		} else {
			/* Segments left (in the fourth byte): it would go on to somewhere else. */
			if (flow->protocol == NEXT_ROUTING && (be16(header.fragment) & 0xff))
				return 0;
			size = (header.size + 1) * 8;
		}
		if (room < size)
			return 0;
		room -= size;
		flow->offset += size;
		flow->protocol = header.next;
	}
	if (is_extension(flow->protocol))
		return 0;
	return copy_transport(skb, flow, room);
}

/* The flow of any packet: 1, or 0 for what is malformed. */
INLINE int parse_slow(struct __sk_buff *skb, u32 offset, struct flow *flow)
{
	u8 first;

	if (bpf_skb_load_bytes(skb, offset, &first, 1))
		return 0;
	if (first >> 4 == 4)
		return parse_slow_ipv4(skb, offset, flow);
	if (first >> 4 == 6)
		return parse_slow_ipv6(skb, offset, flow);
	return 0;
}

/* The flow of the packet whose IP header stands at `offset`: 1, or 0 for what is malformed. */
INLINE int parse(struct __sk_buff *skb, u32 offset, struct flow *flow)
{
	return likely(parse_fast_ipv4(skb, offset, flow)) || parse_fast_ipv6(skb, offset, flow) ||
	       parse_slow(skb, offset, flow);
}

/* Neighbour discovery, without which no address of IPv6 works: from a neighbour (255 hops), to a neighbour. */
INLINE int is_neighbour_discovery(const struct flow *flow)
{
	u32 type = flow->number >> 8;

	return flow->v6 && flow->protocol == PROTOCOL_ICMPV6 && type >= 133 && type <= 136 && flow->hops == 255 &&
	       !flow->fragment && !flow->first &&
	       (flow->destination_high >> 54 == 0xfe80 >> 6 || flow->destination_high >> 48 == 0xff02);
}

#endif
