# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034
depends='make'
files='unzip funzip unzipsfx'
configure()
{
	:
}
# Rules written by hand: objects do not depend on headers.
compile()
{
	make -f unix/Makefile clean
	make -j2 -f unix/Makefile CC="$CC" LF2= SL2= FL2= \
		CF="$flags -I. -DUNIX -DACORN_FTYPE_NFS -DWILD_STOP_AT_DIR \
		-DLARGE_FILE_SUPPORT -DUNICODE_SUPPORT -DUNICODE_WCHAR \
		-DUTF8_MAYBE_NATIVE -DNO_LCHMOD -DDATE_FORMAT=DF_YMD" unzips
}
# Each way to list and to read the archive that the package has for its tests; its
# own `check` expects the output of another release.
check()
{
	local option
	for option in -l -v -t -p -Z -Zl -Zv -Zm '-p -a' -tqq '-l -UU'; do
		# shellcheck disable=SC2086 # options
		./unzip $option testmake.zip 2>&1 | md5sum | sed "s/^/ok $option /"
	done
	./funzip testmake.zip 2>&1 | md5sum | sed 's/^/ok funzip /'
	cat unzipsfx testmake.zip >hfx-sfx && chmod +x hfx-sfx
	./hfx-sfx -t 2>&1 | sed 's/hfx-sfx//' | md5sum | sed 's/^/ok sfx /'
}
results()
{
	grep '^ok '
}
