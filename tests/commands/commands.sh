#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The commands apply, check and status on processes that run.
here=$(dirname "$(realpath "$0")")
. "$here/setup.sh"
. "$here/server.sh"

# ---- check -----------------------------------------------------------------

check_says_whether_a_bundle_would_apply()
{
	make_bundle
	start one
	"$hfx" check "$pid" fix.hfx >check.log
	said check.log "fix would apply to $pid (server)"
	[ -z "$("$hfx" check -q "$pid" fix.hfx)" ] || die "-q is not quiet"
	"$hfx" check --json "$pid" fix.hfx >check.json
	json_is check.json 'd["applies"], d["code"], d["reason"]' \
		"(True, 'none', None)"

	"$hfx" apply "$pid" fix.hfx >apply.log
	"$hfx" list --json "$pid" >list.json
	json_is list.json \
		'[c["name"] for c in d["patches"][0]["other_code"]]' "['added']"
	json_is list.json 'd["patches"][0]["symbols"]' True
	fails 1 "$hfx" check "$pid" fix.hfx
	said fails.log "would not apply to $pid (server): fix is already applied"
	fails 1 "$hfx" check --json "$pid" fix.hfx
	json_is fails.log 'd["applies"], d["code"]' \
		"(False, 'already-applied')"

	start two ./new/server
	fails 1 "$hfx" check --json "$pid" fix.hfx
	json_is fails.log 'd["code"]' build-mismatch
	echo "no bundle" >bad.hfx
	fails 2 "$hfx" check "$pid" bad.hfx
	fails 2 "$hfx" check "$pid"
	fails 2 "$hfx" check x fix.hfx
	fails 2 "$hfx" check --timeout 100 "$pid" fix.hfx
	said fails.log "only with --stop"
}

check_sees_threads_inside_when_it_may_stop_them()
{
	make_bundle
	start one
	"$hfx" check --stop "$pid" fix.hfx >check.log
	grep -qE "^fix would apply to $pid \(server\) in [0-9.]+ .s pause, 1 thread\$" \
		check.log || die "$(cat check.log)"
	"$hfx" check --stop --json "$pid" fix.hfx >check.json
	json_is check.json 'd["applies"], d["pause_ns"] > 0' "(True, True)"
	answers one 101

	# main() waits for a line all the time.
	sed -i 's/printf("%d/printf(N "%d/; s/^#ifdef NEW/&\n#define N "new "/
		s/^#include <stdio.h>/&\n#ifndef NEW\n#define N ""\n#endif/' server.c
	make_bundle
	start two
	cp "/proc/$pid/maps" before
	"$hfx" check "$pid" fix.hfx >check.log
	fails 1 "$hfx" check --stop --timeout 100 "$pid" fix.hfx
	said fails.log "fix would not apply to $pid (server):"
	said fails.log "main"
	fails 1 "$hfx" check --stop --timeout 100 --json "$pid" fix.hfx
	json_is fails.log 'd["code"], d["transient"]' "('not-quiescent', True)"
	cmp before "/proc/$pid/maps" || die "mappings have changed"
	answers two 101
}

check_leaves_the_process_as_it_was()
{
	make_bundle
	start one
	cp "/proc/$pid/maps" before
	"$hfx" check "$pid" fix.hfx >/dev/null
	cmp before "/proc/$pid/maps" || die "mappings have changed"
	answers one 101
	"$hfx" list "$pid" >list.log
	said list.log "no patches"
}

# ---- apply -----------------------------------------------------------------

# cannot CODE PID BUNDLE TEXT: the process gets no patch, and TEXT says why.
cannot()
{
	fails "$1" "$hfx" apply "$2" "$3"
	said fails.log "$4"
	[ "$(wc -l <fails.log)" = 1 ] || die "$(cat fails.log)"
}

apply_says_what_is_wrong()
{
	local one other

	make_bundle
	start one
	one=$pid
	start other ./new/server
	other=$pid

	head -c 700 fix.hfx >cut.hfx
	cannot 2 "$one" cut.hfx 'cut.hfx: truncated or damaged'
	python3 - <<-END
	data = bytearray(open("fix.hfx", "rb").read())
	data[len(data) // 2] ^= 1
	open("altered.hfx", "wb").write(data)
	END
	cannot 2 "$one" altered.hfx 'altered.hfx: '
	: >empty.hfx
	cannot 2 "$one" empty.hfx 'empty.hfx: not an hfx bundle'
	cannot 2 "$one" old/server 'old/server: not an hfx bundle'
	cannot 2 "$one" none.hfx 'none.hfx: No such file'
	cannot 2 server fix.hfx "'server' is no process id"

	cannot 1 "$other" fix.hfx "but process $other runs "
	cannot 1 999999999 fix.hfx 'no process 999999999'
	cat >narrow.c <<-'END'
	void _start(void)
	{
		for (;;) __asm__ volatile("int $0x80" : : "a"(29 /* pause */));
	}
	END
	if "$cc" -m32 -nostdlib -static -fno-pie -no-pie -ffreestanding \
		narrow.c -o narrow 2>narrow.log; then
		./narrow &
		pids+=($!)
		cannot 1 $! fix.hfx '32-bit'
	fi

	"$hfx" list "$one" >list.log
	said list.log 'no patches'
	answers one 101
	"$hfx" apply "$one" fix.hfx >apply.log
	answers one 203
	cannot 1 "$one" fix.hfx 'fix is already applied'
	answers one 203
	answers other 203
}

# ---- status ----------------------------------------------------------------

status_finds_the_processes_a_bundle_is_for()
{
	local one two

	make_bundle
	start one
	one=$pid
	start two
	two=$pid
	start other ./new/server
	"$hfx" apply "$one" fix.hfx >/dev/null
	"$hfx" status fix.hfx >status.log
	grep -qE "^ *$one  server +applied +$folder/old/server\$" status.log ||
		die "$(cat status.log)"
	grep -qE "^ *$two  server +fits +$folder/old/server\$" status.log ||
		die "$(cat status.log)"
	! grep -q "^ *$pid " status.log || die "$(cat status.log)"

	"$hfx" status --json fix.hfx >status.json
	json_is status.json \
		'[(p["pid"], p["state"]) for p in d["processes"]]' \
		"[($one, 'applied'), ($two, 'fits')]"
	json_is status.json 'd["bundle"]["name"]' fix
	"$hfx" revert "$one" fix >/dev/null
	"$hfx" status --json fix.hfx >status.json
	json_is status.json 'd["processes"][0]["state"]' reverted

	# Without a bundle: all that carry patches, others' tests' too.
	"$hfx" apply "$two" fix.hfx >/dev/null
	"$hfx" status >status.log
	grep -qE "^ *$two  server +applied +fix" status.log ||
		die "$(cat status.log)"
	grep -qE "^ *$one  server +reverted +fix" status.log ||
		die "$(cat status.log)"
	"$hfx" status --json >status.json
	json_is status.json \
		"[p['patches'][0]['name'] for p in d['processes'] if p['pid'] == $two]" \
		"['fix']"
	fails 2 "$hfx" status a b
}

"$case_name"
