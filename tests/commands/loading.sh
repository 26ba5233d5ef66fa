#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Patches that wait for a library that the program has not loaded.
here=$(dirname "$(realpath "$0")")
. "$here/setup.sh"
. "$here/server.sh"

# "load FILE" and "unload" are done, also "noise FILE" (both, of another library) and
# "child FILE" (load, in a child), and with HOST "wait FILE" and "revert"; any
# line is answered with what the program and the library give, 10 and 1 or 20
# and 2, and what the library's constructor has seen, as a second number.
cat >server.c <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
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
static int *seen;
static void load(const char *path)
{
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return;
	}
	value = (int (*)(int))dlsym(library, "library_value");
	seen = (int *)dlsym(library, "seen");
}
static void unload(void)
{
	dlclose(library);
	value = NULL;
	seen = NULL;
}
#ifdef HOST
static struct hfx_patch_id id;
static void tell(void *arg, enum hfx_log_level level, const char *message)
{
	(void)arg;
	if (level == HFX_LOG_ERROR)
		fprintf(stderr, "%s\n", message);
}
static void say(struct hfx_error *err)
{
	if (err)
		fprintf(stderr, "%s\n", hfx_error_message(err));
	hfx_error_destroy(err);
}
static void host(const char *line)
{
	struct hfx_apply_opts opts = {.sz = sizeof(opts),
	                              .flags = HFX_APPLY_WAIT};
	struct hfx_patch_list *list;
	struct hfx_status status = {.sz = sizeof(status)};

	hfx_set_log(tell, NULL, HFX_LOG_ERROR);
	if (!strncmp(line, "wait ", 5))
		say(hfx_apply_bundle(line + 5, &opts, &id));
	opts.replaces = &id;
	opts.num_replaces = 1;
	if (!strncmp(line, "instead ", 8))
		say(hfx_apply_bundle(line + 8, &opts, &id));
	if (!strcmp(line, "revert"))
		say(hfx_revert(&id, NULL));
	if (!strcmp(line, "status")) {
		say(hfx_get_status(&status));
		say(hfx_patch_list_create(&list));
		fprintf(stderr, "%u %u", status.num_applied,
		        status.num_waiting);
		for (size_t i = 0; i < hfx_patch_list_count(list); i++)
			fprintf(stderr, " %s=%u",
			        hfx_patch_list_get(list, i)->module_name,
			        hfx_patch_list_get(list, i)->state);
		fprintf(stderr, "\n");
		hfx_patch_list_destroy(list);
	}
}
#else
static void host(const char *line)
{
	(void)line;
}
#endif
static void in_child(const char *path)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		load(path);
		_exit(value(0) * 10 + *seen);
	}
	waitpid(pid, &status, 0);
	fprintf(stderr, "%d\n", WEXITSTATUS(status));
}
int main(void)
{
	char line[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "load ", 5))
			load(line + 5);
		if (!strncmp(line, "child ", 6))
			in_child(line + 6);
		if (!strncmp(line, "noise ", 6))
			dlclose(dlopen(line + 6, RTLD_NOW));
		if (!strcmp(line, "unload"))
			unload();
		host(line);
		printf("%d %d\n", own_value(0) + (value ? value(0) : 0),
		       seen ? *seen : 0);
	}
	return 0;
}
END
cat >library.c <<'END'
#include <stdlib.h>
int seen;
static __thread int calls;
static const char *const names[] = {"zero", "one", "two"};
const char *library_name(int number) { return names[number % 3]; }
int library_value(int number)
{
	if (number < 0)
		abort();
	__asm__ volatile(".nops 8" : "+r"(number));
	calls += VERSION;
	return number + VERSION + (calls < 0);
}
__attribute__((constructor)) static void begin(void)
{
	seen = library_value(0);
}
END

