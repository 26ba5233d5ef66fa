#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Use the installed package from a project of a user.
#
#	package_test.sh CASE GENERATOR PREFIX WORK SOURCE
#
# CASE is one of the functions test_* below. The project is copied to a folder
# of its own below WORK, and so is PREFIX, which must work wherever it is.
set -euo pipefail

case_name=$1
generator=$2
prefix=$3
work="$4/$case_name $generator"
source=$5
here=$(cd "$(dirname "$0")" && pwd)
project=$work/project
build="$work/a build"

die()
{
	echo "package_test.sh $case_name: $*" >&2
	exit 1
}

configure()
{
	cmake -S "$project" -B "$build" -G "$generator" \
		-DCMAKE_BUILD_TYPE=Release -Dhfx_ROOT="$work/hfx" "$@" \
		>"$work/configure.log" 2>&1 ||
		die "configure failed: $(cat "$work/configure.log")"
}

build()
{
	cmake --build "$build" >"$work/build.log" 2>&1 ||
		die "build failed: $(cat "$work/build.log")"
}

# said LOG TEXT: LOG holds TEXT, however its lines are broken.
said()
{
	tr -s ' \n' ' ' <"$1" | grep -qF -- "$2"
}

build_fails_with()
{
	if cmake --build "$build" >"$work/build.log" 2>&1; then
		die "the build should have failed: $(cat "$work/build.log")"
	fi
	said "$work/build.log" "$1" ||
		die "expected '$1', got: $(cat "$work/build.log")"
}

# When each object, program and bundle was made.
times()
{
	find "$build" \( -name '*.o' -o -name server -o -name '*.so' \
		-o -name '*.hfx' \) -printf '%T@ %p\n' | sort -k 2
}

# Nothing is made anew when nothing has changed.
settled()
{
	local before
	before=$(times)
	build
	[ "$before" = "$(times)" ] ||
		die "rebuilt without a change: $(diff <(echo "$before") <(times))"
}

# remade FILE COMMAND...: the next build after COMMAND makes FILE anew, and the
# one after that does nothing.
remade()
{
	local file=$1 before
	shift
	before=$(stat -c %y "$file")
	sleep 0.05
	"$@"
	build
	[ "$before" != "$(stat -c %y "$file")" ] || die "not remade after: $*"
	settled
}

# holds BUNDLE TEXT: `hfx-bundle show` says TEXT.
holds()
{
	"$work/hfx/bin/hfx-bundle" show "$1" >"$work/show.log"
	grep -qF -- "$2" "$work/show.log" ||
		die "no '$2' in: $(cat "$work/show.log")"
}

# ---- The cases -----------------------------------------------------------

test_patch()
{
	configure -DCASE=patch
	build
	"$build/server" | grep -q '^hfx [1-9]' || die "server does not run"
	holds "$build/louder.hfx" server_answer
	holds "$build/louder.hfx" 1.2
	holds "$build/louder.hfx" 'A louder answer; with "marks" and $signs'
	settled
	touch "$project/unrelated.txt"
	settled
	remade "$build/louder.hfx" sed -i 's/FROM/From/' \
		"$project/fixes/server.patch"
	remade "$build/louder.hfx" sed -i 's/Good day/Good evening/' \
		"$project/server.c" "$project/greeting.c"
	remade "$build/louder.hfx" touch "$project/limits.h"
	remade "$build/louder.hfx" sed -i 's/VERSION 1.2/VERSION 1.3/' \
		"$project/cases/patch.cmake"
	holds "$build/louder.hfx" 1.3
	remade "$build/louder.hfx" touch "$work/hfx/bin/hfx-bundle"
}

test_header()
{
	configure -DCASE=header
	build
	holds "$build/shorter.hfx" server_answer
	settled
	remade "$build/shorter.hfx" sed -i 's/NAME 12/NAME 13/' \
		"$project/fixes/header.patch"
}

test_sources()
{
	local bundle="$build/bundles/sent it.hfx"
	configure -DCASE=sources
	build
	holds "$bundle" server_answer
	settled
	remade "$bundle" sed -i 's/sent by/SENT BY/' \
		"$project/fixes/server_v2.c"
}

test_library()
{
	configure -DCASE=library
	build
	holds "$build/hours.hfx" greeting_text
	holds "$build/hours.hfx" libgreeting.so
	settled
}

