#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Patches that replace each other, and calls that are redirected to them.
here=$(dirname "$(realpath "$0")")
. "$here/setup.sh"

# Answers each line with what two functions give, which change with the
# version; `both` is a caller that stays the same.
cat >server.c <<'END'
#include <stdio.h>
#define NOINLINE __attribute__((noinline, noclone, noipa))
NOINLINE int first(int number)
{
	__asm__ volatile(".nops 8");
	return number + VERSION;
}
NOINLINE int second(int number)
{
	__asm__ volatile(".nops 8");
	return number + (VERSION == 2 ? 0 : VERSION) * 100;
}
NOINLINE int both(int number)
{
	return first(number) + second(number);
}
int main(void)
{
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin))
		printf("%d\n", both(0));
	return 0;
}
END

# build VERSION...: vVERSION/server, and vVERSION.hfx from v0 to it.
build()
{
	local version

	for version in 0 "$@"; do
		mkdir -p "v$version"
		"$cc" -O2 -g -fPIE -pie -Wl,--build-id "-DVERSION=$version" \
			server.c -o "v$version/server"
	done
	for version in "$@"; do
		bundle "v$version" v0/server "v$version/server"
	done
}

# bundle NAME ARGUMENT...: NAME.hfx
bundle()
{
	local name=$1

	shift
	"$hfx_bundle" diff "$@" -o "$name.hfx" >diff.log 2>&1 ||
		die "$(cat diff.log)"
}

# start [COMMAND...]: a process with its pid in $pid, at pipes in and out.
start()
{
	rm -f in out
	mkfifo in out
	"${@:-./v0/server}" <in >out 2>errors &
	pid=$!
	pids+=("$pid")
	exec {to}>in {from}<out
	ask >/dev/null
}

# ask: what the process answers now.
ask()
{
	local line

	echo >&"$to"
	read -r -t 20 line <&"$from" || die "no answer"
	echo "$line"
}

# answers NUMBER
answers()
{
	local line

	line=$(ask)
	[ "$line" = "$1" ] || die "the answer is $line, not $1"
}

# runs COMMAND...: it must end well; its output is in runs.log.
runs()
{
	"$@" >runs.log 2>&1 || die "$* ended with $?: $(cat runs.log)"
}

# says TEXT [FILE]
says()
{
	grep -qF -- "$1" "${2:-runs.log}" ||
		die "no '$1' in: $(cat "${2:-runs.log}")"
}

# ---- Replacing ----------------------------------------------------------------

one_patch_takes_the_place_of_another()
{
	build 1 2 3
	start
	runs "$hfx" apply "$pid" v1.hfx
	answers 101
	runs "$hfx" apply --dry-run "$pid" v2.hfx --replaces v1
	says "would apply v2 (1 function) in place of v1 to"
	answers 101
	runs "$hfx" apply "$pid" v2.hfx --replaces v1 --log-file log
	says "applied v2 (1 function) in place of v1 to"
	answers 2
	says 'apply result=applied' log
	says 'revert result=reverted' log
	says 'name="v1"' log
	runs "$hfx" list "$pid"
	grep -q '^v1 .*reverted' runs.log || die "$(cat runs.log)"
	grep -q '^v2 .*applied' runs.log || die "$(cat runs.log)"
	runs "$hfx" apply "$pid" v1.hfx
	answers 101
	runs "$hfx" apply "$pid" v3.hfx --replaces v1 --replaces v2
	says "in place of v1, v2 to"
	answers 303
	runs "$hfx" revert "$pid" v3
	answers 0
	runs "$hfx" apply "$pid" v2.hfx --replaces all
	answers 2
}

# Threads that call all the time: from one version to the next, none of their
# calls reaches the old build's code. Answers how many did since it was asked.
no_call_reaches_old_code_while_patches_are_replaced()
{
	cat >server.c <<'END'
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#define THREADS 4
static atomic_long counts[3];
static atomic_long rounds[THREADS];
__attribute__((noipa)) int version(void)
{
	return VERSION;
}
static void *call(void *arg)
{
	for (;;) {
		counts[version()]++;
		++*(atomic_long *)arg;
	}
	return arg;
}
int main(void)
{
	char line[64];
	pthread_t thread;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&thread, NULL, call, &rounds[i]);
	while (fgets(line, sizeof(line), stdin)) {
		/* What each had begun to count is counted now. */
		for (int i = 0; i < THREADS; i++) {
			long before = rounds[i];

			while (rounds[i] < before + 2)
				;
		}
		printf("%ld\n", atomic_exchange(&counts[0], 0));
	}
	return 0;
}
END
	build 1 2
	start
	runs "$hfx" apply "$pid" v1.hfx --timeout 20000
	ask >/dev/null
	for _ in $(seq 15); do
		runs "$hfx" apply "$pid" v2.hfx --replaces v1 --timeout 20000
		runs "$hfx" apply "$pid" v1.hfx --replaces all \
			--timeout 20000
	done
	answers 0
	# So it would have been seen.
	runs "$hfx" revert "$pid" v1 --timeout 20000
	[ "$(ask)" -gt 0 ] || die "calls of the old code are not counted"
}

