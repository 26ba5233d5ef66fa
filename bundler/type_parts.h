/* SPDX-License-Identifier: MIT */
/**
 * @file type_parts.h
 *
 * What a type is made of, as text for people.
 */
#ifndef HFX_BUNDLER_TYPE_PARTS_H
#define HFX_BUNDLER_TYPE_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Parts of one type that are told; the rest is left out. */
#define TYPE_MAX_PARTS 1000

/** Functions that use a type and are named in a message. */
#define TYPE_MAX_NAMED 4

/** A member or a base class of a structure, or a value of an enumeration. */
struct type_part {
	/** Owned; "" for a member without a name. */
	char *name;
	/** Type of a member, number of a value: `int[4]`, `2`. Owned. */
	char *value;
	/** Of a member, from the start of the structure. */
	uint64_t bit_off;
	/** 0 if unknown, and of what takes no room. */
	uint64_t bit_size;
	/** A member or base class: `bit_off` means something. */
	bool has_place;
};

struct type_parts {
	struct type_part *items;
	size_t num_items;
	size_t cap_items;
};

void type_parts_deinit(struct type_parts *parts);

/** Whether two parts are told alike. */
bool type_part_same(const struct type_part *a, const struct type_part *b);

#endif /* HFX_BUNDLER_TYPE_PARTS_H */
