# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
files='libgif.so.7.2.0 libutil.so.7.2.0 giftext gifbuild giffix gifclrmp gif2rgb'
# The Makefile makes links that must not be there.
compile()
{
	rm -f lib*.so lib*.so.7
	guess_make -j2
}
