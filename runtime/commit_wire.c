/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "commit_wire.h"

#define PLAN_MAGIC   0x70786668u /* "hfxp" */
#define RESULT_MAGIC 0x72786668u /* "hfxr" */
#define WIRE_VERSION 2u

struct plan_frame {
	uint32_t magic;
	uint32_t version;
	int32_t pid;
	uint32_t timeout_ms;
	uint32_t max_pause_us;
	int32_t waiting_tid;
	/** What follows, in this order. */
	uint32_t num_writes;
	uint32_t num_guards;
	uint32_t names_size;
	uint32_t num_images;
};

struct result_frame {
	uint32_t magic;
	uint32_t version;
	uint32_t code;
	int32_t error_number;
	uint32_t message_size;
	uint32_t num_threads;
	uint32_t num_tries;
	uint32_t num_stepped;
	uint64_t pause_ns;
};

/** As write(), but a socket whose peer is gone gives EPIPE, not SIGPIPE. */
static ssize_t write_some(int fd, const void *data, size_t size)
{
	ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

	if (n < 0 && errno == ENOTSOCK)
		n = write(fd, data, size);
	return n;
}

static struct hfx_error *write_all(int fd, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	while (size) {
		ssize_t n = write_some(fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return hfx_error_os(errno, "write to the peer");
		bytes += n;
		size -= (size_t)n;
	}
	return NULL;
}

/** Read until @p size bytes or the end; @p got_ret is how many came, or 0. */
static struct hfx_error *read_upto(int fd, void *buffer, size_t size,
                                   size_t *got_ret)
{
	uint8_t *bytes = buffer;
	size_t got = 0;

	*got_ret = 0;
	while (got < size) {
		ssize_t n = read(fd, bytes + got, size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return hfx_error_os(errno, "read from the peer");
		if (n == 0)
			break;
		got += (size_t)n;
	}
	*got_ret = got;
	return NULL;
}

/** Sizes of the lists of a plan against what the other end takes. */
static struct hfx_error *check_counts(size_t num_writes, size_t num_guards,
                                      size_t names_size, size_t num_images)
{
	const struct {
		const char *what;
		size_t count;
		size_t limit;
	} counts[] = {
		{"writes", num_writes, COMMIT_WIRE_MAX_WRITES},
		{"guarded ranges", num_guards, COMMIT_WIRE_MAX_GUARDS},
		{"bytes of names", names_size, COMMIT_WIRE_MAX_NAMES},
		{"images", num_images, COMMIT_WIRE_MAX_IMAGES},
	};

	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		if (counts[i].count > counts[i].limit)
			return hfx_error_create(
				HFX_ERROR_INVALID_ARGUMENT,
				"commit plan: %zu %s are more than the %zu "
				"that one commit can have",
				counts[i].count, counts[i].what,
				counts[i].limit);
	return NULL;
}

struct hfx_error *commit_wire_send_plan(int fd, pid_t pid,
                                        const struct commit_plan *plan)
{
	struct plan_frame frame = {
		.magic = PLAN_MAGIC,
		.version = WIRE_VERSION,
		.pid = pid,
		.timeout_ms = plan->timeout_ms,
		.max_pause_us = plan->max_pause_us,
		.waiting_tid = plan->waiting_tid,
		.num_writes = (uint32_t)plan->num_writes,
		.num_guards = (uint32_t)plan->num_guards,
		.names_size = (uint32_t)plan->names_size,
		.num_images = (uint32_t)plan->num_images,
	};

	HFX_TRY(check_counts(plan->num_writes, plan->num_guards,
	                     plan->names_size, plan->num_images));
	HFX_TRY(write_all(fd, &frame, sizeof(frame)));
	HFX_TRY(write_all(fd, plan->writes,
	                  plan->num_writes * sizeof(*plan->writes)));
	HFX_TRY(write_all(fd, plan->guards,
	                  plan->num_guards * sizeof(*plan->guards)));
	HFX_TRY(write_all(fd, plan->names, plan->names_size));
	return write_all(fd, plan->images,
	                 plan->num_images * sizeof(*plan->images));
}

static struct hfx_error *check_writes(const struct commit_write *writes,
                                      size_t num_writes)
{
	for (size_t i = 0; i < num_writes; i++) {
		uint64_t end;

		if (!writes[i].size || writes[i].size > SITE_SIZE)
			return hfx_error_create(
				HFX_ERROR_INVALID_ARGUMENT,
				"commit plan: write %zu has %u bytes", i,
				writes[i].size);
		if (__builtin_add_overflow(writes[i].live_addr, writes[i].size,
		                           &end))
			return hfx_error_create(
				HFX_ERROR_INVALID_ARGUMENT,
				"commit plan: write %zu ends outside memory",
				i);
	}
	return NULL;
}

/** The names of guards must end inside the names. */
static struct hfx_error *check_guards(const struct commit_plan *plan)
{
	if (plan->names_size && plan->names[plan->names_size - 1])
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "commit plan: a name has no end");
	for (size_t i = 0; i < plan->num_guards; i++)
		if (plan->guards[i].name_off >= plan->names_size)
			return hfx_error_create(
				HFX_ERROR_INVALID_ARGUMENT,
				"commit plan: guarded range %zu has no name",
				i);
	return NULL;
}

/** Read a list of @p count items. */
static struct hfx_error *read_items(int fd, const char *what, size_t count,
                                    size_t item_size, void *list_ret)
{
	size_t size = count * item_size;
	HFX_CLEANUP(hfx_free) void *items = malloc(size ? size : 1);
	size_t got;

	if (!items)
		return hfx_error_no_memory();
	HFX_TRY(read_upto(fd, items, size, &got));
	if (got < size)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "commit plan: cut short at %s %zu of "
		                        "%zu",
		                        what, got / item_size, count);
	*(void **)list_ret = HFX_TAKE(items);
	return NULL;
}

