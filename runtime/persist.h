/* SPDX-License-Identifier: MIT */
/**
 * @file persist.h
 *
 * Bundles that new starts of a build get: FOLDER/BUILD-ID/NNNN-NAME.hfx, in the
 * order of their numbers. `hfx persist` puts them there, libhfx.so looks for
 * those of its process when the process starts.
 *
 * Folders and files must be such that nobody but root and the calling user can
 * have written them (guarded.h).
 */
#ifndef HFX_RUNTIME_PERSIST_H
#define HFX_RUNTIME_PERSIST_H

#include <stddef.h>

#include "error.h"
#include "file.h"
#include "manifest.h"

/** More bundles for one build, or builds, than this are refused. */
#define PERSIST_MAX_BUNDLES 1000u
#define PERSIST_MAX_BUILDS  10000u

/** End of the name of a bundle whose calls are redirected; no patch has it. */
#define PERSIST_REDIRECTS ",redirect-calls.hfx"

/** Names, sorted. */
struct persist_names {
	char **names;
	size_t num_names;
	size_t cap_names;
};

/** Guard and destructor. */
void persist_names_deinit(struct persist_names *names);

/**
 * The folder: `HFX_PERSIST_DIR` from the environment, else that of the
 * installation. Not for programs that run with more rights than their user:
 * then `NULL`.
 */
const char *persist_folder(void);

/** The folder of one build, owned; `NULL` without memory. */
char *persist_build_folder(const char *folder, const struct build_id *build_id);

/**
 * Names of the builds in @p folder, or of the bundles in the folder of a build.
 * A folder that is not there is empty.
 *
 * Errors: #HFX_ERROR_UNTRUSTED when somebody else can write it.
 */
HFX_MUST_CHECK struct hfx_error *persist_builds(const char *folder,
                                                struct persist_names *ret);
HFX_MUST_CHECK struct hfx_error *persist_bundles(const char *build_folder,
                                                 struct persist_names *ret);

/** Whether direct calls are to be redirected to the bundle of this name. */
bool persist_redirects(const char *name);

/** Read one of them; errors as above. */
HFX_MUST_CHECK struct hfx_error *
persist_read(const char *build_folder, const char *name, struct buffer *ret);

#endif /* HFX_RUNTIME_PERSIST_H */
