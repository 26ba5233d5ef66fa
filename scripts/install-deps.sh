#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Install the Debian packages that a task needs, or say which ones to install.
#
#	install-deps.sh [build|test|memcached]...	default: build
#	install-deps.sh --packages PACKAGE...
#
# Does nothing when all of them are there. Only root can install.
#
# Exit status: 0 all are there now; 1 installing failed; 2 packages are missing
# and this is not root, or there is no such task.
set -eu

build='gcc g++ cmake make pkg-config libdw-dev libelf-dev libcapstone-dev
libarchive-dev libzstd-dev libsodium-dev libjansson-dev libiberty-dev patch'
# Tests leave out what a missing compiler or linker would do, but not here:
# all of them run.
test="$build ninja-build libcmocka-dev binutils elfutils gdb groff-base clang
clang-format libclang-rt-14-dev lld mold dwz linux-perf python3
python3-jsonschema chromium zstd minisign strace"
memcached='gcc make patch perl xz-utils dpkg-dev debian-archive-keyring
libevent-dev libsasl2-dev libssl-dev'

wanted=
if [ "${1-}" = --packages ]; then
	shift
	wanted=$*
	set --
fi
[ $# -gt 0 ] || [ -n "$wanted" ] || set -- build
for task; do
	case $task in
	build) wanted="$wanted $build" ;;
	test) wanted="$wanted $test" ;;
	memcached) wanted="$wanted $memcached" ;;
	*)
		echo "install-deps.sh: no task '$task';" \
			"give build, test or memcached" >&2
		exit 2
		;;
	esac
done

missing=
for package in $wanted; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" \
		2>/dev/null) || state=unknown
	if [ "$state" != installed ]; then
		missing="$missing $package"
	fi
done
# shellcheck disable=SC2086 # a list of words
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
missing=${missing% }

if [ -z "$missing" ]; then
	exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "install-deps.sh: packages are missing. As root, run:" >&2
	echo "    apt-get install $missing" >&2
	exit 2
fi
echo "Installing: $missing"
export DEBIAN_FRONTEND=noninteractive
# Unlike for installing, apt has no option to wait for another's lock here.
tries=60
until apt-get -q update; do
	tries=$((tries - 1))
	[ "$tries" -gt 0 ] || exit 1
	sleep 5
done
# shellcheck disable=SC2086 # a list of words
apt-get -q -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing
