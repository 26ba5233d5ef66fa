# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # shared between the files
#
# What the scripts of tests have in common; they read this file first, and end
# by calling their case.
#
#	SCRIPT CASE HFX HFX_BUNDLE LIBHFX CC SOURCE CXX
#
# CASE is one of the functions of the script. It works in a temporary folder,
# which is kept if HFX_KEEP_SANDBOX is set.
set -euo pipefail

script=${0##*/}
case_name=$1
hfx=$2
hfx_bundle=$3
libhfx=$4
cc=$5
source=$6
cxx=$7
folder=$(mktemp -d)
pids=()

die()
{
	echo "$script $case_name: $*" >&2
	exit 1
}

skip()
{
	echo "skipped: $*"
	exit 77
}

clean_up()
{
	if [ ${#pids[@]} -gt 0 ]; then
		kill -9 "${pids[@]}" 2>/dev/null || true
	fi
	if [ -z "${HFX_KEEP_SANDBOX:-}" ]; then
		rm -rf "$folder"
	fi
}
trap clean_up EXIT
cd "$folder"

# fails CODE COMMAND...: it must end so; its output is in fails.log.
fails()
{
	local code=$1 got=0

	shift
	"$@" >fails.log 2>&1 || got=$?
	[ "$got" = "$code" ] || die "$* ended with $got: $(cat fails.log)"
}

# said FILE TEXT
said()
{
	grep -qF -- "$2" "$1" || die "no '$2' in: $(cat "$1")"
}

# json FILE EXPRESSION: what a Python expression of the document d gives.
json()
{
	python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(eval(sys.argv[2]))' "$1" "$2"
}

# json_is FILE EXPRESSION VALUE
json_is()
{
	local got

	got=$(json "$1" "$2")
	[ "$got" = "$3" ] || die "$2 is $got, not $3, in: $(cat "$1")"
}
