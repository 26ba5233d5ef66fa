#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What is logged of applies and reverts.
here=$(dirname "$(realpath "$0")")
. "$here/setup.sh"
. "$here/server.sh"

# logged NUMBER PATTERN: so many lines of log match, as extended expression.
logged()
{
	local got

	got=$(grep -cE -- "$2" log || true)
	[ "$got" = "$1" ] || die "$got lines, not $1, like '$2' in: $(cat log)"
}

audit_tells_who_did_what_to_which_process()
{
	local id who

	make_bundle
	start one
	id=$("$hfx_bundle" show fix.hfx | sed -n 's/^  id  *//p')
	who="user=$(id -ru) euser=$(id -u) login=[a-z0-9]+"
	who+=" pid=$pid owner=$(id -u) comm=\"server\" name=\"fix\" id=$id"
	"$hfx" apply -q --log-file log "$pid" fix.hfx
	logged 1 "^[-0-9]+T[0-9:]+Z hfx\[[0-9]+\]: apply result=started $who"
	logged 1 "apply result=applied $who bundle=\"fix.hfx\" pause_us=[0-9]+ "
	logged 2 ''
	fails 1 "$hfx" apply --log-file log "$pid" fix.hfx
	logged 1 "apply result=failed $who .* code=30 error=\".*already applied"
	"$hfx" revert -q --log-file log "$pid" fix
	logged 1 "revert result=reverted $who pause_us=[0-9]+ threads=1$"
	fails 1 "$hfx" revert --log-file log "$pid" fix
	logged 1 'revert result=failed .* name="fix" code=31 error='
	"$hfx" apply -q --log-file log "$pid" fix.hfx
	"$hfx" revert -q --all --log-file log "$pid"
	logged 2 "revert result=reverted $who"
	: >log
	# What changes nothing is not told, but what was refused is.
	"$hfx" apply -q --dry-run --log-file log "$pid" fix.hfx
	logged 0 ''
	"$hfx_bundle" keygen -W key >/dev/null
	fails 1 "$hfx" apply --trust key.pub --log-file log "$pid" fix.hfx
	logged 1 'apply result=failed .* code=14 error=".*not signed'
	"$hfx_bundle" sign --sign-key key.key fix.hfx >/dev/null
	"$hfx" apply -q --trust key.pub --log-file log "$pid" fix.hfx
	logged 1 'apply result=applied .* signer="key"'
}

audit_lines_hold_nothing_that_could_forge_one()
{
	local odd=$'a"\n\e[2J\\ \xc3\xbc'

	make_bundle
	cp old/server "$odd"
	cp fix.hfx "$odd.hfx"
	start one "./$odd"
	"$hfx" apply -q --log-file log "$pid" "$odd.hfx"
	[ "$(wc -l <log)" = 2 ] || die "$(cat log)"
	[ -z "$(tr -d '\n -~' <log)" ] || die "control characters: $(cat log)"
	said log 'bundle="a\x22\x0a\x1b[2J\x5c \xc3\xbc.hfx"'
	fails 2 "$hfx" apply --log-file log "$pid" $'x\nhfx[1]: apply'
	[ "$(wc -l <log)" = 3 ] || die "$(cat log)"
}

audit_comes_before_the_change_when_it_cannot_be_written()
{
	make_bundle
	start one
	fails 2 "$hfx" apply --log-file no/log "$pid" fix.hfx
	said fails.log "cannot open the log no/log"
	answers one 101
	"$hfx" apply -q "$pid" fix.hfx
	fails 2 "$hfx" revert --log-file no/log "$pid" fix
	answers one 203
	# A full disk does not undo what was done, and is told.
	"$hfx" revert --log-file /dev/full "$pid" fix >done.log 2>&1
	said done.log "the log was not written: No space left"
	answers one 101
}

audit_goes_to_syslog()
{
	[ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null ||
		skip "needs root and mount namespaces"
	make_bundle
	start one
	cat >catch.py <<'END'
import os, socket, subprocess, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")
log.settimeout(20)
status = subprocess.run(sys.argv[1:]).returncode
for i in range(2):
    print(log.recv(8192).decode())
sys.exit(status)
END
	unshare -m sh -c 'mount -t tmpfs none /dev && exec python3 "$@"' sh \
		catch.py "$hfx" apply -q "$pid" fix.hfx >log
	# authpriv is 10, a notice 5: RFC 3164.
	logged 1 "^<85>.* hfx\[[0-9]+\]: apply result=started .* pid=$pid "
	logged 1 "^<85>.* hfx\[[0-9]+\]: apply result=applied .* pause_us="
	answers one 203
}

"$case_name"
