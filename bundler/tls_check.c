/* SPDX-License-Identifier: MIT */
/*
 * Thread-local variables: those that stayed where they were (closure.c refuses
 * the others) are shared with OLD, in each thread, and threads that start later
 * are given OLD's initial values.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "data_check.h"
#include "debug_info.h"

#define REMEDY_VALUE                                                           \
	"Set the value in code that runs after the patch, or pass "            \
	"--accept-data with its name if threads may keep the old one"
#define REMEDY_TYPE                                                            \
	"Keep its type, or pass --accept-data with its name if its value "     \
	"means the same"

struct check {
	struct selection *selection;
	const struct program *old_program;
	const struct program *new_program;
	struct acceptances *accepted;
	struct warnings *warnings;
};

static struct hfx_error *refuse_or_accept(const struct check *check,
                                          const struct symbol *symbol,
                                          const char *remedy, const char *facts)
{
	const struct patterns *patterns =
		&check->selection->options->accept_data;

	if (!acceptance_of_data(patterns, symbol->name))
		return refusals_add_at(&check->selection->closure.refusals, "",
		                       symbol->name, remedy, "%s", facts);
	HFX_TRY(acceptances_add_data(check->accepted, symbol->name));
	return warnings_add(check->warnings, "%s is accepted: %s", symbol->name,
	                    facts);
}

/* Address of the TLS image, which begins with .tdata or .tbss. */
static uint64_t image_addr(const struct program *program)
{
	uint64_t addr = UINT64_MAX;

	for (size_t i = 0; i < program->num_sections; i++)
		if (program->sections[i].kind == SECTION_TLS &&
		    program->sections[i].addr < addr)
			addr = program->sections[i].addr;
	return addr;
}

/* Byte of a variable's initial value; .tbss is zeros. */
static uint8_t byte_at(const struct program *program, uint64_t addr)
{
	const struct section *section = program_tls_data_at(program, addr);

	return section ? section->data[addr - section->addr] : 0;
}

static const struct dynamic_relocation *
pointer_at(const struct program *program, uint64_t addr)
{
	return program_tls_data_at(program, addr)
	               ? program_relocation_at(program, addr)
	               : NULL;
}

/* Offset at which the initial values of two variables differ, or the size. */
static struct hfx_error *find_difference(const struct check *check,
                                         uint64_t old_addr, uint64_t new_addr,
                                         uint64_t size, uint64_t *off_ret)
{
	const struct program *old = check->old_program;
	const struct program *new = check->new_program;
	uint64_t off = 0;
	bool same = true;

	while (off < size) {
		const struct dynamic_relocation *a =
			pointer_at(old, old_addr + off);
		const struct dynamic_relocation *b =
			pointer_at(new, new_addr + off);

		if (a && b)
			HFX_TRY(comparison_of_pointers(
				check->selection->closure.comparison, a, b,
				&same));
		else
			same = !a && !b &&
			       byte_at(old, old_addr + off) ==
			               byte_at(new, new_addr + off);
		if (!same)
			break;
		off += a ? sizeof(uint64_t) : 1;
	}
	*off_ret = same ? size : off;
	return NULL;
}

static struct hfx_error *check_value(const struct check *check,
                                     const struct symbol *old_symbol,
                                     const struct symbol *new_symbol)
{
	uint64_t old_addr = image_addr(check->old_program) + old_symbol->addr;
	uint64_t new_addr = image_addr(check->new_program) + new_symbol->addr;
	HFX_CLEANUP(hfx_free) char *facts = NULL;
	uint64_t off;

	HFX_TRY(find_difference(check, old_addr, new_addr, new_symbol->size,
	                        &off));
	if (off == new_symbol->size)
		return NULL;
	if (asprintf(&facts,
	             "its initial value (at offset %" PRIu64 " of %" PRIu64
	             " bytes) changed: running threads keep their values, and "
	             "new threads begin with the old one",
	             off, new_symbol->size) < 0) {
		facts = NULL;
		return hfx_error_no_memory();
	}
	return refuse_or_accept(check, new_symbol, REMEDY_VALUE, facts);
}

static struct hfx_error *check_type(const struct check *check,
                                    const struct symbol *old_symbol,
                                    const struct symbol *new_symbol)
{
	const struct debug_variable_pair pair = {old_symbol->addr,
	                                         new_symbol->addr, true};
	HFX_CLEANUP(hfx_free) char *types = NULL;
	HFX_CLEANUP(hfx_free) char *facts = NULL;

	if (!check->old_program->debug || !check->new_program->debug)
		return NULL;
	HFX_TRY(debug_info_variable_differs(check->old_program->debug,
	                                    check->new_program->debug, &pair,
	                                    &types));
	if (!types)
		return NULL;
	if (asprintf(&facts, "its type changed %s: threads keep their values",
	             types) < 0) {
		facts = NULL;
		return hfx_error_no_memory();
	}
	return refuse_or_accept(check, new_symbol, REMEDY_TYPE, facts);
}

/* Of one name and size, in the same place; NULL if there is none. */
static const struct symbol *find_old(const struct program *old,
                                     const struct symbol *wanted)
{
	const struct symbol *symbols =
		old->symbols + old->num_symbols - old->num_tls_symbols;

	if (wanted->peer != NO_INDEX &&
	    old->symbols[wanted->peer].size == wanted->size)
		return &old->symbols[wanted->peer];
	for (size_t i = 0; i < old->num_tls_symbols; i++)
		if (symbols[i].addr == wanted->addr &&
		    symbols[i].size == wanted->size &&
		    !strcmp(symbols[i].name, wanted->name))
			return &symbols[i];
	return NULL;
}

static bool uses_tls(const struct program *program)
{
	for (size_t i = 0; i < program->num_functions; i++)
		if (program->functions[i].is_selected &&
		    program->functions[i].verdict != VERDICT_SAME &&
		    program->functions[i].uses_tls)
			return true;
	return false;
}

struct hfx_error *tls_check_run(struct selection *selection,
                                struct acceptances *accepted,
                                struct warnings *warnings)
{
	const struct check check = {
		.selection = selection,
		.old_program = selection->old_program,
		.new_program = selection->new_program,
		.accepted = accepted,
		.warnings = warnings,
	};
	const struct program *new = check.new_program;
	const struct symbol *symbols =
		new->symbols + new->num_symbols - new->num_tls_symbols;

	for (size_t i = 0; i < new->num_tls_symbols; i++) {
		const struct symbol *old =
			find_old(check.old_program, &symbols[i]);

		if (!old)
			continue;
		HFX_TRY(check_value(&check, old, &symbols[i]));
		if (uses_tls(new))
			HFX_TRY(check_type(&check, old, &symbols[i]));
	}
	return NULL;
}
