/* SPDX-License-Identifier: MIT */
/*
 * Keys and signatures on the command line: of hfx-bundle, of minisign, and what
 * hfx and libhfx make of them.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox.h"

#define BUNDLER HFX_BUNDLE_PROGRAM
#define HFX     HFX_PROGRAM
#define KEYGEN  BUNDLER " keygen -W "
#define SIGN    BUNDLER " sign fix.hfx --sign-key "
#define SHOW    BUNDLER " show fix.hfx --trust "

static const char source[] =
	"#include <stdio.h>\n"
	"#include <unistd.h>\n"
	"__attribute__((noinline, noclone)) int f(int n)\n"
	"{ puts(V(\"old\", \"new\")); return n + V(1, 2); }\n"
	"int main(int argc, char **argv)\n"
	"{ (void)argv;\n"
	"  do { printf(\"%d\\n\", f(argc)); fflush(stdout); usleep(1000); }\n"
	"  while (argc > 1); return 0; }\n";

static int enter_with_pair(void **state)
{
	umask(022);
	if (sandbox_enter(state))
		return -1;
	build_pair("-O2", source);
	expect_status(0, KEYGEN "rel");
	expect_status(0, KEYGEN "other");
	expect_diff(0, "");
	return 0;
}

#define PAIR_TEST(function)                                                    \
	cmocka_unit_test_setup_teardown(function, enter_with_pair,             \
	                                sandbox_leave)

/** The command fails with @p status and says @p part. */
static void expect_failure(int status, const char *part, const char *command)
{
	SCOPED_RUN failed = run("%s", command);

	if (failed.status != status || !strstr(failed.err, part))
		fail_msg("%s: status %d, not %d with \"%s\": %s", command,
		         failed.status, status, part, failed.err);
}

static void expect_output(const char *part, const char *command)
{
	SCOPED_RUN done = run("%s", command);

	if (done.status || !strstr(done.out, part))
		fail_msg("%s: status %d, no \"%s\" in: %s%s", command,
		         done.status, part, done.out, done.err);
}

/* ---- hfx-bundle -------------------------------------------------------- */

static void diff_signs_what_it_writes(void **state)
{
	(void)state;
	expect_diff(0, "--sign-key rel.key");
	expect_output("signed by     rel, key ", SHOW "rel.pub");
	expect_failure(1, "not among the trusted keys", SHOW "other.pub");
	expect_failure(2, "needs -o",
	               BUNDLER " diff old/prog new/prog --sign-key rel.key");
	expect_failure(2, "not a secret key",
	               BUNDLER " diff old/prog new/prog -o fix.hfx "
	                       "--sign-key rel.pub");
}

static void sign_replaces_the_signature_and_keeps_the_identity(void **state)
{
	(void)state;
	expect_output("signed by     nobody", BUNDLER " show fix.hfx");
	expect_failure(1, "not signed", SHOW "rel.pub");
	expect_status(0, BUNDLER " show fix.hfx | grep ' id ' >id");
	expect_status(0, "chmod 640 fix.hfx; " SIGN "other.key");
	expect_output("signed by     other", SHOW "other.pub");
	expect_status(0, SIGN "rel.key");
	expect_output("signed by     rel", SHOW "rel.pub");
	expect_failure(1, "not among", SHOW "other.pub");
	expect_status(0, BUNDLER " show fix.hfx | grep ' id ' | cmp - id");
	expect_status(0, "test $(stat -c %%a fix.hfx) = 640");
	expect_status(0, "test ! -e fix.hfx.*");
}

static void the_same_key_and_date_give_the_same_bytes(void **state)
{
	(void)state;
	expect_status(0, "export SOURCE_DATE_EPOCH=1700000000; " SIGN
	                 "rel.key && cp fix.hfx a.hfx && " SIGN
	                 "rel.key && cmp fix.hfx a.hfx");
	expect_output("2023-11-14", SHOW "rel.pub");
	expect_failure(2, "SOURCE_DATE_EPOCH",
	               "SOURCE_DATE_EPOCH=x " SIGN "rel.key");
}

