/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>

#include "engine_process.h"
#include "maps.h"

char *folder;

int enter_folder(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	folder = fixture_enter();
	return 0;
}

int leave_folder(void **state)
{
	(void)state;
	fixture_leave(folder);
	return 0;
}

/* ---- The victim -------------------------------------------------------- */

struct victim start(const char *program, int num_threads, const char *bundles,
                    const char *error_path)
{
	struct victim victim = {0};
	char threads[16], variable[4 * PATH_MAX];
	char *argv[] = {(char *)program, threads, NULL};
	char *plain[] = {NULL};
	char *preload[] = {(char *)"LD_PRELOAD=" LIBHFX, variable, NULL};
	posix_spawn_file_actions_t actions;
	int in[2], out[2];

	snprintf(threads, sizeof(threads), "%d", num_threads);
	snprintf(variable, sizeof(variable), "HFX_BUNDLES=%s",
	         bundles ? bundles : "");
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	if (error_path)
		posix_spawn_file_actions_addopen(&actions, 2, error_path,
		                                 O_WRONLY | O_CREAT, 0600);
	assert_int_equal(posix_spawn(&victim.pid, program, &actions, NULL, argv,
	                             bundles ? preload : plain),
	                 0);
	posix_spawn_file_actions_destroy(&actions);
	close(in[0]);
	close(out[1]);
	victim.in = fdopen(in[1], "w");
	victim.out = fdopen(out[0], "r");
	return victim;
}

const char *ask(struct victim *victim, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(victim->in, format, args);
	va_end(args);
	fputc('\n', victim->in);
	fflush(victim->in);
	if (!fgets(victim->answer, sizeof(victim->answer), victim->out))
		fail_msg("the victim is gone");
	victim->answer[strcspn(victim->answer, "\n")] = '\0';
	return victim->answer;
}

void end(struct victim *victim)
{
	int status;

	fclose(victim->in);
	assert_int_equal(waitpid(victim->pid, &status, 0), victim->pid);
	fclose(victim->out);
	assert_int_equal(status, 0);
}

void assert_results(struct victim *victim, int f, int g)
{
	char expected[128];

	snprintf(expected, sizeof(expected), "f=%d g=%d sum=%d data=7", f, g,
	         f + 100 * g);
	assert_string_equal(ask(victim, "call"), expected);
}

void assert_refused(const char *answer, enum hfx_error_code code,
                    const char *text)
{
	char expected[32];

	snprintf(expected, sizeof(expected), "error %d ", (int)code);
	if (strncmp(answer, expected, strlen(expected)) != 0 ||
	    !strstr(answer, text))
		fail_msg("\"%s\" is not \"%s... %s\"", answer, expected, text);
}

size_t count_mappings(const struct victim *victim)
{
	struct maps maps;
	size_t count;

	assert_null(maps_read(victim->pid, &maps));
	count = maps.num_mappings;
	for (size_t i = 0; i < maps.num_mappings; i++)
		assert_int_not_equal(maps.mappings[i].protection &
		                             (PROT_WRITE | PROT_EXEC),
		                     PROT_WRITE | PROT_EXEC);
	maps_deinit(&maps);
	return count;
}

/* ---- Bundles ----------------------------------------------------------- */

/** Path in the test's folder, in a buffer of its own for each name. */
static const char *in_folder(const char *name)
{
	static char paths[8][PATH_MAX];
	static size_t next;
	char *path = paths[next++ % 8];

	snprintf(path, PATH_MAX, "%s/%s.hfx", folder, name);
	return path;
}

const char *write_bundle(struct test_bundle *bundle)
{
	const char *path = in_folder(bundle->name);

	test_bundle_write(bundle, path);
	return path;
}

const char *make_bundle(const char *program, const char *name, int f, int g)
{
	struct test_bundle bundle = {.name = name, .program = program};

	test_bundle_return(&bundle, "victim_f", f);
	if (g)
		test_bundle_return(&bundle, "victim_g", g);
	return write_bundle(&bundle);
}

struct target *open_target(const struct victim *victim)
{
	struct target *target = NULL;
	struct hfx_error *err = target_create_ptrace(victim->pid, &target);

	if (err)
		fail_msg("%s", hfx_error_message(err));
	return target;
}

const struct engine_options patience = {
	.timeout_ms = 120000,
	.max_pause_us = 10000000,
};

enum hfx_error_code apply_outside_with(const struct victim *victim,
                                       const char *path,
                                       const struct engine_options *options)
{
	struct target *target = open_target(victim);
	struct bundle *bundle;
	struct commit_result result;
	enum hfx_error_code code;
	struct hfx_error *err;

	assert_null(bundle_read(path, &bundle));
	err = engine_apply(target, bundle, options, &result);
	code = hfx_error_code(err);
	if (err)
		print_message("%s\n", hfx_error_message(err));
	hfx_error_destroy(err);
	bundle_destroy(bundle);
	target_destroy(target);
	return code;
}

enum hfx_error_code apply_outside(const struct victim *victim, const char *path)
{
	return apply_outside_with(victim, path, &patience);
}

enum hfx_error_code revert_all_outside(const struct victim *victim)
{
	struct target *target = open_target(victim);
	struct hfx_error *err = engine_revert_all(target, &patience, NULL);
	enum hfx_error_code code = hfx_error_code(err);

	if (err)
		print_message("%s\n", hfx_error_message(err));
	hfx_error_destroy(err);
	target_destroy(target);
	return code;
}

/* ---- Killed ------------------------------------------------------------ */

/** Writes that the commit makes before hfx is killed. */
static size_t num_allowed;

static struct hfx_error *die_half_way(struct target *target,
                                      const struct commit_plan *plan,
                                      struct commit_result *ret)
{
	(void)ret;
	for (size_t i = 0; i < plan->num_writes; i++) {
		const struct commit_write *write = &plan->writes[i];

		if (i == num_allowed)
			_exit(1);
		if (target->ops->write(target, write->live_addr, write->after,
		                       write->size))
			_exit(2);
	}
	_exit(0);
}

int be_killed(const struct victim *victim, const char *path,
              const struct engine_options *options, size_t count)
{
	pid_t child = fork();
	int status;

	if (!child) {
		struct target *target = open_target(victim);
		struct target_ops ops = *target->ops;
		struct bundle *bundle;

		num_allowed = count;
		ops.commit = die_half_way;
		target->ops = &ops;
		if (path && bundle_read(path, &bundle))
			_exit(3);
		if (path ? engine_apply(target, bundle, options, NULL)
		         : engine_revert(target, options->replaces, options,
		                         NULL))
			_exit(4);
		_exit(5);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
	return WEXITSTATUS(status);
}
