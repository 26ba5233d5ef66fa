#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What gdb and perf make of new code.
here=$(dirname "$(realpath "$0")")
. "$here/setup.sh"
. "$here/server.sh"
. "$here/cpp_server.sh"

# ---- gdb -------------------------------------------------------------------

needs_gdb()
{
	gdb -nx -batch -ex 'python gdb.BreakpointLocation' >gdb.version 2>&1 &&
		! grep -q Error gdb.version || skip "no gdb 13 with Python"
}

# debug NAME COMMAND...: gdb attached to the process of NAME, with the script.
# The command `input` gives the process a line.
debug()
{
	local name=$1

	shift
	{
		echo "define input"
		echo "shell echo >$name.in"
		echo "end"
		echo "source $source/runtime/gdb/hfx-gdb.py"
		printf '%s\n' "$@" detach
	} >gdb.commands
	timeout 60 gdb -nx -batch -p "$pid" -x gdb.commands \
		>gdb.log 2>&1 </dev/null || die "$(cat gdb.log)"
}

# The process runs new code, and gdb stops in it by name and by line.
gdb_stops_in_new_code()
{
	local line

	line=$(grep -n 'number \*= 3' server.c | cut -d: -f1)
	debug "$1" "break added" "tbreak server.c:$((line - 2))" "input" \
		continue backtrace "input" continue "info symbol \$pc"
	grep -qE "^#0 .*added .*at .*server\.c:[0-9]+" gdb.log &&
		grep -qE "^#1 .*answer .*at .*server\.c:[0-9]+" gdb.log &&
		grep -qE "^#2 .*main .*at .*server\.c:[0-9]+" gdb.log ||
		die "no backtrace: $(cat gdb.log)"
	grep -q "^added in section .text of .*fix-" gdb.log ||
		die "no stop the second time: $(cat gdb.log)"
	read -r -t 20 line <&"$from"
	read -r -t 20 line <&"$from"
	answers "$1" 203
}

gdb_stops_in_new_code_that_came_from_outside()
{
	needs_gdb
	make_bundle
	start one
	"$hfx" apply "$pid" fix.hfx >/dev/null
	answers one 203
	gdb_stops_in_new_code one
}

gdb_stops_in_new_code_of_a_preloaded_bundle()
{
	needs_gdb
	make_bundle
	start one env LD_PRELOAD="$libhfx" HFX_BUNDLES=fix.hfx ./old/server
	answers one 203
	gdb_stops_in_new_code one
}

gdb_stops_in_new_code_of_a_program_that_patches_itself()
{
	needs_gdb
	# shellcheck disable=SC2046 # words
	make_bundle $(host_options)
	start one ./old/server fix.hfx
	answers one 203
	gdb_stops_in_new_code one
}

# gdb would stop at the jump, or write into it.
gdb_keeps_its_breakpoints_out_of_jumps()
{
	needs_gdb
	make_bundle -O0
	start one
	"$hfx" apply "$pid" fix.hfx >/dev/null
	answers one 203
	debug one "break answer" "info breakpoints" "input" continue backtrace
	said gdb.log "fix has replaced that function"
	grep -qE "^#0  answer .*server\.c" gdb.log || die "$(cat gdb.log)"
	grep -qE "^Breakpoint 1(\.[0-9]+)?, answer" gdb.log ||
		die "$(cat gdb.log)"
	read -r -t 20 _ <&"$from"
	answers one 203

	# Taken back, the old function is one like any other.
	"$hfx" revert "$pid" fix >/dev/null
	debug one "break answer" "input" continue
	! grep -q "has replaced" gdb.log || die "$(cat gdb.log)"
	grep -qE "^Breakpoint 1(\.[0-9]+)?, answer" gdb.log ||
		die "$(cat gdb.log)"
	read -r -t 20 _ <&"$from"
	answers one 101
}

gdb_finds_new_code_in_a_core_file()
{
	needs_gdb
	make_bundle
	start one
	"$hfx" apply "$pid" fix.hfx >/dev/null
	gdb -nx -batch -p "$pid" -ex "generate-core-file core" >gdb.log 2>&1
	kill -9 "$pid"
	gdb -nx -batch ./old/server core \
		-ex "source $source/runtime/gdb/hfx-gdb.py" \
		-ex "hfx list" -ex "info line added" >gdb.log 2>&1
	said gdb.log "fix  -  server  applied"
	grep -qE 'Line [0-9]+ of "server.c" (starts )?(is )?at address' gdb.log ||
		die "$(cat gdb.log)"
}

# lines FILE: what addr2line says of each address in lines.in. It takes the unit
# of link-time optimization for a source file.
lines()
{
	addr2line -e "$1" <lines.in |
		sed 's/ (discriminator.*//; s/<artificial>/server.c/'
}