# build [OPTION...]: v1 to v3 of both, with vN.hfx for the library, and
# both.hfx from v1 to v2 of both.
build()
{
	local version

	for version in 1 2 3; do
		mkdir -p "v$version"
		"$cc" -O2 -g -fPIC -shared -Wl,--build-id \
			-DVERSION="$version" library.c -o "v$version/plugin.so"
		"$cc" -O2 -g -Wl,--build-id -DVERSION="$version" server.c \
			-o "v$version/server" -ldl -pthread "$@"
	done
	"$hfx_bundle" diff -q v1/plugin.so v2/plugin.so -o v2.hfx
	"$hfx_bundle" diff -q v1/plugin.so v3/plugin.so -o v3.hfx
	"$hfx_bundle" diff -q --module v1/server v2/server \
		--module v1/plugin.so v2/plugin.so -o both.hfx
}

build_host()
{
	local options

	read -ra options <<<"$(host_options)"
	build "${options[@]}"
}

# start_preloaded BUNDLE: with libhfx in front, and the bundle by name.
start_preloaded()
{
	start server env LD_PRELOAD="$libhfx" HFX_BUNDLES="$1" v1/server
}

# tell COMMAND ANSWER: what the program says to it.
tell()
{
	echo "$1" >&"$to_server"
	read -r -t 20 line <&"$from_server" || die "no answer to $1"
	[ "$line" = "$2" ] || die "$line is the answer to $1, not $2" \
		"$(cat server.err)"
}

# states: the state of each record, sorted.
states()
{
	"$hfx" list --json "$pid" >list.json
	json list.json '" ".join(sorted(p["module"] + "=" + p["state"]
	                                for p in d["patches"]))'
}

states_are()
{
	local got

	got=$(states)
	[ "$got" = "$1" ] || die "the list has $got, not $1"
}

nothing_was_said()
{
	[ ! -s server.err ] || die "$(cat server.err)"
}

a_library_is_patched_before_its_constructors_run()
{
	build_host
	start server v1/server
	tell "wait v2.hfx" "10 0"
	states_are plugin.so=waiting
	tell "load v1/plugin.so" "12 2"
	states_are plugin.so=applied
	nothing_was_said
	"$hfx" revert -q "$pid" v2 || die "revert"
	tell "" "11 2"
}

a_library_that_is_loaded_again_is_patched_again()
{
	build_host
	start server v1/server
	tell "wait v2.hfx" "10 0"
	for _ in 1 2 3 4 5; do
		tell "load v1/plugin.so" "12 2"
		tell unload "10 0"
		"$hfx" list "$pid" >list.log
		said list.log waiting
	done
	tell "load v1/plugin.so" "12 2"
	states_are plugin.so=applied
	nothing_was_said
}

a_library_that_was_there_is_patched_again_when_it_comes_back()
{
	build_host
	start server v1/server
	tell "load v1/plugin.so" "11 1"
	tell "wait v2.hfx" "12 1"
	tell unload "10 0"
	tell "load v1/plugin.so" "12 2"
	nothing_was_said
}

other_libraries_are_left_alone()
{
	build_host
	start server v1/server
	tell "wait v2.hfx" "10 0"
	tell "load v3/plugin.so" "13 3"
	tell unload "10 0"
	states_are plugin.so=waiting
	tell "load v1/plugin.so" "12 2"
	nothing_was_said
}

a_preloaded_bundle_waits_for_its_library()
{
	build
	start_preloaded v2.hfx
	states_are plugin.so=waiting
	tell "load v1/plugin.so" "12 2"
	tell unload "10 0"
	tell "load v1/plugin.so" "12 2"
	states_are plugin.so=applied
	nothing_was_said
	# Programs that never load it do not speak of it.
	LD_PRELOAD="$libhfx" HFX_BUNDLES=v2.hfx \
		sh -c 'ls . >/dev/null; exec date -u' >date.log 2>&1 ||
		die "$(cat date.log)"
	[ "$(wc -l <date.log)" = 1 ] || die "$(cat date.log)"
}

