/* SPDX-License-Identifier: MIT */
/**
 * @file address_flow.h
 *
 * What code does with an address that it loads: whether it counts from it.
 */
#ifndef HFX_BUNDLER_ADDRESS_FLOW_H
#define HFX_BUNDLER_ADDRESS_FLOW_H

#include "decode.h"
#include "error.h"
#include "model.h"

enum address_fate {
	/** It is added to or indexed, or the code could not be followed. */
	ADDRESS_COUNTED,
	/** At most compared. */
	ADDRESS_COMPARED,
	/** Passed, stored, or read or written through, all as it is. */
	ADDRESS_USED,
};

/**
 * Follow the address that the instruction of @p reference loads, by all ways
 * through @p function of @p program.
 */
HFX_MUST_CHECK struct hfx_error *
address_flow_fate(struct decoder *decoder, const struct program *program,
                  const struct function *function,
                  const struct reference *reference, enum address_fate *ret);

/**
 * Whether the code stores the address outside its frame, returns it or passes
 * it to a call, as far as it can be followed.
 */
HFX_MUST_CHECK struct hfx_error *
address_flow_gives(struct decoder *decoder, const struct program *program,
                   const struct function *function,
                   const struct reference *reference, bool *ret);

#endif /* HFX_BUNDLER_ADDRESS_FLOW_H */
