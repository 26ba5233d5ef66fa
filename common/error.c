/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "error.h"

struct hfx_error {
	enum hfx_error_code code;
	int error_number;
	char message[];
};

/* Never freed: what there is to return when nothing can be allocated. */
static struct hfx_error no_memory = {
	.code = HFX_ERROR_NO_MEMORY,
	.error_number = ENOMEM,
	.message = "out of memory",
};

struct hfx_error *hfx_error_no_memory(void)
{
	return &no_memory;
}

/* The format and its arguments, and `": "` and @p tail unless that is NULL. */
static HFX_PRINTF(4, 0) struct hfx_error *create(enum hfx_error_code code,
                                                 int error_number,
                                                 const char *tail,
                                                 const char *format,
                                                 va_list args)
{
	HFX_CLEANUP(hfx_free) char *head = NULL;
	struct hfx_error *err;
	size_t size;

	if (vasprintf(&head, format, args) < 0) {
		head = NULL;
		return hfx_error_no_memory();
	}
	size = strlen(head) + (tail ? 2 + strlen(tail) : 0) + 1;
	err = malloc(sizeof(*err) + size);
	if (!err)
		return hfx_error_no_memory();
	err->code = code;
	err->error_number = error_number;
	snprintf(err->message, size, "%s%s%s", head, tail ? ": " : "",
	         tail ? tail : "");
	return err;
}

struct hfx_error *hfx_error_create(enum hfx_error_code code, const char *format,
                                   ...)
{
	struct hfx_error *err;
	va_list args;

	va_start(args, format);
	err = create(code, 0, NULL, format, args);
	va_end(args);
	return err;
}

struct hfx_error *hfx_error_os(int error_number, const char *format, ...)
{
	char text[128];
	struct hfx_error *err;
	va_list args;

	va_start(args, format);
	err = create(HFX_ERROR_OS, error_number,
	             strerror_r(error_number, text, sizeof(text)), format,
	             args);
	va_end(args);
	return err;
}

struct hfx_error *hfx_error_wrap(struct hfx_error *err, const char *format, ...)
{
	struct hfx_error *wrapped;
	va_list args;

	if (!err || err == &no_memory)
		return err;
	va_start(args, format);
	wrapped = create(err->code, err->error_number, err->message, format,
	                 args);
	va_end(args);
	/* The inner error says more than that wrapping it failed. */
	if (wrapped == &no_memory)
		return err;
	hfx_error_destroy(err);
	return wrapped;
}

void hfx_error_cleanup(struct hfx_error **err)
{
	hfx_error_destroy(*err);
	*err = NULL;
}

enum hfx_error_code hfx_error_code(const struct hfx_error *err)
{
	return err ? err->code : HFX_ERROR_NONE;
}

const char *hfx_error_message(const struct hfx_error *err)
{
	return err ? err->message : "no error";
}

int hfx_error_errno(const struct hfx_error *err)
{
	return err ? err->error_number : 0;
}

bool hfx_error_is_transient(const struct hfx_error *err)
{
	switch (hfx_error_code(err)) {
	case HFX_ERROR_BUSY:
	case HFX_ERROR_NOT_QUIESCENT:
	case HFX_ERROR_STOP:
		return true;
	default:
		return false;
	}
}

void hfx_error_destroy(struct hfx_error *err)
{
	if (err != &no_memory)
		free(err);
}
