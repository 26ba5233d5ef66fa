/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "audit.h"
#include "cleanup.h"
#include "proc_status.h"

/** Characters of a text that are written, at most. */
#define MAX_TEXT    1024
#define LOGINUID    "/proc/self/loginuid"
#define NO_LOGINUID "4294967295"

struct hfx_error *audit_open(const char *path, struct audit *ret)
{
	*ret = (struct audit){.fd = -1};
	openlog("hfx", LOG_PID, LOG_AUTHPRIV);
	if (!path)
		return NULL;
	ret->fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
	             0640);
	return ret->fd < 0 ? hfx_error_os(errno, "cannot open the log %s", path)
	                   : NULL;
}

void audit_close(struct audit *audit)
{
	hfx_close(&audit->fd);
	audit->fd = -1;
}

/* ---- The line ---------------------------------------------------------- */

/** ` key="text"`, nothing for NULL. */
static void put_text(FILE *out, const char *key, const char *text)
{
	if (!text)
		return;
	fprintf(out, " %s=\"", key);
	for (size_t i = 0; text[i] && i < MAX_TEXT; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < ' ' || c > '~' || c == '"' || c == '\\')
			fprintf(out, "\\x%02x", c);
		else
			putc(c, out);
	}
	putc('"', out);
}

static void put_id(FILE *out, const struct digest *id)
{
	if (id)
		fprintf(out, " id=%s", digest_text(id).text);
}

/** The user who logged in, which su and sudo do not change. */
static void put_login(FILE *out)
{
	HFX_CLEANUP(hfx_close) int fd = open(LOGINUID, O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (size <= 0 || strspn(text, "0123456789") != (size_t)size ||
	    !strcmp(text, NO_LOGINUID))
		fputs(" login=none", out);
	else
		fprintf(out, " login=%s", text);
}

static void put_process(FILE *out, pid_t pid)
{
	struct proc_status status;

	fprintf(out, " pid=%d", pid);
	if (proc_status_read(pid, pid, &status))
		return;
	fprintf(out, " owner=%u", status.uids[1]);
	put_text(out, "comm", status.name);
}

static void put_stop(FILE *out, const struct commit_result *stop)
{
	if (stop)
		fprintf(out, " pause_us=%" PRIu64 " threads=%u",
		        stop->pause_ns / 1000, stop->num_threads);
}

char *audit_format(const struct audit_event *event)
{
	char *line = NULL;
	size_t size;
	FILE *out = open_memstream(&line, &size);

	if (!out)
		return NULL;
	fprintf(out, "%s result=%s", event->action,
	        event->err ? "failed" : event->result);
	fprintf(out, " user=%u euser=%u", getuid(), geteuid());
	put_login(out);
	put_process(out, event->pid);
	put_text(out, "name", event->name);
	put_id(out, event->id);
	put_text(out, "bundle", event->bundle_path);
	put_text(out, "signer", event->signer);
	put_stop(out, event->err ? NULL : event->stop);
	if (event->err) {
		fprintf(out, " code=%d", (int)hfx_error_code(event->err));
		put_text(out, "error", hfx_error_message(event->err));
	}
	if (fclose(out)) {
		free(line);
		return NULL;
	}
	return line;
}

/* ---- Writing ----------------------------------------------------------- */

/** One write, so that lines of several hfx do not mix. */
static void append(int fd, const char *line)
{
	time_t now = time(NULL);
	HFX_CLEANUP(hfx_free) char *text = NULL;
	char date[32] = "-";
	struct tm utc;
	int size;

	if (gmtime_r(&now, &utc))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &utc);
	size = asprintf(&text, "%s hfx[%d]: %s\n", date, getpid(), line);
	if (size < 0) {
		text = NULL;
		errno = ENOMEM;
	}
	if (size < 0 || write(fd, text, (size_t)size) != size)
		fprintf(stderr, "hfx: warning: the log was not written: %s\n",
		        strerror(errno));
}

void audit_write(const struct audit *audit, const struct audit_event *event)
{
	HFX_CLEANUP(hfx_free) char *line = audit_format(event);
	const char *text = line ? line : "out of memory";

	syslog(event->err ? LOG_WARNING : LOG_NOTICE, "%s", text);
	if (audit->fd >= 0)
		append(audit->fd, text);
}