preloaded_bundles_do_not_wait_if_they_are_told_so()
{
	build
	export HFX_WAIT=0
	start_preloaded v2.hfx
	states_are ""
	tell "load v1/plugin.so" "11 1"
	nothing_was_said
}

an_installed_bundle_reaches_a_library_that_is_loaded_later()
{
	export HFX_PERSIST_DIR=$folder/persist

	build
	"$hfx" persist v2.hfx >persist.log 2>&1 || die "$(cat persist.log)"
	start server env LD_PRELOAD="$libhfx" v1/server
	tell "load v1/plugin.so" "12 2"
	tell unload "10 0"
	tell "load v3/plugin.so" "13 3"
	tell unload "10 0"
	tell "load v1/plugin.so" "12 2"
	nothing_was_said
}

modules_wait_for_each_other()
{
	build
	start_preloaded both.hfx
	tell "" "10 0"
	states_are "plugin.so=waiting server=waiting"
	tell "load v1/plugin.so" "22 2"
	states_are "plugin.so=applied server=applied"
	tell unload "20 0"
	tell "load v1/plugin.so" "22 2"
	nothing_was_said
	"$hfx" revert -q "$pid" both || die "revert"
	tell "" "11 2"
}

what_waits_can_be_reverted()
{
	build_host
	start server v1/server
	tell "wait v2.hfx" "10 0"
	tell "status" "10 0"
	tell revert "10 0"
	tell "status" "10 0"
	[ "$(cat server.err)" = $'0 1 plugin.so=1\n0 0' ] ||
		die "$(cat server.err)"
	states_are ""
	tell "load v1/plugin.so" "11 1"
	tell unload "10 0"
	# And from outside.
	tell "wait v2.hfx" "10 0"
	"$hfx" revert "$pid" v2 >revert.log || die "revert"
	tell "load v1/plugin.so" "11 1"
	states_are ""
	tell unload "10 0"
	tell "wait v2.hfx" "10 0"
	tell "wait v3.hfx" "10 0"
	"$hfx" revert --all "$pid" >revert.log || die "revert --all"
	said revert.log "2 patches"
	tell "load v1/plugin.so" "11 1"
}

what_was_reverted_does_not_come_back()
{
	build_host
	start server v1/server
	tell "wait v2.hfx" "10 0"
	tell "load v1/plugin.so" "12 2"
	"$hfx" revert -q "$pid" v2 || die "revert"
	tell "" "11 2"
	tell unload "10 0"
	tell "load v1/plugin.so" "11 1"
	tell "wait v2.hfx" "12 1"
	tell revert "11 1"
	tell unload "10 0"
	tell "load v1/plugin.so" "11 1"
	nothing_was_said
}

several_wait_and_one_takes_the_place_of_another()
{
	build_host
	start server v1/server
	tell "wait v2.hfx" "10 0"
	tell "wait v2.hfx" "10 0"
	said server.err "waits already"
	tell "wait v3.hfx" "10 0"
	tell "load v1/plugin.so" "13 3"
	states_are "plugin.so=applied plugin.so=applied"
	"$hfx" revert -q "$pid" v3 || die "revert"
	tell "" "12 3"
	"$hfx" revert -q "$pid" v2 || die "revert"
	tell unload "10 0"
	tell "wait v2.hfx" "10 0"
	tell "instead v3.hfx" "10 0"
	states | tr ' ' '\n' | grep -c waiting >count
	[ "$(cat count)" = 1 ] || die "$(cat list.json)"
	tell "load v1/plugin.so" "13 3"
	"$hfx" revert -q "$pid" v3 || die "revert"
	tell "" "11 3"
}

