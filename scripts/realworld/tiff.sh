# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='autoconf automake libtool zlib1g-dev libjpeg-dev liblzma-dev
libzstd-dev'
files='libtiff/.libs/libtiff.so.6 tools/.libs/tiffcrop tools/.libs/raw2tiff'
prepare()
{
	autoreconf -fi
}
configure()
{
	./configure --disable-static --disable-webp CFLAGS="$flags"
}
compile()
{
	make -j2
	make -j2 -C test check TESTS=
}
# One of each kind: the scripts start many processes.
check()
{
	local name kind=rgb-3c-8b
	cd test || return
	set -- ascii_tag long_tag short_tag strip_rw rewrite custom_dir \
		custom_dir_EXIF_231 defer_strile_loading \
		defer_strile_writing test_directory test_open_options \
		test_append_to_strip test_ifd_loop_detection testtypes \
		test_signed_tags ppm2tiff_ppm.sh tiffcp-g3.sh tiffcp-g4.sh \
		tiffcp-logluv.sh tiffcp-thumbnail.sh tiffinfo.sh \
		tiff2pdf.sh tiffcrop-doubleflip-$kind.sh \
		tiffcrop-extract-$kind.sh tiffcrop-R90-$kind.sh \
		tiffcrop-R90-palette-1c-4b.sh tiff2rgba-$kind.sh \
		tiff2rgba-palette-1c-8b.sh testfax4.sh
	for name; do
		if MAKE=make srcdir=. "./$name" >"$name.log" 2>&1; then
			echo "PASS: $name"
		else
			echo "FAIL: $name $?"
		fi
	done
}
