/* SPDX-License-Identifier: MIT */
#include "data_check.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "build_text.h"
#include "cleanup.h"
#include "debug_info.h"
#include "match.h"
#include "place.h"

#define REMEDY_VALUE                                                           \
	"Set the value in code that runs after the patch, or pass "            \
	"--accept-data with its name if the process may keep its own"
#define REMEDY_TYPE                                                            \
	"Keep its type and add a new variable instead, or pass --accept-data " \
	"with its name if its value means the same"
#define REMEDY_SIZE                                                            \
	"Keep its size and alignment, and add a new variable instead"
#define REMEDY_CONST                                                           \
	"Keep it constant and add a new variable for what is written"

/** Numbers up to this size are told. */
#define MAX_NUMBER_SIZE 8

#define MAX_NAMED 4

/** A variable of both builds. */
struct variable {
	const struct symbol *old_symbol;
	const struct symbol *new_symbol;
};

struct check {
	struct selection *selection;
	const struct program *old_program;
	const struct program *new_program;
	struct acceptances *accepted;
	struct warnings *warnings;
};

static enum section_kind kind_of(const struct program *program,
                                 const struct symbol *symbol)
{
	return symbol->section == NO_INDEX
	               ? SECTION_OTHER
	               : program->sections[symbol->section].kind;
}

static bool is_writable(const struct program *program,
                        const struct symbol *symbol)
{
	enum section_kind kind = kind_of(program, symbol);

	return kind == SECTION_DATA || kind == SECTION_BSS;
}

/* What the compiler numbers is paired in doubt: only DWARF knows. */
static struct hfx_error *is_doubtful(const struct check *check,
                                     const struct variable *variable, bool *ret)
{
	HFX_CLEANUP(hfx_free) char *old_scope = NULL;
	HFX_CLEANUP(hfx_free) char *new_scope = NULL;
	const char *name = variable->new_symbol->name;

	*ret = false;
	if (!variable->new_symbol->is_local || !name[match_base_length(name)])
		return NULL;
	*ret = !check->old_program->debug || !check->new_program->debug;
	if (*ret)
		return NULL;
	HFX_TRY(debug_info_variable_scope(check->old_program->debug,
	                                  variable->old_symbol->addr,
	                                  &old_scope));
	HFX_TRY(debug_info_variable_scope(check->new_program->debug,
	                                  variable->new_symbol->addr,
	                                  &new_scope));
	*ret = !*old_scope || strcmp(old_scope, new_scope) != 0;
	return NULL;
}

static struct hfx_error *source_of(const struct check *check,
                                   const struct variable *variable, char **ret)
{
	*ret = NULL;
	if (!check->new_program->debug)
		return NULL;
	return debug_info_variable_source(check->new_program->debug,
	                                  variable->new_symbol->addr, ret);
}

static struct hfx_error *refuse(const struct check *check,
                                const struct variable *variable,
                                const char *remedy, const char *facts)
{
	HFX_CLEANUP(hfx_free) char *source = NULL;

	HFX_TRY(source_of(check, variable, &source));
	return refusals_add_at(&check->selection->closure.refusals, source,
	                       variable->new_symbol->name, remedy, "%s", facts);
}

/** Refuse, or note that the user accepts it. */
static struct hfx_error *refuse_or_accept(const struct check *check,
                                          const struct variable *variable,
                                          const char *remedy, const char *facts)
{
	const struct patterns *patterns =
		&check->selection->options->accept_data;
	const char *name = variable->new_symbol->name;

	if (!acceptance_of_data(patterns, name))
		return refuse(check, variable, remedy, facts);
	HFX_TRY(acceptances_add_data(check->accepted, name));
	return warnings_add(check->warnings, "%s is accepted: %s", name, facts);
}

/* ---- Initial values ----------------------------------------------------- */

static bool has_relocation(const struct program *program, uint64_t addr,
                           uint64_t size)
{
	size_t i = program_relocation_from(program, addr);

	return i < program->num_relocations &&
	       program->relocations[i].addr - addr < size;
}

static bool is_zero(const struct program *program, const struct symbol *symbol)
{
	const uint8_t *bytes =
		program_bytes(program, symbol->addr, symbol->size);

	if (kind_of(program, symbol) == SECTION_BSS)
		return true;
	for (uint64_t i = 0; bytes && i < symbol->size; i++)
		if (bytes[i])
			return false;
	return bytes && !has_relocation(program, symbol->addr, symbol->size);
}