what_goes_wrong_is_said_and_tried_again()
{
	build_host
	start server v1/server
	tell "wait v2.hfx" "10 0"
	tell "wait v3.hfx" "10 0"
	# The same build, with other code in its file.
	mkdir -p damaged
	cp v1/plugin.so damaged/plugin.so
	python3 - damaged/plugin.so <<'END'
import subprocess, sys
path = sys.argv[1]
for line in subprocess.check_output(["nm", path], text=True).splitlines():
    fields = line.split()
    if fields[-1] == "library_value":
        offset = int(fields[0], 16)
with open(path, "r+b") as file:
    file.seek(offset)
    code = file.read(64)
    # One of the bytes of `.nops 8`: a nop of another form.
    at = code.index(bytes.fromhex("0f1f8400"))
    file.seek(offset + at + 4)
    file.write(b"\1")
END
	tell "load damaged/plugin.so" "11 1"
	said server.err "v2 was waited for: "
	said server.err "v3 was waited for: "
	states_are "plugin.so=waiting plugin.so=waiting"
	json list.json 'd["patches"][0]["reason"]' >reason.log
	said reason.log library_value
	[ "$(grep -c "v2 was waited" server.err)" = 1 ] ||
		die "$(cat server.err)"
	tell unload "10 0"
	tell "load v1/plugin.so" "13 3"
	states_are "plugin.so=applied plugin.so=applied"
}

a_library_that_cannot_be_loaded_changes_nothing()
{
	build_host
	# What it needs is not there when it is loaded.
	echo 'int missing(void); int (*const needs)(void) = missing;' >missing.c
	"$cc" -shared -fPIC -DVERSION=1 missing.c -o missing.so \
		-Wl,--no-as-needed "-Wl,-rpath,$folder/v1" v1/plugin.so
	start server v1/server
	tell "wait v2.hfx" "10 0"
	tell "load $folder/missing.so" "10 0"
	said server.err "undefined symbol: missing"
	"$hfx" list "$pid" >list.log
	said list.log waiting
	tell "load v1/plugin.so" "12 2"
	tell "load nothing.so" "12 2"
	tell "" "12 2"
}

a_library_is_found_as_without_hfx()
{
	local options

	read -ra options <<<"$(host_options)"
	build "${options[@]}"
	mkdir -p program/plugins
	cp v1/plugin.so program/plugins/plugin.so
	"$cc" -O2 -g -Wl,--build-id -DVERSION=1 server.c -o program/server \
		-ldl -pthread "${options[@]}" \
		"-Wl,--enable-new-dtags,-rpath,\$ORIGIN/plugins"
	start server program/server
	tell "wait v2.hfx" "10 0"
	tell "load plugin.so" "12 2"
	nothing_was_said
}

a_forked_child_waits_too()
{
	build_host
	start server v1/server
	tell "wait v2.hfx" "10 0"
	tell "child v1/plugin.so" "10 0"
	[ "$(cat server.err)" = 22 ] || die "$(cat server.err)"
	states_are plugin.so=waiting
	tell "load v1/plugin.so" "12 2"
}

a_needed_library_of_what_is_loaded_is_patched()
{
	build_host
	cat >user.c <<'END'
int library_value(int number);
extern int seen;
int user_seen;
__attribute__((constructor)) static void begin(void)
{
	user_seen = library_value(0);
	seen = user_seen + 10;
}
END
	"$cc" -shared -fPIC user.c -o user.so \
		"-Wl,-rpath,$folder/v1" v1/plugin.so
	start server v1/server
	tell "wait v2.hfx" "10 0"
	tell "load $folder/user.so" "12 12"
	nothing_was_said
}

what_cannot_wait_is_refused()
{
	build_host
	cat >>library.c <<'END'
#if VERSION == 2
#include <hfx_patch.h>
HFX_POST_APPLY() { }
#endif
END
	export CPATH=$source/runtime/include
	"$cc" -O2 -g -fPIC -shared -Wl,--build-id -DVERSION=2 library.c \
		-o v2/plugin.so
	"$hfx_bundle" diff -q v1/plugin.so v2/plugin.so -o hooks.hfx
	start server v1/server
	tell "wait hooks.hfx" "10 0"
	said server.err "the patch has hooks"
	states_are ""
	tell "load v1/plugin.so" "11 1"
	tell "wait hooks.hfx" "12 1"
}

