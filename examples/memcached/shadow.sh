#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The fixes of demo.sh, for a memcached proxy in which requests live that the old
# code has made. One of the fixes lets a structure of theirs grow; shadow.patch
# changes it to keep the new member in a shadow variable (hfx_patch.h), so the
# bundle needs no --accept-type.
#
#	shadow.sh [BUILD]		build tree of hfx, default: build
#
# HFX_MEMCACHED names the folder with the two builds of memcached, which are only
# read; default: BUILD/examples/memcached.
#
# Servers listen on free ports of 127.0.0.1 and end with this script.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=examples/memcached/servers.sh
. "$here/servers.sh"

# expect QUESTION ANSWER [END]
#
# Without the fix a line that ends with \n alone loses the last byte of its key,
# as far as the proxy looks at it: kept is not told from other keys.
expect()
{
	local answer

	answer=$(ask "$1" ${3+"$3"})
	printf '%-22s %s\n' "${1}${3+, then only \\n}:" "$answer"
	[ "$answer" = "$2" ] || die "expected: $2"
}

# The third build comes from another folder; nothing in it is to say so.
build_shadow()
{
	local flags

	cp -a "$memcached/source" "$work/source"
	patch -s -d "$work/source" -p1 <"$here/shadow.patch"
	flags=$(sed -n 's/^CFLAGS = //p' "$work/source/Makefile")
	flags+=" -I$root/runtime/include"
	flags+=" -ffile-prefix-map=$work/source=$memcached/source"
	make -s -C "$work/source" CFLAGS="$flags" memcached \
		>"$work/build.log" 2>&1 || die "$(cat "$work/build.log")"
}

"$here/build.sh" "$memcached"
memcached=$(cd "$memcached" && pwd)
say "Build the fixes without the new member"
build_shadow
run hfx-bundle diff --quiet "$memcached/old/memcached" \
	"$work/source/memcached" -o "$work/shadow.hfx"

say "Start memcached without the fixes: a proxy, and a server behind it"
start_proxy "$memcached/old/memcached" shadow.lua -t 1
expect 'get kept' 'VALUE one 0 3'
expect 'get kept' END $'\n'

say "Apply"
run hfx apply "$proxy_pid" "$work/shadow.hfx"
expect 'get kept' 'VALUE one 0 3' $'\n'

say "New code reads and writes the request that old code has parsed"
expect 'get kept' 'VALUE one 0 3'
expect 'get other' 'VALUE two 0 3'

say "Revert: the hook gives back what the patch has kept"
run hfx revert "$proxy_pid" shadow
expect 'get kept' END $'\n'
expect 'get kept' 'VALUE two 0 3'
