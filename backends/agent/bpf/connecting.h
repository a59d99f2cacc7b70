/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* Who connects: the slot of the stub that was asked about a socket last, which it hands to the policy behind it. */
#ifndef EGRESS_CONNECTING_H
#define EGRESS_CONNECTING_H

#include "abi.h"

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_SK_STORAGE);
	MAP_NUMBER(map_flags, BPF_F_NO_PREALLOC);
	/* The kernel wants a plain integer, by no other name. */
	MAP_TYPE(key, int);
	MAP_TYPE(value, u32);
} connecting SECTION(".maps");

#endif
