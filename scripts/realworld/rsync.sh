# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='libpopt-dev libacl1-dev libattr1-dev liblz4-dev libzstd-dev libxxhash-dev
libssl-dev zlib1g-dev'
files=rsync
# The release has a `configure`; what would make another one is not in it.
prepare()
{
	:
}
configure()
{
	./configure --disable-md2man CFLAGS="$flags"
}
compile()
{
	make -j2
	make -j2 tls getgroups getfsdev testrun trimslash t_unsafe wildtest
}
# Only rsync is patched: the scripts around it start thousands of programs.
check()
{
	printf '#!/bin/sh\nLD_PRELOAD=%s exec "%s/rsync" "$@"\n' \
		"${LD_PRELOAD-}" "$PWD" >rsync-patched
	chmod +x rsync-patched
	unset LD_PRELOAD
	rsync_bin=$PWD/rsync-patched srcdir=. ./runtests.sh
}
results()
{
	sed -nE '/^(PASS|FAIL|SKIP|XFAIL|ERROR) /p'
}