# unpack_image: modules/0.so, and the addresses of its code in lines.in.
unpack_image()
{
	rm -rf modules
	zstd -qdc fix.hfx | tar -x
	readelf -sW modules/0.so | awk '$4 == "FUNC" {print $2, $3}' |
		while read -r addr size; do
			for ((i = 0; i < size; i++)); do
				printf '%x\n' $((16#$addr + i))
			done
		done >lines.in
	[ "$(wc -l <lines.in)" -gt 10 ] || die "no functions"
}

# The image answers for each address of its code as the new build does.
has_the_lines_of_new()
{
	unpack_image
	lines new/server >lines.new
	lines modules/0.so >lines.image
	cmp lines.new lines.image ||
		die "$*: $(diff -y lines.new lines.image | head -40)"
	grep -q 'server\.c' lines.image || die "$*: no lines: $(cat lines.image)"
	eu-readelf -w modules/0.so >readelf.log 2>&1 || die "$(cat readelf.log)"
}

an_image_has_the_lines_of_the_new_build()
{
	command -v zstd addr2line eu-readelf >/dev/null || skip "no tools"
	for options in -O0 -O2 "-O2 -gdwarf-4" "-O2 -flto" "-O2 -gz" \
		"-Os -ffunction-sections"; do
		# shellcheck disable=SC2086 # words
		make_bundle $options
		has_the_lines_of_new "$options"
	done
	# addr2line does not follow this one to its other file.
	make_bundle -O2 -gsplit-dwarf
	unpack_image
	lines modules/0.so >lines.image
	! grep -q '?' lines.image || die "split: $(cat lines.image)"
	if command -v clang >/dev/null; then
		cc=clang make_bundle -O2
		has_the_lines_of_new clang
	fi
	if [ -x "$cxx" ]; then
		make_cpp_bundle
		has_the_lines_of_new c++
	fi
	make_bundle -g0
	zstd -qdc fix.hfx | tar -x
	! readelf -SW modules/0.so | grep debug || die "lines out of nothing"
}

# ---- perf ------------------------------------------------------------------

perf_map_names_new_functions()
{
	local map

	make_bundle
	start one
	map=/tmp/perf-$pid.map
	"$hfx" apply "$pid" fix.hfx >/dev/null
	"$hfx" perf-map "$pid" >map.log
	said map.log "added 2 functions to $map"
	cp "$map" before
	"$hfx" list --json "$pid" >list.json
	said "$map" "$(printf '%x %x answer' \
		"$(json list.json 'd["patches"][0]["functions"][0]["new_address"]')" \
		"$(json list.json 'd["patches"][0]["functions"][0]["new_size"]')")"
	grep -qE '^[0-9a-f]+ [0-9a-f]+ added$' "$map" || die "$(cat "$map")"

	# Once more, and after a program of its own has added a line.
	echo "1000 10 jitted" >>"$map"
	"$hfx" perf-map -q "$pid" >map.log
	[ ! -s map.log ] || die "-q is not quiet"
	{
		cat before
		echo "1000 10 jitted"
	} | cmp - "$map" || die "the map has changed"
	rm -f "$map"

	# What others could have put there is left alone.
	echo precious >precious
	ln -s "$folder/precious" "$map"
	fails 1 "$hfx" perf-map "$pid"
	rm -f "$map"
	ln precious "$map"
	fails 1 "$hfx" perf-map "$pid"
	said fails.log "is no plain file"
	rm -f "$map"
	[ "$(cat precious)" = precious ] || die "a file behind a link is written"
}

libhfx_writes_a_perf_map_when_it_is_asked_to()
{
	make_bundle
	start one env LD_PRELOAD="$libhfx" HFX_BUNDLES=fix.hfx ./old/server
	answers one 203
	[ ! -e "/tmp/perf-$pid.map" ] || die "there is a map without being asked"
	start two env LD_PRELOAD="$libhfx" HFX_BUNDLES=fix.hfx HFX_PERF_MAP=1 \
		./old/server
	answers two 203
	grep -qE '^[0-9a-f]+ [0-9a-f]+ added$' "/tmp/perf-$pid.map" ||
		die "no map"
	rm -f "/tmp/perf-$pid.map"
}

perf_report_names_new_functions()
{
	perf record -q -e cpu-clock -o perf.data true >/dev/null 2>&1 ||
		skip "perf cannot record"
	cat >server.c <<'END'
volatile unsigned long sink;
#ifdef NEW
__attribute__((noinline)) unsigned long added(unsigned long number)
{
	for (unsigned long i = 0; i < 20000000; i++)
		sink += i * number;
	return number;
}
#endif
__attribute__((noinline)) unsigned long work(unsigned long number)
{
#ifdef NEW
	return added(number) + 1;
#else
	for (unsigned long i = 0; i < 20000000; i++)
		sink += i;
	return number;
#endif
}
int main(void)
{
	for (;;)
		work(sink);
}
END
	make_bundle
	./old/server &
	pid=$!
	pids+=("$pid")
	# It is hardly ever outside of work().
	"$hfx" apply --allow-active --timeout 20000 "$pid" fix.hfx >/dev/null
	"$hfx" perf-map -q "$pid"
	# On a busy machine it may not run for a while.
	for _ in $(seq 30); do
		perf record -q -e cpu-clock -o perf.data -p "$pid" sleep 1 \
			2>record.log || die "$(cat record.log)"
		perf report -i perf.data --stdio 2>/dev/null >report.log ||
			true
		if grep -qE '[0-9]% .* added *$' report.log; then
			rm -f "/tmp/perf-$pid.map"
			return
		fi
	done
	rm -f "/tmp/perf-$pid.map"
	die "$(cat report.log)"
}

"$case_name"
