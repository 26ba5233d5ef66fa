#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Compare a patched memcached with one that needs no patch, by memcached's own
# tests: each must print the same `ok` and `not ok` lines with both.
#
#	memcached.sh self BUILD FOLDER [TEST.t]...
#		the new build, all its functions replaced by their own copies,
#		with the new build as it is
#	memcached.sh fix BUILD FOLDER [TEST.t]...
#		the old build with the bundle of the fixes, with the new build
#	memcached.sh twice BUILD FOLDER
#		no test: the same source built again gives no bundle
#
# BUILD is the build tree of hfx, FOLDER what examples/memcached/build.sh made.
# Without tests all of them run, which takes a quarter of an hour.
#
# A test whose result differs runs again, with both: a test of memcached's that
# now and then fails by itself on a busy machine must not be taken for a wrong
# bundle. A wrong reference shows each time.
set -euo pipefail

die()
{
	echo "memcached.sh: $*" >&2
	exit 1
}

[ $# -ge 3 ] || die "usage: memcached.sh self|fix|twice BUILD FOLDER [TEST.t]..."
mode=$1
build=$(realpath "$2")
memcached=$(realpath "$3")
shift 3
work=$(mktemp -d)
server=
trap cleanup EXIT

cleanup()
{
	if [ -n "$server" ]; then
		kill "$server" || true
		wait "$server" || true
	fi
	rm -rf "$work"
}

# ---- Two trees: reference and patched -----------------------------------

# First of seven neighbouring ports of 127.0.0.1 that are free, as a number
# without its last digit.
free_ports()
{
	perl -MIO::Socket::INET -e '
		TRY: for (1 .. 200) {
			my $base = 2000 + int rand 900;
			for my $i (0 .. 6) {
				IO::Socket::INET->new(LocalAddr => "127.0.0.1",
					LocalPort => $base . $i, Listen => 1)
					or next TRY;
			}
			print $base;
			exit 0;
		}
		die "no seven free ports in a row\n"'
}

# make_tree TREE BINARY [BUNDLE]: a folder where memcached's tests run. They
# start ./memcached-debug with an option that only a debug build knows.
make_tree()
{
	local tree=$1 binary=$2 bundle=${3-} base
	base=$(free_ports)
	mkdir "$tree"
	cp -r "$memcached/source/t" "$memcached/source/timedrun" "$tree"
	sed -i "s/\\b1121/$base/g" "$tree/t/proxy.t" "$tree/t/startfile.lua"
	cat >"$tree/memcached-debug" <<-EOF
	#!/bin/bash
	bundle='$bundle'
	for argument; do
		shift
		case \$argument in
		relaxed_privileges) set -- "\${@:1:\$#-1}" ;;
		*) set -- "\$@" "\$argument" ;;
		esac
	done
	if [ -n "\$bundle" ]; then
		export LD_PRELOAD='$build/lib/libhfx.so' HFX_BUNDLES=\$bundle
	fi
	exec '$binary' "\$@"
	EOF
	chmod +x "$tree/memcached-debug"
}

make_bundle()
{
	case $mode in
	self)
		patched=$memcached/new/memcached
		"$build/bin/hfx-bundle" diff --all --quiet "$patched" "$patched" \
			-o "$work/self.hfx"
		;;
	fix)
		patched=$memcached/old/memcached
		"$build/bin/hfx-bundle" diff "$patched" \
			"$memcached/new/memcached" -o "$work/fix.hfx" \
			--accept-type mcp_parser_s --accept-type mcp_request_s
		;;
	*) die "no mode '$mode'; give self, fix or twice" ;;
	esac
}

# A patch that is not in force would pass every test.
check_patch_is_in_force()
{
	local socket=$work/socket line
	(cd "$work/patched" && exec ./memcached-debug -u root -s "$socket") &
	server=$!
	for _ in $(seq 100); do
		[ ! -S "$socket" ] || break
		sleep 0.1
	done
	[ -S "$socket" ] || die "the patched memcached does not start"
	line=$("$build/bin/hfx" list "$server")
	kill "$server"
	wait "$server" || true
	server=
	grep -q "\\b$mode\\b.*\\bapplied\\b" <<<"$line" ||
		die "the patch is not in force in the server: $line"
	echo "$line"
}

# ---- Tests --------------------------------------------------------------

# run TREE TEST.t: results go to TREE/TEST.t.result, without the names of the
# assertions: udp.t puts random values into them.
run()
{
	(
		cd "$work/$1"
		timeout 600 perl "t/$2" >"$2.out" 2>"$2.err" </dev/null || true
		sed -nE -e 's/^((not )?ok [0-9]+).*/\1/p' -e '/^(1\.\.|Bail out)/p' \
			"$2.out" >"$2.result"
	)
}

run_both()
{
	run reference "$1" &
	run patched "$1"
	wait $!
}

# Messages of libhfx in the patched server: it could not apply the bundle.
check_messages()
{
	if grep '^hfx: ' "$work/patched/$1.err"; then
		die "$1: the server ran without the patch"
	fi
}

# count TREE TEST.t WORD
count()
{
	grep -c "^$3 " "$work/$1/$2.result" || true
}

# Whether the test gives the same results with both.
compare_test()
{
	for attempt in 1 2 3; do
		run_both "$1"
		check_messages "$1"
		if cmp -s "$work/reference/$1.result" "$work/patched/$1.result"
		then
			return 0
		fi
		echo "$1: results differ in run $attempt"
	done
	diff -u "$work/reference/$1.result" "$work/patched/$1.result" |
		head -n 20
	tail -n 5 "$work/patched/$1.err"
	return 1
}

compare_tests()
{
	local failed=0 assertions=0 ok not_ok
	for name; do
		if ! compare_test "$name"; then
			echo "DIFFERS $name"
			failed=1
			continue
		fi
		ok=$(count patched "$name" ok)
		not_ok=$(count patched "$name" 'not ok')
		assertions=$((assertions + ok))
		if [ "$ok" -eq 0 ]; then
			echo "SKIPPED $name: $(grep -m 1 . \
				"$work/reference/$name.out" \
				"$work/reference/$name.err" -h || true)"
		else
			echo "SAME $name: $ok ok, $not_ok not ok"
		fi
	done
	echo "$assertions assertions hold with and without the patch"
	[ "$assertions" -gt 0 ] || die "no assertion ran"
	return "$failed"
}

# ---- The same source twice ----------------------------------------------

# In another folder and at another time.
build_again()
{
	cp -a "$memcached/source" "$work/source"
	(
		cd "$work/source"
		make -s clean
		make -s -j2 noinst_PROGRAMS=
	) >"$work/log" 2>&1 || die "building failed: $(tail -n 3 "$work/log")"
}

check_built_twice()
{
	local status=0
	build_again
	"$build/bin/hfx-bundle" diff "$memcached/new/memcached" \
		"$work/source/memcached" -o "$work/none.hfx" || status=$?
	[ "$status" -eq 3 ] || die "exit status $status instead of 3"
	[ ! -e "$work/none.hfx" ] || die "a bundle was written"
}

if [ "$mode" = twice ]; then
	check_built_twice
	exit 0
fi
if [ $# -eq 0 ]; then
	mapfile -t names < <(cd "$memcached/source/t" && printf '%s\n' *.t |
		grep -vxF whitespace.t)
	set -- "${names[@]}"
fi
make_bundle
make_tree "$work/reference" "$memcached/new/memcached"
make_tree "$work/patched" "$patched" "$work/$mode.hfx"
check_patch_is_in_force
compare_tests "$@"
