# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154,SC2034
#
# What the scripts here share: to be sourced, with their arguments. They set
# `here`, this folder.

root=$(cd "$here/../.." && pwd)
build=$(cd "${1:-$root/build}" && pwd)
memcached=${HFX_MEMCACHED:-$build/examples/memcached}
PATH=$build/bin:$PATH
# A folder of the script's own, and what ends with it.
work=$(mktemp -d)
pids=()
# Set by start_server.
proxy_pid=
proxy_port=
backend_port=

cleanup()
{
	for pid in "${pids[@]}"; do
		kill "$pid" 2>"$work/kill.log" || true
	done
	wait
	rm -rf "$work"
}
trap cleanup EXIT

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

say()
{
	printf '\n== %s\n' "$*"
}

# Arguments are shown as one would type them.
run()
{
	printf '$ %s\n' "${*@Q}" | sed "s/'\([[:alnum:]._/-]*\)'/\1/g"
	"$@"
}

# start_server NAME PROGRAM OPTION...: set NAME_pid and NAME_port.
start_server()
{
	local name=$1 file=$work/$1.port
	shift
	MEMCACHED_PORT_FILENAME=$file "$@" -l 127.0.0.1 -p -1 -U 0 \
		-u "$(id -un)" &
	pids+=($!)
	declare -g "${name}_pid=$!"
	for _ in $(seq 100); do
		[ -s "$file" ] && break
		sleep 0.1
	done
	[ -s "$file" ] || die "$1 did not start"
	declare -g "${name}_port=$(sed -n 's/^TCP INET: //p' "$file")"
}

# ask TEXT [END]: send a line to the proxy and print its answer's first line.
ask()
{
	local line end=${2-$'\r\n'}

	exec 3<>"/dev/tcp/127.0.0.1/$proxy_port"
	printf '%s%s' "$1" "$end" >&3
	IFS= read -r -t 5 line <&3 || die "no answer to: $1"
	exec 3>&-
	printf '%s\n' "${line%$'\r'}"
}

# start_proxy PROGRAM SCRIPT OPTION...: a proxy with a server behind it, which has
# the keys one and two.
start_proxy()
{
	local program=$1 script=$2 key answer

	shift 2
	start_server backend "$program"
	export BACKEND_PORT=$backend_port PROXY_POOLS=$here/pools.lua
	start_server proxy "$program" "$@" -o "proxy_config=$here/$script"
	for key in one two; do
		for _ in $(seq 50); do
			answer=$(ask "set $key 0 0 3"$'\r\n'abc)
			[ "$answer" = STORED ] && break
			sleep 0.1
		done
		[ "$answer" = STORED ] || die "the proxy does not store: $answer"
	done
}
