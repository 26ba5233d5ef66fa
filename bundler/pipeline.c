/* SPDX-License-Identifier: MIT */
/*
 * The passes, and what holds after each:
 *
 *   load       sections, symbols, functions, relocations, PLT of both builds
 *   scan       what each function refers to
 *   match      which symbol of NEW is which of OLD
 *   compare    a verdict for each function, with a reason
 *   select     the functions to patch, whether they may be, and what they
 *              bring with them
 *   check      types and data that live, and warnings
 *   describe   report and manifest
 *   write      image and bundle
 */
#include "pipeline.h"
#include "active_check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "array.h"
#include "bundle_write.h"
#include "checks.h"
#include "cleanup.h"
#include "closure.h"
#include "compare.h"
#include "data_check.h"
#include "describe.h"
#include "html.h"
#include "image_debug.h"
#include "image_writer.h"
#include "match.h"
#include "program_load.h"
#include "progress.h"
#include "scan.h"
#include "selection.h"
#include "sign.h"
#include "type_check.h"
#include "unwind_table.h"

#define NUM_PASSES 8
#define PAGE_SIZE  4096

struct diff {
	const struct diff_options *options;
	struct program *old_program;
	struct program *new_program;
	struct decoder *decoder;
	struct comparison *comparison;
	struct unwind_table *unwind;
	struct selection selection;
	struct warnings warnings;
	struct acceptances accepted;
	struct progress progress;
	unsigned int num_done;
};

static void begin_pass(struct diff *diff, const char *what)
{
	progress_step(&diff->progress, what, diff->num_done++, NUM_PASSES);
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat a_status, b_status;

	return !stat(a, &a_status) && !stat(b, &b_status) &&
	       a_status.st_dev == b_status.st_dev &&
	       a_status.st_ino == b_status.st_ino;
}

static struct hfx_error *check_inputs_differ(const struct diff_options *options)
{
	if (options->all || !is_same_file(options->old_path, options->new_path))
		return NULL;
	return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
	                        "%s: OLD and NEW are the same file; give the "
	                        "build that runs as OLD and the patched one as "
	                        "NEW",
	                        options->old_path);
}

/* A report or bundle must not replace what it is made from. */
static struct hfx_error *check_output(const struct diff_options *options,
                                      const char *path, const char *what)
{
	const char *const inputs[] = {options->old_path, options->new_path,
	                              options->old_debug_path,
	                              options->new_debug_path};

	for (size_t i = 0; i < sizeof(inputs) / sizeof(*inputs); i++)
		if (inputs[i] && is_same_file(path, inputs[i]))
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
	if (bundle && (!strcmp(bundle, page) || is_same_file(bundle, page)))
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "%s: this is also the bundle; give the "
		                        "page a name of its own",
		                        page);
	return html_check_path(page);
}

static struct hfx_error *load(struct diff *diff)
{
	const struct diff_options *options = diff->options;

	begin_pass(diff, "loading");
	HFX_TRY(check_outputs(options));
	HFX_TRY(check_inputs_differ(options));
	HFX_TRY(program_load(options->old_path, options->old_debug_path,
	                     &diff->old_program));
	if (!diff->old_program->build_id.size)
		return hfx_error_create(
			HFX_ERROR_BAD_ELF,
			"%s: no build-id, by which the running program is "
			"known; link it with -Wl,--build-id",
			options->old_path);
	HFX_TRY(program_load(options->new_path, options->new_debug_path,
	                     &diff->new_program));
	if (diff->old_program->is_fixed != diff->new_program->is_fixed)
		return hfx_error_create(
			HFX_ERROR_BAD_ELF,
			"%s: one of the builds is linked for a fixed address "
			"and the other is not; link both the same way",
			options->new_path);
	return NULL;
}

static struct hfx_error *scan(struct diff *diff)
{
	begin_pass(diff, "decoding");
	HFX_TRY(decoder_create(&diff->decoder));
	return scan_programs(diff->old_program, diff->new_program);
}

static struct hfx_error *compare(struct diff *diff)
{
	begin_pass(diff, "matching");
	HFX_TRY(match_programs(diff->old_program, diff->new_program));
	begin_pass(diff, "comparing");
	HFX_TRY(comparison_create(diff->old_program, diff->new_program,
	                          diff->decoder, &diff->comparison));
	return comparison_run(diff->comparison);
}

static const struct section *find_section(const struct program *program,
                                          const char *name)
{
	for (size_t i = 0; i < program->num_sections; i++)
		if (!strcmp(program->sections[i].name, name))
			return &program->sections[i];
	return NULL;
}

static struct hfx_error *select_functions(struct diff *diff)
{
	const struct section *frames =
		find_section(diff->new_program, ".eh_frame");

	begin_pass(diff, "selecting");
	HFX_TRY(hfx_error_wrap(
		unwind_table_create(frames ? frames->addr : 0,
	                            frames ? frames->data : NULL,
	                            frames && frames->data ? frames->size : 0,
	                            &diff->unwind),
		"%s", diff->new_program->path));
	HFX_TRY(selection_init(&diff->selection, diff->options,
	                       diff->comparison, diff->old_program,
	                       diff->new_program, diff->unwind, diff->decoder));
	return selection_run(&diff->selection);
}

