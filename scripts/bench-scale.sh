#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Measure hfx-bundle on larger programs; docs/benchmarks.md says what is measured
# and how.
#
#	scripts/bench-scale.sh [--short] [--work FOLDER] [BUILD]
#
# BUILD is a build tree with tests, default: build. FOLDER keeps what is built for
# it (redis, generated programs: up to 4 GB), default: BUILD/bench-scale. With
# --short only the smallest generated program is measured, once.
#
# Exit status: 0 measured, whatever the result; 1 something did not run.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
short=no
build=$root/build
work=
# Functions in a file of a generated program.
per_file=250
runs=5

usage()
{
	echo "usage: scripts/bench-scale.sh [--short] [--work FOLDER] [BUILD]" >&2
	exit 2
}

while [ $# -gt 0 ]; do
	case $1 in
	--short) short=yes ;;
	--work)
		[ $# -gt 1 ] || usage
		work=$2
		shift
		;;
	-*) usage ;;
	*) build=$1 ;;
	esac
	shift
done
build=$(cd "$build" && pwd) || usage
bin=$build/bin
work=${work:-$build/bench-scale}
if [ ! -x "$bin/bench_usage" ]; then
	echo "bench-scale.sh: $bin/bench_usage is missing; build with tests:" \
		"cmake --preset dev && cmake --build --preset dev" >&2
	exit 1
fi
mkdir -p "$work"
work=$(cd "$work" && pwd)

# row WHAT BYTES CLOCK_NS PROCESSOR_NS KIB: one line; memory also as a multiple of
# the bytes of both files.
row()
{
	echo "$2 $3 $4 $5" | awk -v what="$1" '{
		printf "%-34s %9.3f %9.3f %9.1f %7.2f\n", what, $2 / 1e9,
			$3 / 1e9, $4 / 1024, $4 * 1024 / $1
	}'
}

bytes_of()
{
	cat "$@" | wc -c
}

# measure WHAT FILE FILE COMMAND...: a row, and processor time in $processor_ns.
measure()
{
	what=$1
	size=$(bytes_of "$2" "$3")
	shift 3
	usage=$("$bin/bench_usage" $runs "$@")
	set -- $usage
	row "$what" "$size" "$1" "$2" "$3"
	clock_ns=$1
	processor_ns=$2
}

# diff WHAT OLD NEW OPTION...
diff_row()
{
	what=$1
	old=$2
	new=$3
	shift 3
	measure "$what" "$old" "$new" "$bin/hfx-bundle" diff --quiet "$@" \
		"$old" "$new" -o "$work/fix.hfx"
}

# ratio WHAT A B
ratio()
{
	echo "$2 $3" | awk -v what="$1" '{
		printf "  %s: %.2f\n", what, $1 / $2
	}'
}

measure_redis()
{
	"$root/tests/bench/redis.sh" "$work/redis"
	old=$work/redis/old/redis-server
	new=$work/redis/new/redis-server
	diff_row "redis" "$old" "$new"
	ours=$processor_ns
	ours_clock=$clock_ns
	measure "redis, one capstone pass" "$old" "$new" \
		"$bin/bench_reference_pass" --code "$old" "$new"
	ratio "diff / capstone pass, by the clock" "$ours_clock" "$clock_ns"
	ratio "diff / capstone pass, processor time" "$ours" "$processor_ns"
	diff_row "redis, --all" "$old" "$old" --all
	if command -v abidiff >/dev/null; then
		# Its status tells of changes.
		measure "redis, abidiff" "$old" "$new" \
			sh -c "abidiff '$old' '$new'; [ \$? -lt 16 ]"
	fi
}

# One file of the generated program for OLD and NEW each.
make_template()
{
	awk -v count=$per_file -f "$root/tests/bench/template.awk" >KK000.c
	gcc -O1 -g -c KK000.c -o old.template
	gcc -O1 -g -DNEW -c KK000.c -o new.template
	cat >main.c <<-'EOF2'
	int fn_KK000_0(void *, int);
	int main(int argc, char **argv)
	{
		static long state[32];
		(void)argv;
		return fn_KK000_0(state, argc);
	}
	EOF2
	gcc -O1 -g -c main.c
	# Types only, with their names in .debug_info: it can be repeated.
	awk 'BEGIN {
		for (i = 0; i < 3000; i++)
			print "struct pad_" i " { int number; char *name; " \
				"struct pad_" i " *next; } *pad_" i ";"
	}' >pad.c
	gcc -g -gdwarf-4 -fno-merge-debug-strings -c pad.c
}

# copy_template TEMPLATE NUMBER OTHER RESULT
copy_template()
{
	LC_ALL=C sed "s/KK000/KK$2/g; s/NN000/KK$3/g; s/@000/@$2/g" "$1" >"$4"
}

# generate FILES: programs in FOLDER/FILES, which differ in every tenth file.
generate()
{
	files=$1
	if [ -x "$files/new" ]; then
		return
	fi
	[ -f pad.o ] || make_template
	rm -rf objects
	mkdir -p objects "$files"
	number=0
	old_objects=
	new_objects=
	while [ $number -lt "$files" ]; do
		here=$(printf %03d $number)
		next=$(printf %03d $(((number + 1) % files)))
		copy_template old.template "$here" "$next" "objects/$here.o"
		old_objects="$old_objects objects/$here.o"
		if [ $((number % 10)) = 0 ]; then
			copy_template new.template "$here" "$next" \
				"objects/$here.new.o"
			new_objects="$new_objects objects/$here.new.o"
		else
			new_objects="$new_objects objects/$here.o"
		fi
		number=$((number + 1))
	done
	# shellcheck disable=SC2086 # lists of names
	gcc -Wl,--build-id pad.o main.o $old_objects -o "$files/old"
	# shellcheck disable=SC2086
	gcc -Wl,--build-id pad.o main.o $new_objects -o "$files/new.part"
	mv "$files/new.part" "$files/new"
	rm -rf objects
}

measure_generated()
{
	previous=
	sizes='50 100 200 400'
	if [ $short = yes ]; then
		sizes=4
	fi
	for files in $sizes; do
		generate "$files"
		diff_row "$((files * per_file)) functions" "$files/old" "$files/new" \
			"$@"
		if [ -n "$previous" ]; then
			ratio "twice the functions, processor time" \
				"$processor_ns" "$previous"
		fi
		previous=$processor_ns
	done
}

# pad SIDE: program with 12500 functions and 512 MiB of units for nothing.
pad()
{
	if [ -x "padded/$1" ]; then
		return
	fi
	mkdir -p padded
	objcopy --dump-section .debug_info=padded/info "50/$1"
	objcopy -O binary --only-section .debug_info \
		--set-section-flags .debug_info=alloc pad.o padded/unit
	unit=$(wc -c <padded/unit)
	count=$((512 * 1024 * 1024 / unit))
	while [ $count -gt 0 ]; do
		cat padded/unit
		count=$((count - 1))
	done >>padded/info
	objcopy --update-section .debug_info=padded/info "50/$1" "padded/$1.part"
	mv "padded/$1.part" "padded/$1"
	rm padded/info
}

measure_padded()
{
	pad old
	pad new
	diff_row "12500 functions in 1 GB" padded/old padded/new
}

cd "$work"
printf '%-34s %9s %9s %9s %7s\n' what clock,s cpu,s MiB x-files
if [ $short = no ]; then
	measure_redis
fi
runs=1
measure_generated
if [ $short = no ]; then
	measure_padded
	echo "with --all:"
	measure_generated --all
fi
