# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# The package has no tests: streams that x265 makes are decoded, each coded with
# other tools of the format.
depends='cmake x265'
files='obj/libde265/libde265.so obj/dec265/dec265'
configure()
{
	mkdir -p hfx-streams
	seq 200000 | head -c 460800 >hfx-streams/in.yuv
	encode plain && encode intra --keyint 1 && encode lossless --lossless &&
		encode wpp --wpp --ctu 16 --no-sao && encode blocks --rect --amp \
		--tskip --tu-intra-depth 4 --tu-inter-depth 4 &&
		encode slices --slices 3 --ref 5 --bframes 3 --b-pyramid \
			--weightb && encode ten -D 10 --no-deblock || return
	cmake -S . -B obj -DCMAKE_BUILD_TYPE=None -DENABLE_SDL=OFF \
		-DCMAKE_CXX_FLAGS="$flags" -DCMAKE_C_FLAGS="$flags"
}
# Eight frames of 160 x 240.
encode()
{
	x265 --input hfx-streams/in.yuv --input-res 160x240 --fps 25 \
		--pools none --frame-threads 1 "${@:2}" \
		-o "hfx-streams/$1.h265"
}
compile()
{
	make -C obj -j2 de265 dec265
}
check()
{
	local stream threads
	for stream in hfx-streams/*.h265; do
		for threads in 0 2; do
			rm -f hfx-out.yuv
			obj/dec265/dec265 -q -t $threads -o hfx-out.yuv \
				"$stream" >/dev/null 2>&1 ||
				echo "FAIL: $stream $threads: $?"
			echo "PASS: $stream $threads: $(md5sum <hfx-out.yuv)"
		done
	done
}
