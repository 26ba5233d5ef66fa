# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='autoconf automake libtool libssl-dev'
# The tests use the parts, which together are libevent.
files='.libs/libevent_core-2.1.so.7 .libs/libevent_extra-2.1.so.7
.libs/libevent_openssl-2.1.so.7'
prepare()
{
	autoreconf -fi
}
configure()
{
	./configure --disable-static --disable-samples CFLAGS="$flags"
}
compile()
{
	make -j2
	make -j2 test/regress
}
check()
{
	test/regress --no-fork bufferevent/.. evbuffer/.. evtag/.. http/.. \
		rpc/.. dns/.. util/.. ssl/.. || true
}
results()
{
	sed -nE 's/^([a-z_0-9]+\/[^:]*:) .*(OK|FAILED|SKIPPED).*/ok \1 \2/p'
}
