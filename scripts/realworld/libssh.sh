# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
# The unit tests are linked with a static library of the same objects.
depends='cmake libcmocka-dev libssl-dev zlib1g-dev'
files='src/libssh.so.4 tests/unittests/torture_channel
tests/unittests/torture_misc tests/unittests/torture_config
tests/unittests/torture_options tests/unittests/torture_keyfiles
tests/unittests/torture_packet tests/unittests/torture_crypto
tests/unittests/torture_pki tests/unittests/torture_pki_rsa
tests/unittests/torture_session_keys tests/unittests/torture_buffer'
configure()
{
	cmake -S . -B . -DCMAKE_BUILD_TYPE=None -DUNIT_TESTING=ON \
		-DWITH_EXAMPLES=OFF -DWITH_GSSAPI=OFF \
		-DCMAKE_C_FLAGS="$flags"
}
