#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Bundles of several modules: together or not at all.
here=$(dirname "$(realpath "$0")")
. "$here/setup.sh"
. "$here/server.sh"

# Answers each line with what a function of the program and one of a library
# give: 11 with the old ones, 22 with the new ones. VERSION is 1 or 2, or 3.
cat >server.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef HOST
#include <hfx.h>
#endif
int library_value(int number);
__attribute__((noinline, noclone)) int own_value(int number)
{
	__asm__ volatile(".nops 8" : "+r"(number));
	return number + VERSION * 10;
}
#ifdef HOST
static void apply(const char *path)
{
	struct hfx_error *err = hfx_apply_bundle(path, NULL, NULL);

	if (err)
		fprintf(stderr, "%s\n", hfx_error_message(err));
	hfx_error_destroy(err);
}
#endif
int main(void)
{
	char line[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
#ifdef HOST
		if (*line && strcmp(line, "revert"))
			apply(line);
		if (!strcmp(line, "revert"))
			hfx_error_destroy(hfx_revert_all(NULL));
#endif
		printf("%d\n", own_value(0) + library_value(0));
	}
	return 0;
}
END
cat >library.c <<'END'
#include <stdlib.h>
int library_value(int number)
{
	if (number < 0)
		abort();
	__asm__ volatile(".nops 8" : "+r"(number));
	return number + VERSION;
}
END

# build VERSION [OPTION...]: vVERSION/server and vVERSION/libvalue.so.
build_version()
{
	local version=$1

	shift
	mkdir -p "v$version"
	"$cc" -O2 -g -fPIC -shared -Wl,--build-id,-soname,libvalue.so \
		-DVERSION="$version" library.c -o "v$version/libvalue.so"
	"$cc" -O2 -g -Wl,--build-id -DVERSION="$version" server.c \
		-o "v$version/server" "v$version/libvalue.so" \
		"-Wl,-rpath,$folder/v$version" "$@"
}

# make_bundle VERSION [OPTION...]: vVERSION.hfx, from version 1.
make_bundle()
{
	build_version "$@"
	"$hfx_bundle" diff --module v1/server "v$1/server" \
		--module v1/libvalue.so "v$1/libvalue.so" \
		-o "v$1.hfx" >diff.log 2>&1 || die "$(cat diff.log)"
}

# tell NAME COMMAND: what the program does itself.
tell()
{
	local to=to_$1 from=from_$1 line

	echo "$2" >&"${!to}"
	read -r -t 20 line <&"${!from}" || die "$1 does not answer"
}

# states PID: the state of each module, in the order of the list.
states()
{
	"$hfx" list --json "$1" >list.json
	json list.json '" ".join(p["module"] + "=" + p["state"]
	                         for p in d["patches"])'
}

# Write an unchanged byte of the library's function as another one, as a
# breakpoint is.
damage_library()
{
	python3 - "$1" v1/libvalue.so <<'END'
import subprocess, sys
pid, path = sys.argv[1], sys.argv[2]
for line in subprocess.check_output(["nm", path], text=True).splitlines():
    fields = line.split()
    if fields[-1] == "library_value":
        offset = int(fields[0], 16)
base = next(int(line.split("-")[0], 16) for line in open(f"/proc/{pid}/maps")
            if line.rstrip().endswith("libvalue.so"))
with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
    memory.seek(base + offset + 5)
    byte = memory.read(1)
    memory.seek(base + offset + 5)
    memory.write(bytes([byte[0] ^ 1]))
END
}

modules_are_patched_and_reverted_together()
{
	build_version 1
	make_bundle 2
	start server v1/server
	answers server 11
	"$hfx" check -q "$pid" v2.hfx || die "check"
	answers server 11
	"$hfx" apply "$pid" v2.hfx >apply.log || die "apply"
	said apply.log "(2 functions)"
	answers server 22
	[ "$(states "$pid")" = "server=applied libvalue.so=applied" ] ||
		die "$(cat list.json)"
	fails 1 "$hfx" apply "$pid" v2.hfx
	said fails.log "already applied"
	"$hfx" revert -q "$pid" v2 || die "revert"
	answers server 11
	# The regions are used again.
	"$hfx" apply -q "$pid" v2.hfx || die "apply again"
	answers server 22
	[ "$(states "$pid")" = "server=applied libvalue.so=applied" ] ||
		die "$(cat list.json)"
}

modules_are_left_alone_when_one_cannot_be_patched()
{
	build_version 1
	make_bundle 2
	start server v1/server
	damage_library "$pid"
	fails 1 "$hfx" check "$pid" v2.hfx
	fails 1 "$hfx" apply "$pid" v2.hfx
	said fails.log library_value
	[ -z "$(states "$pid")" ] || die "$(cat list.json)"
	damage_library "$pid"
	"$hfx" apply -q "$pid" v2.hfx || die "apply"
	answers server 22
}

