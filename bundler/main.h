/* SPDX-License-Identifier: MIT */
/**
 * @file main.h
 *
 * What the files of the command line share. They alone print and exit.
 */
#ifndef HFX_BUNDLER_MAIN_H
#define HFX_BUNDLER_MAIN_H

#include "error.h"
#include "secret_key.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1,
	EXIT_BAD_INPUT = 2,
	EXIT_NOTHING = 3,
};

/** Print a message and the usage to stderr; EXIT_BAD_INPUT. */
HFX_PRINTF(1, 2) int usage_error(const char *format, ...);

/** Print the message of @p err, and free it; EXIT_BAD_INPUT. */
int fail(struct hfx_error *err);

/** @p code, if what was printed has arrived: a full disk is a failure. */
int finish_output(int code);

/** Where the password of a key is from: this file, or else the terminal. */
struct password_source password_from(const char *password_path);

/** Commands of main_sign.c. */
int command_keygen(int argc, char **argv);
int command_sign(int argc, char **argv);

#endif /* HFX_BUNDLER_MAIN_H */