static struct hfx_error *same_value(const struct check *check,
                                    const struct variable *variable, bool *ret)
{
	const struct symbol *old_symbol = variable->old_symbol;
	const struct symbol *new_symbol = variable->new_symbol;
	bool old_zero = is_zero(check->old_program, old_symbol);
	bool new_zero = is_zero(check->new_program, new_symbol);

	*ret = old_zero == new_zero;
	if (old_zero || new_zero)
		return NULL;
	return comparison_of_data(check->selection->comparison,
	                          old_symbol->addr, new_symbol->addr,
	                          new_symbol->size, ret);
}

static const char *text_of(const struct program *program,
                           const struct symbol *symbol)
{
	const uint8_t *bytes =
		program_bytes(program, symbol->addr, symbol->size);

	if (!bytes || !symbol->size || bytes[symbol->size - 1])
		return NULL;
	return (const char *)bytes;
}

/* Dates of the build differ each time; that is no change of the program. */
static bool is_build_text(const struct check *check,
                          const struct variable *variable)
{
	const char *old_text =
		text_of(check->old_program, variable->old_symbol);
	const char *new_text =
		text_of(check->new_program, variable->new_symbol);

	return old_text && new_text &&
	       build_text_compare(old_text, new_text, "", "") !=
	               BUILD_TEXT_NONE;
}

static uint64_t number_at(const struct program *program,
                          const struct symbol *symbol)
{
	const uint8_t *bytes =
		program_bytes(program, symbol->addr, symbol->size);
	uint64_t number = 0;

	for (uint64_t i = 0; bytes && i < symbol->size; i++)
		number |= (uint64_t)bytes[i] << 8 * i;
	return number;
}

static uint64_t first_difference(const struct check *check,
                                 const struct variable *variable)
{
	uint64_t size = variable->new_symbol->size;
	const uint8_t *old_bytes = program_bytes(
		check->old_program, variable->old_symbol->addr, size);
	const uint8_t *new_bytes = program_bytes(
		check->new_program, variable->new_symbol->addr, size);

	for (uint64_t i = 0; i < size; i++)
		if ((old_bytes ? old_bytes[i] : 0) !=
		    (new_bytes ? new_bytes[i] : 0))
			return i;
	return size;
}

static struct hfx_error *tell_value(const struct check *check,
                                    const struct variable *variable)
{
	const struct symbol *symbol = variable->new_symbol;
	uint64_t off = first_difference(check, variable);
	bool has_pointer =
		has_relocation(check->new_program, symbol->addr, symbol->size);
	char text[160];

	if (has_pointer || off == symbol->size)
		snprintf(text, sizeof(text), "what it points to at first");
	else if (symbol->size <= MAX_NUMBER_SIZE)
		snprintf(text, sizeof(text),
		         "its initial value (%" PRIu64 " -> %" PRIu64 ")",
		         number_at(check->old_program, variable->old_symbol),
		         number_at(check->new_program, symbol));
	else
		snprintf(text, sizeof(text),
		         "its initial value (at offset %" PRIu64 " of %" PRIu64
		         " bytes)",
		         off, symbol->size);
	strncat(text, " changed: the running process keeps its value",
	        sizeof(text) - strlen(text) - 1);
	return refuse_or_accept(check, variable, REMEDY_VALUE, text);
}

/* Pointers of exception tables, of which new code has copies of its own. */
static bool is_unwinders(const struct symbol *symbol)
{
	return !strncmp(symbol->name, "DW.ref.", 7);
}

static struct hfx_error *check_value(const struct check *check,
                                     const struct variable *variable)
{
	bool passes;

	if (is_unwinders(variable->old_symbol) &&
	    is_unwinders(variable->new_symbol))
		return NULL;
	if (variable->old_symbol->size != variable->new_symbol->size ||
	    !is_writable(check->old_program, variable->old_symbol) ||
	    !is_writable(check->new_program, variable->new_symbol))
		return NULL;
	HFX_TRY(same_value(check, variable, &passes));
	if (passes || is_build_text(check, variable))
		return NULL;
	HFX_TRY(is_doubtful(check, variable, &passes));
	return passes ? NULL : tell_value(check, variable);
}

/* ---- Types -------------------------------------------------------------- */

