#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Measure hfx against references taken in the same run; docs/benchmarks.md says
# what is measured and how.
#
#	scripts/bench.sh [--short] [--memcached FOLDER] [BUILD]
#
# BUILD is a build tree with tests, default: build. FOLDER has what
# examples/memcached/build.sh makes, and is made if need be; default:
# BUILD/examples/memcached. With --short, few repetitions and no memcached: only
# to see that everything runs.
#
# Exit status: 0 measured, whatever the result; 1 something did not run.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
short=no
build=$root/build
memcached=

usage()
{
	echo "usage: scripts/bench.sh [--short] [--memcached FOLDER] [BUILD]" >&2
	exit 2
}

while [ $# -gt 0 ]; do
	case $1 in
	--short) short=yes ;;
	--memcached)
		[ $# -gt 1 ] || usage
		memcached=$2
		shift
		;;
	-*) usage ;;
	*) build=$1 ;;
	esac
	shift
done
bin=$build/bin
if [ ! -x "$bin/bench_stall" ]; then
	echo "bench.sh: $bin/bench_stall is missing; build with tests:" \
		"cmake --preset dev && cmake --build --preset dev" >&2
	exit 1
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# row GOAL UNIT_NS WHAT OURS REFERENCE: one line of the table.
row()
{
	echo "$4 $5" | awk -v goal="$1" -v unit="$2" -v what="$3" '{
		printf "%-40s %11.3f %11.3f %7.2f %6s\n", what,
			$1 / unit, $2 / unit, $1 / $2, goal
	}'
}

measure_diff()
{
	if [ $short = yes ]; then
		old=$bin/bench_stall
		new=$bin/bench_stall
		runs=1
		set -- --all
	else
		memcached=${memcached:-$build/examples/memcached}
		"$root/examples/memcached/build.sh" "$memcached"
		old=$memcached/old/memcached
		new=$memcached/new/memcached
		runs=15
		set -- --accept-type mcp_parser_s --accept-type mcp_request_s
	fi
	times=$("$bin/bench_commands" $runs \
		"$bin/hfx-bundle" diff "$@" "$old" "$new" -o "$scratch/diff.hfx" \
		-- "$bin/bench_reference_pass" "$old" "$new")
	row 1.5 1e6 "diff of ${old##*/}, ms" "${times% *}" "${times#* }"
}

measure_stalls()
{
	runs=25
	counts='1 8 64 256'
	if [ $short = yes ]; then
		runs=1
		counts='1 8'
	fi
	"$bin/hfx-bundle" diff --quiet --all --only 'work_*' --name stall \
		-o "$scratch/stall.hfx" \
		"$bin/bench_threads" "$bin/bench_threads" >/dev/null
	for count in $counts; do
		"$bin/bench_stall" "$count" $runs "$bin" \
			"$scratch/stall.hfx" >"$scratch/stalls"
		while read -r action ours reference; do
			case $count,$action in
			256,*-active) goal=1.3 ;;
			256,*) goal=3.0 ;;
			*) goal=- ;;
			esac
			row $goal 1e6 "stall, $action, $count threads, ms" \
				"$ours" "$reference"
		done <"$scratch/stalls"
	done
}

measure_calls()
{
	rounds=20
	if [ $short = yes ]; then
		rounds=1
	fi
	"$bin/hfx-bundle" diff --quiet --all --only bench_shortest \
		--only bench_hash --name calls -o "$scratch/calls.hfx" \
		"$bin/bench_calls" "$bin/bench_calls" >/dev/null
	"$bin/bench_calls" $rounds "$scratch/calls.hfx" >"$scratch/calls"
	while read -r name ours reference; do
		case $name in
		*-redirected) goal=1.05 ;;
		*) goal=1.3 ;;
		esac
		row $goal 1e3 "call, $name, ns" "$ours" "$reference"
	done <"$scratch/calls"
}

printf '%-40s %11s %11s %7s %6s\n' what ours reference ratio goal
measure_diff
measure_calls
measure_stalls