# A program whose threads load and unload libraries all the time, each its own,
# while another one patches the program and takes that back. A library that was
# run unpatched says so; what is left is how many mappings there are.
many_threads_load_at_the_same_time()
{
	local options count=6

	read -ra options <<<"$(host_options)"
	cat >crowd.c <<'END'
#include <dlfcn.h>
#include <hfx.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
__attribute__((noinline, noclone)) int own_value(int number)
{
	__asm__ volatile(".nops 8" : "+r"(number));
	return number + VERSION;
}
static atomic_int running, wrong;
static size_t rounds;
static void *load(void *arg)
{
	for (size_t i = 0; i < rounds; i++) {
		void *library = dlopen(arg, i % 2 ? RTLD_NOW : RTLD_LAZY);
		int *seen = library ? dlsym(library, "seen") : NULL;
		int (*value)(int) =
			library ? (int (*)(int))dlsym(library, "library_value")
		                : NULL;

		if (!value || !seen || *seen != 2 || value(0) != 2)
			wrong++;
		if (library)
			dlclose(library);
	}
	running--;
	return NULL;
}
static bool check(struct hfx_error *err)
{
	bool is_done = !err;

	if (err && !hfx_error_is_transient(err)) {
		fprintf(stderr, "%s\n", hfx_error_message(err));
		wrong++;
	}
	hfx_error_destroy(err);
	return is_done;
}
static size_t num_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	size_t count = 0;

	while (fgets(line, sizeof(line), maps))
		count++;
	fclose(maps);
	return count;
}
int main(int argc, char **argv)
{
	struct hfx_apply_opts opts = {.sz = sizeof(opts),
	                              .flags = HFX_APPLY_WAIT};
	pthread_t threads[16];
	struct hfx_patch_id id;
	bool is_applied = false;
	size_t before = 0;

	rounds = (size_t)atoi(argv[2]);
	for (int i = 3; i < argc; i += 2)
		check(hfx_apply_bundle(argv[i], &opts, NULL));
	for (int phase = 0; phase < 2; phase++) {
		for (int i = 4; i < argc; i += 2) {
			running++;
			pthread_create(&threads[i / 2], NULL, load, argv[i]);
		}
		while (running && !wrong) {
			if (!is_applied)
				is_applied = check(hfx_apply_bundle(
					argv[1], NULL, &id));
			else
				is_applied = !check(hfx_revert(&id, NULL));
		}
		for (int i = 4; i < argc; i += 2)
			pthread_join(threads[i / 2], NULL);
		if (!phase)
			before = num_mappings();
	}
	if (num_mappings() > before + 16)
		printf("%zu mappings, %zu before\n", num_mappings(), before);
	printf("%d wrong\n", wrong);
	return wrong || num_mappings() > before + 16;
}
END
	cat >>library.c <<'END'
int number_of_this_library(void) { return NUMBER; }
END
	for version in 1 2; do
		mkdir -p "v$version"
		"$cc" -O2 -g -Wl,--build-id -DVERSION=$version crowd.c \
			-o "v$version/crowd" -ldl -pthread "${options[@]}"
		for ((i = 0; i < count; i++)); do
			"$cc" -O2 -g -fPIC -shared -Wl,--build-id -DNUMBER=$i \
				-DVERSION=$version library.c \
				-o "v$version/plugin$i.so"
		done
	done
	"$hfx_bundle" diff -q v1/crowd v2/crowd -o crowd.hfx
	plugins=()
	for ((i = 0; i < count; i++)); do
		"$hfx_bundle" diff -q v1/plugin$i.so v2/plugin$i.so -o $i.hfx
		plugins+=("$i.hfx" "v1/plugin$i.so")
	done
	timeout 300 v1/crowd crowd.hfx 40 "${plugins[@]}" >crowd.log 2>&1 ||
		die "$(cat crowd.log)"
}

