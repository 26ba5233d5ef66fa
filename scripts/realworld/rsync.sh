# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='libpopt-dev libacl1-dev libattr1-dev liblz4-dev libzstd-dev libxxhash-dev
libssl-dev zlib1g-dev'
files=rsync
configure()
{
	./configure CFLAGS="$flags"
}
compile()
{
	make -j2 all check-progs || make -j2
}
check()
{
	make check
}
results()
{
	sed -nE '/^(PASS|FAIL|SKIP|XFAIL) /p'
}