static struct hfx_error *check(struct diff *diff, struct report *report)
{
	begin_pass(diff, "checking");
	HFX_TRY(check_inputs(diff->old_program, diff->new_program,
	                     &diff->warnings));
	HFX_TRY(check_build_texts(diff->new_program, &diff->warnings));
	for (size_t i = 0; i < diff->selection.warnings.num_items; i++)
		HFX_TRY(warnings_add(&diff->warnings, "%s",
		                     diff->selection.warnings.items[i]));
	HFX_TRY(active_check_run(&diff->selection, diff->decoder,
	                         &diff->warnings));
	HFX_TRY(type_check_run(&diff->selection, &diff->accepted,
	                       &diff->warnings, report));
	HFX_TRY(data_check_run(&diff->selection, &diff->accepted,
	                       &diff->warnings));
	HFX_TRY(tls_check_run(&diff->selection, &diff->accepted,
	                      &diff->warnings));
	return surplus_check_run(&diff->selection, &diff->warnings);
}

static int compare_relocations(const void *a, const void *b)
{
	const struct image_relocation *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* Ranges that overlap bring their relocations twice. */
static void drop_double_relocations(struct image_description *image)
{
	size_t kept = 0;

	hfx_array_sort(image->relocations, image->num_relocations,
	               sizeof(*image->relocations), compare_relocations);
	for (size_t i = 0; i < image->num_relocations; i++)
		if (!kept || image->relocations[kept - 1].addr !=
		                     image->relocations[i].addr)
			image->relocations[kept++] = image->relocations[i];
	image->num_relocations = kept;
}

static struct hfx_error *make_image(struct diff *diff,
                                    const struct manifest *manifest,
                                    struct buffer *ret)
{
	struct image_description *image = &diff->selection.closure.image;
	HFX_CLEANUP(image_debug_deinit) struct image_debug debug = {0};
	const struct section *frames =
		find_section(diff->new_program, ".eh_frame");
	uint64_t end = diff->new_program->end_addr;

	drop_double_relocations(image);
	image->soname = manifest->name;
	image->build_id = diff->new_program->build_id;
	image->free_addr = (end + PAGE_SIZE - 1) & -(uint64_t)PAGE_SIZE;
	if (frames && frames->data) {
		image->eh_frame_addr = frames->addr;
		image->eh_frame = frames->data;
		image->eh_frame_size = frames->size;
	}
	HFX_TRY(image_debug_init(&debug, image, diff->new_program->debug));
	image->debug = &debug;
	return image_write(image, ret);
}

static struct hfx_error *write_bundle(struct diff *diff, struct report *report)
{
	struct manifest *manifest = NULL;
	struct buffer image = {0};
	struct stat status;

	begin_pass(diff, "writing");
	struct hfx_error *err =
		describe_manifest(&diff->selection, report, &manifest);
	if (!err)
		err = make_image(diff, manifest, &image);
	if (!err)
		err = bundle_seal(manifest, &image);
	if (!err)
		err = bundle_write_signed(diff->options->output_path, manifest,
		                          &image, diff->options->sign_key);
	manifest_destroy(manifest);
	buffer_deinit(&image);
	if (err)
		return err;
	report->bundle_path = strdup(diff->options->output_path);
	if (!stat(diff->options->output_path, &status))
		report->bundle_size = status.st_size;
	return report->bundle_path ? NULL : hfx_error_no_memory();
}

static struct hfx_error *conclude(struct diff *diff, struct report *report,
                                  enum diff_outcome *outcome_ret)
{
	begin_pass(diff, "describing");
	HFX_TRY(describe_report(&diff->selection, &diff->warnings,
	                        &diff->accepted, report));
	if (report->num_refusals) {
		*outcome_ret = DIFF_REFUSED;
		return NULL;
	}
	if (!diff->selection.closure.num_functions) {
		*outcome_ret = DIFF_NOTHING;
		return NULL;
	}
	if (diff->options->output_path)
		HFX_TRY(write_bundle(diff, report));
	*outcome_ret = DIFF_DONE;
	return NULL;
}

static struct hfx_error *write_html(struct diff *diff,
                                    const struct report *report,
                                    enum diff_outcome outcome)
{
	const char *path = diff->options->html_path;
	struct html_input input = {
		.selection = &diff->selection,
		.report = report,
		.outcome = outcome,
		.decoder = diff->decoder,
		.max_code = HTML_MAX_CODE,
	};

	return path ? html_write(path, &input) : NULL;
}

static struct hfx_error *finish(struct diff *diff, struct report *report,
                                enum diff_outcome *outcome_ret)
{
	HFX_TRY(conclude(diff, report, outcome_ret));
	return write_html(diff, report, *outcome_ret);
}

struct hfx_error *diff_run(const struct diff_options *options,
                           struct report *report_ret,
                           enum diff_outcome *outcome_ret)
{
	struct diff diff = {.options = options};
	bool is_selected = false;

	progress_init(&diff.progress, options->show_progress);
	struct hfx_error *err = load(&diff);
	if (!err)
		err = scan(&diff);
	if (!err)
		err = compare(&diff);
	if (!err) {
		is_selected = true;
		err = select_functions(&diff);
	}
	if (!err)
		err = check(&diff, report_ret);
	if (!err)
		err = finish(&diff, report_ret, outcome_ret);
	progress_finish(&diff.progress);
	if (is_selected)
		selection_deinit(&diff.selection);
	warnings_deinit(&diff.warnings);
	acceptances_deinit(&diff.accepted);
	unwind_table_destroy(diff.unwind);
	comparison_destroy(diff.comparison);
	decoder_destroy(diff.decoder);
	program_destroy(diff.old_program);
	program_destroy(diff.new_program);
	return err;
}
