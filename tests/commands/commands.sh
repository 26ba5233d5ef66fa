#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The command `hfx`, on processes that run.
#
#	commands.sh CASE HFX HFX_BUNDLE LIBHFX CC SOURCE CXX
#
# CASE is one of the functions below. It works in a temporary folder, which is
# kept if HFX_KEEP_SANDBOX is set.
set -euo pipefail

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
	echo "commands.sh $case_name: $*" >&2
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

# A program that answers each line with a number: a function that changes,
# reached by a pointer so that nothing is inlined, and one that only NEW has.
cat >server.c <<'END'
#include <stdio.h>
#ifdef HOST
#include <hfx.h>
#endif
#ifdef NEW
__attribute__((noinline)) int added(int number)
{
	number *= 3;
	__asm__ volatile("" ::: "memory");
	return number;
}
#endif
__attribute__((noinline)) int answer(int number)
{
#ifdef NEW
	return added(number) + 200;
#else
	__asm__ volatile("" : "+r"(number));
	return number * 7 % 5 + 99;
#endif
}
int main(int argc, char **argv)
{
	char line[64];

#ifdef HOST
	struct hfx_error *err = hfx_apply_bundle(argv[1], NULL, NULL);

	if (err) {
		fprintf(stderr, "%s\n", hfx_error_message(err));
		return 1;
	}
#endif
	(void)argc;
	(void)argv;
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin))
		printf("%d\n", answer(1));
	return 0;
}
END

# build [OPTION...]: old/server and new/server.
build()
{
	mkdir -p old new
	"$cc" -O2 -g -fPIE -pie -Wl,--build-id server.c -o old/server "$@"
	"$cc" -O2 -g -fPIE -pie -Wl,--build-id -DNEW server.c -o new/server \
		"$@"
}

make_bundle()
{
	build "$@"
	"$hfx_bundle" diff old/server new/server -o fix.hfx >diff.log 2>&1 ||
		die "$(cat diff.log)"
}

# For a program that applies the bundle of its first argument.
host_options()
{
	echo "-DHOST -I$source/runtime/include -I$source/common/include" \
		"$libhfx -Wl,-rpath,$(dirname "$libhfx")"
}

# start NAME [COMMAND...]: a process with its pid in $pid, and its input and
# output at NAME.in and NAME.out.
start()
{
	local name=$1

	shift
	mkfifo "$name.in" "$name.out"
	"${@:-./old/server}" <"$name.in" >"$name.out" 2>"$name.err" &
	pid=$!
	pids+=("$pid")
	exec {to}>"$name.in" {from}<"$name.out"
	eval "to_$name=$to from_$name=$from"
	ask "$name" >/dev/null
}

# ask NAME: what the process answers now.
ask()
{
	local to=to_$1 from=from_$1 line

	echo >&"${!to}"
	read -r -t 20 line <&"${!from}" || die "$1 does not answer"
	echo "$line"
}

# answers NAME NUMBER
answers()
{
	local line

	line=$(ask "$1")
	[ "$line" = "$2" ] || die "$1 answers $line, not $2"
}

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

# ---- check ------------------------------------------------------------------

check_says_whether_a_bundle_would_apply()
{
	make_bundle
	start one
	"$hfx" check "$pid" fix.hfx >check.log
	said check.log "fix would apply to $pid (server)"
	[ -z "$("$hfx" check -q "$pid" fix.hfx)" ] || die "-q is not quiet"
	"$hfx" check --json "$pid" fix.hfx >check.json
	json_is check.json 'd["applies"], d["code"], d["reason"]' \
		"(True, 'none', None)"

	"$hfx" apply "$pid" fix.hfx >apply.log
	"$hfx" list --json "$pid" >list.json
	json_is list.json \
		'[c["name"] for c in d["patches"][0]["other_code"]]' "['added']"
	json_is list.json 'd["patches"][0]["symbols"]' True
	fails 1 "$hfx" check "$pid" fix.hfx
	said fails.log "would not apply to $pid (server): fix is already applied"
	fails 1 "$hfx" check --json "$pid" fix.hfx
	json_is fails.log 'd["applies"], d["code"]' \
		"(False, 'already-applied')"

	start two ./new/server
	fails 1 "$hfx" check --json "$pid" fix.hfx
	json_is fails.log 'd["code"]' build-mismatch
	echo "no bundle" >bad.hfx
	fails 2 "$hfx" check "$pid" bad.hfx
	fails 2 "$hfx" check "$pid"
	fails 2 "$hfx" check x fix.hfx
}

