# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='autoconf automake libtool zlib1g-dev libjpeg-dev liblzma-dev
libzstd-dev libwebp-dev'
files='libtiff/.libs/libtiff.so.6 tools/.libs/tiffcrop tools/.libs/tiffcp
tools/.libs/tiff2pdf'
prepare()
{
	autoreconf -fi
}
configure()
{
	./configure --disable-static --disable-webp CFLAGS="$flags"
}
check()
{
	make -k check
}
