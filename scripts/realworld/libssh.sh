# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# The unit tests are linked with a static library of the same objects.
depends='cmake libcmocka-dev libssl-dev zlib1g-dev'
files='obj/src/libssh.so.4 obj/tests/unittests/torture_channel
obj/tests/unittests/torture_misc obj/tests/unittests/torture_config
obj/tests/unittests/torture_options obj/tests/unittests/torture_keyfiles
obj/tests/unittests/torture_packet obj/tests/unittests/torture_crypto
obj/tests/unittests/torture_pki obj/tests/unittests/torture_pki_rsa
obj/tests/unittests/torture_session_keys obj/tests/unittests/torture_buffer'
configure()
{
	cmake -S . -B obj -DCMAKE_BUILD_TYPE=None -DUNIT_TESTING=ON \
		-DWITH_EXAMPLES=OFF -DWITH_GSSAPI=OFF \
		-DCMAKE_C_FLAGS="$flags"
}
compile()
{
	make -C obj -j2
}
# Without those that make keys for minutes or run threads for as long.
check()
{
	cd obj && ctest -E 'threads|pki_dsa'
}
