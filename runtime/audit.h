/* SPDX-License-Identifier: MIT */
/**
 * @file audit.h
 *
 * Who changed which process, and with what: a line for each, to syslog(3) and
 * perhaps a file. For `hfx` alone: libhfx does not write to a host's logs.
 *
 * A line is `ACTION result=... KEY=VALUE...`, in ASCII without control
 * characters; texts are in quotes, with what could end them as `\xNN`.
 */
#ifndef HFX_RUNTIME_AUDIT_H
#define HFX_RUNTIME_AUDIT_H

#include <sys/types.h>

#include "commit.h"
#include "digest.h"
#include "error.h"

/** What happened. `NULL` stands for what is not known. */
struct audit_event {
	/** "apply" or "revert". */
	const char *action;
	/** "applied", "reverted", "started"; of no meaning with `err`. */
	const char *result;
	const struct hfx_error *err;
	pid_t pid;
	const char *bundle_path;
	const char *name;
	const struct digest *id;
	/** Name of the trusted key that signed the bundle. */
	const char *signer;
	const struct commit_result *stop;
};

/** Where lines go. */
struct audit {
	/** The file; -1 for none. */
	int fd;
};

/**
 * @param[in] path File that lines are appended to; `NULL` for syslog alone.
 */
HFX_MUST_CHECK struct hfx_error *audit_open(const char *path,
                                            struct audit *ret);

/**
 * Write a line. That it cannot be written is said on stderr, and changes
 * nothing: what it tells of has happened.
 */
void audit_write(const struct audit *audit, const struct audit_event *event);

/** Guard and destructor. */
void audit_close(struct audit *audit);

/** The line of @p event, without its end, for free(); `NULL` without memory. */
char *audit_format(const struct audit_event *event);

#endif /* HFX_RUNTIME_AUDIT_H */
