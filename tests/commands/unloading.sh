#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Patches of libraries that are unloaded, and perhaps loaded again.
here=$(dirname "$(realpath "$0")")
. "$here/setup.sh"
. "$here/server.sh"

# "load FILE" and "unload" are done; any line is answered with what the program
# and the library give, 10 and 1 or 20 and 2, and where the library is.
cat >server.c <<'END'
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#ifdef HOST
#include <hfx.h>
#endif
__attribute__((noinline, noclone)) int own_value(int number)
{
	__asm__ volatile(".nops 8" : "+r"(number));
	return number + VERSION * 10;
}
static void *library;
static int (*value)(int);
static void load(const char *path)
{
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return;
	}
	value = (int (*)(int))dlsym(library, "library_value");
}
static void unload(void)
{
	dlclose(library);
	value = NULL;
}
int main(void)
{
	char line[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "load ", 5))
			load(line + 5);
		if (!strcmp(line, "unload"))
			unload();
#ifdef HOST
		if (!strncmp(line, "apply ", 6)) {
			struct hfx_error *err =
				hfx_apply_bundle(line + 6, NULL, NULL);

			if (err)
				fprintf(stderr, "%s\n", hfx_error_message(err));
			hfx_error_destroy(err);
		}
#endif
		printf("%d %p\n", own_value(0) + (value ? value(0) : 0),
		       (void *)value);
	}
	return 0;
}
END
cat >library.c <<'END'
int library_value(int number)
{
	__asm__ volatile(".nops 8" : "+r"(number));
	return number + VERSION;
}
END

# build [OPTION...]: v1 and v2 of both, and library.hfx and both.hfx.
build()
{
	local version

	for version in 1 2 7; do
		mkdir -p "v$version"
		"$cc" -O2 -g -fPIC -shared -Wl,--build-id \
			-DVERSION="$version" library.c -o "v$version/plugin.so"
		"$cc" -O2 -g -Wl,--build-id -DVERSION="$version" server.c \
			-o "v$version/server" -ldl "$@"
	done
	"$hfx_bundle" diff -q v1/plugin.so v2/plugin.so -o library.hfx
	"$hfx_bundle" diff -q --module v1/server v2/server \
		--module v1/plugin.so v2/plugin.so -o both.hfx
}

# tell NAME COMMAND VALUE: what the program answers to a command begins so.
tell()
{
	local to=to_$1 from=from_$1

	echo "$2" >&"${!to}"
	read -r -t 20 line <&"${!from}" || die "$1 does not answer to $2"
	[ "${line% *}" = "$3" ] || die "$1 answers $line to $2, not $3"
}

# states PID: the state of each record, in the order of the list.
states()
{
	"$hfx" list --json "$1" >list.json
	json list.json '" ".join(p["module"] + "=" + p["state"]
	                         for p in d["patches"])'
}

states_are()
{
	local got

	got=$(states "$1")
	[ "$got" = "$2" ] || die "the list has $got, not $2"
}

a_patch_goes_with_its_module()
{
	build
	start server v1/server
	tell server "load v1/plugin.so" 11
	"$hfx" apply -q "$pid" library.hfx || die "apply"
	tell server "" 12
	tell server unload 10
	states_are "$pid" plugin.so=unloaded
	fails 1 "$hfx" revert "$pid" library
	said fails.log "its module was unloaded"
	fails 1 "$hfx" apply "$pid" library.hfx
	said fails.log "has not loaded"
	tell server "" 10
}

a_library_that_is_loaded_again_can_be_patched_again()
{
	local first count

	build
	start server v1/server
	tell server "load v1/plugin.so" 11
	first=$line
	for _ in 1 2 3 4 5; do
		"$hfx" check -q "$pid" library.hfx || die "check"
		"$hfx" apply -q "$pid" library.hfx || die "apply"
		tell server "" 12
		fails 1 "$hfx" apply "$pid" library.hfx
		tell server unload 10
		tell server "load v1/plugin.so" 11
	done
	[ "$line" = "$first" ] || skip "it was loaded elsewhere"
	"$hfx" apply -q "$pid" library.hfx || die "apply"
	tell server "" 12
	count=$("$hfx" list "$pid" | grep -c library)
	[ "$count" -le 2 ] || die "$("$hfx" list "$pid")"
	"$hfx" revert -q "$pid" library || die "revert"
	tell server "" 11
}

another_library_at_that_place_is_left_alone()
{
	local place before

	build
	start server v1/server
	tell server "load v1/plugin.so" 11
	place=${line#* }
	"$hfx" apply -q "$pid" library.hfx || die "apply"
	tell server unload 10
	tell server "load v7/plugin.so" 17
	[ "${line#* }" = "$place" ] || skip "it was loaded elsewhere"
	states_are "$pid" plugin.so=unloaded
	fails 1 "$hfx" revert "$pid" library
	tell server "" 17
	"$hfx" revert --all -q "$pid" || die "revert --all"
	tell server "" 17
	fails 1 "$hfx" apply "$pid" library.hfx
	said fails.log "$(readelf -n v7/plugin.so | sed -n 's/.*Build ID: //p')"
	tell server "" 17
}

a_patch_of_two_modules_stays_in_the_other_one()
{
	build
	start server v1/server
	tell server "load v1/plugin.so" 11
	"$hfx" apply -q "$pid" both.hfx || die "apply"
	tell server "" 22
	tell server unload 20
	states_are "$pid" "server=applied plugin.so=unloaded"
	fails 1 "$hfx" apply "$pid" both.hfx
	said fails.log "plugin.so"
	tell server "load v1/plugin.so" 21
	"$hfx" apply -q "$pid" both.hfx || die "apply again"
	tell server "" 22
	"$hfx" revert -q "$pid" both || die "revert"
	tell server "" 11
}

a_program_that_patches_itself_uses_the_memory_again()
{
	local options count

	read -ra options <<<"$(host_options)"
	build "${options[@]}"
	start server v1/server
	for _ in 1 2 3 4 5; do
		tell server "load v1/plugin.so" 11
		tell server "apply library.hfx" 12
		tell server unload 10
	done
	count=$("$hfx" list "$pid" | grep -c library)
	[ "$count" = 1 ] || die "$("$hfx" list "$pid")"
	[ ! -s server.err ] || die "$(cat server.err)"
}

"$case_name"
