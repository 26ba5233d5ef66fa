#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What scripts/realworld.sh says of a source package that is made here, with one
# patch that can be taken out, one without which nothing builds, and one that
# adds a file for automake.
#
#	script_test.sh CASE BUILD	BUILD is the build tree of hfx
set -euo pipefail

root=$(realpath "$(dirname "$0")/../..")
build=$(realpath "$2")
export LC_ALL=C.UTF-8

if ! command -v dpkg-source >/dev/null; then
	echo 'skipped: needs dpkg-dev'
	exit 77
fi
sandbox=$(mktemp -d)
trap 'rm -rf "$sandbox"' EXIT
package=$sandbox/work/sum
mkdir -p "$package/download"

fail()
{
	echo "script_test.sh: $*" >&2
	cat "$sandbox"/out "$package"/*.log >&2 || true
	exit 1
}

run()
{
	"$root/scripts/realworld.sh" --hfx "$build" --work "$sandbox/work" \
		"$@" >"$sandbox/out" 2>&1
}

expect()
{
	grep -qE "$1" "$sandbox/out" || fail "it does not say: $1"
}

# patch_file NAME: what changed in the tree is a patch; the tree is as before it.
patch_file()
{
	(cd "$sandbox" && diff -ruN -x debian a sum-1 || true) \
		>"$sandbox/sum-1/debian/patches/$1"
	echo "$1" >>"$sandbox/sum-1/debian/patches/series"
	rm -rf "$sandbox/a"
	cp -a "$sandbox/sum-1" "$sandbox/a"
}

# The tree of the package as upstream has it; patches follow.
begin_package()
{
	mkdir -p "$sandbox/sum-1/debian/source" "$sandbox/sum-1/debian/patches"
	cd "$sandbox/sum-1"
	cat >main.c <<-'EOF2'
	#include <stdio.h>
	#include "sum.h"
	int main(int argc, char **argv)
	{
		(void)argv;
		puts(sum(argc) == 3 ? "ok sum" : "not ok sum");
		return 0;
	}
	EOF2
	echo 'int sum(int a);' >sum.h
	cat >sum.c <<-'EOF2'
	#include "sum.h"

	int __attribute__((noinline)) sum(int a)
	{
		return a * 7 % 5 + 1;
	}
	EOF2
}

end_package()
{
	cat >debian/control <<-'EOF2'
	Source: sum
	Maintainer: Nobody <nobody@localhost>
	Build-Depends: make

	Package: sum
	Architecture: any
	Description: sums
	EOF2
	echo 'sum (1-1) bookworm; urgency=low

  * Sums.

 -- Nobody <nobody@localhost>  Thu, 01 Jan 2026 00:00:00 +0000' \
		>debian/changelog
	echo '3.0 (quilt)' >debian/source/format
	cd "$sandbox"
	# Upstream's release is the tree without the patches.
	tar -cJf sum_1.orig.tar.xz --exclude=debian -C original sum-1
	(cd sum-1 && touch debian/rules && dpkg-source -q -b . >/dev/null)
	mv ./*.dsc ./*.tar.xz "$package/download"
}

keep_original()
{
	mkdir "$sandbox/original"
	cp -a "$sandbox/sum-1" "$sandbox/original/"
	cp -a "$sandbox/sum-1" "$sandbox/a"
}

plain_package()
{
	begin_package
	printf 'sum: main.c sum.c sum.h\n\t$(CC) -o $@ main.c sum.c\ncheck:\n\t./sum 1\n' \
		>Makefile
	sed -i '1i#include "missing.h"' main.c
	keep_original
	sed -i 1d main.c
	patch_file needed.patch
	sed -i 's/5 + 1/5 - 1/' sum.c
	patch_file fix.patch
	end_package
}

a_patch_without_which_nothing_builds_has_a_row_and_others_go_on()
{
	plain_package
	run sum needed fix || fail 'it failed'
	expect '^sum needed: does not build without it$'
	expect '^sum fix: bundle$'
	expect 'patched the same$'
	"$root/scripts/realworld.sh" --table "$sandbox/work" >"$sandbox/out"
	expect '^- 1 without an OLD to compare with;$'
	expect '^- 1 became bundles at once;$'
}

an_unknown_patch_is_named_before_anything_is_tested()
{
	plain_package
	if run sum fix nonsense; then
		fail 'it succeeded'
	fi
	expect "'nonsense' is not one patch of sum; see --list"
	[ ! -d "$package/self" ] || fail 'it tested'
}

a_failed_build_shows_its_last_lines_and_says_what_to_do()
{
	plain_package
	echo 'compile() { echo no compiler of Ada; return 1; }' \
		>"$sandbox/recipe"
	if run --recipe "$sandbox/recipe" sum fix; then
		fail 'it succeeded'
	fi
	expect 'sum: compiling failed'
	expect '^    no compiler of Ada$'
	expect 'write .*/realworld/sum.sh'
}

tests_that_take_too_long_are_stopped_and_said_to_be()
{
	plain_package
	echo 'check() { ./sum 1; sleep 40 & echo $! >child; wait; }' \
		>"$sandbox/recipe"
	TEST_TIMEOUT=1 run --recipe "$sandbox/recipe" sum fix ||
		fail 'it failed'
	expect 'sum --all: .* 1, stopped tests: the same, STOPPED AFTER 1 s'
	expect 'patched the same, STOPPED AFTER 1 s'
	child=$(cat "$package/source/child")
	for _ in $(seq 50); do
		grep -q '^State:.[^Z]' "/proc/$child/status" 2>/dev/null ||
			return 0
		sleep 0.1
	done
	fail 'what the tests had started runs on'
}

a_fix_that_adds_a_file_for_automake_is_taken_out()
{
	if ! command -v autoreconf >/dev/null ||
		! command -v automake >/dev/null; then
		echo 'skipped: needs autoconf and automake'
		exit 77
	fi
	begin_package
	printf '%s\n' 'AC_INIT([sum],[1])' 'AM_INIT_AUTOMAKE([foreign])' \
		AC_PROG_CC 'AC_CONFIG_FILES([Makefile])' AC_OUTPUT >configure.ac
	printf '%s\n' 'bin_PROGRAMS = sum' 'sum_SOURCES = main.c sum.c' \
		'check-local:' '	./sum 1' >Makefile.am
	keep_original
	echo 'int more(int a) { return a ? a * 2 : 7; }' >more.c
	sed -i 's/= main.c/= main.c more.c/' Makefile.am
	sed -i 's/^int __/int more(int a);\n&/; s/a \* 7 % 5 + 1/more(a) * 7 % 5/' sum.c
	patch_file add.patch
	end_package
	run sum add || fail 'it failed'
	expect '^sum add: bundle$'
	expect '1 changed: sum; 1 new: more'
	expect 'old 1 differ, patched the same'
}

"$1"