static void verify_tells_who_signed_it(void **state)
{
	(void)state;
	expect_output("signed by nobody", BUNDLER " verify fix.hfx old/prog");
	expect_status(0, SIGN "rel.key");
	expect_output("(not checked: give --trust)",
	              BUNDLER " verify fix.hfx old/prog");
	expect_output("signed by rel, key ",
	              BUNDLER " verify fix.hfx old/prog --trust rel.pub");
	expect_failure(1, "not among",
	               BUNDLER " verify fix.hfx old/prog --trust other.pub");
}

static void show_gives_the_signature_as_json(void **state)
{
	(void)state;
	SCOPED_RUN plain = run(BUNDLER " show fix.hfx --json");
	SCOPED_JSON *unsigned_one = json_loads(plain.out, 0, NULL);
	assert_true(json_is_null(json_object_get(unsigned_one, "signature")));
	expect_status(0, SIGN "rel.key");
	SCOPED_RUN shown = run(SHOW "rel.pub --json");
	SCOPED_JSON *report = json_loads(shown.out, 0, NULL);
	json_t *signature = json_object_get(report, "signature");
	assert_string_equal(
		json_string_value(json_object_get(signature, "trusted_as")),
		"rel");
	assert_true(json_is_integer(json_object_get(signature, "timestamp")));
}

static void a_key_pair_is_never_overwritten(void **state)
{
	(void)state;
	expect_status(0, "cat rel.key rel.pub >before");
	expect_failure(2, "rel.key: File exists", KEYGEN "rel");
	expect_status(0, "cat rel.key rel.pub | cmp - before");
	expect_status(0, "test $(stat -c %%a rel.key) = 600");
	/* One file of two is none. */
	expect_status(0, "touch half.pub");
	expect_failure(2, "half.pub: File exists", KEYGEN "half");
	expect_status(0, "test ! -e half.key");
}

static void a_key_says_when_it_expires(void **state)
{
	(void)state;
	expect_status(0, KEYGEN "old --expires 2001-02-03 && "
	                        "grep -q 'expires: 2001-02-03' old.pub && " SIGN
	                        "old.key");
	expect_failure(1, "expired on 2001-02-03", SHOW "old.pub");
	expect_failure(2, "YYYY-MM-DD", KEYGEN "x --expires 2001-02-30");
}

static void without_a_terminal_a_password_needs_a_file(void **state)
{
	(void)state;
	need_program("setsid");
	expect_failure(2, "--password-file",
	               "setsid -w " BUNDLER " keygen x </dev/null");
	expect_status(0, "test ! -e x.key && test ! -e x.pub");
	expect_status(0, "true >empty");
	expect_failure(2, "empty: a password has",
	               BUNDLER " keygen x --password-file empty");
	expect_failure(2, "exclude each other",
	               BUNDLER " keygen x -W --password-file empty");
}

/* ---- minisign ---------------------------------------------------------- */

static void minisign_verifies_what_hfx_bundle_signed(void **state)
{
	(void)state;
	need_program("minisign");
	expect_status(0, SIGN "rel.key");
	expect_status(0, "mkdir x; tar -C x --zstd -xf fix.hfx");
	expect_output("timestamp:",
	              "minisign -Vm x/manifest.json -p rel.pub -H");
	expect_status(1, "minisign -Vm x/manifest.json -p other.pub");
	expect_status(0, "printf ' ' >>x/manifest.json");
	expect_status(1, "minisign -Vm x/manifest.json -p rel.pub");
}

static void keys_of_hfx_bundle_are_keys_of_minisign(void **state)
{
	(void)state;
	need_program("minisign");
	expect_status(0, "echo hi >f; minisign -S -s rel.key -m f");
	expect_status(0, "minisign -Vm f -p rel.pub");
	expect_status(0, "minisign -R -s rel.key -p again.pub; "
	                 "tail -1 again.pub >a; tail -1 rel.pub | cmp - a");
}

