/* SPDX-License-Identifier: MIT */
/**
 * @file guarded.h
 *
 * Files that nobody but root and the calling user (by its effective id) can
 * have written: keys and lists that decide what may be applied.
 *
 * Neither the file nor any folder on its path may be writable by a group or by
 * everybody, or belong to anybody else. A folder on the way, but not the last
 * one, may be writable by all if its sticky bit keeps them from replacing what
 * is not theirs (/tmp). Symbolic links are resolved first; each step is then
 * taken from a folder that was checked, so nothing can be put in between.
 */
#ifndef HFX_COMMON_GUARDED_H
#define HFX_COMMON_GUARDED_H

#include "error.h"
#include "file.h"

/**
 * Read a guarded file of at most @p max_size bytes.
 *
 * Errors: #HFX_ERROR_UNTRUSTED when somebody else could have written it,
 * #HFX_ERROR_OS with ENOENT when it is not there.
 */
HFX_MUST_CHECK struct hfx_error *guarded_read(const char *path, size_t max_size,
                                              struct buffer *ret);

/**
 * Open a guarded file for reading, by an absolute path that leads over no
 * symbolic link: what somebody else calls a path cannot lead elsewhere. Only
 * regular files are opened at all.
 */
HFX_MUST_CHECK struct hfx_error *guarded_open_exact(const char *path,
                                                    int *fd_ret);

/** Open a guarded folder for fdopendir(); errors as of guarded_read(). */
HFX_MUST_CHECK struct hfx_error *guarded_open_folder(const char *path,
                                                     int *fd_ret);

#endif /* HFX_COMMON_GUARDED_H */
