/* SPDX-License-Identifier: MIT */
/*
 * Talk to memcached servers without pause and check every byte they answer.
 *
 *	memcached_load CONNECTIONS PORT...	that many to each 127.0.0.1:PORT
 *
 * Runs until SIGTERM, then prints totals. Exit status 1 if an answer was wrong
 * or a connection was dropped. Keys are separate for each connection, so each
 * knows exactly what its answers have to be.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Longer than any answer asked for here. */
#define TEXT_MAX        16384
#define VALUE_MAX       4000
#define CONNECTIONS_MAX 256
/* A server that says nothing for this long has dropped the connection. */
#define ANSWER_TIMEOUT_S 10

struct text {
	size_t size;
	char bytes[TEXT_MAX];
};

struct connection {
	pthread_t thread;
	unsigned number;
	uint16_t port;
	int fd;
	struct text request;
	struct text expected;
	struct text answer;
	/* Totals. */
	uint64_t num_requests;
	uint64_t num_wrong;
	bool dropped;
	uint64_t longest_ns;
};

static atomic_bool stop;

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

__attribute__((format(printf, 2, 3))) static void
text_add(struct text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text->size += (size_t)vsnprintf(text->bytes + text->size,
	                                sizeof(text->bytes) - text->size,
	                                format, args);
	va_end(args);
}

/* Add the value that belongs to @p key in @p round: its length varies. */
static void text_add_value(struct text *text, unsigned key, unsigned round)
{
	size_t size = 1 + (key * 7919 + round * 104729) % VALUE_MAX;

	text_add(text, "%zu\r\n", size);
	for (size_t i = 0; i < size; i++)
		text->bytes[text->size++] =
			(char)('!' + (key + round + i * i) % 90);
	text_add(text, "\r\n");
}

static bool send_request(struct connection *conn)
{
	const struct text *text = &conn->request;

	for (size_t sent = 0; sent < text->size;) {
		ssize_t got = send(conn->fd, text->bytes + sent,
		                   text->size - sent, MSG_NOSIGNAL);

		if (got <= 0)
			return false;
		sent += (size_t)got;
	}
	return true;
}

/* Read as much as is expected. False when the connection ended before that. */
static bool read_answer(struct connection *conn)
{
	struct text *text = &conn->answer;

	for (text->size = 0; text->size < conn->expected.size;) {
		ssize_t got = recv(conn->fd, text->bytes + text->size,
		                   conn->expected.size - text->size, 0);

		if (got <= 0)
			return false;
		text->size += (size_t)got;
		/* A shorter answer would leave us waiting for the rest. */
		if (memcmp(text->bytes, conn->expected.bytes, text->size) != 0)
			break;
	}
	return true;
}

static void report_wrong(const struct connection *conn)
{
	fprintf(stderr, "memcached_load: port %u: asked %.60s, got %.*s\n",
	        conn->port, conn->request.bytes,
	        conn->answer.size < 60 ? (int)conn->answer.size : 60,
	        conn->answer.bytes);
}

/*
 * Send conn->request and compare the answer with conn->expected. False when the
 * connection cannot be used any further.
 */
static bool exchange(struct connection *conn)
{
	uint64_t start_ns = now_ns();
	uint64_t time_ns;

	errno = 0;
	conn->answer.size = 0;
	if (!send_request(conn) || !read_answer(conn)) {
		fprintf(stderr, "memcached_load: port %u: dropped: %s\n",
		        conn->port, errno ? strerror(errno) : "closed");
		conn->dropped = true;
		return false;
	}
	time_ns = now_ns() - start_ns;
	if (time_ns > conn->longest_ns)
		conn->longest_ns = time_ns;
	conn->num_requests++;
	if (conn->answer.size == conn->expected.size &&
	    memcmp(conn->answer.bytes, conn->expected.bytes,
	           conn->expected.size) == 0)
		return true;
	conn->num_wrong++;
	report_wrong(conn);
	return false;
}

static void begin(struct connection *conn)
{
	conn->request.size = 0;
	conn->expected.size = 0;
}