static void keys_of_minisign_sign_bundles(void **state)
{
	(void)state;
	need_program("minisign");
	expect_status(0, "minisign -G -W -p m.pub -s m.key");
	expect_status(0, SIGN "m.key");
	expect_output("signed by     m, key ", SHOW "m.pub");
}

static void a_signature_of_minisign_is_put_into_a_bundle(void **state)
{
	(void)state;
	need_program("minisign");
	expect_status(0, "mkdir x; tar -C x --zstd -xf fix.hfx; "
	                 "minisign -S -s rel.key -m x/manifest.json");
	expect_status(0, BUNDLER " sign fix.hfx --signature "
	                         "x/manifest.json.minisig");
	expect_output("signed by     rel", SHOW "rel.pub");
	expect_failure(2, "malformed",
	               BUNDLER " sign fix.hfx --signature rel.pub");
	expect_status(0, "minisign -S -l -s rel.key -m x/manifest.json");
	expect_failure(2, "without -l",
	               BUNDLER " sign fix.hfx --signature "
	                       "x/manifest.json.minisig");
	expect_output("signed by     rel", SHOW "rel.pub");
}

static void passwords_of_either_open_keys_for_both(void **state)
{
	(void)state;
	need_program("minisign");
	expect_status(0, "echo 'open sesame' >pw; cat pw pw >pw2");
	expect_status(0, "minisign -G -p m.pub -s m.key <pw2");
	expect_status(0, SIGN "m.key --password-file pw");
	expect_output("signed by     m,", SHOW "m.pub");
	expect_failure(2, "password is wrong",
	               SIGN "m.key --password-file m.pub");
	expect_status(0, BUNDLER " keygen k --password-file pw");
	expect_status(0, "echo hi >f; minisign -S -s k.key -m f <pw && "
	                 "minisign -Vm f -p k.pub");
}

/* ---- hfx and libhfx ---------------------------------------------------- */

static pid_t start_program(void)
{
	SCOPED_RUN started = run("old/prog x >out 2>&1 & echo $!");

	return (pid_t)atoi(started.out);
}

/** The newest line of its output is @p text before long. */
static void expect_line(const char *text)
{
	expect_status(0,
	              "for i in $(seq 2000); do "
	              "[ \"$(tail -n 1 out)\" = %s ] && exit 0; sleep 0.01; "
	              "done; tail out; exit 1",
	              text);
}

static void apply_refuses_what_no_trusted_key_signed(void **state)
{
	pid_t pid = start_program();

	(void)state;
	expect_line("3");
	expect_status(1, HFX " apply --trust rel.pub %d fix.hfx", pid);
	expect_status(0, SIGN "other.key");
	expect_status(1, HFX " apply --trust rel.pub %d fix.hfx", pid);
	expect_status(1, HFX " check --trust rel.pub %d fix.hfx", pid);
	expect_line("3");
	expect_status(0, HFX " list %d | grep 'no patches'", pid);
	expect_status(0, "mkdir keys; cp rel.pub other.pub keys");
	expect_status(0, HFX " apply --timeout 60000 --trust keys %d fix.hfx",
	              pid);
	expect_line("4");
	kill(pid, SIGKILL);
}

static void apply_needs_keys_that_only_their_owner_can_write(void **state)
{
	pid_t pid = start_program();

	(void)state;
	expect_status(0, SIGN "rel.key");
	expect_status(0, "chmod g+w rel.pub");
	SCOPED_RUN refused = run(HFX " apply --trust rel.pub %d fix.hfx", pid);
	assert_int_equal(refused.status, 1);
	assert_non_null(strstr(refused.err, "can be written by others"));
	expect_line("3");
	kill(pid, SIGKILL);
}

