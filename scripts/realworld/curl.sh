# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='autoconf automake libtool libssl-dev zlib1g-dev libnghttp2-dev perl
python3'
files='lib/.libs/libcurl.so.4 src/.libs/curl'
prepare()
{
	autoreconf -fi
}
configure()
{
	./configure --with-openssl --disable-static --without-libpsl \
		--without-libidn2 --disable-ldap CFLAGS="$flags"
}
compile()
{
	make -j2
	make -j2 -C tests
}
# Every seventh of those that need only the servers of the package: all of them
# take the better part of an hour.
check()
{
	cd tests || return
	local numbers
	numbers=$(seq 1 7 700; seq 1000 7 1240)
	perl runtests.pl -n -a -s -r- $numbers
}
results()
{
	sed -nE 's/^test ([0-9]+)\.\.\.(OK|FAILED).*/ok \1 \2/p
		s/^test ([0-9]+) .*FAILED.*/ok \1 FAILED/p
		s/^TESTDONE: (.*) tests? out of.*/ok \1/p'
}
