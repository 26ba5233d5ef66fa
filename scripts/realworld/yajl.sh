# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# `configure` of the package is a script that calls CMake.
depends='cmake'
files='obj/yajl-2.1.0/lib/libyajl.so.2.1.0 obj/yajl-2.1.0/bin/json_reformat
obj/yajl-2.1.0/bin/json_verify'
configure()
{
	cmake -S . -B obj -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS="$flags"
}
compile()
{
	make -C obj -j2
}
# 31 sizes of buffers are tried with each text: this takes a minute.
check()
{
	(cd test/parsing && ./run_tests.sh "$PWD/../../obj/test/parsing/yajl_test")
	obj/test/api/gen-extra-close && echo ' test (gen-extra-close): SUCCESS'
}
results()
{
	sed -nE 's/^ *(test \(.*\)): SUCCESS$/ok \1/p;
		s/^ *(test \(.*\)): FAILURE$/not ok \1/p'
}
