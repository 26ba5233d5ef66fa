#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Patches take effect while no thread is inside what they replace.
here=$(dirname "$(realpath "$0")")
. "$here/setup.sh"

# A server that obeys one command a line. `work` and `check` stop half-way in
# the functions that change until the next line comes; the second does so in
# code that the compiler has moved away from the function (check.cold).
cat >server.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef HOST
#include "hfx.h"
#endif
#ifndef VERSION
#define VERSION 0
#endif
#ifdef MAIN_CHANGES
#define MAIN_VERSION VERSION
#define WORK_VERSION 0
#else
#define MAIN_VERSION 0
#define WORK_VERSION VERSION
#endif
#define NOINLINE __attribute__((noinline, noclone))

static char line[4096];

NOINLINE static char *next_line(void)
{
	if (!fgets(line, sizeof(line), stdin))
		_exit(0);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

__attribute__((noinline, cold)) void complain(int number)
{
	printf("inside %d\n", number);
	next_line();
}

NOINLINE int check(int number)
{
	int result = number * 10 + WORK_VERSION;

	if (__builtin_expect(number < 0, 0)) {
		complain(number);
		complain(result);
		result = -result;
	}
	printf("checked %d\n", result);
	return result + 1;
}

#if VERSION > 0
NOINLINE int added(int number)
{
	puts("added");
	next_line();
	return number + 1;
}
#endif

NOINLINE int work(int number)
{
	puts("working");
	next_line();
#if !defined(MAIN_CHANGES) && VERSION > 0
	number = added(number);
#endif
	printf("worked %d\n", number + 100 * WORK_VERSION);
	return number;
}

#ifdef HOST
static void answer(struct hfx_error *err)
{
	printf("%s\n", err ? hfx_error_message(err) : "applied");
	hfx_error_destroy(err);
}

static const char *path_of(const char *command)
{
	return strchr(command, ' ') + 1;
}

/* It changes, and applies the change. */
NOINLINE int apply(const char *command)
{
	struct hfx_stop_info stop = {.sz = sizeof(stop)};
	struct hfx_apply_opts opts = {
		.sz = sizeof(opts),
		.flags = strncmp(command, "allow", 5) ? 0 : HFX_APPLY_ALLOW_ACTIVE,
		.timeout_ms = 60000,
		.max_pause_us = 10000000,
		.helper_path = TRACER,
		.stop_ret = &stop,
	};

	answer(hfx_apply_bundle(path_of(command), &opts, NULL));
	return WORK_VERSION + (int)stop.num_tries;
}

/* The same from where nothing changes. */
NOINLINE void apply_elsewhere(const char *command)
{
	struct hfx_apply_opts opts = {
		.sz = sizeof(opts), .timeout_ms = 60000, .helper_path = TRACER,
		.max_pause_us = 10000000};

	answer(hfx_apply_bundle(path_of(command), &opts, NULL));
}

static void *sleep_long(void *arg)
{
	sleep(1000);
	return arg;
}

static void start_thread(void)
{
	pthread_t thread;

	printf("%d\n", pthread_create(&thread, NULL, sleep_long, NULL));
}
#endif

static void obey(const char *command)
{
	if (!strcmp(command, "work"))
		work(1);
	else if (!strcmp(command, "check"))
		check(-1);
#ifdef HOST
	else if (!strncmp(command, "apply ", 6) || !strncmp(command, "allow ", 6))
		apply(command);
	else if (!strncmp(command, "elsewhere ", 10))
		apply_elsewhere(command);
	else if (!strcmp(command, "thread"))
		start_thread();
#endif
	else
		printf("ready\n");
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("main %d\n", MAIN_VERSION + 7);
	for (;;)
		obey(next_line());
}
END

# build FOLDER VERSION [OPTION...]
build()
{
	local to=$1 version=$2

	shift 2
	mkdir -p "$to"
	"$cc" -O2 -g -fPIE -pie -pthread -Wl,--build-id -DVERSION="$version" \
		server.c -o "$to/server" "$@"
}

# bundle FOLDER [OPTION...]: FOLDER.hfx, from old/server to FOLDER/server.
bundle()
{
	local to=$1

	shift
	"$hfx_bundle" diff "$@" old/server "$to/server" -o "$to.hfx" \
		>"$to.log" 2>&1 || die "$(cat "$to.log")"
}

# start COMMAND...: a process with its pid in $pid; to= and from= its ends.
start()
{
	mkfifo in out
	"$@" <in >out 2>err &
	pid=$!
	pids+=("$pid")
	exec {to}>in {from}<out
	rm in out
}

# say TEXT: give it a line. hear TEXT: its next line must be that.
say()
{
	echo "$1" >&"$to"
}

hear()
{
	local answer

	read -r -t 120 answer <&"$from" || die "no answer, wanted \"$1\""
	# shellcheck disable=SC2053 # a pattern
	[[ $answer == $1 ]] || die "answer \"$answer\", wanted \"$1\""
}

# Machines that run tests are busy.
patient="--timeout 120000"

apply()
{
	# shellcheck disable=SC2086
	"$hfx" apply $patient "$@" >log 2>&1 || die "apply: $(cat log)"
}

revert()
{
	# shellcheck disable=SC2086
	"$hfx" revert $patient "$@" >log 2>&1 || die "revert: $(cat log)"
}

# blocked COMMAND PATTERN ARG...: fails, and says who is inside what.
blocked()
{
	local command=$1 pattern=$2 status=0

	shift 2
	"$hfx" "$command" --timeout 60 "$@" >log 2>&1 || status=$?
	[ $status -eq 1 ] || die "$command: status $status: $(cat log)"
	grep -Eq "$pattern" log || die "not \"$pattern\": $(cat log)"
	grep -q -- --allow-active log || die "no way out: $(cat log)"
}

# The program is in a call when v1 is applied, and then it is not.
check_call_under_way()
{
	start ./old/server
	hear 'main 7'
	say work
	hear working
	blocked apply "thread $pid \(server\) in work at server\.c:[0-9]+" \
		"$pid" v1.hfx
	"$hfx" list "$pid" | grep -q ' applied ' && die "$("$hfx" list "$pid")"
	say go
	hear 'worked 1'
	apply "$pid" v1.hfx
	say work
	hear working
	say go
	hear added
	say go
	hear 'worked 102'
}

a_call_under_way_holds_up_an_apply()
{
	build old 0
	build v1 1
	bundle v1
	check_call_under_way
}

# gcc gives these no .eh_frame_hdr.
static_programs_are_unwound()
{
	local linker

	for linker in bfd gold lld; do
		command -v "ld.$linker" >/dev/null || continue
		build old 0 -static -fno-pie -no-pie -Wl,--emit-relocs \
			-fuse-ld="$linker"
		! readelf -lW old/server | grep -q GNU_EH_FRAME ||
			die "$linker made a header"
		build v1 1 -static -fno-pie -no-pie -Wl,--emit-relocs \
			-fuse-ld="$linker"
		bundle v1
		check_call_under_way
	done
}

with_allow_active_a_call_finishes_in_old_code()
{
	build old 0
	build v1 1
	bundle v1
	start ./old/server
	hear 'main 7'
	say work
	hear working
	apply --allow-active "$pid" v1.hfx
	say go
	hear 'worked 1'
	say work
	hear working
	blocked revert "thread $pid \(server\) in work" "$pid" v1
	say go
	hear added
	blocked revert "thread $pid \(server\) in (added|work)" "$pid" v1
	revert --allow-active "$pid" v1
	say go
	hear 'worked 102'
	say work
	hear working
	say go
	hear 'worked 1'
}

cold_parts_count()
{
	nm_name='check\.cold'
	build old 0
	nm old/server | grep -q "$nm_name" || die "no $nm_name"
	build v1 1
	bundle v1
	start ./old/server
	hear 'main 7'
	say check
	hear 'inside -1'
	blocked apply "thread $pid \(server\) in check" "$pid" v1.hfx
	say go
	hear 'inside -10'
	blocked apply "thread $pid \(server\) in check" "$pid" v1.hfx
	say go
	hear 'checked 10'
	apply "$pid" v1.hfx
	say check
	hear 'inside -1'
	blocked revert "thread $pid \(server\) in check" "$pid" v1
	say go
	hear 'inside -9'
	say go
	hear 'checked 9'
	revert "$pid" v1
}

code_of_the_patch_below_counts()
{
	build old 0
	build v1 1
	build v2 2
	bundle v1
	bundle v2
	start ./old/server
	hear 'main 7'
	apply "$pid" v1.hfx
	say check
	hear 'inside -1'
	blocked apply "thread $pid \(server\) in check" "$pid" v2.hfx
	say go
	hear 'inside -9'
	say go
	hear 'checked 9'
	say work
	hear working
	blocked apply "thread $pid \(server\) in work" "$pid" v2.hfx
	say go
	hear added
	blocked apply "thread $pid \(server\) in (work|added)" "$pid" v2.hfx
	say go
	hear 'worked 102'
	apply "$pid" v2.hfx
	say work
	hear working
	say go
	hear added
	say go
	hear 'worked 202'
}

a_program_that_stays_in_main_can_be_told_to_go_on()
{
	build old 0 -DMAIN_CHANGES
	build v1 1 -DMAIN_CHANGES
	bundle v1 --only main
	start ./old/server
	hear 'main 7'
	blocked apply "thread $pid \(server\) in main at server\.c:[0-9]+" \
		"$pid" v1.hfx
	apply --allow-active "$pid" v1.hfx
	say anything
	hear ready
}

main_can_be_replaced_at_start()
{
	build old 0 -DMAIN_CHANGES
	build v1 1 -DMAIN_CHANGES
	bundle v1 --only main
	start env LD_PRELOAD="$libhfx" HFX_BUNDLES="$folder/v1.hfx" ./old/server
	hear 'main 8'
	[ ! -s err ] || die "$(cat err)"
}

# The host's own call is inside what it replaces.
host_case()
{
	local tracer=${hfx%/*}/hfx-tracer
	local host="-DHOST -DTRACER=\"$tracer\" -I$source/runtime/include"

	host+=" -I$source/common/include $libhfx -Wl,-rpath,${libhfx%/*}"
	# shellcheck disable=SC2086
	build old 0 $host
	# shellcheck disable=SC2086
	build v1 1 $host
	bundle v1
	start ./old/server
	hear 'main 7'
	if [ "$1" = thread ]; then
		say thread
		hear 0
	fi
	say "apply $folder/v1.hfx"
	hear "*thread $pid (server), which waits here, in apply at server.c:*"
	say "elsewhere $folder/v1.hfx"
	hear applied
	say work
	hear working
	say go
	hear added
	say go
	hear 'worked 102'
}

a_host_that_is_inside_itself_is_told_so()
{
	host_case alone
}

a_host_with_threads_that_is_inside_itself_is_told_so()
{
	host_case thread
}

a_host_can_allow_it()
{
	local host="-DHOST -DTRACER=NULL -I$source/runtime/include"

	host+=" -I$source/common/include $libhfx -Wl,-rpath,${libhfx%/*}"
	# shellcheck disable=SC2086
	build old 0 $host
	# shellcheck disable=SC2086
	build v1 1 $host
	bundle v1
	start ./old/server
	hear 'main 7'
	say "allow $folder/v1.hfx"
	hear applied
}

"$case_name"
