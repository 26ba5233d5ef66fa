# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154 # shared between the files
#
# A server that most tests patch, and how to talk to it. It is read behind
# setup.sh.

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
