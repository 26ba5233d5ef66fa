/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "hfx_cli.h"
#include "log.h"
#include "proc_status.h"

/**
 * Bytes of the well-formed UTF-8 character at @p text (Unicode, table 3-7), or
 * 0. C1 control characters count as not well-formed.
 */
static size_t utf8_size(const unsigned char *text)
{
	size_t size = *text >= 0xf0 ? 4 : *text >= 0xe0 ? 3 : 2;

	if (*text < 0xc2 || *text > 0xf4)
		return 0;
	for (size_t i = 1; i < size; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	if ((*text == 0xe0 && text[1] < 0xa0) ||
	    (*text == 0xed && text[1] > 0x9f) ||
	    (*text == 0xf0 && text[1] < 0x90) ||
	    (*text == 0xf4 && text[1] > 0x8f) ||
	    (*text == 0xc2 && text[1] < 0xa0))
		return 0;
	return size;
}

char *output_escape(const char *text)
{
	char *escaped = malloc(4 * strlen(text) + 1);
	char *out = escaped;

	while (escaped && *text) {
		size_t size = isascii(*text) && isprint(*text)
		                      ? 1
		                      : utf8_size((const unsigned char *)text);

		if (size) {
			out = mempcpy(out, text, size);
			text += size;
		} else {
			out += sprintf(out, "\\x%02x", (unsigned char)*text);
			text++;
		}
	}
	if (escaped)
		*out = '\0';
	return escaped;
}

void output_text(FILE *file, const char *text, int width)
{
	HFX_CLEANUP(hfx_free) char *escaped = output_escape(text);

	fprintf(file, "%-*s", width, escaped ? escaped : "?");
}

int output_error(struct hfx_error *err, int exit_code)
{
	fputs("hfx: ", stderr);
	output_text(stderr, hfx_error_message(err), 0);
	fputc('\n', stderr);
	hfx_error_destroy(err);
	return exit_code;
}

static void print_warning(void *arg, enum hfx_log_level level,
                          const char *message)
{
	(void)arg;
	fputs(level == HFX_LOG_ERROR ? "hfx: " : "hfx: warning: ", stderr);
	output_text(stderr, message, 0);
	fputc('\n', stderr);
}

void output_warnings(void)
{
	log_set(print_warning, NULL, HFX_LOG_WARNING);
}

int output_usage(const char *command, const char *format, ...)
{
	va_list args;

	fputs("hfx: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "; see `hfx %s%s--help`\n", command,
	        *command ? " " : "");
	return HFX_EXIT_USAGE;
}

const char *output_state(enum record_state state)
{
	switch (state) {
	case RECORD_PREPARED:
		return "prepared";
	case RECORD_COMMITTING:
		return "committing";
	case RECORD_APPLIED:
		return "applied";
	case RECORD_REVERTING:
		return "reverting";
	case RECORD_REVERTED:
		return "reverted";
	case RECORD_UNLOADED:
		return "unloaded";
	case RECORD_WAITING:
		return "waiting";
	}
	return "unknown";
}

void output_duration(uint64_t ns, char *text, size_t size)
{
	if (ns < UINT64_C(10000000))
		snprintf(text, size, "%" PRIu64 " us", (ns + 500) / 1000);
	else
		snprintf(text, size, "%.1f ms", (double)ns / 1e6);
}

void output_process(FILE *file, pid_t pid)
{
	struct proc_status status;

	fprintf(file, " %d", pid);
	if (proc_status_read(pid, pid, &status))
		return;
	fputs(" (", file);
	output_text(file, status.name, 0);
	fputs(")", file);
}

void output_stop(FILE *file, const struct commit_result *result, bool verbose)
{
	char pause[32];

	output_duration(result->pause_ns, pause, sizeof(pause));
	fprintf(file, " in %s pause, %u thread%s", pause, result->num_threads,
	        result->num_threads == 1 ? "" : "s");
	if (verbose)
		fprintf(file, ", %u %s, %u stepped", result->num_tries,
		        result->num_tries == 1 ? "try" : "tries",
		        result->num_stepped);
	fputc('\n', file);
}

bool parse_number(const char *text, uint32_t max, uint32_t *ret)
{
	unsigned long long number;
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || *end || !number || number > max)
		return false;
	*ret = (uint32_t)number;
	return true;
}
