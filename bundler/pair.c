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
 *   describe   report
 *   write      image, and the manifest of the module
 */
#include "pair.h"

#include <stdlib.h>

#include "active_check.h"
#include "array.h"
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
#include "scan.h"
#include "selection.h"
#include "type_check.h"
#include "unwind_table.h"

#define PAGE_SIZE 4096

struct pair {
	const struct diff_options *options;
	const struct diff_input *input;
	struct program *old_program;
	struct program *new_program;
	struct decoder *decoder;
	struct comparison *comparison;
	struct unwind_table *old_unwind;
	struct unwind_table *new_unwind;
	struct selection selection;
	bool is_selected;
	struct warnings warnings;
	struct acceptances accepted;
	struct progress *progress;
	unsigned int num_done;
	unsigned int num_steps;
};

static void pair_deinit(struct pair *pair)
{
	if (pair->is_selected)
		selection_deinit(&pair->selection);
	warnings_deinit(&pair->warnings);
	acceptances_deinit(&pair->accepted);
	comparison_destroy(pair->comparison);
	unwind_table_destroy(pair->old_unwind);
	unwind_table_destroy(pair->new_unwind);
	decoder_destroy(pair->decoder);
	program_destroy(pair->old_program);
	program_destroy(pair->new_program);
}

static void begin_pass(struct pair *pair, const char *what)
{
	progress_step(pair->progress, what, pair->num_done++, pair->num_steps);
}

static struct hfx_error *check_inputs_differ(const struct pair *pair)
{
	const struct diff_input *input = pair->input;

	if (pair->options->all ||
	    !file_is_same(input->old_path, input->new_path))
		return NULL;
	return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
	                        "%s: OLD and NEW are the same file; give the "
	                        "build that runs as OLD and the patched one as "
	                        "NEW",
	                        input->old_path);
}

static struct hfx_error *load(struct pair *pair)
{
	const struct diff_input *input = pair->input;

	begin_pass(pair, "loading");
	HFX_TRY(check_inputs_differ(pair));
	HFX_TRY(program_load(input->old_path, input->old_debug_path,
	                     &pair->old_program));
	if (!pair->old_program->build_id.size)
		return hfx_error_create(
			HFX_ERROR_BAD_ELF,
			"%s: no build-id, by which the running program is "
			"known; link it with -Wl,--build-id",
			input->old_path);
	HFX_TRY(program_load(input->new_path, input->new_debug_path,
	                     &pair->new_program));
	if (pair->old_program->is_fixed != pair->new_program->is_fixed)
		return hfx_error_create(
			HFX_ERROR_BAD_ELF,
			"%s: one of the builds is linked for a fixed address "
			"and the other is not; link both the same way",
			input->new_path);
	return NULL;
}

static struct hfx_error *scan(struct pair *pair)
{
	begin_pass(pair, "decoding");
	HFX_TRY(decoder_create(&pair->decoder));
	return scan_programs(pair->old_program, pair->new_program);
}

static struct hfx_error *read_unwind(const struct program *program,
                                     struct unwind_table **ret)
{
	const struct section *frames =
		program_section_named(program, ".eh_frame");

	return hfx_error_wrap(
		unwind_table_create(
			frames ? frames->addr : 0, frames ? frames->data : NULL,
			frames && frames->data ? frames->size : 0, ret),
		"%s", program->path);
}

static struct hfx_error *compare(struct pair *pair)
{
	begin_pass(pair, "matching");
	HFX_TRY(match_programs(pair->old_program, pair->new_program));
	begin_pass(pair, "comparing");
	HFX_TRY(read_unwind(pair->old_program, &pair->old_unwind));
	HFX_TRY(read_unwind(pair->new_program, &pair->new_unwind));
	HFX_TRY(comparison_create(pair->old_program, pair->new_program,
	                          pair->old_unwind, pair->new_unwind,
	                          pair->decoder, &pair->comparison));
	return comparison_run(pair->comparison);
}

static struct hfx_error *select_functions(struct pair *pair)
{
	begin_pass(pair, "selecting");
	HFX_TRY(selection_init(&pair->selection, pair->options,
	                       pair->comparison, pair->old_program,
	                       pair->new_program, pair->new_unwind,
	                       pair->decoder));
	return selection_run(&pair->selection);
}