static struct hfx_error *check_type(const struct check *check,
                                    const struct variable *variable)
{
	const struct debug_variable_pair pair = {
		variable->old_symbol->addr, variable->new_symbol->addr, false};
	HFX_CLEANUP(hfx_free) char *types = NULL;
	HFX_CLEANUP(hfx_free) char *facts = NULL;
	bool passes;

	if (!check->old_program->debug || !check->new_program->debug)
		return NULL;
	HFX_TRY(debug_info_variable_differs(check->old_program->debug,
	                                    check->new_program->debug, &pair,
	                                    &types));
	if (!types)
		return NULL;
	HFX_TRY(is_doubtful(check, variable, &passes));
	if (passes)
		return NULL;
	if (asprintf(&facts,
	             "its type changed %s: the running process keeps its value",
	             types) < 0) {
		facts = NULL;
		return hfx_error_no_memory();
	}
	return refuse_or_accept(check, variable, REMEDY_TYPE, facts);
}

/* What goes through the GOT, or stands in a table, the closure does not see. */
static struct hfx_error *check_size(const struct check *check,
                                    const struct variable *variable)
{
	char text[160];

	snprintf(text, sizeof(text),
	         "its size changed from %" PRIu64 " to %" PRIu64
	         " bytes: the running process has the old one",
	         variable->old_symbol->size, variable->new_symbol->size);
	return refuse(check, variable, REMEDY_SIZE, text);
}

static struct hfx_error *check_alignment(const struct check *check,
                                         const struct variable *variable)
{
	uint64_t alignment;
	char text[160];

	if (!check->new_program->debug)
		return NULL;
	HFX_TRY(debug_info_variable_alignment(check->new_program->debug,
	                                      variable->new_symbol->addr,
	                                      &alignment));
	if (!alignment || variable->old_symbol->addr % alignment == 0)
		return NULL;
	snprintf(text, sizeof(text),
	         "it is aligned to %" PRIu64
	         " bytes, and in the running process it is not",
	         alignment);
	return refuse(check, variable, REMEDY_SIZE, text);
}

/* New code would write into OLD's read-only memory. */
static struct hfx_error *check_constness(const struct check *check,
                                         const struct variable *variable)
{
	if (kind_of(check->old_program, variable->old_symbol) !=
	            SECTION_CONST ||
	    !is_writable(check->new_program, variable->new_symbol))
		return NULL;
	return refuse(check, variable, REMEDY_CONST,
	              "it is constant in the old build, and the new code has "
	              "it as a variable");
}

/* ---- Constants ---------------------------------------------------------- */

static bool is_inside(const struct symbol *symbol, uint64_t addr)
{
	return addr - symbol->addr < symbol->size;
}

static bool refers_to(const struct function *function,
                      const struct symbol *symbol)
{
	for (size_t i = 0; i < function->num_references; i++)
		if (is_inside(symbol, function->references[i].target))
			return true;
	return false;
}

static bool is_replaced(const struct check *check,
                        const struct function *function)
{
	const struct program *program = check->old_program;

	if (function->parent != NO_INDEX)
		function = &program->functions[function->parent];
	return function->peer != NO_INDEX &&
	       function_is_replaced(
		       &check->new_program->functions[function->peer]);
}

/** Who of OLD still reads a constant, as text; "" if nobody. */
static struct hfx_error *readers_of(const struct check *check,
                                    const struct symbol *symbol, char **ret)
{
	const struct program *program = check->old_program;
	size_t size, count = 0;
	FILE *out = open_memstream(ret, &size);

	if (!out)
		return hfx_error_no_memory();
	for (size_t i = 0; i < program->num_functions; i++) {
		const struct function *function = &program->functions[i];

		if (!refers_to(function, symbol) ||
		    is_replaced(check, function) || count++ >= MAX_NAMED)
			continue;
		fprintf(out, "%s%s", count > 1 ? ", " : "",
		        function_name(program, function));
	}
	for (size_t i = 0; i < program->num_relocations; i++) {
		const struct dynamic_relocation *relocation =
			&program->relocations[i];
		const struct symbol *holder;

		if (relocation->is_import ||
		    !is_inside(symbol,
		               relocation->symbol_addr + relocation->addend) ||
		    count++ >= MAX_NAMED)
			continue;
		holder = program_object_at(program, relocation->addr);
		fprintf(out, "%sa pointer in %s", count > 1 ? ", " : "",
		        holder ? holder->name : "data");
	}
	return fclose(out) ? hfx_error_no_memory() : NULL;
}

