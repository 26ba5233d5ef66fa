# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='libssl-dev zlib1g-dev libffi-dev libbz2-dev liblzma-dev libexpat1-dev
libsqlite3-dev'
files=python
configure()
{
	# Upstream's layout: Debian's wants folders of Debian's.
	./configure --with-system-expat --without-doc-strings \
		OPT="$flags" CFLAGS="$flags"
}
# The language itself, and those modules that the fixes touch.
check()
{
	./python -m test -v test_grammar test_builtin test_dict test_list \
		test_set test_unicode test_bytes test_int test_float \
		test_long test_complex test_class test_descr test_generators \
		test_coroutines test_exceptions test_traceback test_sys \
		test_gc test_weakref test_struct test_re test_json \
		test_pickle test_zipfile test_zlib test_hashlib test_iter \
		test_itertools test_functools test_collections test_array \
		test_memoryview test_compile test_ast test_syntax test_with \
		test_patma test_decimal
}
results()
{
	sed -nE 's/^(test_[a-zA-Z0-9_]+ \([^)]*\)).* \.\.\. (ok|FAIL|ERROR|skipped.*)$/ok \1 \2/p'
}
