#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Processes behind borders: other users, namespaces, seccomp; and doctor, which
# says what stops hfx.
here=$(dirname "$(realpath "$0")")
. "$here/setup.sh"
. "$here/server.sh"

# ---- processes behind borders ----------------------------------------------

# As some user without any rights.
as_nobody='setpriv --reuid=65534 --regid=65534 --clear-groups'

need_root()
{
	[ "$(id -u)" = 0 ] && $as_nobody true 2>/dev/null &&
		unshare --pid --fork --mount-proc true 2>/dev/null ||
		skip "needs root, setpriv and namespaces"
	chmod 755 .
}

# users_may_trace: whether Yama lets them trace what is not their child.
users_may_trace()
{
	[ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" = 0 ]
}

# works_on NAME PID [COMMAND...]: apply and revert, run by the command.
works_on()
{
	local name=$1 process=$2

	shift 2
	answers "$name" 101
	"$@" "$hfx" apply -q --timeout 20000 "$process" fix.hfx
	answers "$name" 203
	"$@" "$hfx" list "$process" | grep -q applied
	"$@" "$hfx" revert -q --timeout 20000 "$process" fix
	answers "$name" 101
}

# fails_on NAME PID TEXT COMMAND...: hfx, run so, refuses with this text.
fails_on()
{
	local name=$1 process=$2 text=$3

	shift 3
	fails 1 "$@" "$hfx" apply "$process" fix.hfx
	said fails.log "$text"
	answers "$name" 101
}

# child_of PID: its only child.
child_of()
{
	local children

	for _ in $(seq 500); do
		children=$(cat "/proc/$1/task/$1/children")
		[ -n "$children" ] && break
		sleep 0.01
	done
	echo "${children% }"
}

# A server that began as root, as many do: its files in /proc are root's.
borders_a_program_that_gave_up_root_is_told_how_to_patch_itself()
{
	local options

	need_root
	cat >host.c <<'END'
#define _GNU_SOURCE
#include <hfx.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>
__attribute__((noipa)) int answer(void)
{
#ifdef NEW
	return 203;
#else
	return 101;
#endif
}
static void apply(const char *path)
{
	struct hfx_error *err = hfx_apply_bundle(path, NULL, NULL);

	printf("%d: %s\n", answer(), err ? hfx_error_message(err) : "applied");
	hfx_error_destroy(err);
}
int main(int argc, char **argv)
{
	if (argc < 2 || setresgid(65534, 65534, 65534) ||
	    setresuid(65534, 65534, 65534))
		return 1;
	apply(argv[1]);
	if (prctl(PR_SET_DUMPABLE, 1))
		return 1;
	apply(argv[1]);
	return 0;
}
END
	read -r -a options <<<"$(host_options)"
	"$cc" -O2 -g host.c -o before "${options[@]}"
	"$cc" -O2 -g -DNEW host.c -o after "${options[@]}"
	"$hfx_bundle" diff before after -o fix.hfx >diff.log 2>&1 ||
		die "$(cat diff.log)"
	./before fix.hfx >host.log
	said host.log "101: fix.hfx: process "
	said host.log "may not open its own memory: it is not dumpable"
	said host.log "set PR_SET_DUMPABLE to 1 for this call"
	said host.log "203: applied"
}

borders_other_users_and_setuid()
{
	need_root
	make_bundle
	start theirs $as_nobody ./old/server
	works_on theirs "$pid"
	if users_may_trace; then
		works_on theirs "$pid" $as_nobody
	fi
	start ours ./old/server
	fails_on ours "$pid" 'it runs as user 0' $as_nobody

	# Real and effective user differ, as in su or sudo.
	cp old/server setuid
	chmod 4755 setuid
	if grep -qE ' / .*nosuid' /proc/mounts || [ -z "$(find . -maxdepth 0 \
		-perm -001)" ]; then
		skip "files here are not setuid"
	fi
	start setuid $as_nobody ./setuid
	[ "$(stat -c %u "/proc/$pid")" = 0 ] || skip "files are not setuid here"
	works_on setuid "$pid"
	fails_on setuid "$pid" "is forbidden: it runs as user 65534" $as_nobody
}

# What belongs to others is no failure, whoever traces it.
borders_traced_processes_of_others_are_only_not_seen()
{
	need_root
	make_bundle
	start ours ./old/server
	cat >tracer.c <<'END'
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	if (argc < 2 || ptrace(PTRACE_SEIZE, atoi(argv[1]), 0, 0))
		return 1;
	pause();
}
END
	"$cc" tracer.c -o tracer
	./tracer "$pid" &
	for _ in $(seq 500); do
		grep -q "^TracerPid:.$!$" "/proc/$pid/status" && break
		sleep 0.01
	done
	fails_on ours "$pid" 'it runs as user 0' $as_nobody
	$as_nobody "$hfx" status fix.hfx >status 2>status.err
	said status 'no process has loaded what the bundle is for'
	said status.err 'CAP_SYS_PTRACE shows all'
	fails 1 "$hfx" apply "$pid" fix.hfx
	said fails.log "is traced by process $!"
	kill $!
}