static struct hfx_error *read_lists(int fd, struct commit_plan *plan)
{
	HFX_TRY(read_items(fd, "write", plan->num_writes, sizeof(*plan->writes),
	                   &plan->writes));
	HFX_TRY(check_writes(plan->writes, plan->num_writes));
	HFX_TRY(read_items(fd, "guarded range", plan->num_guards,
	                   sizeof(*plan->guards), &plan->guards));
	HFX_TRY(read_items(fd, "byte of names", plan->names_size, 1,
	                   &plan->names));
	HFX_TRY(check_guards(plan));
	return read_items(fd, "image", plan->num_images, sizeof(*plan->images),
	                  &plan->images);
}

/** The rest of a frame is read only when it is of this version. */
static struct hfx_error *read_frame(int fd, struct plan_frame *frame)
{
	const size_t head = offsetof(struct plan_frame, pid);
	size_t got;

	HFX_TRY(read_upto(fd, frame, head, &got));
	if (got < head || frame->magic != PLAN_MAGIC)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "this is no commit plan");
	if (frame->version != WIRE_VERSION)
		return hfx_error_create(
			HFX_ERROR_INVALID_ARGUMENT,
			"commit plan has version %u, this hfx-tracer reads %u; "
			"install libhfx and hfx-tracer of one release",
			frame->version, WIRE_VERSION);
	HFX_TRY(read_upto(fd, (uint8_t *)frame + head, sizeof(*frame) - head,
	                  &got));
	if (got < sizeof(*frame) - head)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "commit plan: cut short at its start");
	return check_counts(frame->num_writes, frame->num_guards,
	                    frame->names_size, frame->num_images);
}

struct hfx_error *commit_wire_receive_plan(int fd, pid_t *pid_ret,
                                           struct commit_plan *ret)
{
	HFX_CLEANUP(commit_plan_deinit) struct commit_plan plan = {0};
	struct plan_frame frame;

	HFX_TRY(read_frame(fd, &frame));
	plan = (struct commit_plan){
		.num_writes = frame.num_writes,
		.timeout_ms = frame.timeout_ms,
		.max_pause_us = frame.max_pause_us,
		.num_guards = frame.num_guards,
		.names_size = frame.names_size,
		.num_images = frame.num_images,
		.waiting_tid = frame.waiting_tid,
	};
	HFX_TRY(read_lists(fd, &plan));
	*pid_ret = frame.pid;
	*ret = plan;
	plan = (struct commit_plan){0};
	return NULL;
}

void commit_plan_deinit(struct commit_plan *plan)
{
	free(plan->writes);
	free(plan->guards);
	free(plan->names);
	free(plan->images);
	*plan = (struct commit_plan){0};
}

struct hfx_error *commit_wire_send_result(int fd, const struct hfx_error *err,
                                          const struct commit_result *result)
{
	struct result_frame frame = {
		.magic = RESULT_MAGIC,
		.version = WIRE_VERSION,
		.code = (uint32_t)hfx_error_code(err),
		.error_number = err ? hfx_error_errno(err) : 0,
	};
	const char *message = err ? hfx_error_message(err) : "";

	frame.message_size =
		(uint32_t)strnlen(message, COMMIT_WIRE_MAX_MESSAGE);
	if (!err) {
		frame.num_threads = result->num_threads;
		frame.num_tries = result->num_tries;
		frame.num_stepped = result->num_stepped;
		frame.pause_ns = result->pause_ns;
	}
	HFX_TRY(write_all(fd, &frame, sizeof(frame)));
	return write_all(fd, message, frame.message_size);
}

/** The error that was sent: hfx_error_os() adds the errno's text again. */
static struct hfx_error *remake_error(const struct result_frame *frame,
                                      char *message)
{
	size_t size = strlen(message);
	const char *text = strerrordesc_np(frame->error_number);
	size_t text_size = text ? strlen(text) : 0;

	if (frame->code == HFX_ERROR_NO_MEMORY)
		return hfx_error_no_memory();
	if (frame->code != HFX_ERROR_OS || !frame->error_number)
		return hfx_error_create((enum hfx_error_code)frame->code, "%s",
		                        message);
	if (text && size > text_size + 2 &&
	    !strcmp(message + size - text_size, text))
		message[size - text_size - 2] = '\0';
	return hfx_error_os(frame->error_number, "%s", message);
}

static struct hfx_error *receive_error(int fd, const struct result_frame *frame)
{
	char message[COMMIT_WIRE_MAX_MESSAGE + 1];
	size_t got;

	HFX_TRY(read_upto(fd, message, frame->message_size, &got));
	message[got] = '\0';
	return remake_error(frame, message);
}

struct hfx_error *commit_wire_receive_result(int fd, struct commit_result *ret)
{
	struct result_frame frame;
	size_t got;

	HFX_TRY(read_upto(fd, &frame, sizeof(frame), &got));
	if (got < sizeof(frame))
		return hfx_error_create(HFX_ERROR_STOP,
		                        "hfx-tracer ended without a result");
	if (frame.magic != RESULT_MAGIC || frame.version != WIRE_VERSION ||
	    frame.message_size > COMMIT_WIRE_MAX_MESSAGE)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "the answer of hfx-tracer is not of "
		                        "this release");
	if (frame.code != HFX_ERROR_NONE)
		return receive_error(fd, &frame);
	ret->pause_ns = frame.pause_ns;
	ret->num_threads = frame.num_threads;
	ret->num_tries = frame.num_tries;
	ret->num_stepped = frame.num_stepped;
	return NULL;
}