check_sees_threads_inside_when_it_may_stop_them()
{
	make_bundle
	start one
	"$hfx" check --stop "$pid" fix.hfx >check.log
	grep -qE "^fix would apply to $pid \(server\) in [0-9.]+ .s pause, 1 thread\$" \
		check.log || die "$(cat check.log)"
	"$hfx" check --stop --json "$pid" fix.hfx >check.json
	json_is check.json 'd["applies"], d["pause_ns"] > 0' "(True, True)"
	answers one 101

	# main() waits for a line all the time.
	sed -i 's/printf("%d/printf(N "%d/; s/^#ifdef NEW/&\n#define N "new "/
		s/^#include <stdio.h>/&\n#ifndef NEW\n#define N ""\n#endif/' server.c
	make_bundle
	start two
	cp "/proc/$pid/maps" before
	"$hfx" check "$pid" fix.hfx >check.log
	fails 1 "$hfx" check --stop --timeout 100 "$pid" fix.hfx
	said fails.log "fix would not apply to $pid (server):"
	said fails.log "main"
	fails 1 "$hfx" check --stop --timeout 100 --json "$pid" fix.hfx
	json_is fails.log 'd["code"], d["transient"]' "('not-quiescent', True)"
	cmp before "/proc/$pid/maps" || die "mappings have changed"
	answers two 101
}

check_leaves_the_process_as_it_was()
{
	make_bundle
	start one
	cp "/proc/$pid/maps" before
	"$hfx" check "$pid" fix.hfx >/dev/null
	cmp before "/proc/$pid/maps" || die "mappings have changed"
	answers one 101
	"$hfx" list "$pid" >list.log
	said list.log "no patches"
}

# ---- apply ------------------------------------------------------------------

# cannot CODE PID BUNDLE TEXT: the process gets no patch, and TEXT says why.
cannot()
{
	fails "$1" "$hfx" apply "$2" "$3"
	said fails.log "$4"
	[ "$(wc -l <fails.log)" = 1 ] || die "$(cat fails.log)"
}

