#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Many processes, and new starts of a program.
here=$(dirname "$(realpath "$0")")
. "$here/setup.sh"
. "$here/server.sh"

# ---- apply --all -----------------------------------------------------------

all_processes_of_a_build_are_patched()
{
	local one two three

	make_bundle
	start one
	one=$pid
	start two
	two=$pid
	start other ./new/server
	"$hfx" apply "$one" fix.hfx >/dev/null
	"$hfx" apply --all --dry-run fix.hfx >all.log
	answers two 101
	"$hfx" apply --all fix.hfx >all.log
	said all.log "fix is already applied to $one (server)"
	said all.log "applied fix (1 function) to $two (server) in"
	said all.log "fix: 2 processes, applied to 1, already in 1"
	answers one 203
	answers two 203

	# One fails: something else has changed the code there.
	start three
	three=$pid
	start four
	"$hfx" revert "$one" fix >/dev/null
	gdb -nx -batch -p "$three" -ex 'set var *(char *)answer = 0x90' \
		>gdb.log 2>&1 || skip "no gdb"
	fails 1 "$hfx" apply --all fix.hfx
	said fails.log "process $three: the code of answer in process $three"
	said fails.log "fix: 4 processes, applied to 2, already in 1, failed for 1"
	answers four 203

	# With --undo-on-failure nobody gets it who had not had it before.
	"$hfx" revert "$one" fix >/dev/null
	"$hfx" revert "$pid" fix >/dev/null
	fails 1 "$hfx" apply --all --undo-on-failure fix.hfx
	said fails.log "failed for 1"
	said fails.log "reverted fix of $one (server) in"
	answers one 101
	answers two 203
	answers four 101
	fails 2 "$hfx" apply --undo-on-failure 1 fix.hfx
	fails 2 "$hfx" apply --all 1 fix.hfx
}

# The main thread may end before the others; the kernel then shows no memory for
# the number of the process.
a_process_whose_main_thread_has_ended_is_patched()
{
	cat >server.c <<'END'
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef HOST
#include <hfx.h>
#endif
__attribute__((noipa)) int answer(int number)
{
	while (number < 0)
		usleep(1000);
#ifdef NEW
	return number * 3 + 200;
#else
	return number * 7 % 5 + 99;
#endif
}
static void *stay(void *arg)
{
	answer(-1);
	return arg;
}
static void apply(const char *path)
{
#ifdef HOST
	const struct hfx_apply_opts opts = {
		.sz = sizeof(opts), .timeout_ms = 20000};
	struct hfx_error *err = hfx_apply_bundle(path, &opts, NULL);

	fprintf(stderr, "%s\n", err ? hfx_error_message(err) : "applied");
	hfx_error_destroy(err);
#else
	(void)path;
#endif
}
static void *serve(void *arg)
{
	char line[64];
	pthread_t thread;

	while (fgets(line, sizeof(line), stdin)) {
		if (!strncmp(line, "stay", 4))
			pthread_create(&thread, NULL, stay, NULL);
		else if (!strncmp(line, "apply", 5))
			apply(arg);
		printf("%d\n", answer(1));
	}
	_exit(0);
}
static void *sleep_on(void *arg)
{
	for (;;)
		sleep(1);
	return arg;
}
int main(int argc, char **argv)
{
	pthread_t thread;

	setvbuf(stdout, NULL, _IOLBF, 0);
	pthread_create(&thread, NULL, sleep_on, NULL);
	pthread_create(&thread, NULL, serve, argc > 1 ? argv[1] : NULL);
	pthread_exit(NULL);
}
END
	make_bundle -pthread
	start one
	until grep -q '^State:.*Z' "/proc/$pid/status"; do sleep 0.01; done
	"$hfx" check -q "$pid" fix.hfx
	"$hfx" apply --timeout 20000 "$pid" fix.hfx >apply.log
	said apply.log "applied fix (1 function) to $pid (server) in"
	answers one 203
	"$hfx" list "$pid" >list.log
	grep -q '^fix .*applied' list.log || die "$(cat list.log)"
	"$hfx" status fix.hfx >status.log
	grep -q "^ *$pid .*applied" status.log || die "$(cat status.log)"
	"$hfx" perf-map -q "$pid"
	grep -q answer "/tmp/perf-$pid.map" || die "no perf map"
	rm -f "/tmp/perf-$pid.map"
	"$hfx" revert -q --timeout 20000 "$pid" fix
	answers one 101
	# The stacks of the others are looked at all the same.
	echo stay >&"$to_one"
	read -r -t 20 line <&"$from_one" || die "no answer"
	for _ in $(seq 20); do
		fails 1 "$hfx" apply "$pid" fix.hfx
		# The last try may have failed for another reason.
		grep -q 'did not stop in time' fails.log || break
	done
	said fails.log "(server) in answer at server.c:"
	answers one 101

	# shellcheck disable=SC2046 # options of their own
	make_bundle -pthread $(host_options)
	start host ./old/server fix.hfx
	until grep -q '^State:.*Z' "/proc/$pid/status"; do sleep 0.01; done
	echo apply >&"$to_host"
	read -r -t 20 line <&"$from_host" || die "no answer"
	said host.err applied
	answers host 203
}

