#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Fix a running memcached proxy while clients talk to it, take the fix back,
# and fix it again.
#
#	demo.sh [BUILD]		build tree of hfx, default: build
#
# HFX_MEMCACHED names the folder with the two builds of memcached, in which the
# bundle is made; default: BUILD/examples/memcached.
#
# Servers listen on free ports of 127.0.0.1 and end with this script.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=examples/memcached/servers.sh
. "$here/servers.sh"

# expect ANSWER: what the proxy says to keys behind many spaces.
#
# Without the fix it copies all that stands before the key onto its stack, and
# overruns a buffer when there is enough of it. Here there is not: 40 spaces
# tell the two apart and hurt neither.
expect()
{
	local answer
	answer=$(ask "get$(printf '%40s' '')one two")
	printf 'get and 40 spaces: %s\n' "$answer"
	[ "$answer" = "$1" ] || die "expected: $1"
}
expect_missing()
{
	expect 'VALUE one 0 3'
}
expect_fixed()
{
	expect 'SERVER_ERROR malformed request'
}

"$here/build.sh" "$memcached"
cd "$memcached"

# The parser of a request gets a member. hfx-bundle refuses that unless it is
# accepted by name: it can be here, for a request lives only until its answer,
# and proxy.lua hands each over to the server at once and does not look at it
# again. So new code reads the requests that new code parsed.
say "memcached: a server that knows nothing of hfx. Make the bundle"
run hfx-bundle diff old/memcached new/memcached -o fix.hfx \
	--accept-type mcp_parser_s --accept-type mcp_request_s \
	--description "memcached 1.6.18-1+deb12u1: 0008, 0009, CVE-2023-46853"

say "Start memcached without the fixes: a proxy, and a server behind it"
start_proxy old/memcached proxy.lua

say "Start the load: 16 connections, every answer is checked"
memcached_load 8 "$proxy_port" "$backend_port" >"$work/load.log" &
load=$!
pids+=("$load")
sleep 2
expect_missing

say "Apply"
run hfx apply "$proxy_pid" fix.hfx
run hfx list "$proxy_pid"
expect_fixed
sleep 2

say "Revert"
run hfx revert "$proxy_pid" fix
expect_missing
sleep 2

# The warnings that the bundle carries have been seen.
say "Apply again"
run hfx apply --quiet "$proxy_pid" fix.hfx
run hfx list "$proxy_pid"
expect_fixed
sleep 2

say "What the clients saw"
kill -TERM "$load"
status=0
wait "$load" || status=$?
unset 'pids[-1]'
cat "$work/load.log"
[ "$status" -eq 0 ] || die "the load saw wrong answers or lost connections"
