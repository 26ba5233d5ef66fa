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
	[ "$(code_of both)" = "$before" ] || die "a dry run changed both()"
	runs "$hfx" apply "$pid" v1.hfx
	answers 101
	[ "$(code_of both)" = "$before" ] || die "both() changed unasked"
	runs "$hfx" revert "$pid" v1
	runs "$hfx" apply --redirect-calls "$pid" v1.hfx
	answers 101
	[ "$(code_of both)" != "$before" ] || die "both() did not change"
	runs "$hfx" apply --redirect-calls "$pid" v2.hfx --replaces v1
	answers 2
	runs "$hfx" revert "$pid" v2
	answers 0
	[ "$(code_of both)" = "$before" ] || die "both() did not come back"
}

"$case_name"
