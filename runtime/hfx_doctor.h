/* SPDX-License-Identifier: MIT */
/**
 * @file hfx_doctor.h
 *
 * What the parts of `hfx doctor` share.
 */
#ifndef HFX_RUNTIME_HFX_DOCTOR_H
#define HFX_RUNTIME_HFX_DOCTOR_H

#include <sys/types.h>

#include "error.h"

enum doctor_level {
	DOCTOR_OK,
	/** Does not stop everything, or may. */
	DOCTOR_NOTE,
	DOCTOR_STOP,
};

struct doctor;

/** Tell a finding; @p name says in one word what was looked at. */
HFX_PRINTF(4, 5)
void doctor_say(struct doctor *doctor, enum doctor_level level,
                const char *name, const char *format, ...);

/** As doctor_say() of DOCTOR_STOP, with the message of @p err, taken. */
void doctor_say_error(struct doctor *doctor, const char *name,
                      struct hfx_error *err);

/** Do to a child what an apply does to a process. */
void doctor_try(struct doctor *doctor);

/** What stands in the way of patching this process. */
void doctor_look_at(struct doctor *doctor, pid_t pid);

#endif /* HFX_RUNTIME_HFX_DOCTOR_H */