# The dynamic linker is entered with little stack left, in one of two threads.
# Nobody can be in code that was mapped a moment ago: nothing has to be stopped.
a_thread_with_the_smallest_stack_can_load()
{
	build_host
	cat >small.c <<'END'
#include <dlfcn.h>
#include <hfx.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
static void *load(void *path)
{
	return dlopen(path, RTLD_NOW);
}
int main(int argc, char **argv)
{
	struct hfx_apply_opts opts = {.sz = sizeof(opts),
	                              .flags = HFX_APPLY_WAIT,
	                              .helper_path = "/nowhere/hfx-tracer"};
	struct hfx_error *err = hfx_apply_bundle(argv[1], &opts, NULL);
	pthread_attr_t attributes;
	pthread_t thread;
	void *library;

	if (err || argc != 4)
		return 1;
	if (hfx_apply_bundle(argv[3], &opts, NULL))
		return 1;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
	if (pthread_create(&thread, &attributes, load, argv[2]) ||
	    pthread_join(thread, &library) || !library)
		return 1;
	return *(int *)dlsym(library, "seen") != 3;
}
END
	"$cc" -O2 small.c -o small -pthread $(host_options)
	./small v2.hfx v1/plugin.so v3.hfx || die "the program ended with $?"
}

a_plugin_in_cpp_throws_through_new_code()
{
	[ -n "$cxx" ] || skip "no C++ compiler"
	build
	cat >plugin.cpp <<'END'
#include <stdexcept>
#include <string>
extern "C" { int seen; int library_value(int number); }
static int cleaned;
struct count { ~count() { cleaned = 1; } };
__attribute__((noipa)) static void check(int number)
{
	if (number == 0 && VERSION == 2)
		throw std::runtime_error("two");
}
__attribute__((noipa)) static int guarded(int number)
{
	count here;

	check(number);
	return VERSION;
}
int library_value(int number)
{
	try {
		return guarded(number);
	} catch (const std::exception &thrown) {
		return VERSION * cleaned *
		       (std::string(thrown.what()) == "two");
	}
}
static struct start {
	start() { seen += library_value(0); }
} start;
END
	for version in 1 2; do
		"$cxx" -O2 -g -fPIC -shared -Wl,--build-id \
			-DVERSION=$version plugin.cpp -o v$version/plugin.so
	done
	"$hfx_bundle" diff -q v1/plugin.so v2/plugin.so -o cpp.hfx
	start_preloaded cpp.hfx
	tell "load v1/plugin.so" "12 2"
	tell unload "10 0"
	tell "load v1/plugin.so" "12 2"
	nothing_was_said
}

a_static_program_is_told_that_it_cannot_wait()
{
	echo 'int main(void) { return 0; }' >static.c
	"$cc" -static static.c -o static 2>static.log ||
		skip "no static C library"
	build
	cat >host.c <<'END'
#include <hfx.h>
#include <stdio.h>
int main(int argc, char **argv)
{
	struct hfx_apply_opts opts = {.sz = sizeof(opts),
	                              .flags = HFX_APPLY_WAIT};

	(void)argc;
	puts(hfx_error_message(hfx_apply_bundle(argv[1], &opts, NULL)));
	return 0;
}
END
	"$cc" -static host.c -o host -I"$source/runtime/include" \
		-I"$source/common/include" "${libhfx%.so*}.a" \
		$(pkg-config --static --libs libarchive libsodium jansson) \
		>static.log 2>&1 || skip "no static libraries"
	./host v2.hfx >host.log || die "the program ended with $?"
	said host.log "a static program"
}

