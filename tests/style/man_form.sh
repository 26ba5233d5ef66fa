#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Check that groff formats manual pages without a warning.
#
#	man_form.sh PAGE...
set -eu

status=0
for page; do
	warnings=$(groff -man -ww -z -Tutf8 "$page" 2>&1) || status=1
	if [ -n "$warnings" ]; then
		printf '%s\n' "$warnings"
		status=1
	fi
done
exit "$status"