# Stopping the threads of a tracer must not tell it of stops of its tracee that
# are none, and takes none from it.
a_program_that_traces_another_goes_on()
{
	local tracee

	cat >server.c <<'END'
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
static atomic_long stops, wrong, tracee;
__attribute__((noipa)) int answer(int number)
{
#ifdef NEW
	return number * 3 + 200;
#else
	return number * 7 % 5 + 99;
#endif
}
static void be_traced(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	for (;;)
		getppid();
}
static void *trace(void *arg)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		be_traced();
	prctl(PR_SET_NAME, "tracer");
	waitpid(pid, &status, 0);
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD);
	for (;;) {
		tracee = pid;
		if (ptrace(PTRACE_SYSCALL, pid, 0, 0) ||
		    waitpid(pid, &status, 0) != pid ||
		    status != ((SIGTRAP | 0x80) << 8 | 0x7f))
			wrong++;
		stops++;
	}
	return arg;
}
int main(void)
{
	char line[64];
	pthread_t thread;

	setvbuf(stdout, NULL, _IOLBF, 0);
	pthread_create(&thread, NULL, trace, NULL);
	while (!tracee)
		usleep(1000);
	while (fgets(line, sizeof(line), stdin)) {
		long before = stops;

		while (stops < before + 100)
			usleep(100);
		printf("%d %ld %ld\n", answer(1), (long)wrong, (long)tracee);
	}
	return 0;
}
END
	make_bundle -pthread
	start one
	tracee=$(ask one)
	tracee=${tracee##* }
	for _ in $(seq 20); do
		"$hfx" apply -q --timeout 20000 "$pid" fix.hfx
		"$hfx" revert -q --timeout 20000 "$pid" fix
	done
	answers one "101 0 $tracee"
	"$hfx" apply -q --timeout 20000 "$pid" fix.hfx
	answers one "203 0 $tracee"
	# What it traces cannot be traced by another.
	fails 1 "$hfx" apply "$tracee" fix.hfx
	said fails.log "is traced by process $pid (server)"
	answers one "203 0 $tracee"
}

# An error that begins with the process is not given it once more.
a_process_that_fails_is_named_once()
{
	# main() changes, too, and waits for a line all the time.
	sed -i 's/printf("%d/printf(N "%d/; s/^#ifdef NEW/&\n#define N "new "/
		s/^#include <stdio.h>/&\n#ifndef NEW\n#define N ""\n#endif/' server.c
	make_bundle
	start one
	fails 1 "$hfx" apply --all --timeout 5000 fix.hfx
	said fails.log "hfx: process $pid is inside functions"
}

