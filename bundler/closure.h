/* SPDX-License-Identifier: MIT */
/**
 * @file closure.h
 *
 * Everything that the selected functions need and OLD lacks.
 *
 * The image keeps NEW's addresses, so a reference to something inside it is
 * right as it stands. Every other one is re-aimed at OLD's counterpart. What
 * has no counterpart is taken into the image, and its own references are
 * followed; what can be neither is refused.
 */
#ifndef HFX_BUNDLER_CLOSURE_H
#define HFX_BUNDLER_CLOSURE_H

#include "compare.h"
#include "error.h"
#include "image_writer.h"
#include "model.h"
#include "namesakes.h"
#include "pair_set.h"
#include "refusal.h"
#include "unwind_table.h"

/** What is known of string literals (closure_literal.c). */
struct literals;

/** An empty one, for all closures of a pair; filled when first needed. */
HFX_MUST_CHECK struct hfx_error *literals_create(struct literals **ret);

/** `NULL` is allowed. */
void literals_destroy(struct literals *literals);

struct closure {
	/** Borrowed. */
	struct program *old_program;
	struct program *new_program;
	struct comparison *comparison;
	const struct unwind_table *unwind;
	struct decoder *decoder;
	struct namesakes *namesakes;
	struct literals *literals;
	/** Pieces, relocations, imports: what the image is made of. */
	struct image_description image;
	struct refusals refusals;
	/** Symbols of NEW: variables that only NEW has. */
	uint32_t *new_objects;
	size_t num_new_objects;
	size_t cap_new_objects;

	/** Selected functions; those behind `num_done` are still to be done. */
	uint32_t *functions;
	size_t num_functions;
	size_t cap_functions;
	size_t num_done;
	/** Ranges that are kept, as pairs (address, flags). */
	struct pair_set kept;
	/** OLD's stub for each of NEW's, and slot for each relocation. */
	uint64_t *old_stubs;
	uint64_t *old_slots;
	/**
	 * An object was kept for the sake of another reference, which OLD has
	 * alike: references of the same function may lead to OLD's.
	 */
	bool has_kept_late;
	/** The function whose references are followed, for messages. */
	struct function *function;
	bool same_tls;
	/** What became of one that is not; empty when all are. */
	char moved_tls[256];
	/** No unwinder of OLD can be told of new code (own_unwinder.h). */
	bool has_strange_unwinder;
	/** And exceptions of C++ may be thrown. */
	bool has_exceptions;
};

/**
 * @param[in] comparison Run; borrowed, like both programs, @p unwind (which may
 * be `NULL`), @p decoder, @p namesakes and @p literals.
 */
HFX_MUST_CHECK struct hfx_error *
closure_init(struct closure *closure, struct program *old_program,
             struct program *new_program, struct comparison *comparison,
             const struct unwind_table *unwind, struct decoder *decoder,
             struct namesakes *namesakes, struct literals *literals);

/**
 * Follow all references of the functions with `is_selected`, which grow by the
 * functions that only NEW has. Refusals are not errors.
 */
HFX_MUST_CHECK struct hfx_error *closure_run(struct closure *closure);

void closure_deinit(struct closure *closure);

#endif /* HFX_BUNDLER_CLOSURE_H */
