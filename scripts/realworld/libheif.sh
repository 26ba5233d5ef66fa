# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='cmake libde265-dev libx265-dev libaom-dev libjpeg-dev libpng-dev'
files='libheif/libheif.so.1 examples/heif-convert examples/heif-enc'
configure()
{
	cmake -S . -B . -DCMAKE_BUILD_TYPE=None -DWITH_EXAMPLES=ON \
		-DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags"
}
check()
{
	for file in examples/*.heic tests/*.heic fuzzing/corpus/*; do
		./examples/heif-info "$file" >out 2>&1 && true
		echo "ok info $file $? $(cksum <out)"
		./examples/heif-convert "$file" out.png >out 2>&1 && true
		echo "ok convert $file $? $(cksum <out)"
	done
	rm -f out.png enc.heif
	./examples/heif-convert examples/example.heic out.png
	./examples/heif-enc -o enc.heif out.png
	./examples/heif-info enc.heif && echo "ok encoded $(wc -c <enc.heif)"
	ctest
}
