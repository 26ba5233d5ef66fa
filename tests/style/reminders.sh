#!/bin/sh
# SPDX-License-Identifier: MIT
#
# No file of the project holds a reminder of work undone.
#
#	reminders.sh ROOT
set -eu

cd "$1"
words='TO''DO|FIX''ME|XX''X'
if grep -rnwE "$words" CMakeLists.txt README.md bundler cmake common docs \
	examples man runtime scripts tests; then
	exit 1
fi
