#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Try hfx on real fixes: patches of Debian source packages.
#
#	realworld.sh [OPTION...] PACKAGE [PATCH...]
#	realworld.sh --list PACKAGE	patches of a package, in their order
#	realworld.sh --table [WORK...]	the table of all rows, in Markdown
#
#	--hfx FOLDER	build tree of hfx		default: build
#	--work FOLDER	downloads, builds, results	default: build/realworld
#	--recipe FILE	how to build and test	default: realworld/PACKAGE.sh
#	--flags FLAGS	for the compiler		default: -O2 -g
#	--again		also what was done before
#
# NEW is the package with all of its patches, OLD the same without PATCH, both
# from one path with one set of flags (upstream's configure and make, -O2 -g).
# PATCH is a name in debian/patches, with or without .patch; `a+b` takes several
# as one fix. Patches that depend on PATCH are left out of both.
#
# For each PATCH: build, diff, and run the package's own tests with NEW, with
# OLD, and with OLD and the bundle applied at start-up. Once for each package:
# replace all functions of NEW by copies of themselves (--all) and run the tests.
# A refused fix is tried again with what the refusals say can be accepted.
#
# TEST_TIMEOUT: seconds after which a run of the tests is stopped (900). CC and CXX
# name other compilers. Other compilers or flags: another WORK.
#
# A recipe is a shell file; what it leaves out is guessed. It runs in the tree:
#	release		Debian's release		default: bookworm
#	depends		Debian packages that it needs
#	files		programs and libraries to compare, as patterns
#	prepare		before configure: autoreconf and so on
#	configure	plain upstream configuration, with $flags
#	compile		default: make
#	check		run the tests, output to stdout
#	results		filter: output of check -> a line for each test
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
hfx=$root/build
work=
recipe=
again=
mode=rows
export flags='-O2 -g' CC=${CC:-gcc} CXX=${CXX:-g++}
export LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=1700000000

# shellcheck source=scripts/debian-source.sh
. "$here/debian-source.sh"

die()
{
	echo "realworld.sh: $*" >&2
	exit 1
}

# Say with what log $1 of the package ends, and what to do.
die_of()
{
	echo "realworld.sh: $package: $2; $base/$1.log ends with:" >&2
	tail -n 5 "$base/$1.log" | sed 's/^/    /' >&2
	die "if it is not built as guessed, write $here/realworld/$package.sh" \
		"(see the top of this file, and those that are there)"
}

while [ $# -gt 0 ]; do
	case $1 in
	--hfx) hfx=$2 && shift 2 ;;
	--work) work=$2 && shift 2 ;;
	--recipe) recipe=$2 && shift 2 ;;
	--flags) flags=$2 && shift 2 ;;
	--again) again=yes && shift ;;
	--list) mode=list && shift ;;
	--table) mode=table && shift ;;
	-*) die "no option '$1'; see the top of this file" ;;
	*) break ;;
	esac
done
hfx=$(realpath "$hfx")
work=${work:-$hfx/realworld}
mkdir -p "$work"
work=$(realpath "$work")
if [ "$mode" = table ]; then
	exec python3 "$here/realworld/table.py" table "${@:-$work}"