static bool store(struct connection *conn, unsigned key, unsigned round)
{
	begin(conn);
	text_add(&conn->request, "set load:%u:%u 5 0 ", conn->number, key);
	text_add_value(&conn->request, key, round);
	text_add(&conn->expected, "STORED\r\n");
	return exchange(conn);
}

static void expect_value(struct connection *conn, unsigned key, unsigned round)
{
	text_add(&conn->expected, "VALUE load:%u:%u 5 ", conn->number, key);
	text_add_value(&conn->expected, key, round);
}

/* Ask for two keys at once: the request that the proxy takes apart. */
static bool fetch_two(struct connection *conn, unsigned key, unsigned round)
{
	begin(conn);
	text_add(&conn->request, "get load:%u:%u load:%u:%u\r\n", conn->number,
	         key, conn->number, key + 1);
	expect_value(conn, key, round);
	expect_value(conn, key + 1, round);
	text_add(&conn->expected, "END\r\n");
	return exchange(conn);
}

static bool fetch_one(struct connection *conn, unsigned key, unsigned round)
{
	begin(conn);
	text_add(&conn->request, "get load:%u:%u\r\n", conn->number, key);
	expect_value(conn, key, round);
	text_add(&conn->expected, "END\r\n");
	return exchange(conn);
}

static bool erase(struct connection *conn, unsigned key)
{
	begin(conn);
	text_add(&conn->request, "delete load:%u:%u\r\n", conn->number, key);
	text_add(&conn->expected, "DELETED\r\n");
	if (!exchange(conn))
		return false;
	begin(conn);
	text_add(&conn->request, "get load:%u:%u\r\n", conn->number, key);
	text_add(&conn->expected, "END\r\n");
	return exchange(conn);
}

static void *run(void *arg)
{
	struct connection *conn = arg;

	for (unsigned round = 0; !stop; round++) {
		unsigned key = round * 2 % 200;

		if (!store(conn, key, round) || !store(conn, key + 1, round) ||
		    !fetch_one(conn, key, round) ||
		    !fetch_two(conn, key, round) || !erase(conn, key + 1))
			break;
	}
	return NULL;
}

static bool open_connection(struct connection *conn)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(conn->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};

	conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return conn->fd >= 0 &&
	       setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout,
	                  sizeof(timeout)) == 0 &&
	       connect(conn->fd, (struct sockaddr *)&address,
	               sizeof(address)) == 0;
}

static void print_totals(const struct connection *conns, unsigned count)
{
	uint64_t requests = 0, wrong = 0, longest_ns = 0;
	unsigned dropped = 0;

	for (unsigned i = 0; i < count; i++) {
		requests += conns[i].num_requests;
		wrong += conns[i].num_wrong;
		dropped += conns[i].dropped;
		if (conns[i].longest_ns > longest_ns)
			longest_ns = conns[i].longest_ns;
	}
	printf("%llu answers checked on %u connections: %llu wrong, "
	       "%u connections dropped, longest wait %llu us\n",
	       (unsigned long long)requests, count, (unsigned long long)wrong,
	       dropped, (unsigned long long)longest_ns / 1000);
	if (wrong || dropped)
		exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
	static struct connection conns[CONNECTIONS_MAX];
	unsigned each = argc > 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
	unsigned count = each * (unsigned)(argc - 2);
	sigset_t signals;
	int signal;

	if (!each || each > CONNECTIONS_MAX || count > CONNECTIONS_MAX) {
		fprintf(stderr, "usage: memcached_load CONNECTIONS PORT...\n");
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	for (unsigned i = 0; i < count; i++) {
		conns[i].number = i;
		conns[i].port = (uint16_t)strtoul(argv[2 + i / each], NULL, 10);
		if (!open_connection(&conns[i]) ||
		    pthread_create(&conns[i].thread, NULL, run, &conns[i])) {
			fprintf(stderr, "memcached_load: port %u: %s\n",
			        conns[i].port, strerror(errno));
			return 2;
		}
	}
	sigwait(&signals, &signal);
	stop = true;
	for (unsigned i = 0; i < count; i++)
		pthread_join(conns[i].thread, NULL);
	print_totals(conns, count);
	return EXIT_SUCCESS;
}
