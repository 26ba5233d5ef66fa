#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Exceptions, cancellation and backtraces through new code.
here=$(dirname "$(realpath "$0")")
. "$here/setup.sh"
. "$here/server.sh"
. "$here/cpp_server.sh"

cpp_exceptions_pass_new_code()
{
	local thrown="201 thrown 1 cleaned 2"

	[ -x "$cxx" ] || skip "no C++ compiler"
	make_cpp_bundle
	start outside
	answers outside "108 no"
	"$hfx" apply "$pid" fix.hfx >apply.log 2>&1
	! grep -q "exception tables" apply.log || die "$(cat apply.log)"
	answers outside "$thrown"
	start preloaded env LD_PRELOAD="$libhfx" HFX_BUNDLES=fix.hfx \
		./old/server
	answers preloaded "$thrown"

	# shellcheck disable=SC2046 # words
	make_cpp_bundle $(host_options)
	start host ./old/server fix.hfx
	answers host "$thrown"
	# The program's own copy of the unwinder is told where libhfx.a is.
	make_cpp_bundle -static-libgcc -static-libstdc++ -DHOST \
		-I"$source/runtime/include" -I"$source/common/include" \
		"${libhfx%.so*}.a" -larchive -lsodium -ljansson
	start static ./old/server fix.hfx
	answers static "$thrown"
}

an_unwinder_inside_the_program_is_told_of_new_code()
{
	local kind name flags=(
		"-static-libgcc -static-libstdc++"
		-static-libgcc
		-static-pie
	)

	[ -x "$cxx" ] || skip "no C++ compiler"
	for kind in "${flags[@]}"; do
		# shellcheck disable=SC2086 # words
		make_cpp_bundle $kind
		name=inside${kind//[-+ ]/}
		start "$name"
		answers "$name" "108 no"
		"$hfx" apply "$pid" fix.hfx >apply.log 2>&1
		! grep -q "exception tables" apply.log ||
			die "$(cat apply.log)"
		answers "$name" "201 thrown 1 cleaned 2"
		"$hfx" revert "$pid" fix >/dev/null
		answers "$name" "108 no"
		"$hfx" apply "$pid" fix.hfx >/dev/null
		answers "$name" "201 thrown 1 cleaned 2"
	done
}

# As if it were another one than libgcc's.
an_unwinder_inside_that_cannot_be_told_is_refused()
{
	[ -x "$cxx" ] || skip "no C++ compiler"
	make_cpp_bundle -static-libgcc -static-libstdc++
	rename_symbols __register_frame_info
	! "$hfx_bundle" diff old/server new/server -o fix.hfx >diff.log 2>&1 ||
		die "$(cat diff.log)"
	said diff.log "has an unwinder of its own inside that cannot be told"
}

rename_symbols()
{
	local symbol file

	for file in old/server new/server; do
		for symbol; do
			objcopy --redefine-sym "$symbol=a$symbol" "$file"
		done
	done
}

# A bundle that knows nothing of the unwinder.
an_unwinder_inside_without_a_name_gets_a_warning()
{
	[ -x "$cxx" ] || skip "no C++ compiler"
	make_cpp_bundle -static-libgcc -static-libstdc++
	rename_symbols _Unwind_RaiseException _Unwind_Find_FDE
	"$hfx_bundle" diff old/server new/server -o fix.hfx >diff.log 2>&1 ||
		die "$(cat diff.log)"
	start outside
	"$hfx" check "$pid" fix.hfx >check.log 2>&1
	said check.log "warning: functions of the patch have exception tables"
	"$hfx" check --json "$pid" fix.hfx >check.json
	json_is check.json 'any("libgcc" in w for w in d["warnings"])' True
	"$hfx" apply -q "$pid" fix.hfx >apply.log 2>&1
	[ ! -s apply.log ] || die "-q is not quiet"
}

# A C program does not have the unwinder loaded from the start.
write_unwinding_server()
{
	cat >server.c <<'END'
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef HOST
#include <hfx.h>
#endif
#define STANDALONE __attribute__((noipa))
int main(int argc, char **argv);
static int cleaned;
static volatile int ready;
STANDALONE void clean(int *number)
{
	cleaned += *number;
}
STANDALONE int sees_main(void)
{
	void *frames[64];
	int count = backtrace(frames, 64);

	for (int i = 0; i < count; i++)
		if ((char *)frames[i] > (char *)main &&
		    (char *)frames[i] < (char *)main + 512)
			return 1;
	return 0;
}
STANDALONE int answer(int number)
{
#ifdef NEW
	return sees_main() + number * 7 % 5 + 199;
#else
	return number * 3 % 7 + 97;
#endif
}
STANDALONE void wait_long(int number)
{
	int cleaned_by __attribute__((cleanup(clean))) = number;
#ifdef NEW
	cleaned_by *= 10;
#endif
	ready = 1;
	for (;;)
		pause();
}
static void *run(void *arg)
{
	wait_long(1);
	return arg;
}
int main(int argc, char **argv)
{
	char line[64];
	pthread_t thread;

#ifdef HOST
	struct hfx_error *err = hfx_apply_bundle(argv[1], NULL, NULL);

	if (err) {
		fprintf(stderr, "%s\n", hfx_error_message(err));
		return 1;
	}
#endif
	if (argc > 1 && !strcmp(argv[1], "early"))
		sees_main();
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		cleaned = ready = 0;
		pthread_create(&thread, NULL, run, NULL);
		while (!ready)
			usleep(1000);
		pthread_cancel(thread);
		pthread_join(thread, NULL);
		printf("%d cleaned %d\n", answer(1), cleaned);
	}
	return 0;
}
END
}

backtraces_and_cancellation_pass_new_code()
{
	write_unwinding_server
	make_bundle -fexceptions -pthread
	start early ./old/server early
	answers early "100 cleaned 1"
	"$hfx" apply "$pid" fix.hfx >apply.log 2>&1
	! grep -q "exception tables" apply.log || die "$(cat apply.log)"
	answers early "202 cleaned 10"

	start preloaded env LD_PRELOAD="$libhfx" HFX_BUNDLES=fix.hfx \
		./old/server
	answers preloaded "202 cleaned 10"

	# shellcheck disable=SC2046 # words
	make_bundle -fexceptions -pthread $(host_options)
	start host ./old/server fix.hfx
	answers host "202 cleaned 10"

	make_bundle -fexceptions -pthread -static-pie
	start static
	answers static "100 cleaned 1"
	"$hfx" apply "$pid" fix.hfx >apply.log 2>&1
	! grep -q "exception tables" apply.log || die "$(cat apply.log)"
	answers static "202 cleaned 10"
}

a_sanitizer_reports_callers_beyond_new_code()
{
	cat >server.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#define STANDALONE __attribute__((noipa))
STANDALONE int read_at(const int *numbers, int index)
{
	return numbers[index];
}
STANDALONE int answer(int number)
{
	int *numbers = calloc(10, sizeof(*numbers));
#ifdef NEW
	int found = read_at(numbers, 10) + number;
#else
	int found = read_at(numbers, number) + 100;
#endif

	free(numbers);
	return found;
}
int main(void)
{
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin))
		printf("%d\n", answer(1));
	return 0;
}
END
	build -fsanitize=address >build.log 2>&1 || skip "no AddressSanitizer"
	make_bundle -fsanitize=address
	start one
	answers one 100
	"$hfx" apply "$pid" fix.hfx >/dev/null
	echo >&"$to"
	wait "$pid" || true
	said one.err "heap-buffer-overflow"
	grep -qE "^ *#2 .* in main " one.err || die "$(cat one.err)"
}

"$case_name"
