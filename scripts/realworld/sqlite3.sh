# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# The library is compiled into the test program.
depends='tcl-dev tcl zlib1g-dev'
files='testfixture .libs/libsqlite3.so.0'
configure()
{
	./configure --disable-readline CFLAGS="$flags"
}
compile()
{
	make -j2 libsqlite3.la testfixture
}
check()
{
	export HOME=$PWD
	for test in select1 select2 select3 select4 join join2 where where2 \
		aggnested aggerror insert update delete trigger1 trigger2 \
		view with1 window1 json101 func expr subquery index fts3aa \
		rtree1 alter vacuum wal pager1; do
		file=test/$test.test
		[ -f "$file" ] || file=ext/rtree/$test.test
		./testfixture "$file"
	done
}
results()
{
	sed -nE 's/^(.*\.\.\. (Ok|Error|expected).*)/ok \1/p; /errors out of/p'
}