# The patch changes a header above the target's folder and adds a file.
test_tree()
{
	configure -DCASE=tree
	build
	holds "$build/tree/taller.hfx" tree_height
	settled
	remade "$build/tree/taller.hfx" sed -i 's/GROWTH 2/GROWTH 3/' \
		"$project/tree/taller.patch"
}

test_baseline()
{
	configure -DCASE=none
	build
	cp "$build/server" "$work/server of the release"
	sed -i 's/%s, %s, from/%s, %s, FROM/' "$project/server.c"
	configure -DCASE=baseline -DBASELINE="$work/server of the release" \
		-DVERSION=1
	build
	holds "$build/since_release.hfx" server_answer
	settled
	remade "$build/since_release.hfx" touch "$work/server of the release"
	remade "$build/since_release.hfx" sed -i 's/FROM/From/' \
		"$project/server.c"
	remade "$build/since_release.hfx" configure -DVERSION=2
	holds "$build/since_release.hfx" 2
	# Back to what was released.
	sed -i 's/%s, %s, From/%s, %s, from/' "$project/server.c"
	build_fails_with 'hot-fix since_release: no function differs'
	[ ! -e "$build/since_release.hfx" ] || die "an outdated bundle is left"
}

# A patch to a comment: the second build must be the same to the last byte of
# code, so its flags, definitions, names of files and assert texts are.
test_unchanged()
{
	configure -DCASE=comment
	build_fails_with 'no function differs between server and its patched'
}

test_stale()
{
	configure -DCASE=stale
	build_fails_with 'fixes/stale.patch does not apply to'
}

test_refused()
{
	configure -DCASE=refused
	build_fails_with 'hot-fix refused: refused as unsafe'
	[ ! -e "$build/refused.hfx" ] || die "a bundle was made all the same"
}

# What was accepted by name is no reason to refuse, and functions are chosen.
test_accepted()
{
	configure -DCASE=accepted
	build
	holds "$build/counted.hfx" 'struct step'
	holds "$build/counted.hfx" start
	if "$work/hfx/bin/hfx-bundle" show "$build/counted.hfx" | grep -w say; then
		die "a function that SKIP names is in the bundle"
	fi
	remade "$build/counted.hfx" sed -i 's/SKIP say/SKIP nothing/' \
		"$project/cases/accepted.cmake"
	holds "$build/counted.hfx" 'say('
	sed -i 's/ACCEPT_TYPE step//' "$project/cases/accepted.cmake"
	build_fails_with 'hot-fix counted: refused as unsafe'
}

# What a target can have is taken over, and a patched header is seen by every
# file that includes it: cases/properties.cmake.
test_properties()
{
	local patched=$build/hfx/rich_fix/build
	configure -DCASE=properties -DPATCH=rich/comment.patch
	build_fails_with 'hot-fix rich_fix: no function differs'
	cmp <(readelf -dW "$build/librich.so.1.2" | grep -E 'SONAME|NEEDED') \
		<(readelf -dW "$patched/librich.so.1.2" |
			grep -E 'SONAME|NEEDED') || die "linked differently"

	configure -DCASE=properties -DPATCH=rich/values.patch
	build
	settled
	"$build/rich_main" >"$work/old.log"
	LD_LIBRARY_PATH="$patched" "$build/rich_main" >"$work/new.log"
	[ "$(head -n 1 "$work/old.log")" = '1 1 1 11' ] ||
		die "wrong: $(cat "$work/old.log")"
	[ "$(head -n 1 "$work/new.log")" = '2 2 2 22' ] ||
		die "a header was not patched: $(cat "$work/new.log")"
	[ "$(sed -n 2p "$work/old.log")" = "$(sed -n 2p "$work/new.log")" ] ||
		die "differs: $(sed -n 2p "$work/old.log" "$work/new.log")"
}

# error TEXT LINE...: a project with LINE... is refused with TEXT.
error()
{
	local text=$1
	shift
	printf '%s\n' "$@" >"$project/cases/error.cmake"
	if cmake -S "$project" -B "$build" -G "$generator" -DCASE=error \
		-Dhfx_ROOT="$work/hfx" >"$work/configure.log" 2>&1; then
		die "accepted: $*"
	fi
	said "$work/configure.log" "$text" ||
		die "expected '$text', got: $(cat "$work/configure.log")"
}