fi
[ $# -ge 1 ] || die "give a package; see the top of this file"
package=$1
shift
[ -x "$hfx/bin/hfx-bundle" ] || die "no hfx in $hfx; build it or give --hfx"
base=$work/$package
tree=$base/source

# ---- What a recipe may replace -------------------------------------------

# shellcheck source=scripts/realworld/guess.sh
. "$here/realworld/guess.sh"
release=${DEBIAN_RELEASE:-bookworm}
depends=
files=

prepare()
{
	guess_prepare
}

configure()
{
	guess_configure
}

compile()
{
	guess_compile
}

check()
{
	guess_check
}

results()
{
	guess_results
}

# ---- The tree ------------------------------------------------------------

fetch()
{
	mkdir -p "$base/download"
	cd "$base/download"
	if [ -z "$(find . -name '*.dsc')" ]; then
		(
			flock 9
			DEBIAN_RELEASE=$release \
				debian_fetch "$work/apt-$release" "$package"
		) 9>"$work/lock" >"$base/fetch.log" 2>&1 ||
			die "fetching failed: is $package a source package of" \
				"$release? See $base/fetch.log"
	fi
	debian_unpack "$package" "$tree" >>"$base/fetch.log" 2>&1 ||
		die "unpacking failed; see $base/fetch.log"
	sed -n 's/^Version: //p' ./*.dsc | tail -n 1 >"$base/version"
	sed -E '/^(#|$)/d; s/ .*//' "$tree/debian/patches/series" \
		>"$base/series" 2>/dev/null ||
		echo "realworld.sh: $package has no patches" >&2
}

turn()
{
	patch -s -f -d "$tree" -p1 "${@:2}" <"$tree/debian/patches/$1"
}

# Else make would configure anew when these are patched, perhaps with tools that
# are not here, and compile everything. All are equally old then.
age_configuration()
{
	find "$tree" \( -name 'configure.ac' -o -name 'configure.in' \
		-o -name '*.m4' -o -name '*.mk' -o -name Makefile.am \
		-o -name Makefile.in \) \
		! -path '*/debian/*' -exec touch -d @1000000000 {} +
}

# Patch -R on a file that patch would make or remove needs no backup.
take_out()
{
	turn "$1" -R -F0 --dry-run >"$base/patch.log" 2>&1 || return 1
	turn "$1" -R -F0 --no-backup-if-mismatch >"$base/patch.log" 2>&1
}

put_in()
{
	turn "$1" --no-backup-if-mismatch >"$base/patch.log" 2>&1 ||
		die "$1 does not apply; see $base/patch.log"
}

in_tree()
{
	local log=$1
	shift
	(cd "$tree" && "$@") >"$base/$log.log" 2>&1 </dev/null 8>&-
}

make_tree()
{
	fetch
	if [ -z "$depends" ]; then
		depends=$(guess_depends "$base"/download/*.dsc)
	fi
	"$here/install-deps.sh" --packages $depends >"$base/depends.log" 2>&1 ||
		die "cannot install what it needs; see $base/depends.log"
	while read -r name; do
		put_in "$name"
	done <"$base/series"
	touch "$tree/configured"
	make_configured || die_of configure "configuring failed"
	in_tree compile compile || die_of compile "compiling failed"
	echo "$CC $flags" >"$base/toolchain"
	if [ -z "$files" ]; then
		files=$(cd "$tree" && guess_files)
	fi
	# shellcheck disable=SC2086 # patterns
	(cd "$tree" && realpath --relative-to=. $files | sort -u) \
		>"$base/files"
	[ -s "$base/files" ] || die_of compile "no program or library was made"
	save "$base/new"
	touch "$base/made"
}

make_configured()
{
	in_tree configure prepare || return
	age_configuration
	in_tree configure configure
}

# compile_again PATCH...: after these were taken out or put in.
compile_again()
{
	if touch_configuration "$@"; then
		make_configured || return
	fi
	age_configuration
	in_tree compile compile
}

# Whether autoconf or automake has to see one of these patches; CMake and meson
# look for themselves.
touch_configuration()
{
	local name
	for name; do
		if grep -Eq '^(\+\+\+|---) .*(configure\.(ac|in)|Makefile\.am|\.m4)(\s|$)' \
			"$tree/debian/patches/$name"; then
			return 0
		fi
	done
	return 1
}

save()
{
	rm -rf "$1"
	while read -r file; do
		install -D "$tree/$file" "$1/$file" || return
		touch -r "$tree/$file" "$1/$file"
	done <"$base/files"
}

# Put binaries in their place without a rebuild by make.
install_binaries()
{
	while read -r file; do
		touch -r "$tree/$file" "$base/stamp"
		cp --remove-destination "$1/$file" "$tree/$file"
		touch -r "$base/stamp" "$tree/$file"
	done <"$base/files"
}

# ---- Tests ---------------------------------------------------------------

# run_tests NAME [BUNDLES]: the outcome goes to NAME.out and NAME.result, and to
# NAME.stopped after how many seconds they were stopped.
run_tests()
{
	local name=$1 bundles=${2-} limit=${TEST_TIMEOUT:-900} status=0
	rm -f "$name.witness" "$name.result" "$name.stopped"
	(
		cd "$tree"
		export HFX_WITNESS=$name.witness
		if [ -n "$bundles" ]; then
			export HFX_BUNDLES=$bundles
			export LD_PRELOAD=$hfx/lib/libhfx.so:$work/witness.so
		fi
		# In this order the signal goes to all that they have started.
		setsid -w timeout -k 10 "$limit" \
			bash -c "$(declare -f); check"
	) >"$name.out" 2>&1 </dev/null 8>&- || status=$?
	if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
		echo "$limit" >"$name.stopped"
	fi
	results <"$name.out" | sort >"$name.result"
}

# run_patched NAME BUNDLES REFERENCE: tests that fail by themselves now and then
# differ once, wrong code differs each time.
run_patched()
{
	run_tests "$1" "$2"
	if ! cmp -s "$1.result" "$3.result"; then
		cp "$1.result" "$1.first"
		run_tests "$1" "$2"
		# What differs in both runs.
		if comm -23 "$3.result" "$1.first" |
			comm -12 - <(comm -23 "$3.result" "$1.result") |
			grep -q .; then
			return
		fi
		cp "$3.result" "$1.result"
	fi
}

# ---- Bundles -------------------------------------------------------------

# diff_file OLD NEW OUTPUT [OPTION...]: OUTPUT.hfx, .json, .txt, .time
diff_file()
{
	local old=$1 new=$2 output=$3 status=0
	shift 3
	rm -f "$output.hfx"
	python3 "$here/realworld/table.py" measure \
		"$output.time" "$hfx/bin/hfx-bundle" diff "$old" "$new" \
		-o "$output.hfx" --json "$@" \
		>"$output.json" 2>"$output.err" || status=$?
	echo "$status" >"$output.status"
	[ "$status" -le 1 ] || [ "$status" -eq 3 ]
}

# Each file's bundle, in FOLDER; the list for HFX_BUNDLES is printed.
diff_all_files()
{
	local old=$1 new=$2 folder=$3 output bundles=
	shift 3
	rm -rf "$folder"
	mkdir -p "$folder"
	while read -r file; do
		output=$folder/${file##*/}
		if cmp -s "$old/$file" "$new/$file" && [ "$old" != "$new" ]; then
			continue
		fi
		diff_file "$old/$file" "$new/$file" "$output" "$@" ||
			echo "hfx-bundle failed: see $output.err" >&2
		if [ -f "$output.hfx" ]; then
			bundles=$bundles:$output.hfx
		fi
	done <"$base/files"
	echo "${bundles#:}"
}

make_bundles()
{
	local row=$1 new=$2 bundles accept
	diff_all_files "$row/old" "$new" "$row/diff" >"$row/bundles"
	mapfile -t accept < <(python3 "$here/realworld/table.py" accept \
		"$row/diff")
	rm -rf "$row/accepted"
	# Accepting one type lets another be seen.
	for _ in 1 2 3; do
		[ "${#accept[@]}" -gt 0 ] || return 0
		diff_all_files "$row/old" "$new" "$row/accepted" \
			"${accept[@]}" >"$row/bundles"
		mapfile -t more < <(python3 "$here/realworld/table.py" accept \
			"$row/accepted")
		[ "${#more[@]}" -gt 0 ] || return 0
		accept+=("${more[@]}")
	done
}

# ---- Rows ----------------------------------------------------------------

self_row()
{
	local row=$base/self bundles
	if [ -f "$row/done" ] && [ -z "$again" ]; then
		return
	fi
	mkdir -p "$row"
	install_binaries "$base/new"
	run_tests "$base/new.tests"
	bundles=$(diff_all_files "$base/new" "$base/new" "$row/diff" --all)
	echo "$bundles" >"$row/bundles"
	run_patched "$row/patched" "$bundles" "$base/new.tests"
	touch "$row/done"
}

find_patch()
{
	local found
	found=$(grep -xF -e "$1" -e "$1.patch" "$base/series") ||
		found=$(grep -F -e "$1" "$base/series" || true)
	[ "$(grep -c . <<<"$found")" -eq 1 ] ||
		die "'$1' is not one patch of $package; see --list"
	echo "$found"
}

# The patches of a fix, `a+b`.
find_fix()
{
	local name
	for name in ${1//+/ }; do
		find_patch "$name" || return
	done
}

# Take the fix out, and before it whatever depends on it. Sets `without` (what
# was taken out beside the fix, newest first).
split_series()
{
	local fix=("$@") i others
	without=()
	mapfile -t others < <(tac "$base/series")
	for name in "${others[@]}"; do
		if try_take_out "${fix[@]}"; then
			return 0
		fi
		if printf '%s\n' "${fix[@]}" | grep -qxF -- "$name"; then
			continue
		fi
		if take_out "$name"; then
			without+=("$name")
		fi
	done
	try_take_out "${fix[@]}"
}

# All patches of a fix, newest first, or none.
try_take_out()
{
	local i j
	for ((i = $# - 1; i >= 0; i--)); do
		if ! take_out "${@:i+1:1}"; then
			for ((j = i + 1; j < $#; j++)); do
				put_in "${@:j+1:1}"
			done
			return 1
		fi
	done
}

put_back()
{
	local i
	for ((i = ${#without[@]} - 1; i >= 0; i--)); do
		put_in "${without[i]}"
	done
}

# Make OLD, and NEW where that is not the whole package; the tree is as NEW then.
# Fails, with the reason in ROW/failed, when there is no OLD.
build_fix()
{
	local row=$1 name
	shift
	if ! split_series "$@"; then
		echo "cannot be taken out" >"$row/failed"
		return 1
	fi
	printf '%s\n' "${without[@]}" >"$row/without"
	if ! compile_again "$@" "${without[@]}"; then
		cp "$base/compile.log" "$row/old.log"
		echo "does not build without it" >"$row/failed"
	elif ! save "$row/old"; then
		echo "lacks files without it" >"$row/failed"
	else
		# It was built last, which hfx-bundle would remark upon.
		find "$row/old" -type f -exec touch -d @1700000000 {} +
	fi
	for name; do
		put_in "$name"
	done
	[ ! -f "$row/failed" ]
}

# The tree is the whole package again.
build_whole()
{
	put_back
	compile_again "$@" "${without[@]}" ||
		die "$package does not build again; see $base/compile.log"
	install_binaries "$base/new"
}

# compare_fix ROW PATCH...
compare_fix()
{
	local row=$1 new=$base/new reference=$base/new.tests bundles
	shift
	if [ "${#without[@]}" -gt 0 ]; then
		new=$row/new
		reference=$row/new.tests
	fi
	compile_again "$@" || die "see $base/compile.log"
	if [ "${#without[@]}" -gt 0 ]; then
		save "$new"
		run_tests "$reference"
	fi
	make_bundles "$row" "$new"
	install_binaries "$row/old"
	run_tests "$row/old.tests"
	bundles=$(cat "$row/bundles")
	rm -f "$row"/patched.*
	if [ -n "$bundles" ]; then
		run_patched "$row/patched" "$bundles" "$reference"
	fi
	install_binaries "$new"
}

fix_row()
{
	local row fix name
	mapfile -t fix < <(find_fix "$1")
	row=$base/fixes/$(basename "${fix[0]}" .patch)
	if [ -f "$row/done" ] && [ -z "$again" ]; then
		return
	fi
	rm -rf "$row"
	mkdir -p "$row"
	printf '%s\n' "${fix[@]}" >"$row/fix"
	touch "$base/dirty"
	if build_fix "$row" "${fix[@]}"; then
		compare_fix "$row" "${fix[@]}"
		if [ "${#without[@]}" -gt 0 ]; then
			build_whole
		fi
	else
		build_whole "${fix[@]}"
	fi
	rm "$base/dirty"
	touch "$row/done"
}

mkdir -p "$base"
exec 8>"$base/lock"
flock -n 8 || die "another run works on $base"
recipe=${recipe:-$here/realworld/$package.sh}
if [ -f "$recipe" ]; then
	# shellcheck disable=SC1090
	. "$recipe"
fi
if [ "$mode" = list ]; then
	[ -f "$base/series" ] || fetch
	exec cat "$base/series"
fi
if [ ! -f "$work/witness.so" ]; then
	gcc -shared -fPIC -I"$root/runtime/include" \
		-I"$root/common/include" -o "$work/witness.so" \
		"$here/realworld/witness.c" -L"$hfx/lib" -lhfx \
		-Wl,-rpath,"$hfx/lib"
fi
# A run that was interrupted leaves a tree between two states.
if [ ! -f "$base/made" ] || [ -f "$base/dirty" ]; then
	rm -f "$base/made" "$base/dirty"
	make_tree
fi
for patch; do
	find_fix "$patch" >/dev/null
done
self_row
for patch; do
	fix_row "$patch"
done
python3 "$here/realworld/table.py" rows "$base"