borders_seccomp_and_no_new_privs()
{
	need_root
	cat >box.c <<'END'
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
/* Reading and writing is all that is left. */
__attribute__((constructor)) static void enter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_newfstatat, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {6, code};
	static char heap[65536];

	(void)heap;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}
END
	# Buffers without brk(): the heap must not grow in the box.
	sed -i 's/char line\[64\];/char line[64]; static char in[64], out[64];/
		s/setvbuf(stdout, NULL, _IOLBF, 0);/setvbuf(stdout, out, _IOLBF, 64); setvbuf(stdin, in, _IOFBF, 64);/' server.c
	make_bundle box.c
	start boxed ./old/server
	grep -q 'Seccomp:.*2' "/proc/$pid/status" || die "it is not in a box"
	works_on boxed "$pid"
	start both $as_nobody ./old/server
	if users_may_trace; then
		fails_on both "$pid" 'under seccomp, which can only' $as_nobody
		works_on both "$pid"
		# The memory is there by now: it need not call the kernel.
		works_on both "$pid" $as_nobody
	fi
	works_on both "$pid"
	"$cc" -O2 -g -fPIE -pie -Wl,--build-id server.c -o old/server
	"$cc" -O2 -g -fPIE -pie -Wl,--build-id -DNEW server.c -o new/server
	"$hfx_bundle" diff -q old/server new/server -o fix.hfx >/dev/null
	start calm $as_nobody --no-new-privs ./old/server
	works_on calm "$pid"
}

borders_namespaces_and_chroot()
{
	local inner

	need_root
	make_bundle
	start contained unshare --pid --fork --mount-proc --uts --ipc --net \
		./old/server
	inner=$(child_of "$pid")
	pids+=("$inner")
	works_on contained "$inner"
	start mapped $as_nobody unshare --user --map-root-user ./old/server
	works_on mapped "$pid"

	# Nothing but the program is in there: no libraries, no /proc.
	make_bundle -static-pie
	mkdir jail
	cp old/server jail
	start jailed chroot jail ./server
	works_on jailed "$pid"
	start jailed_user chroot --userspec=65534:65534 jail ./server
	works_on jailed_user "$pid"
}

borders_proc_of_others_is_not_used()
{
	need_root
	make_bundle
	start one
	# The numbers of this /proc are of no use to who has other pids.
	fails_on one "$pid" "/proc is that of another pid namespace" \
		unshare --pid --fork
	fails_on one "$pid" "/proc is not mounted here" \
		unshare -m sh -c 'mount -t tmpfs none /proc && exec "$@"' sh
	fails_on one "$pid" "no process $pid" unshare --pid --fork --mount-proc
	cat >start.sh <<END
export HFX_BUNDLES=fix.hfx LD_PRELOAD=$libhfx
echo | ./old/server
END
	unshare --pid --fork sh start.sh >start.log 2>&1
	said start.log "/proc is that of another pid namespace"
	said start.log 101
}