what_cannot_be_replaced_is_said()
{
	build 1 2 3
	start
	fails 1 "$hfx" apply "$pid" v2.hfx --replaces v1
	said fails.log "has no patch v1"
	answers 0
	runs "$hfx" apply "$pid" v1.hfx
	runs "$hfx" apply "$pid" v2.hfx
	fails 1 "$hfx" apply "$pid" v3.hfx --replaces v1
	said fails.log "v2 was applied on top of v1"
	answers 102
	fails 1 "$hfx" apply "$pid" v2.hfx --replaces v1
	said fails.log "v2 is already applied"
	fails 2 "$hfx" apply --all --undo-on-failure v3.hfx --replaces v1
	said fails.log "--undo-on-failure would not bring back"
	answers 102
}

# ---- Redirecting calls ---------------------------------------------------------

# code_of FUNCTION: its code in the process, in hexadecimal.
code_of()
{
	local start size base

	read -r start size < <(nm -S v0/server |
		awk -v name="$1" '$4 == name { print $1, $2 }')
	base=$(awk -F- '/server$/ { print $1; exit }' "/proc/$pid/maps")
	dd if="/proc/$pid/mem" bs=1 skip=$((0x$base + 0x$start)) \
		count=$((0x$size)) status=none | od -An -v -tx1
}

redirected_calls_change_their_caller_and_come_back()
{
	local before

	build 1 2
	start
	before=$(code_of both)
	runs "$hfx" apply --dry-run --redirect-calls "$pid" v1.hfx
	says "would apply v1 (2 functions, 2 calls redirected) to"
	[ "$(code_of both)" = "$before" ] || die "a dry run changed both()"
	runs "$hfx" check --redirect-calls "$pid" v1.hfx
	says "and redirect 2 calls"
	runs "$hfx" check --redirect-calls --json "$pid" v1.hfx
	json_is runs.log 'd["num_calls"]' 2
	runs "$hfx" apply "$pid" v1.hfx
	answers 101
	[ "$(code_of both)" = "$before" ] || die "both() changed unasked"
	runs "$hfx" revert "$pid" v1
	runs "$hfx" list --json "$pid"
	json_is runs.log 'd["patches"][0]["num_calls"]' 0
	runs "$hfx" apply --redirect-calls "$pid" v1.hfx
	says "applied v1 (2 functions, 2 calls redirected) to"
	runs "$hfx" list "$pid"
	grep -q '^v1 .* 2      2  server$' runs.log || die "$(cat runs.log)"
	runs "$hfx" list --json "$pid"
	json_is runs.log \
		'd["patches"][0]["num_calls"], d["patches"][0]["num_sites"]' \
		"(2, 4)"
	answers 101
	[ "$(code_of both)" != "$before" ] || die "both() did not change"
	runs "$hfx" apply --redirect-calls "$pid" v2.hfx --replaces v1
	answers 2
	runs "$hfx" revert "$pid" v2
	answers 0
	[ "$(code_of both)" = "$before" ] || die "both() did not come back"

	# Over another patch it also jumps from that one's code: no call.
	runs "$hfx" apply "$pid" v1.hfx
	runs "$hfx" apply --redirect-calls "$pid" v2.hfx
	runs "$hfx" list --json "$pid"
	json_is runs.log '[p["num_calls"] for p in d["patches"]
		if p["state"] == "applied"]' "[0, 1]"
}

new_starts_redirect_calls_when_they_are_asked_to()
{
	local before start

	build 1
	start
	before=$(code_of both)
	for start in "HFX_BUNDLES=v1.hfx" \
		"HFX_BUNDLES=v1.hfx HFX_REDIRECT_CALLS=1"; do
		# shellcheck disable=SC2086 # words
		start env LD_PRELOAD="$libhfx" $start ./v0/server
		answers 101
		code_of both >"code.${#start}"
	done
	runs "$hfx" persist --dir state --redirect-calls v1.hfx
	runs "$hfx" persist --dir state --list --json
	json_is runs.log 'd["bundles"][0]["redirect_calls"]' True
	start env LD_PRELOAD="$libhfx" HFX_PERSIST_DIR="$PWD/state" ./v0/server
	answers 101
	[ "$(cat code.18)" = "$before" ] || die "both() changed unasked"
	[ "$(cat code.39)" != "$before" ] || die "HFX_REDIRECT_CALLS did not"
	[ "$(code_of both)" != "$before" ] || die "persist did not"
	runs "$hfx" persist --dir state --remove v1
	fails 2 "$hfx" persist --dir state --list --redirect-calls
}

verify_looks_at_the_calls()
{
	local at

	build 1
	runs "$hfx_bundle" verify v1.hfx v0/server
	cp v0/server damaged
	# The first call in both().
	at=$(objdump -d v0/server --disassemble=both |
		awk '/call.*<(first|second)>/ { print $1; exit }')
	printf '\x90' | dd of=damaged bs=1 conv=notrunc status=none \
		seek=$((0x${at%:}))
	fails 1 "$hfx_bundle" verify v1.hfx damaged
	said fails.log "there is no direct call of"
	said fails.log "at 0x${at%:}"
}

"$case_name"
