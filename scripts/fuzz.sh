#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Fuzz what reads untrusted bytes, with libFuzzer, ASan and UBSan.
#
#	scripts/fuzz.sh [OPTION...] [BUILD]
#
#	--runs N	executions of each target, a tenth of them for `builds`, where
#			each takes a hundred times as long	default: 1000000
#	--seconds N	instead: so much time for each target
#	--target NAME	only this one; may be given several times
#	--minimize	afterwards, reduce the corpora in BUILD to what they reach
#
# BUILD is a build tree for clang, made if need be; default: build-fuzz. Inputs
# that reach new code are kept in BUILD/corpus/NAME, so that runs go on where
# the last one ended; those in tests/fuzz/corpus/NAME begin it. What is found is
# left in BUILD/findings/NAME.
#
# Exit status: 0 nothing found; 1 something was, or did not run.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
targets=()
runs=1000000
seconds=0
minimize=no
build=$root/build-fuzz

die()
{
	echo "fuzz.sh: $*" >&2
	exit 1
}

while [ $# -gt 0 ]; do
	case $1 in
	--runs) runs=$2 && shift 2 ;;
	--seconds) seconds=$2 && runs=-10 && shift 2 ;;
	--target) targets+=("$2") && shift 2 ;;
	--minimize) minimize=yes && shift ;;
	-*) die "no option '$1'; see the top of this file" ;;
	*) build=$1 && shift ;;
	esac
done
[ "${#targets[@]}" -gt 0 ] ||
	targets=(bundle archive manifest image record process builds)
command -v clang >/dev/null || die "apt-get install clang"

make_tree()
{
	cmake -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
		-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
		-DHFX_FUZZ=ON -DHFX_EXAMPLES=OFF \
		-DHFX_SANITIZE=fuzzer-no-link,address,undefined
	cmake --build "$build" --target hfx_fuzz -j "$(nproc)"
}

# The same few lines built twice, the bundle of the difference, and a process
# that has it applied.
make_seeds()
{
	local seeds=$build/seeds name
	rm -rf "$seeds"
	mkdir -p "$seeds"
	for name in "${targets[@]}"; do
		mkdir -p "$build/corpus/$name" "$build/findings/$name" \
			"$seeds/$name"
	done
	mkdir -p "$seeds/all"
	cd "$seeds/all"
	gcc -O2 -g -Wl,--build-id "$root/tests/fuzz/seed.c" -o old
	gcc -O2 -g -Wl,--build-id -DLIMIT=65 "$root/tests/fuzz/seed.c" -o new
	gcc -O1 -g -gdwarf-4 -Wl,--build-id,--emit-relocs -no-pie -DLIMIT=66 \
		"$root/tests/fuzz/seed.c" -o fixed
	"$build/bin/hfx-bundle" diff -q old new -o fix.hfx
	zstd -q -d -c <fix.hfx >fix.tar
	tar xf fix.tar
	LD_PRELOAD=$build/lib/libhfx.so HFX_BUNDLES=fix.hfx \
		./old process record
	[ -s record ] || die "the bundle for seeds was not applied"
	put_seeds
}

# put NAME FILE...: seeds of a target, when it was asked for.
put()
{
	local folder=$build/seeds/$1
	shift
	[ ! -d "$folder" ] || cp "$@" "$folder"
}

put_seeds()
{
	put bundle fix.hfx
	put archive fix.tar
	put manifest manifest.json
	put image modules/0.so
	put record record
	put process process
	put builds old new fixed
}

# fuzz NAME: until the limit, or something is found.
fuzz()
{
	local name=$1 kept=$root/tests/fuzz/corpus/$1 log=$build/$1.log
	local folders=("$build/corpus/$name" "$build/seeds/$name") status=0
	local count=$runs
	[ "$name" != builds ] || count=$((runs / 10))
	[ ! -d "$kept" ] || folders+=("$kept")
	HFX_FUZZ_BASE=$build/seeds/all/old nice "$build/bin/fuzz_$name" \
		"-runs=$count" "-max_total_time=$seconds" -timeout=60 -rss_limit_mb=4096 -max_len=262144 \
		-print_final_stats=1 -artifact_prefix="$build/findings/$name/" \
		"${folders[@]}" >"$log" 2>&1 || status=$?
	awk -v name="$name" '/number_of_executed_units/ { runs = $2 }
		/ cov: / { for (i = 1; i < NF; i++)
			if ($i == "cov:") edges = $(i + 1) }
		END { printf "%-10s %10d executions, %6d edges reached\n",
			name, runs, edges }' "$log"
	[ "$status" -eq 0 ] || {
		grep -m 5 -E 'ERROR|SUMMARY|not so|runtime error' "$log" || true
		echo "$name: see $log and $build/findings/$name" >&2
		return 1
	}
}

reduce()
{
	local corpus=$build/corpus/$1
	rm -rf "$corpus.small"
	mkdir "$corpus.small"
	HFX_FUZZ_BASE=$build/seeds/all/old "$build/bin/fuzz_$1" -merge=1 \
		"$corpus.small" "$corpus" >>"$build/$1.log" 2>&1
	rm -rf "$corpus"
	mv "$corpus.small" "$corpus"
}

mkdir -p "$build"
build=$(realpath "$build")
make_tree >"$build/build.log" 2>&1 ||
	die "building failed: $(tail -n 5 "$build/build.log")"
(make_seeds) || die "making seeds failed"
failed=0
for name in "${targets[@]}"; do
	fuzz "$name" || failed=1
	[ "$minimize" = no ] || reduce "$name"
done
exit "$failed"