test_errors()
{
	local add='hotfix_add_patch(fix'
	local sources='SOURCES server.c=fixes/server_v2.c'

	error 'give exactly one target' 'hotfix_enable()'
	error 'give exactly one target' 'hotfix_enable(server greeting)'
	error "there is no target 'sever'" 'hotfix_enable(sever)'
	error "target 'objects' is not built here as a program" \
		'add_library(objects STATIC greeting.c)' 'hotfix_enable(objects)'

	error "the patch's name comes first" 'hotfix_add_patch()'
	error "the patch's name comes first" \
		"hotfix_add_patch(TARGET server $sources)"
	error 'the name may hold letters' \
		"hotfix_add_patch(a/b TARGET server $sources)"
	error "unknown argument 'BASE;old'" "$add TARGET server BASE old)"
	error 'VERSION has no value' "$add TARGET server $sources VERSION)"
	error 'TARGET is missing' "$add $sources)"
	error "there is no target 'sever'" "$add TARGET sever $sources)"
	error 'nothing to compare with; add BASELINE' "$add TARGET server)"
	error 'BASELINE and SOURCES exclude each other' \
		"$add TARGET server BASELINE main.c $sources)"
	error 'BASELINE and PATCH exclude each other' \
		"$add TARGET server BASELINE main.c PATCH fixes/server.patch)"
	error "there is a target 'fix' already" "$add TARGET server $sources)" \
		"$add TARGET server $sources)"
	error '/old/server does not exist; give the file that runs' \
		"$add TARGET server BASELINE old/server)"
	error 'is a folder; give the file in it' \
		"$add TARGET server BASELINE fixes)"
	error 'no.patch does not exist' "$add TARGET server PATCH no.patch)"
	error 'main.c is not a unified diff' "$add TARGET server PATCH main.c)"
	error 'in the project: greeting.c' \
		'file(RENAME greeting.c greeting.bak)' \
		"$add TARGET server PATCH fixes/greeting.patch)"
	mv "$project/greeting.bak" "$project/greeting.c"
	error "'server.c' is not of the form old.c=new.c" \
		"$add TARGET server SOURCES server.c)"
	error 'no.c does not exist' "$add TARGET server SOURCES no.c=main.c)"
	error 'no.c does not exist' "$add TARGET server SOURCES main.c=no.c)"
	error 'greeting.c is not a source of server; its sources are: main.c' \
		"$add TARGET server SOURCES greeting.c=main.c)"
	error 'move this call to' 'file(WRITE sub/CMakeLists.txt' \
		"\"$add TARGET server SOURCES ../server.c=../main.c)\")" \
		'add_subdirectory(sub)'
	error 'server uses UNITY_BUILD' "$add TARGET server $sources)" \
		'set_target_properties(server PROPERTIES UNITY_BUILD ON)'
	error 'is a generator expression' "$add TARGET server $sources)" \
		'target_sources(server PRIVATE $<1:greeting.c>)'
}

# Without CMake, from a folder that the build did not know.
test_pkgconfig()
{
	export PKG_CONFIG_PATH
	PKG_CONFIG_PATH=$(dirname "$(find "$work/hfx" -name hfx.pc)")
	cat >"$project/version.c" <<-END
	#include <hfx.h>
	#include <stdio.h>
	int main(void) { printf("%u.%u.%u\n", hfx_version() >> 16,
		hfx_version() >> 8 & 255, hfx_version() & 255); }
	END
	# pkg-config escapes the spaces of its paths for the shell.
	eval "cc -o \"\$work/version\" \"\$project/version.c\" \
		$(pkg-config --cflags --libs hfx)"
	[ "$(LD_LIBRARY_PATH="$PKG_CONFIG_PATH/.." "$work/version")" = \
		"$(pkg-config --modversion hfx)" ] || die "another version"
}

# The examples are projects of their own, too.
test_examples()
{
	for example in hello hello-cpp; do
		project=$source/examples/$example
		build="$work/$example"
		name=${example//-/_}
		configure
		build
		"$build/$example" "$build/${name}_v1.hfx" \
			"$build/${name}_v2.hfx" | diff "$project/expected.txt" -
	done
}

# All of hfx as a part of another project, optimised for release: gcc warns of
# more then.
test_subproject()
{
	configure -DCASE=patch -DHFX_SOURCE="$source" -DHFX_WERROR=ON
	build
	holds "$build/louder.hfx" server_answer
	"$build/server" | grep -q '^hfx [1-9]' || die "server does not run"
	settled
}

rm -rf "$work"
mkdir -p "$work"
cp -r "$here/consumer" "$project"
cp -r "$prefix" "$work/hfx"
"test_$case_name"
rm -rf "$work"