/** Run a command as if /etc/hfx were the folder `hfx`; root only. */
#define WITH_ETC(command)                                                      \
	"unshare -m sh -c 'cp -a /etc etc && cp -a hfx etc && "                \
	"mount --bind etc /etc && " command "'"

static void need_namespaces(void)
{
	SCOPED_RUN probe = run("mkdir -p hfx; " WITH_ETC("true"));

	if (geteuid() || probe.status)
		skip();
}

static void the_hosts_keys_bind_hfx_and_preloading(void **state)
{
	pid_t pid;

	(void)state;
	need_namespaces();
	pid = start_program();
	expect_status(0, "mkdir hfx/trusted.d; cp rel.pub hfx/trusted.d");
	expect_status(0, "echo " HFX " apply %d fix.hfx >apply", pid);
	expect_failure(1, "not signed", WITH_ETC("sh apply"));
	expect_status(0, "echo 'HFX_BUNDLES=fix.hfx LD_PRELOAD=" HFX_LIBRARY
	                 " old/prog' >start");
	SCOPED_RUN refused = run(WITH_ETC("sh start"));
	assert_string_equal(refused.out, "old\n2\n");
	assert_non_null(strstr(refused.err, "not signed"));
	expect_status(0, SIGN "rel.key");
	expect_output("new\n3\n", WITH_ETC("sh start"));
	expect_status(0, WITH_ETC("sh apply"));
	expect_line("4");
	kill(pid, SIGKILL);
}

static void withdrawn_bundles_are_refused_everywhere(void **state)
{
	pid_t pid;

	(void)state;
	need_namespaces();
	pid = start_program();
	expect_status(0, SIGN "rel.key");
	expect_status(0, BUNDLER " show fix.hfx | sed -n 's/^  id *//p' "
	                         ">hfx/withdrawn");
	expect_status(0, "echo " HFX " apply --trust rel.pub %d fix.hfx >apply",
	              pid);
	expect_failure(1, "withdrawn (/etc/hfx/withdrawn:1)",
	               WITH_ETC("sh apply"));
	expect_status(0, "echo 'HFX_BUNDLES=fix.hfx LD_PRELOAD=" HFX_LIBRARY
	                 " old/prog' >start");
	SCOPED_RUN refused = run(WITH_ETC("sh start"));
	assert_string_equal(refused.out, "old\n2\n");
	assert_non_null(strstr(refused.err, "withdrawn"));
	expect_line("3");
	kill(pid, SIGKILL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PAIR_TEST(diff_signs_what_it_writes),
		PAIR_TEST(sign_replaces_the_signature_and_keeps_the_identity),
		PAIR_TEST(the_same_key_and_date_give_the_same_bytes),
		PAIR_TEST(verify_tells_who_signed_it),
		PAIR_TEST(show_gives_the_signature_as_json),
		PAIR_TEST(a_key_pair_is_never_overwritten),
		PAIR_TEST(a_key_says_when_it_expires),
		PAIR_TEST(without_a_terminal_a_password_needs_a_file),
		PAIR_TEST(minisign_verifies_what_hfx_bundle_signed),
		PAIR_TEST(keys_of_hfx_bundle_are_keys_of_minisign),
		PAIR_TEST(keys_of_minisign_sign_bundles),
		PAIR_TEST(a_signature_of_minisign_is_put_into_a_bundle),
		PAIR_TEST(passwords_of_either_open_keys_for_both),
		PAIR_TEST(apply_refuses_what_no_trusted_key_signed),
		PAIR_TEST(apply_needs_keys_that_only_their_owner_can_write),
		PAIR_TEST(the_hosts_keys_bind_hfx_and_preloading),
		PAIR_TEST(withdrawn_bundles_are_refused_everywhere),
	};

	sandbox_filter(argc, argv);
	return cmocka_run_group_tests_name("sign", tests, NULL, NULL);
}