# A server whose children come and go all the time.
processes_that_are_forked_meanwhile_are_patched_too()
{
	cat >server.c <<'END'
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((noipa)) int answer(int number)
{
#ifdef NEW
	return number * 3 + 200;
#else
	return number * 7 % 5 + 99;
#endif
}
int main(void)
{
	for (int i = 0;; i++) {
		pid_t pid = fork();

		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			sleep(1);
			_exit(answer(i) == 0);
		}
		usleep(50000);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
END
	make_bundle
	./old/server &
	pid=$!
	pids+=("$pid")
	sleep 1
	"$hfx" apply --all fix.hfx >all.log 2>&1 || die "$(cat all.log)"
	"$hfx" status --json fix.hfx >status.json
	json_is status.json 'len(d["processes"]) > 3' True
	json_is status.json 'set(p["state"] for p in d["processes"])' \
		"{'applied'}"
}

# As in a container: another pid, another root folder, the same kernel.
a_process_in_other_namespaces_is_reached()
{
	mkdir -p root/tmp
	unshare --pid --fork --mount true 2>/dev/null ||
		skip "no right to make namespaces"
	make_bundle -static-pie
	cp old/server root/server
	start one unshare --pid --fork --mount chroot root /server
	answers one 101
	"$hfx" apply --all fix.hfx >all.log
	said all.log "fix: 1 process, applied to 1"
	answers one 203
	"$hfx" status --json fix.hfx >status.json
	pid=$(json status.json 'd["processes"][0]["pid"]')
	pids+=("$pid")
	"$hfx" perf-map "$pid" >map.log
	said map.log "/tmp/perf-1.map"
	grep -qE '^[0-9a-f]+ [0-9a-f]+ added$' root/tmp/perf-1.map ||
		die "no map: $(ls root/tmp)"

	# Its /tmp leads elsewhere: not followed.
	rm -r root/tmp
	ln -s "$folder" root/tmp
	fails 1 "$hfx" perf-map "$pid"
	said fails.log "cannot open the folder /tmp of process $pid"
}

# ---- persist ---------------------------------------------------------------

persisted_bundles_reach_new_starts()
{
	local state=$folder/state
	local run="env LD_PRELOAD=$libhfx HFX_PERSIST_DIR=$state"

	umask 077
	make_bundle
	"$hfx" persist --dir "$state" --list >list.log
	said list.log "no bundles in $state"
	"$hfx" persist --dir "$state" fix.hfx >persist.log
	said persist.log "installed $state/"
	said persist.log "/0001-fix.hfx"
	[ "$(stat -c %a "$state" "$state"/*/*)" = "755
644" ] || die "services cannot read it: $(ls -lR "$state")"
	"$hfx" persist --dir "$state" --list >list.log
	grep -qE "^fix +- +[0-9a-f]{12} +server +[0-9a-f]+\$" list.log ||
		die "$(cat list.log)"
	"$hfx" persist --dir "$state" --list --json >list.json
	json_is list.json '[(b["name"], b["file"]) for b in d["bundles"]]' \
		"[('fix', '0001-fix.hfx')]"
	fails 1 "$hfx" persist --dir "$state" fix.hfx
	said fails.log "installed in"

	# shellcheck disable=SC2086 # words
	start preloaded $run ./old/server
	answers preloaded 203
	"$hfx" list "$pid" >list.log
	said list.log "applied"
	# shellcheck disable=SC2086 # words
	start off $run HFX_PERSIST=0 ./old/server
	answers off 101
	start plain
	answers plain 101

	fails 1 "$hfx" persist --dir "$state" --remove other
	"$hfx" persist --dir "$state" --remove fix >remove.log
	said remove.log "removed $state/"
	[ -z "$(ls "$state")" ] || die "something is left: $(ls -R "$state")"
	# shellcheck disable=SC2086 # words
	start later $run ./old/server
	answers later 101
	answers preloaded 203
	fails 2 "$hfx" persist
	fails 2 "$hfx" persist --list --remove fix
	fails 2 "$hfx" persist --dir "$state" old/server
}

persisted_bundles_are_for_one_build_and_from_one_owner()
{
	local state=$folder/state build
	local run="env LD_PRELOAD=$libhfx HFX_PERSIST_DIR=$state"

	make_bundle -Wl,--no-as-needed "$libhfx" \
		-Wl,-rpath,"$(dirname "$libhfx")"
	"$hfx" persist -q --dir "$state" fix.hfx >persist.log
	[ ! -s persist.log ] || die "-q is not quiet"
	build=$(ls "$state")

	# Linked is as good as preloaded; another build is none of its business.
	start linked env HFX_PERSIST_DIR="$state" ./old/server
	answers linked 203
	# shellcheck disable=SC2086 # words
	start new $run ./new/server
	[ ! -s new.err ] || die "$(cat new.err)"
	"$hfx" list "$pid" >list.log
	said list.log "no patches"

	chmod go+w "$state/$build"
	# shellcheck disable=SC2086 # words
	start writable $run ./old/server
	answers writable 101
	said writable.err "can be written by others"
	fails 1 "$hfx" persist --dir "$state" --list
	chmod go-w "$state/$build"
	chmod go+w "$state/$build/0001-fix.hfx"
	# shellcheck disable=SC2086 # words
	start writable_file $run ./old/server
	answers writable_file 101
	chmod go-w "$state/$build/0001-fix.hfx"

	if [ "$(id -u)" = 0 ]; then
		chown -R nobody "$state/$build"
		# shellcheck disable=SC2086 # words
		start stranger $run ./old/server
		answers stranger 101
		said stranger.err "belongs to user"
		chown -R root "$state/$build"

		# More rights than the user: not at all.
		chown nobody old/server
		chmod u+s old/server
		start setuid env HFX_PERSIST_DIR="$state" ./old/server
		answers setuid 101
		[ ! -s setuid.err ] || die "$(cat setuid.err)"
	fi
}

"$case_name"