borders_files_of_the_process_are_not_opened()
{
	need_root
	make_bundle
	start one
	# Whoever opens it now waits for a writer.
	rm old/server
	mkfifo old/server
	timeout 60 "$hfx" apply -q "$pid" fix.hfx
	answers one 203
	timeout 60 "$hfx" revert -q "$pid" fix
	# In its own mounts, the same path is something else for the process.
	mkdir theirs
	cp new/server theirs/server
	rm old/server
	make_bundle
	start two unshare -m sh -c 'mount --bind old theirs &&
		exec ./theirs/server'
	grep -q theirs/server "/proc/$pid/maps" || die "not at that path"
	works_on two "$pid"
}

borders_source_lines_are_not_looked_for_where_others_write()
{
	need_root
	command -v strace >/dev/null || skip "no strace"
	# It stays in what changes, so that the error tells where.
	cat >server.c <<'END'
#include <stdio.h>
#include <unistd.h>
#ifdef NEW
#define TEXT "new"
#else
#define TEXT "old"
#endif
__attribute__((noinline)) int loop(int number)
{
	for (;;) {
		char byte;

		if (read(0, &byte, 1) != 1)
			return number;
		puts(TEXT);
	}
}
int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	return loop(1);
}
END
	make_bundle
	start ours
	fails 1 strace -o trace.log "$hfx" apply --timeout 100 "$pid" fix.hfx
	said fails.log "server.c:"
	said trace.log '"server", O_RDONLY'

	mkdir home
	mv old/server home
	echo secret >trap
	chown -R 65534:65534 home
	start theirs $as_nobody home/server
	ln -sf "$PWD/trap" home/server
	fails 1 strace -o trace.log "$hfx" apply --timeout 100 "$pid" fix.hfx
	said fails.log "loop"
	if grep -E '^open.*(trap|/root/|"server")' trace.log; then
		die "it was opened"
	fi
}

# ---- doctor ----------------------------------------------------------------

doctor_names_what_stops_it()
{
	make_bundle
	start one
	"$hfx" doctor "$pid" >doctor.log ||
		die "this machine stops hfx: $(cat doctor.log)"
	said doctor.log "$pid can be patched"
	"$hfx" doctor --json >doctor.json
	json_is doctor.json 'd["works"]' True
	answers one 101

	fails 1 "$hfx" doctor 999999999
	said fails.log "no process 999999999"
	if [ "$(id -u)" = 0 ]; then
		setpriv --no-new-privs --reuid=65534 --regid=65534 \
			--clear-groups "$hfx" doctor >user.log || true
		said user.log "no CAP_SYS_PTRACE"
		said user.log "no_new_privs is set"
		fails 1 setpriv --reuid=65534 --regid=65534 --clear-groups \
			"$hfx" doctor "$pid"
		said fails.log "tracing process $pid is forbidden"
	fi
}

doctor_sees_the_sandbox_it_is_in()
{
	cat >sandbox.c <<'END'
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
/* Run a program that may not use ptrace. */
int main(int argc, char **argv)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, filter};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (argc < 2 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 77;
	execv(argv[1], argv + 1);
	return 77;
}
END
	"$cc" sandbox.c -o sandbox
	# Looking for leaks takes ptrace, too.
	export ASAN_OPTIONS=detect_leaks=0
	fails 1 ./sandbox "$hfx" doctor
	grep -qE "^note +seccomp " fails.log || die "$(cat fails.log)"
	grep -qE "^note +privileges +no_new_privs" fails.log ||
		die "$(cat fails.log)"
	grep -qE "^stop +trial .*seccomp" fails.log || die "$(cat fails.log)"
	fails 1 ./sandbox "$hfx" doctor --json
	json_is fails.log 'd["works"]' False

	unshare --mount --user --map-root-user true 2>/dev/null || return 0
	unshare --user --map-root-user "$hfx" doctor >user.log
	grep -qE "^note +namespace " user.log || die "$(cat user.log)"
	[ "$(id -u)" = 0 ] || return 0
	unshare --mount --pid --fork sh -c "mount -t proc -o hidepid=2 p /proc &&
		exec setpriv --reuid=65534 --clear-groups '$hfx' doctor" \
		>hide.log 2>&1 || die "$(cat hide.log)"
	grep -qE "^note +proc .*hidepid=" hide.log || die "$(cat hide.log)"
}

"$case_name"
