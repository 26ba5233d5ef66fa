# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='autoconf automake libtool bison flex libonig-dev'
files='.libs/jq .libs/libjq.so.1'
configure()
{
	./configure --disable-docs --disable-maintainer-mode \
		--disable-static CFLAGS="$flags"
}
# Without shtest: it starts thousands of processes.
check()
{
	export LD_LIBRARY_PATH=$PWD/.libs
	for file in jq base64 onig; do
		.libs/jq -L tests/modules --run-tests "tests/$file.test"
	done
}
results()
{
	sed -nE 's/^Testing .*/ok &/p; s/^\*\*\*.*|^[0-9]+ of [0-9]+.*/ok &/p'
}
