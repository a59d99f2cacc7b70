/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What programs and agent say to each other: identities, connections from outside, events, counters. The Rust side is
 * backends/agent/src/kernel/shared.rs; a test compares both through the type information of the built object.
 */
#ifndef EGRESS_SHARED_H
#define EGRESS_SHARED_H

#include "abi.h"

enum {
	/* How many attach points there can be. */
	MOST_SLOTS = 4096,
	/* How many connections from outside are remembered, least recently used ones forgotten first. */
	MOST_INBOUND = 65536,
	/* How many kinds of events are limited apart. */
	MOST_RATES = 16384,
	/* How many learned addresses there can be. */
	MOST_LEARNED = 1 << 18,
	EVENT_BYTES = 1 << 20,
};

/* Identities in `endpoints`: these two, else row + 1. */
enum {
	ENDPOINT_UNKNOWN = 0,
	ENDPOINT_BY_ADDRESS = 0xffffffff,
};

/* cb[0]: a slot, or with this bit a row given directly: no counter, no event, no look at inbound connections. */
#define DIRECT_ROW 0x80000000u

/* cb[3]: 1 where a packet's mark still decides by which way it leaves: at the host's end of a pod's pair. Else 0. */

/* cb[2] after a run: the outcome's id + 1, or one of these. */
enum {
	RESULT_MALFORMED = 0,
	RESULT_EXEMPT = 0xffffffff,
};

/* Counters behind those of the outcomes. */
enum {
	COUNT_MALFORMED = 0,
	COUNT_EXEMPT = 1,
	COUNT_REPLIES = 2,
	/* Must leave through a gateway, where it is too late to say so. */
	COUNT_LATE = 3,
	COUNT_BEYOND = 4,
};

struct counter {
	u64 packets;
	u64 bytes;
};

/* A connection that somebody outside opened, as seen from the pod. Numbers are ports, or an echo's id twice. */
struct inbound_key {
	u32 slot;
	u8 protocol;
	u8 v6;
	u16 local;
	u16 peer;
	u16 zero;
	u8 address[16];
};

_Static_assert(sizeof(struct inbound_key) == 28, "no padding in a key");

struct inbound_value {
	u64 seen;
};

/*
 * A client has learned a destination by a name of a set (the id that the tables have for it). Addresses are numbers of this
 * machine's order, IPv4 as in ::ffff:0:0/96.
 */
struct learned_key {
	u64 set;
	u64 client_high;
	u64 client_low;
	u64 destination_high;
	u64 destination_low;
};

/* Until when it holds, and when a packet last asked, in nanoseconds since the machine was started, below 2^63. */
struct learned_value {
	u64 until;
	u64 used;
};

struct rate_key {
	u32 slot;
	u32 class;
	u32 outcome;
};

struct rate_value {
	u64 next;
	u64 left_out;
};

enum event_flags {
	EVENT_V6 = 1,
	EVENT_FRAGMENT = 2,
	EVENT_PASSED = 4,
	EVENT_CONNECT = 8,
	EVENT_MALFORMED = 16,
	EVENT_LATE = 32,
};

struct event {
	u64 time;
	u64 generation;
	u64 left_out;
	u32 slot;
	u32 row;
	u32 class;
	u32 outcome;
	u32 ifindex;
	u32 length;
	u32 pid;
	u16 number;
	u16 source_number;
	u8 protocol;
	u8 flags;
	u16 zero;
	u8 source[16];
	u8 destination[16];
	u8 command[16];
	u32 end;
};

_Static_assert(sizeof(struct event) == 112, "no hidden padding in an event");

#endif
