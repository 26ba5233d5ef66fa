# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='cmake libflac-dev libogg-dev libvorbis-dev libopus-dev python3'
files='libsndfile.so.1'
configure()
{
	cmake -S . -B . -DCMAKE_BUILD_TYPE=None -DBUILD_SHARED_LIBS=ON \
		-DBUILD_PROGRAMS=OFF -DBUILD_EXAMPLES=OFF \
		-DCMAKE_C_FLAGS="$flags"
}
