/* SPDX-License-Identifier: MIT */
/** @file manifest_text.h Manifests as text, and what the parser says to them.
 */
#ifndef HFX_TESTS_UNIT_MANIFEST_TEXT_H
#define HFX_TESTS_UNIT_MANIFEST_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "manifest.h"

/** A digest as text, of "" and of anything. */
#define EMPTY_SHA256                                                           \
	"\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\""
#define FUNCTION_HEAD                                                          \
	"\"name\":\"f\",\"linkage_name\":\"f\",\"unit\":\"\","                 \
	"\"signature\":\"\",\"signature_sha256\":" EMPTY_SHA256 ","            \
	"\"source\":\"\",\"reason\":\"\","
#define NEW_CODE "\"new\":{\"address\":1,\"size\":9,\"entry\":4}"
#define OLD_CODE                                                               \
	"\"old\":{\"address\":1,\"size\":9,\"sha256\":" EMPTY_SHA256           \
	",\"entry\":4}"
#define NEW_FUNCTION "{" FUNCTION_HEAD "\"kind\":\"new\"," NEW_CODE "}"
#define IMAGE                                                                  \
	"\"image\":{\"member\":\"modules/0.so\",\"size\":1,"                   \
	"\"sha256\":" EMPTY_SHA256 "}"
#define MODULE_HEAD                                                            \
	"\"name\":\"m\",\"old_build_id\":\"ab\",\"new_build_id\":\"\"," IMAGE
#define MODULE_WITH(functions, imports, objects, warnings)                     \
	"{" MODULE_HEAD ",\"functions\":[" functions "],\"imports\":[" imports \
	"],\"objects\":[" objects "],\"warnings\":[" warnings "]}"
#define ROOT_HEAD                                                              \
	"\"format\":1,\"generator\":\"g\",\"name\":\"n\",\"version\":\"\","    \
	"\"description\":\"\",\"created\":0"
#define ROOT_WITH(modules)      "{" ROOT_HEAD ",\"modules\":[" modules "]}"
#define WITH_FUNCTION(function) ROOT_WITH(MODULE_WITH(function, "", "", ""))

static inline void check_parse(const char *text, enum hfx_error_code code,
                               const char *message)
{
	struct manifest *manifest = NULL;
	struct hfx_error *err = manifest_parse(text, strlen(text), &manifest);

	if (hfx_error_code(err) != code)
		fail_msg("%.3000s: %s", text, hfx_error_message(err));
	assert_true(!err == !!manifest);
	if (message && !strstr(hfx_error_message(err), message))
		fail_msg("\"%s\" is not in \"%s\"", message,
		         hfx_error_message(err));
	manifest_destroy(manifest);
	hfx_error_destroy(err);
}

static inline void refused(const char *text, const char *message)
{
	check_parse(text, HFX_ERROR_BAD_BUNDLE, message);
}

static inline void accepted(const char *text)
{
	check_parse(text, HFX_ERROR_NONE, NULL);
}

#endif /* HFX_TESTS_UNIT_MANIFEST_TEXT_H */