modules_that_are_missing_are_named()
{
	build_version 1
	make_bundle 2
	# The same program, with another build of the library.
	build_version 3
	cp v3/libvalue.so v1/libvalue.so
	start server v1/server
	answers server 13
	fails 1 "$hfx" apply "$pid" v2.hfx
	said fails.log libvalue.so
	said fails.log "$(readelf -n v3/libvalue.so |
		sed -n 's/.*Build ID: //p')"
	answers server 13
	[ -z "$(states "$pid")" ] || die "$(cat list.json)"
	"$hfx" status v2.hfx >status.log
	! grep -q "server" status.log || die "it does not fit: $(cat status.log)"
}

modules_that_were_asked_are_told_when_another_one_refuses()
{
	build_version 1
	cat >>server.c <<'END'
#if VERSION == 2
#include <hfx_patch.h>
HFX_PRE_APPLY() { dprintf(2, "server is asked\n"); return NULL; }
HFX_POST_APPLY() { dprintf(2, "server is patched\n"); }
HFX_POST_REVERT() { dprintf(2, "server is as before\n"); }
#endif
END
	cat >>library.c <<'END'
#if VERSION == 2
#include <hfx_patch.h>
HFX_PRE_APPLY() { return "the library is busy"; }
HFX_POST_APPLY() { }
#endif
END
	export CPATH=$source/runtime/include
	make_bundle 2
	start server v1/server
	fails 1 "$hfx" apply "$pid" v2.hfx
	said fails.log "the library is busy"
	answers server 11
	printf 'server is asked\nserver is as before\n' >wanted
	cmp server.err wanted || die "$(cat server.err)"
	[ "$(states "$pid")" = "server=reverted libvalue.so=reverted" ] ||
		die "$(cat list.json)"
}

modules_are_replaced_together()
{
	build_version 1
	make_bundle 2
	make_bundle 3
	start server v1/server
	"$hfx" apply -q "$pid" v2.hfx || die "apply"
	"$hfx" apply -q "$pid" v3.hfx || die "apply on top"
	answers server 33
	fails 1 "$hfx" revert "$pid" v2
	said fails.log "revert v3 first"
	"$hfx" revert -q "$pid" v3 || die "revert"
	answers server 22
	"$hfx" apply -q --replaces v2 "$pid" v3.hfx || die "replace"
	answers server 33
	"$hfx" revert -q "$pid" v3 || die "revert"
	answers server 11
}

modules_are_patched_by_the_program_itself()
{
	local options

	build_version 1
	read -ra options <<<"$(host_options)"
	"$cc" -O2 -g -Wl,--build-id -DVERSION=1 server.c -o v1/server \
		v1/libvalue.so "-Wl,-rpath,$folder/v1" "${options[@]}"
	make_bundle 2 "${options[@]}"
	start server v1/server
	answers server 11
	tell server v2.hfx
	answers server 22
	[ "$(states "$pid")" = "server=applied libvalue.so=applied" ] ||
		die "$(cat list.json)"
	"$hfx" revert -q "$pid" v2 || die "revert from outside"
	answers server 11
}

modules_are_patched_at_the_start()
{
	build_version 1
	make_bundle 2
	start server env LD_PRELOAD="$libhfx" HFX_BUNDLES=v2.hfx v1/server
	answers server 22
	# Another program that has the library, but not all modules: in silence.
	cat >other.c <<'END'
int library_value(int number);
int main(void) { return library_value(0) != 1; }
END
	"$cc" other.c -o v1/other v1/libvalue.so "-Wl,-rpath,$folder/v1"
	LD_PRELOAD="$libhfx" HFX_BUNDLES=v2.hfx v1/other 2>other.err ||
		die "the other program was patched"
	[ ! -s other.err ] || die "$(cat other.err)"
}

modules_are_patched_in_all_processes()
{
	build_version 1
	make_bundle 2
	start one v1/server
	start two v1/server
	"$hfx" apply --all v2.hfx >all.log 2>&1 || die "$(cat all.log)"
	answers one 22
	answers two 22
}

modules_of_an_installed_bundle_reach_new_starts()
{
	export HFX_PERSIST_DIR=$folder/persist

	build_version 1
	make_bundle 2
	"$hfx" persist v2.hfx >persist.log 2>&1 || die "$(cat persist.log)"
	"$hfx" persist --list >persist.log
	said persist.log "with libvalue.so"
	"$hfx" persist --list --json >persist.json
	json_is persist.json '",".join(d["bundles"][0]["modules"])' \
		server,libvalue.so
	start server env LD_PRELOAD="$libhfx" v1/server
	answers server 22
	[ ! -s server.err ] || die "$(cat server.err)"
}

"$case_name"
