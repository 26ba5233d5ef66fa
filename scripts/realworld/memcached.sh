# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='perl libevent-dev libsasl2-dev libssl-dev'
files=memcached
configure()
{
	./configure --enable-sasl --enable-tls --enable-sasl-pwdb \
		--enable-proxy CFLAGS="$flags"
}
compile()
{
	make -C vendor
	make -j2 memcached testapp sizes timedrun
}
# The tests start memcached-debug with an option that only it knows. Those
# that run for long, or bind ports that may be taken, are left out.
check()
{
	cat >memcached-debug <<-'EOF2'
	#!/bin/bash
	for argument; do
		shift
		[ "$argument" = relaxed_privileges ] && set -- "${@:1:$#-1}" ||
			set -- "$@" "$argument"
	done
	exec ./memcached "$@"
	EOF2
	chmod +x memcached-debug
	for test in 64bit basic binary-get binary binary-sasl bogus-commands \
		cas expirations flags flush-all getset incrdecr issue_14 \
		item_size_max lru metaget multiversioning noreply \
		proxyinternals stats touch udp unixsocket verbosity; do
		timeout 100 perl "t/$test.t" | sed "s/^\(ok\|not ok\)/& $test/"
	done
}
# Without the names of the assertions: some have random values in them.
results()
{
	sed -nE 's/^((not )?ok [^ ]+ [0-9]+).*/\1/p'
}