# A hook may wait for a thread that loads what is waited for: that thread cannot
# wait for the end of the change, which patches the library then.
a_change_that_waits_for_a_load_comes_to_an_end()
{
	local options

	read -ra options <<<"$(host_options)"
	cat >>server.c <<'END'
static void *load_in_thread(void *path)
{
	load(path);
	return NULL;
}
void load_and_wait(const char *path)
{
	pthread_t thread;

	pthread_create(&thread, NULL, load_in_thread, (void *)path);
	pthread_join(thread, NULL);
}
#if VERSION == 2
#include <hfx_patch.h>
HFX_POST_APPLY() { load_and_wait("v1/plugin.so"); }
#endif
END
	export CPATH=$source/runtime/include
	build "${options[@]}" -D_GNU_SOURCE
	"$hfx_bundle" diff -q v1/server v2/server -o server.hfx
	start server v1/server
	tell "wait v2.hfx" "10 0"
	tell "wait server.hfx" "22 1"
	nothing_was_said
	tell unload "20 0"
	tell "load v1/plugin.so" "22 2"
}

# New code may need a function that a library chooses when it is relocated. One
# that comes in the same dlopen() cannot be asked in it.
what_is_not_ready_in_time_is_patched_at_the_next_load()
{
	build_host
	cat >chosen.c <<'END'
#include <stdlib.h>
static int one(void) { return getenv("NEVER") ? 0 : 1; }
static int (*choose(void))(void) { return one; }
int chosen(void) __attribute__((ifunc("choose")));
int always(void) { return 0; }
END
	cat >>library.c <<'END'
int always(void);
int chosen(void);
__attribute__((noinline, noclone)) int choice(int number)
{
	__asm__ volatile(".nops 8" : "+r"(number));
#if VERSION == 2
	return number + chosen();
#else
	return number + always() * 2;
#endif
}
int (*const keep)(void) = always;
END
	sed -i 's/return number + VERSION/return choice(number) + 1/' library.c
	mkdir -p v1 v2
	"$cc" -O2 -fPIC -shared chosen.c -o v1/libchosen.so -Wl,-soname,libchosen.so
	for version in 1 2; do
		"$cc" -O2 -g -fPIC -shared -Wl,--build-id -DVERSION=$version \
			library.c -o v$version/plugin.so v1/libchosen.so \
			"-Wl,-rpath,$folder/v1"
	done
	"$hfx_bundle" diff -q v1/plugin.so v2/plugin.so -o chosen.hfx
	start server v1/server
	tell "wait chosen.hfx" "10 0"
	tell "load v1/plugin.so" "11 1"
	said server.err "is still being loaded"
	states_are plugin.so=waiting
	echo 'int nothing;' | "$cc" -shared -fPIC -x c - -o nothing.so
	tell "noise $folder/nothing.so" "12 1"
	states_are plugin.so=applied
}

# In a program with threads hfx-tracer writes the jump in the dynamic linker.
a_tracer_that_ends_early_leaves_nothing_that_waits()
{
	build_host
	cat >threads.c <<'END'
#include <dlfcn.h>
#include <hfx.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static void *stay(void *arg)
{
	pause();
	return arg;
}
int main(int argc, char **argv)
{
	struct hfx_apply_opts opts = {.sz = sizeof(opts),
	                              .flags = HFX_APPLY_WAIT,
	                              .helper_path = "/bin/true"};
	struct hfx_status status = {.sz = sizeof(status)};
	pthread_t thread;
	void *library;

	if (argc != 3 || pthread_create(&thread, NULL, stay, NULL))
		return 1;
	if (!hfx_apply_bundle(argv[1], &opts, NULL))
		return 2;
	if (hfx_get_status(&status) || status.num_waiting)
		return 3;
	library = dlopen(argv[2], RTLD_NOW);
	if (!library || *(int *)dlsym(library, "seen") != 1)
		return 4;
	dlclose(library);
	opts.helper_path = NULL;
	if (hfx_apply_bundle(argv[1], &opts, NULL))
		return 5;
	library = dlopen(argv[2], RTLD_NOW);
	return library && *(int *)dlsym(library, "seen") == 2 ? 0 : 6;
}
END
	"$cc" -O2 threads.c -o threads -pthread $(host_options)
	./threads v2.hfx v1/plugin.so || die "the program ended with $?"
}

"$case_name"