static struct hfx_error *check(struct pair *pair, struct report *report)
{
	begin_pass(pair, "checking");
	HFX_TRY(check_inputs(pair->old_program, pair->new_program,
	                     &pair->warnings));
	HFX_TRY(check_build_texts(pair->new_program, &pair->warnings));
	for (size_t i = 0; i < pair->selection.warnings.num_items; i++)
		HFX_TRY(warnings_add(&pair->warnings, "%s",
		                     pair->selection.warnings.items[i]));
	HFX_TRY(active_check_run(&pair->selection, pair->decoder,
	                         &pair->warnings));
	HFX_TRY(type_check_run(&pair->selection, &pair->accepted,
	                       &pair->warnings, report));
	HFX_TRY(data_check_run(&pair->selection, &pair->accepted,
	                       &pair->warnings));
	HFX_TRY(tls_check_run(&pair->selection, &pair->accepted,
	                      &pair->warnings));
	return surplus_check_run(&pair->selection, &pair->warnings);
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

static struct hfx_error *make_image(struct pair *pair, const char *name,
                                    struct buffer *ret)
{
	struct image_description *image = &pair->selection.closure.image;
	HFX_CLEANUP(image_debug_deinit) struct image_debug debug = {0};
	const struct section *frames =
		program_section_named(pair->new_program, ".eh_frame");
	uint64_t end = pair->new_program->end_addr;

	drop_double_relocations(image);
	image->soname = name;
	image->build_id = pair->new_program->build_id;
	image->free_addr = (end + PAGE_SIZE - 1) & -(uint64_t)PAGE_SIZE;
	if (frames && frames->data) {
		image->eh_frame_addr = frames->addr;
		image->eh_frame = frames->data;
		image->eh_frame_size = frames->size;
	}
	HFX_TRY(image_debug_init(&debug, image, pair->new_program->debug));
	image->debug = &debug;
	return image_write(image, ret);
}

/* What the bundle says of the module, and its image. */
static struct hfx_error *make_module(struct pair *pair,
                                     const struct pair_output *output)
{
	begin_pass(pair, "writing");
	HFX_TRY(describe_module(&pair->selection, output->report,
	                        output->module));
	return make_image(pair, output->name, output->image);
}

static struct hfx_error *conclude(struct pair *pair,
                                  const struct pair_output *output,
                                  enum diff_outcome *outcome_ret)
{
	struct report *report = output->report;

	begin_pass(pair, "describing");
	HFX_TRY(describe_report(&pair->selection, &pair->warnings,
	                        &pair->accepted, report));
	*outcome_ret = DIFF_DONE;
	if (report->num_refusals)
		*outcome_ret = DIFF_REFUSED;
	else if (!pair->selection.closure.num_functions)
		*outcome_ret = DIFF_NOTHING;
	else if (output->module)
		return make_module(pair, output);
	return NULL;
}

static struct hfx_error *write_page(struct pair *pair,
                                    const struct pair_output *output)
{
	struct html_input input = {
		.selection = &pair->selection,
		.report = output->report,
		.decoder = pair->decoder,
		.max_code = HTML_MAX_CODE,
		.prefix = output->page_prefix,
	};

	return output->page ? html_render(&input, output->page) : NULL;
}

static struct hfx_error *run(struct pair *pair,
                             const struct pair_output *output,
                             enum diff_outcome *outcome_ret)
{
	HFX_TRY(load(pair));
	HFX_TRY(scan(pair));
	HFX_TRY(compare(pair));
	pair->is_selected = true;
	HFX_TRY(select_functions(pair));
	HFX_TRY(check(pair, output->report));
	HFX_TRY(conclude(pair, output, outcome_ret));
	return write_page(pair, output);
}

struct hfx_error *pair_run(const struct diff_options *options, size_t index,
                           struct progress *progress,
                           const struct pair_output *output,
                           enum diff_outcome *outcome_ret)
{
	HFX_CLEANUP(pair_deinit)
	struct pair pair = {
		.options = options,
		.input = &options->inputs[index],
		.progress = progress,
		.num_done = (unsigned int)(index * PAIR_PASSES),
		.num_steps = (unsigned int)(options->num_inputs * PAIR_PASSES),
	};

	return run(&pair, output, outcome_ret);
}