static struct hfx_error *check_constant(const struct check *check,
                                        const struct variable *variable)
{
	const struct symbol *symbol = variable->new_symbol;
	HFX_CLEANUP(hfx_free) char *readers = NULL;
	bool same = false;

	if (kind_of(check->new_program, symbol) != SECTION_CONST ||
	    !pair_set_has(&check->selection->closure.kept, symbol->addr,
	                  symbol->size, PF_R))
		return NULL;
	if (variable->old_symbol->size == symbol->size)
		HFX_TRY(comparison_of_data(check->selection->comparison,
		                           variable->old_symbol->addr,
		                           symbol->addr, symbol->size, &same));
	if (same)
		return NULL;
	HFX_TRY(constant_check_given(check->selection, variable->old_symbol,
	                             check->warnings));
	HFX_TRY(readers_of(check, variable->old_symbol, &readers));
	if (!*readers)
		return NULL;
	return warnings_add(check->warnings,
	                    "the constant %s changed: new code reads the new "
	                    "one, but the old one is still read by %s",
	                    symbol->name, readers);
}

/* ---- All ---------------------------------------------------------------- */

static bool get_variable(const struct check *check, const struct symbol *symbol,
                         struct variable *ret)
{
	if (symbol->kind != SYMBOL_OBJECT || symbol->peer == NO_INDEX)
		return false;
	*ret = (struct variable){
		.old_symbol = &check->old_program->symbols[symbol->peer],
		.new_symbol = symbol,
	};
	return true;
}

/** How the patch refers to a variable. */
enum use {
	USE_NONE,
	/** By its address, which the closure has looked at. */
	USE_DIRECT,
	/** By a slot of the GOT or a pointer in a table. */
	USE_POINTER,
};

static void mark(const struct program *program, const struct place *place,
                 enum use use, unsigned char *uses)
{
	if (place->kind == PLACE_OBJECT && place->symbol &&
	    uses[place->symbol - program->symbols] < use)
		uses[place->symbol - program->symbols] = use;
}

static void mark_reference(const struct program *program,
                           const struct reference *reference,
                           unsigned char *uses)
{
	struct place place = place_at(program, reference->target);
	const struct dynamic_relocation *slot = place.relocation;

	mark(program, &place, USE_DIRECT, uses);
	if (place.kind != PLACE_SLOT || !slot || slot->is_import)
		return;
	place = place_at(program, slot->symbol_addr + slot->addend);
	mark(program, &place, USE_POINTER, uses);
}

/* Pointers in data that the image has, to variables of OLD. */
static void mark_pointers(const struct check *check, unsigned char *uses)
{
	const struct image_description *image =
		&check->selection->closure.image;
	const struct program *old = check->old_program;

	for (size_t i = 0; i < image->num_relocations; i++) {
		const struct image_relocation *relocation =
			&image->relocations[i];
		const struct symbol *symbol;

		if (relocation->symbol != IMAGE_SYMBOL_MODULE ||
		    relocation->type != R_X86_64_64)
			continue;
		symbol = program_object_at(old, relocation->addend);
		if (symbol && symbol->peer != NO_INDEX)
			uses[symbol->peer] = USE_POINTER;
	}
}

/** Mark the variables that the patch refers to, as enum use. */
static void mark_used(const struct check *check, unsigned char *uses)
{
	const struct program *program = check->new_program;

	for (size_t i = 0; i < program->num_functions; i++) {
		const struct function *function = &program->functions[i];

		for (size_t k = 0; function->is_selected &&
		                   function->verdict != VERDICT_SAME &&
		                   k < function->num_references;
		     k++)
			mark_reference(program, &function->references[k], uses);
	}
	mark_pointers(check, uses);
}

static struct hfx_error *check_variable(const struct check *check,
                                        const struct variable *variable,
                                        enum use use)
{
	bool same_size =
		variable->old_symbol->size == variable->new_symbol->size;

	HFX_TRY(check_value(check, variable));
	HFX_TRY(check_constant(check, variable));
	if (use == USE_NONE)
		return NULL;
	HFX_TRY(check_constness(check, variable));
	if (!is_writable(check->new_program, variable->new_symbol))
		return NULL;
	HFX_TRY(check_alignment(check, variable));
	if (same_size)
		return check_type(check, variable);
	return use == USE_POINTER ? check_size(check, variable) : NULL;
}

struct hfx_error *data_check_run(struct selection *selection,
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
	const struct program *program = check.new_program;
	HFX_CLEANUP(hfx_free)
	unsigned char *uses = calloc(program->num_symbols + 1, sizeof(*uses));
	struct variable variable;

	if (!uses)
		return hfx_error_no_memory();
	mark_used(&check, uses);
	for (size_t i = 0; i < program->num_symbols; i++)
		if (get_variable(&check, &program->symbols[i], &variable))
			HFX_TRY(check_variable(&check, &variable, uses[i]));
	return NULL;
}