apply_says_what_is_wrong()
{
	local one other

	make_bundle
	start one
	one=$pid
	start other ./new/server
	other=$pid

	head -c 700 fix.hfx >cut.hfx
	cannot 2 "$one" cut.hfx 'cut.hfx: truncated or damaged'
	python3 - <<-END
	data = bytearray(open("fix.hfx", "rb").read())
	data[len(data) // 2] ^= 1
	open("altered.hfx", "wb").write(data)
	END
	cannot 2 "$one" altered.hfx 'altered.hfx: '
	: >empty.hfx
	cannot 2 "$one" empty.hfx 'empty.hfx: not an hfx bundle'
	cannot 2 "$one" old/server 'old/server: not an hfx bundle'
	cannot 2 "$one" none.hfx 'none.hfx: No such file'
	cannot 2 server fix.hfx "'server' is no process id"

	cannot 1 "$other" fix.hfx "but process $other runs "
	cannot 1 999999999 fix.hfx 'no process 999999999'
	cat >narrow.c <<-'END'
	void _start(void)
	{
		for (;;) __asm__ volatile("int $0x80" : : "a"(29 /* pause */));
	}
	END
	if "$cc" -m32 -nostdlib -static -fno-pie -no-pie -ffreestanding \
		narrow.c -o narrow 2>narrow.log; then
		./narrow &
		pids+=($!)
		cannot 1 $! fix.hfx '32-bit'
	fi

	"$hfx" list "$one" >list.log
	said list.log 'no patches'
	answers one 101
	"$hfx" apply "$one" fix.hfx >apply.log
	answers one 203
	cannot 1 "$one" fix.hfx 'fix is already applied'
	answers one 203
	answers other 203
}

# ---- the log ----------------------------------------------------------------

# logged NUMBER PATTERN: so many lines of log match, as extended expression.
logged()
{
	local got

	got=$(grep -cE -- "$2" log || true)
	[ "$got" = "$1" ] || die "$got lines, not $1, like '$2' in: $(cat log)"
}

audit_tells_who_did_what_to_which_process()
{
	local id who

	make_bundle
	start one
	id=$("$hfx_bundle" show fix.hfx | sed -n 's/^  id  *//p')
	who="user=$(id -ru) euser=$(id -u) login=[a-z0-9]+"
	who+=" pid=$pid owner=$(id -u) comm=\"server\" name=\"fix\" id=$id"
	"$hfx" apply -q --log-file log "$pid" fix.hfx
	logged 1 "^[-0-9]+T[0-9:]+Z hfx\[[0-9]+\]: apply result=started $who"
	logged 1 "apply result=applied $who bundle=\"fix.hfx\" pause_us=[0-9]+ "
	logged 2 ''
	fails 1 "$hfx" apply --log-file log "$pid" fix.hfx
	logged 1 "apply result=failed $who .* code=30 error=\".*already applied"
	"$hfx" revert -q --log-file log "$pid" fix
	logged 1 "revert result=reverted $who pause_us=[0-9]+ threads=1$"
	fails 1 "$hfx" revert --log-file log "$pid" fix
	logged 1 'revert result=failed .* name="fix" code=31 error='
	"$hfx" apply -q --log-file log "$pid" fix.hfx
	"$hfx" revert -q --all --log-file log "$pid"
	logged 2 "revert result=reverted $who"
	: >log
	# What changes nothing is not told, but what was refused is.
	"$hfx" apply -q --dry-run --log-file log "$pid" fix.hfx
	logged 0 ''
	"$hfx_bundle" keygen -W key >/dev/null
	fails 1 "$hfx" apply --trust key.pub --log-file log "$pid" fix.hfx
	logged 1 'apply result=failed .* code=14 error=".*not signed'
	"$hfx_bundle" sign --sign-key key.key fix.hfx >/dev/null
	"$hfx" apply -q --trust key.pub --log-file log "$pid" fix.hfx
	logged 1 'apply result=applied .* signer="key"'
}

audit_lines_hold_nothing_that_could_forge_one()
{
	local odd=$'a"\n\e[2J\\ \xc3\xbc'

	make_bundle
	cp old/server "$odd"
	cp fix.hfx "$odd.hfx"
	start one "./$odd"
	"$hfx" apply -q --log-file log "$pid" "$odd.hfx"
	[ "$(wc -l <log)" = 2 ] || die "$(cat log)"
	[ -z "$(tr -d '\n -~' <log)" ] || die "control characters: $(cat log)"
	said log 'bundle="a\x22\x0a\x1b[2J\x5c \xc3\xbc.hfx"'
	fails 2 "$hfx" apply --log-file log "$pid" $'x\nhfx[1]: apply'
	[ "$(wc -l <log)" = 3 ] || die "$(cat log)"
}

audit_comes_before_the_change_when_it_cannot_be_written()
{
	make_bundle
	start one
	fails 2 "$hfx" apply --log-file no/log "$pid" fix.hfx
	said fails.log "cannot open the log no/log"
	answers one 101
	"$hfx" apply -q "$pid" fix.hfx
	fails 2 "$hfx" revert --log-file no/log "$pid" fix
	answers one 203
	# A full disk does not undo what was done, and is told.
	"$hfx" revert --log-file /dev/full "$pid" fix >done.log 2>&1
	said done.log "the log was not written: No space left"
	answers one 101
}

audit_goes_to_syslog()
{
	[ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null ||
		skip "needs root and mount namespaces"
	make_bundle
	start one
	cat >catch.py <<'END'
import os, socket, subprocess, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind("/dev/log")
log.settimeout(20)
status = subprocess.run(sys.argv[1:]).returncode
for i in range(2):
    print(log.recv(8192).decode())
sys.exit(status)
END
	unshare -m sh -c 'mount -t tmpfs none /dev && exec python3 "$@"' sh \
		catch.py "$hfx" apply -q "$pid" fix.hfx >log
	# authpriv is 10, a notice 5: RFC 3164.
	logged 1 "^<85>.* hfx\[[0-9]+\]: apply result=started .* pid=$pid "
	logged 1 "^<85>.* hfx\[[0-9]+\]: apply result=applied .* pause_us="
	answers one 203
}

# ---- processes behind borders -----------------------------------------------

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

# ---- doctor -----------------------------------------------------------------

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

# ---- status -----------------------------------------------------------------

status_finds_the_processes_a_bundle_is_for()
{
	local one two

	make_bundle
	start one
	one=$pid
	start two
	two=$pid
	start other ./new/server
	"$hfx" apply "$one" fix.hfx >/dev/null
	"$hfx" status fix.hfx >status.log
	grep -qE "^ *$one  server +applied +$folder/old/server\$" status.log ||
		die "$(cat status.log)"
	grep -qE "^ *$two  server +fits +$folder/old/server\$" status.log ||
		die "$(cat status.log)"
	! grep -q "^ *$pid " status.log || die "$(cat status.log)"

	"$hfx" status --json fix.hfx >status.json
	json_is status.json \
		'[(p["pid"], p["state"]) for p in d["processes"]]' \
		"[($one, 'applied'), ($two, 'fits')]"
	json_is status.json 'd["bundle"]["name"]' fix
	"$hfx" revert "$one" fix >/dev/null
	"$hfx" status --json fix.hfx >status.json
	json_is status.json 'd["processes"][0]["state"]' reverted

	# Without a bundle: all that carry patches, others' tests' too.
	"$hfx" apply "$two" fix.hfx >/dev/null
	"$hfx" status >status.log
	grep -qE "^ *$two  server +applied +fix" status.log ||
		die "$(cat status.log)"
	grep -qE "^ *$one  server +reverted +fix" status.log ||
		die "$(cat status.log)"
	"$hfx" status --json >status.json
	json_is status.json \
		"[p['patches'][0]['name'] for p in d['processes'] if p['pid'] == $two]" \
		"['fix']"
	fails 2 "$hfx" status a b
}

# ---- gdb --------------------------------------------------------------------

needs_gdb()
{
	gdb -nx -batch -ex 'python gdb.BreakpointLocation' >gdb.version 2>&1 &&
		! grep -q Error gdb.version || skip "no gdb 13 with Python"
}

# debug NAME COMMAND...: gdb attached to the process of NAME, with the script.
# The command `input` gives the process a line.
debug()
{
	local name=$1

	shift
	{
		echo "define input"
		echo "shell echo >$name.in"
		echo "end"
		echo "source $source/runtime/gdb/hfx-gdb.py"
		printf '%s\n' "$@" detach
	} >gdb.commands
	timeout 60 gdb -nx -batch -p "$pid" -x gdb.commands \
		>gdb.log 2>&1 </dev/null || die "$(cat gdb.log)"
}

# The process runs new code, and gdb stops in it by name and by line.
gdb_stops_in_new_code()
{
	local line

	line=$(grep -n 'number \*= 3' server.c | cut -d: -f1)
	debug "$1" "break added" "tbreak server.c:$((line - 2))" "input" \
		continue backtrace "input" continue "info symbol \$pc"
	grep -qE "^#0 .*added .*at .*server\.c:[0-9]+" gdb.log &&
		grep -qE "^#1 .*answer .*at .*server\.c:[0-9]+" gdb.log &&
		grep -qE "^#2 .*main .*at .*server\.c:[0-9]+" gdb.log ||
		die "no backtrace: $(cat gdb.log)"
	grep -q "^added in section .text of .*fix-" gdb.log ||
		die "no stop the second time: $(cat gdb.log)"
	read -r -t 20 line <&"$from"
	read -r -t 20 line <&"$from"
	answers "$1" 203
}

gdb_stops_in_new_code_that_came_from_outside()
{
	needs_gdb
	make_bundle
	start one
	"$hfx" apply "$pid" fix.hfx >/dev/null
	answers one 203
	gdb_stops_in_new_code one
}

gdb_stops_in_new_code_of_a_preloaded_bundle()
{
	needs_gdb
	make_bundle
	start one env LD_PRELOAD="$libhfx" HFX_BUNDLES=fix.hfx ./old/server
	answers one 203
	gdb_stops_in_new_code one
}

gdb_stops_in_new_code_of_a_program_that_patches_itself()
{
	needs_gdb
	# shellcheck disable=SC2046 # words
	make_bundle $(host_options)
	start one ./old/server fix.hfx
	answers one 203
	gdb_stops_in_new_code one
}

# gdb would stop at the jump, or write into it.
gdb_keeps_its_breakpoints_out_of_jumps()
{
	needs_gdb
	make_bundle -O0
	start one
	"$hfx" apply "$pid" fix.hfx >/dev/null
	answers one 203
	debug one "break answer" "info breakpoints" "input" continue backtrace
	said gdb.log "fix has replaced that function"
	grep -qE "^#0  answer .*server\.c" gdb.log || die "$(cat gdb.log)"
	grep -qE "^Breakpoint 1(\.[0-9]+)?, answer" gdb.log ||
		die "$(cat gdb.log)"
	read -r -t 20 _ <&"$from"
	answers one 203

	# Taken back, the old function is one like any other.
	"$hfx" revert "$pid" fix >/dev/null
	debug one "break answer" "input" continue
	! grep -q "has replaced" gdb.log || die "$(cat gdb.log)"
	grep -qE "^Breakpoint 1(\.[0-9]+)?, answer" gdb.log ||
		die "$(cat gdb.log)"
	read -r -t 20 _ <&"$from"
	answers one 101
}

gdb_finds_new_code_in_a_core_file()
{
	needs_gdb
	make_bundle
	start one
	"$hfx" apply "$pid" fix.hfx >/dev/null
	gdb -nx -batch -p "$pid" -ex "generate-core-file core" >gdb.log 2>&1
	kill -9 "$pid"
	gdb -nx -batch ./old/server core \
		-ex "source $source/runtime/gdb/hfx-gdb.py" \
		-ex "hfx list" -ex "info line added" >gdb.log 2>&1
	said gdb.log "fix  -  server  applied"
	grep -qE 'Line [0-9]+ of "server.c" (starts )?(is )?at address' gdb.log ||
		die "$(cat gdb.log)"
}

# lines FILE: what addr2line says of each address in lines.in. It takes the unit
# of link-time optimization for a source file.
lines()
{
	addr2line -e "$1" <lines.in |
		sed 's/ (discriminator.*//; s/<artificial>/server.c/'
}

# unpack_image: modules/0.so, and the addresses of its code in lines.in.
unpack_image()
{
	rm -rf modules
	zstd -qdc fix.hfx | tar -x
	readelf -sW modules/0.so | awk '$4 == "FUNC" {print $2, $3}' |
		while read -r addr size; do
			for ((i = 0; i < size; i++)); do
				printf '%x\n' $((16#$addr + i))
			done
		done >lines.in
	[ "$(wc -l <lines.in)" -gt 10 ] || die "no functions"
}

# The image answers for each address of its code as the new build does.
has_the_lines_of_new()
{
	unpack_image
	lines new/server >lines.new
	lines modules/0.so >lines.image
	cmp lines.new lines.image ||
		die "$*: $(diff -y lines.new lines.image | head -40)"
	grep -q 'server\.c' lines.image || die "$*: no lines: $(cat lines.image)"
	eu-readelf -w modules/0.so >readelf.log 2>&1 || die "$(cat readelf.log)"
}

an_image_has_the_lines_of_the_new_build()
{
	command -v zstd addr2line eu-readelf >/dev/null || skip "no tools"
	for options in -O0 -O2 "-O2 -gdwarf-4" "-O2 -flto" "-O2 -gz" \
		"-Os -ffunction-sections"; do
		# shellcheck disable=SC2086 # words
		make_bundle $options
		has_the_lines_of_new "$options"
	done
	# addr2line does not follow this one to its other file.
	make_bundle -O2 -gsplit-dwarf
	unpack_image
	lines modules/0.so >lines.image
	! grep -q '?' lines.image || die "split: $(cat lines.image)"
	if command -v clang >/dev/null; then
		cc=clang make_bundle -O2
		has_the_lines_of_new clang
	fi
	if [ -x "$cxx" ]; then
		make_cpp_bundle
		has_the_lines_of_new c++
	fi
	make_bundle -g0
	zstd -qdc fix.hfx | tar -x
	! readelf -SW modules/0.so | grep debug || die "lines out of nothing"
}

# ---- perf -------------------------------------------------------------------

perf_map_names_new_functions()
{
	local map

	make_bundle
	start one
	map=/tmp/perf-$pid.map
	"$hfx" apply "$pid" fix.hfx >/dev/null
	"$hfx" perf-map "$pid" >map.log
	said map.log "added 2 functions to $map"
	cp "$map" before
	"$hfx" list --json "$pid" >list.json
	said "$map" "$(printf '%x %x answer' \
		"$(json list.json 'd["patches"][0]["functions"][0]["new_address"]')" \
		"$(json list.json 'd["patches"][0]["functions"][0]["new_size"]')")"
	grep -qE '^[0-9a-f]+ [0-9a-f]+ added$' "$map" || die "$(cat "$map")"

	# Once more, and after a program of its own has added a line.
	echo "1000 10 jitted" >>"$map"
	"$hfx" perf-map -q "$pid" >map.log
	[ ! -s map.log ] || die "-q is not quiet"
	{
		cat before
		echo "1000 10 jitted"
	} | cmp - "$map" || die "the map has changed"
	rm -f "$map"

	# What others could have put there is left alone.
	echo precious >precious
	ln -s "$folder/precious" "$map"
	fails 1 "$hfx" perf-map "$pid"
	rm -f "$map"
	ln precious "$map"
	fails 1 "$hfx" perf-map "$pid"
	said fails.log "is no plain file"
	rm -f "$map"
	[ "$(cat precious)" = precious ] || die "a file behind a link is written"
}

libhfx_writes_a_perf_map_when_it_is_asked_to()
{
	make_bundle
	start one env LD_PRELOAD="$libhfx" HFX_BUNDLES=fix.hfx ./old/server
	answers one 203
	[ ! -e "/tmp/perf-$pid.map" ] || die "there is a map without being asked"
	start two env LD_PRELOAD="$libhfx" HFX_BUNDLES=fix.hfx HFX_PERF_MAP=1 \
		./old/server
	answers two 203
	grep -qE '^[0-9a-f]+ [0-9a-f]+ added$' "/tmp/perf-$pid.map" ||
		die "no map"
	rm -f "/tmp/perf-$pid.map"
}

perf_report_names_new_functions()
{
	perf record -q -e cpu-clock -o perf.data true >/dev/null 2>&1 ||
		skip "perf cannot record"
	cat >server.c <<'END'
volatile unsigned long sink;
#ifdef NEW
__attribute__((noinline)) unsigned long added(unsigned long number)
{
	for (unsigned long i = 0; i < 20000000; i++)
		sink += i * number;
	return number;
}
#endif
__attribute__((noinline)) unsigned long work(unsigned long number)
{
#ifdef NEW
	return added(number) + 1;
#else
	for (unsigned long i = 0; i < 20000000; i++)
		sink += i;
	return number;
#endif
}
int main(void)
{
	for (;;)
		work(sink);
}
END
	make_bundle
	./old/server &
	pid=$!
	pids+=("$pid")
	# It is hardly ever outside of work().
	"$hfx" apply --allow-active --timeout 20000 "$pid" fix.hfx >/dev/null
	"$hfx" perf-map -q "$pid"
	# On a busy machine it may not run for a while.
	for _ in $(seq 30); do
		perf record -q -e cpu-clock -o perf.data -p "$pid" sleep 1 \
			2>record.log || die "$(cat record.log)"
		perf report -i perf.data --stdio 2>/dev/null >report.log ||
			true
		if grep -qE '[0-9]% .* added *$' report.log; then
			rm -f "/tmp/perf-$pid.map"
			return
		fi
	done
	rm -f "/tmp/perf-$pid.map"
	die "$(cat report.log)"
}

# ---- Unwinding --------------------------------------------------------------

# What is thrown below new code is caught in it, and passes it; destructors run.
write_throwing_server()
{
	cat >server.cpp <<'END'
#include <cstdio>
#ifdef HOST
#include <hfx.h>
#endif
#define STANDALONE __attribute__((noipa))
static int cleaned;
struct count {
	~count() { cleaned++; }
};
STANDALONE void maybe_throw(int number)
{
	if (number > 0)
		throw number;
}
#ifdef NEW
STANDALONE int added(int number)
{
	count here;

	maybe_throw(number);
	return 0;
}
#endif
STANDALONE int catching(int number)
{
#ifdef NEW
	try {
		return added(number);
	} catch (int thrown) {
		return thrown + 200;
	}
#else
	count here;

	maybe_throw(0);
	return number + 100;
#endif
}
STANDALONE int passing(int number)
{
	count here;
#ifdef NEW
	return added(number) + 5;
#else
	maybe_throw(0);
	return number + 6;
#endif
}
int main(int, char **argv)
{
	char line[64];

#ifdef HOST
	hfx_error *err = hfx_apply_bundle(argv[1], nullptr, nullptr);

	if (err) {
		fprintf(stderr, "%s\n", hfx_error_message(err));
		return 1;
	}
#endif
	(void)argv;
	setvbuf(stdout, nullptr, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		int caught = catching(1);

		cleaned = 0;
		try {
			printf("%d no\n", caught + passing(1));
		} catch (int thrown) {
			printf("%d thrown %d cleaned %d\n", caught, thrown,
			       cleaned);
		}
	}
}
END
}

# make_cpp_bundle [OPTION...]
make_cpp_bundle()
{
	write_throwing_server
	mkdir -p old new
	"$cxx" -O2 -g -fPIE -pie -Wl,--build-id server.cpp -o old/server "$@"
	"$cxx" -O2 -g -fPIE -pie -Wl,--build-id -DNEW server.cpp -o new/server \
		"$@"
	"$hfx_bundle" diff old/server new/server -o fix.hfx >diff.log 2>&1 ||
		die "$(cat diff.log)"
}

cpp_exceptions_pass_new_code()
{
	local thrown="201 thrown 1 cleaned 2"

	[ -x "$cxx" ] || skip "no C++ compiler"
	make_cpp_bundle
	start outside
	answers outside "108 no"
	"$hfx" apply "$pid" fix.hfx >apply.log 2>&1
	! grep -q "exception tables" apply.log || die "$(cat apply.log)"
	answers outside "$thrown"
	start preloaded env LD_PRELOAD="$libhfx" HFX_BUNDLES=fix.hfx \
		./old/server
	answers preloaded "$thrown"

	# shellcheck disable=SC2046 # words
	make_cpp_bundle $(host_options)
	start host ./old/server fix.hfx
	answers host "$thrown"
	# The program's own copy of the unwinder is told where libhfx.a is.
	make_cpp_bundle -static-libgcc -static-libstdc++ -DHOST \
		-I"$source/runtime/include" -I"$source/common/include" \
		"${libhfx%.so*}.a" -larchive -lsodium -ljansson
	start static ./old/server fix.hfx
	answers static "$thrown"
}

a_static_unwinder_of_its_own_gets_a_warning()
{
	[ -x "$cxx" ] || skip "no C++ compiler"
	make_cpp_bundle -static-libgcc -static-libstdc++
	start outside
	"$hfx" check "$pid" fix.hfx >check.log 2>&1
	said check.log "warning: functions of the patch have exception tables"
	"$hfx" check --json "$pid" fix.hfx >check.json
	json_is check.json 'any("libgcc" in w for w in d["warnings"])' True
	"$hfx" apply -q "$pid" fix.hfx >apply.log 2>&1
	[ ! -s apply.log ] || die "-q is not quiet"
}

# A C program does not have the unwinder loaded from the start.
write_unwinding_server()
{
	cat >server.c <<'END'
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef HOST
#include <hfx.h>
#endif
#define STANDALONE __attribute__((noipa))
int main(int argc, char **argv);
static int cleaned;
static volatile int ready;
STANDALONE void clean(int *number)
{
	cleaned += *number;
}
STANDALONE int sees_main(void)
{
	void *frames[64];
	int count = backtrace(frames, 64);

	for (int i = 0; i < count; i++)
		if ((char *)frames[i] > (char *)main &&
		    (char *)frames[i] < (char *)main + 512)
			return 1;
	return 0;
}
STANDALONE int answer(int number)
{
#ifdef NEW
	return sees_main() + number * 7 % 5 + 199;
#else
	return number * 3 % 7 + 97;
#endif
}
STANDALONE void wait_long(int number)
{
	int cleaned_by __attribute__((cleanup(clean))) = number;
#ifdef NEW
	cleaned_by *= 10;
#endif
	ready = 1;
	for (;;)
		pause();
}
static void *run(void *arg)
{
	wait_long(1);
	return arg;
}
int main(int argc, char **argv)
{
	char line[64];
	pthread_t thread;

#ifdef HOST
	struct hfx_error *err = hfx_apply_bundle(argv[1], NULL, NULL);

	if (err) {
		fprintf(stderr, "%s\n", hfx_error_message(err));
		return 1;
	}
#endif
	if (argc > 1 && !strcmp(argv[1], "early"))
		sees_main();
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		cleaned = ready = 0;
		pthread_create(&thread, NULL, run, NULL);
		while (!ready)
			usleep(1000);
		pthread_cancel(thread);
		pthread_join(thread, NULL);
		printf("%d cleaned %d\n", answer(1), cleaned);
	}
	return 0;
}
END
}

backtraces_and_cancellation_pass_new_code()
{
	write_unwinding_server
	make_bundle -fexceptions -pthread
	start early ./old/server early
	answers early "100 cleaned 1"
	"$hfx" apply "$pid" fix.hfx >apply.log 2>&1
	! grep -q "exception tables" apply.log || die "$(cat apply.log)"
	answers early "202 cleaned 10"

	start preloaded env LD_PRELOAD="$libhfx" HFX_BUNDLES=fix.hfx \
		./old/server
	answers preloaded "202 cleaned 10"

	# shellcheck disable=SC2046 # words
	make_bundle -fexceptions -pthread $(host_options)
	start host ./old/server fix.hfx
	answers host "202 cleaned 10"
}

a_sanitizer_reports_callers_beyond_new_code()
{
	cat >server.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#define STANDALONE __attribute__((noipa))
STANDALONE int read_at(const int *numbers, int index)
{
	return numbers[index];
}
STANDALONE int answer(int number)
{
	int *numbers = calloc(10, sizeof(*numbers));
#ifdef NEW
	int found = read_at(numbers, 10) + number;
#else
	int found = read_at(numbers, number) + 100;
#endif

	free(numbers);
	return found;
}
int main(void)
{
	char line[64];

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin))
		printf("%d\n", answer(1));
	return 0;
}
END
	build -fsanitize=address >build.log 2>&1 || skip "no AddressSanitizer"
	make_bundle -fsanitize=address
	start one
	answers one 100
	"$hfx" apply "$pid" fix.hfx >/dev/null
	echo >&"$to"
	wait "$pid" || true
	said one.err "heap-buffer-overflow"
	grep -qE "^ *#2 .* in main " one.err || die "$(cat one.err)"
}

# ---- apply --all ------------------------------------------------------------

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

# ---- persist ----------------------------------------------------------------

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
