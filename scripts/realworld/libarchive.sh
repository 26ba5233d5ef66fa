# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='cmake libacl1-dev libattr1-dev liblz4-dev libzstd-dev zlib1g-dev
libbz2-dev liblzma-dev libxml2-dev nettle-dev'
files='bin/libarchive_test bin/bsdtar'
# The tests need what the shared library hides, and are linked with the static
# one, as upstream does. They are many; that they are not optimised saves minutes.
prepare()
{
	local name folder
	for name in libarchive bsdtar; do
		folder=${name#bsd}
		echo "target_compile_options(${name}_test PRIVATE -O0 -g0)" \
			>>"$folder/test/CMakeLists.txt"
	done
}
configure()
{
	cmake -S . -B . -DCMAKE_BUILD_TYPE=RelWithDebInfo \
		-DENABLE_WERROR=OFF -DENABLE_CPIO=OFF -DENABLE_CAT=OFF \
		-DCMAKE_C_FLAGS_RELWITHDEBINFO="$flags"
}
compile()
{
	make -j2 bsdtar libarchive_test bsdtar_test
}
# The readers, which the fixes are about. All tests take a quarter of an hour, and
# start thousands of shells, which read the bundles, too; so files stay (-k).
check()
{
	mkdir -p tmp
	# shellcheck disable=SC2046 # names
	TMPDIR=$PWD/tmp ./bin/libarchive_test -k -v \
		-r "$PWD/libarchive/test" $(./bin/libarchive_test -h |
			sed -nE 's/^ *[0-9]+: (test_read_format_.*)/\1/p')
	TMPDIR=$PWD/tmp ./bin/bsdtar_test -k -r "$PWD/tar/test" \
		-p "$PWD/bin/bsdtar" -v test_basic test_copy test_stdio
	rm -rf tmp
}
results()
{
	sed -nE 's/^ *[0-9]+: (test_[a-z0-9_]+)(.*)/ok \1\2/p; /tests? (passed|failed)|assertions/Ip'
}
