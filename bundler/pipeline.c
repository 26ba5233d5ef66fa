/* SPDX-License-Identifier: MIT */
/*
 * `hfx-bundle diff`: each pair of builds goes through the passes (pair.c), then
 * all of them make one bundle and one report. Where one is refused nothing is
 * written; one with nothing to patch is left out of the bundle.
 */
#include "pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bundle_write.h"
#include "cleanup.h"
#include "describe.h"
#include "file.h"
#include "html.h"
#include "pair.h"
#include "progress.h"
#include "sign.h"

/* Of "m16-" and its NUL, with room. */
#define PREFIX_SIZE 16

struct diff {
	const struct diff_options *options;
	struct pattern_use use;
	struct reports *reports;
	struct progress progress;
	/** Of the bundle; `NULL` if none is asked for. */
	struct manifest *manifest;
	/** One for each module of the manifest. */
	struct buffer *images;
	/** Parts of the page, one for each pair; `NULL` if none is asked for.
	 */
	struct buffer *pages;
};

static void diff_deinit(struct diff *diff)
{
	size_t count = diff->options->num_inputs;

	for (size_t i = 0; diff->images && i < count; i++)
		buffer_deinit(&diff->images[i]);
	for (size_t i = 0; diff->pages && i < count; i++)
		buffer_deinit(&diff->pages[i]);
	free(diff->images);
	free(diff->pages);
	free(diff->use.only);
	free(diff->use.skip);
	manifest_destroy(diff->manifest);
}

/* A report or bundle must not replace what it is made from. */
static bool is_input(const struct diff_input *input, const char *path)
{
	const char *const inputs[] = {input->old_path, input->new_path,
	                              input->old_debug_path,
	                              input->new_debug_path};

	for (size_t i = 0; i < sizeof(inputs) / sizeof(*inputs); i++)
		if (inputs[i] && file_is_same(path, inputs[i]))
			return true;
	return false;
}

static struct hfx_error *check_output(const struct diff_options *options,
                                      const char *path, const char *what)
{
	for (size_t i = 0; i < options->num_inputs; i++)
		if (is_input(&options->inputs[i], path))
			return hfx_error_create(
				HFX_ERROR_INVALID_ARGUMENT,
				"%s: this is OLD, NEW or a debug file of them; "
				"give the %s a name of its own",
				path, what);
	return NULL;
}

static struct hfx_error *check_outputs(const struct diff_options *options)
{
	const char *bundle = options->output_path, *page = options->html_path;

	if (bundle)
		HFX_TRY(check_output(options, bundle, "bundle"));
	if (!page)
		return NULL;
	HFX_TRY(check_output(options, page, "page"));
	if (bundle && (!strcmp(bundle, page) || file_is_same(bundle, page)))
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "%s: this is also the bundle; give the "
		                        "page a name of its own",
		                        page);
	return html_check_path(page);
}

/* ---- The pairs ---------------------------------------------------------- */

static struct hfx_error *prepare(struct diff *diff)
{
	const struct diff_options *options = diff->options;
	size_t count = options->num_inputs;

	HFX_TRY(check_outputs(options));
	diff->reports->by_module = options->by_module;
	diff->reports->items = calloc(count, sizeof(*diff->reports->items));
	diff->images = calloc(count, sizeof(*diff->images));
	diff->use.only = calloc(options->only.num_items + 1, sizeof(bool));
	diff->use.skip = calloc(options->skip.num_items + 1, sizeof(bool));
	if (!diff->use.only || !diff->use.skip)
		return hfx_error_no_memory();
	if (options->html_path)
		diff->pages = calloc(count, sizeof(*diff->pages));
	if (!diff->reports->items || !diff->images ||
	    (options->html_path && !diff->pages))
		return hfx_error_no_memory();
	diff->reports->num_items = count;
	return options->output_path
	               ? describe_patch(options, count, &diff->manifest)
	               : NULL;
}

/* The build that runs is known by its build-id: twice would be one too many. */
static struct hfx_error *check_twice(const struct diff *diff, size_t index)
{
	const struct report_input *input =
		&diff->reports->items[index].old_input;

	for (size_t i = 0; i < index; i++) {
		const struct report_input *other =
			&diff->reports->items[i].old_input;

		if (other->build_id.size == input->build_id.size &&
		    !memcmp(other->build_id.bytes, input->build_id.bytes,
		            input->build_id.size))
			return hfx_error_create(
				HFX_ERROR_INVALID_ARGUMENT,
				"%s and %s are the same build; give each "
				"module once",
				other->path, input->path);
	}
	return NULL;
}

static struct hfx_error *run_pair(struct diff *diff, size_t index)
{
	struct manifest *manifest = diff->manifest;
	struct report *report = &diff->reports->items[index];
	char prefix[PREFIX_SIZE] = "";
	struct pair_output output = {
		.report = report,
		.page_prefix = prefix,
	};

	if (manifest) {
		output.module = &manifest->modules[manifest->num_modules];
		output.image = &diff->images[manifest->num_modules];
		output.name = manifest->name;
		manifest->num_modules++;
	}
	if (diff->pages)
		output.page = &diff->pages[index];
	if (diff->options->by_module)
		snprintf(prefix, sizeof(prefix), "m%u-",
		         (unsigned int)index + 1);
	diff->use.is_last = index + 1 == diff->options->num_inputs;
	HFX_TRY(pair_run(diff->options, index, &diff->progress, &output,
	                 &report->outcome));
	HFX_TRY(check_twice(diff, index));
	/* It has stayed empty: the next one may have its place. */
	if (manifest && report->outcome != DIFF_DONE)
		manifest->num_modules--;
	return NULL;
}

static enum diff_outcome outcome_of(const struct reports *reports)
{
	enum diff_outcome outcome = DIFF_NOTHING;

	for (size_t i = 0; i < reports->num_items; i++) {
		if (reports->items[i].outcome == DIFF_REFUSED)
			return DIFF_REFUSED;
		if (reports->items[i].outcome == DIFF_DONE)
			outcome = DIFF_DONE;
	}
	return outcome;
}

/* ---- What is written ---------------------------------------------------- */

static struct hfx_error *write_bundle(struct diff *diff)
{
	const char *path = diff->options->output_path;
	struct reports *reports = diff->reports;
	struct stat status;

	HFX_TRY(bundle_seal(diff->manifest, diff->images));
	HFX_TRY(bundle_write_signed(path, diff->manifest, diff->images,
	                            diff->options->sign_key));
	reports->bundle_path = strdup(path);
	if (!stat(path, &status))
		reports->bundle_size = (uint64_t)status.st_size;
	return reports->bundle_path ? NULL : hfx_error_no_memory();
}

static struct hfx_error *run(struct diff *diff)
{
	struct reports *reports = diff->reports;

	HFX_TRY(prepare(diff));
	for (size_t i = 0; i < diff->options->num_inputs; i++)
		HFX_TRY(run_pair(diff, i));
	reports->outcome = outcome_of(reports);
	if (diff->manifest && reports->outcome == DIFF_DONE)
		HFX_TRY(write_bundle(diff));
	return diff->pages ? html_write(diff->options->html_path, reports,
	                                diff->pages)
	                   : NULL;
}

struct hfx_error *diff_run(const struct diff_options *options,
                           struct reports *reports_ret)
{
	struct diff_options own = *options;
	HFX_CLEANUP(diff_deinit)
	struct diff diff = {.options = &own, .reports = reports_ret};
	struct hfx_error *err;

	own.use = &diff.use;
	progress_init(&diff.progress, options->show_progress);
	err = run(&diff);
	progress_finish(&diff.progress);
	return err;
}
