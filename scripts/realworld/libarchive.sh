# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='cmake libacl1-dev libattr1-dev liblz4-dev libzstd-dev zlib1g-dev
libbz2-dev liblzma-dev libxml2-dev nettle-dev'
files='libarchive/libarchive.so.13 bin/bsdtar'
# The tests use the static library unless told otherwise.
prepare()
{
	sed -i 's/archive_static/archive/' libarchive/test/CMakeLists.txt \
		tar/CMakeLists.txt cpio/CMakeLists.txt cat/CMakeLists.txt
}
configure()
{
	cmake -S . -B . -DCMAKE_BUILD_TYPE=RelWithDebInfo \
		-DENABLE_WERROR=OFF \
		-DCMAKE_C_FLAGS_RELWITHDEBINFO="$flags" -DCMAKE_EXE_LINKER_FLAGS=-rdynamic
}
check()
{
	mkdir -p tmp
	TMPDIR=$PWD/tmp ./bin/libarchive_test -r "$PWD/libarchive/test" \
		-p "" -v
	TMPDIR=$PWD/tmp ./bin/bsdtar_test -r "$PWD/tar/test" \
		-p "$PWD/bin/bsdtar" -v
	rm -rf tmp
}
