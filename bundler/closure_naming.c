/* SPDX-License-Identifier: MIT */
/*
 * Which objects the current function can mean by their names. Where one begins
 * that it cannot, code that refers there counts from another one.
 */
#include <string.h>

#include "cleanup.h"
#include "closure_private.h"
#include "debug_info.h"
#include "namesakes.h"

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Link-time optimization has files of its own: "<artificial>", "ld-temp.o". */
static bool is_source(const char *file)
{
	const char *suffix = strrchr(file, '.');

	return suffix && strcmp(suffix, ".o") != 0 && *file != '<';
}

/* No variable of the source: CSWTCH.3, __func__. */
static bool is_made_by_compiler(const struct symbol *object)
{
	return strchr(object->name, '.') || !strncmp(object->name, "__", 2);
}

/*
 * What is local to another file has no name in the current function. This is
 * for what DWARF does not know.
 */
static struct hfx_error *is_of_own_file(struct closure *closure,
                                        const struct symbol *object, bool *ret)
{
	HFX_CLEANUP(hfx_free) char *unit = NULL;

	*ret = true;
	if (!closure->new_program->debug || !is_made_by_compiler(object) ||
	    !is_source(object->file))
		return NULL;
	HFX_TRY(debug_info_unit_at(closure->new_program->debug,
	                           closure->function->addr, false, &unit));
	*ret = !*unit || !strcmp(file_name(unit), file_name(object->file));
	return NULL;
}

static bool is_same_place(const struct program *program, size_t i, size_t k)
{
	return i < program->num_symbols && k < program->num_symbols &&
	       program->symbols[i].kind == SYMBOL_OBJECT &&
	       program->symbols[i].addr == program->symbols[k].addr;
}

/* Another name of the place may be one that the function has. */
static bool has_alias(const struct program *program,
                      const struct symbol *object)
{
	size_t i = object - program->symbols;

	return is_same_place(program, i - 1, i) ||
	       is_same_place(program, i + 1, i);
}

/* Link-time optimization makes static variables known to other units. */
static bool is_promoted(const struct symbol *object)
{
	return strstr(object->name, ".llvm.") ||
	       strstr(object->name, ".lto_priv");
}

static struct hfx_error *naming_of(const struct program *program,
                                   const struct function *function,
                                   const struct symbol *object,
                                   enum debug_naming *ret)
{
	*ret = DEBUG_NAMING_CAN;
	if (!object->is_local || has_alias(program, object))
		return NULL;
	*ret = DEBUG_NAMING_UNKNOWN;
	if (!program->debug)
		return NULL;
	HFX_TRY(debug_info_naming(program->debug, function->addr, object->addr,
	                          ret));
	if (*ret == DEBUG_NAMING_CANNOT && is_promoted(object))
		*ret = DEBUG_NAMING_MAY;
	return NULL;
}

struct hfx_error *closure_can_mean(struct closure *closure,
                                   const struct symbol *object, bool *ret)
{
	enum debug_naming naming;

	HFX_TRY(naming_of(closure->new_program, closure->function, object,
	                  &naming));
	*ret = naming != DEBUG_NAMING_CANNOT;
	return naming == DEBUG_NAMING_UNKNOWN
	               ? is_of_own_file(closure, object, ret)
	               : NULL;
}

struct hfx_error *closure_could_mean(struct closure *closure,
                                     const struct symbol *old_object, bool *ret)
{
	const struct program *old = closure->old_program;
	uint32_t peer = closure->function->peer;
	enum debug_naming naming = DEBUG_NAMING_UNKNOWN;

	if (peer != NO_INDEX)
		HFX_TRY(naming_of(old, &old->functions[peer], old_object,
		                  &naming));
	*ret = naming != DEBUG_NAMING_CANNOT;
	return NULL;
}

/* "UNIT/FUNCTION/" with another function than @p function. */
static bool is_head_of_another(const char *head, size_t head_length,
                               const char *function)
{
	size_t length = strlen(function);

	return head_length < length + 2 ||
	       head[head_length - length - 2] != '/' ||
	       memcmp(head + head_length - length - 1, function, length) != 0;
}

/* Whether an object is a variable of another function. */
static struct hfx_error *is_of_another(struct closure *closure,
                                       const struct symbol *object, bool *ret)
{
	struct debug_info *debug = closure->new_program->debug;
	HFX_CLEANUP(debug_function_deinit) struct debug_function function = {0};
	HFX_CLEANUP(hfx_free) char *scope = NULL;
	size_t head_length;

	*ret = false;
	HFX_TRY(debug_info_variable_scope(debug, object->addr, &scope));
	if (!scope_is_in_function(scope, &head_length))
		return NULL;
	HFX_TRY(debug_info_function(debug, closure->function->addr, &function));
	*ret = function.name && *function.name &&
	       is_head_of_another(scope, head_length, function.name);
	return NULL;
}

struct hfx_error *closure_is_strange(struct closure *closure,
                                     const struct symbol *object,
                                     const struct reference *reference,
                                     bool *ret)
{
	struct debug_info *debug = closure->new_program->debug;
	HFX_CLEANUP(hfx_free) char *inlined = NULL;
	enum debug_naming naming;

	*ret = false;
	if (!debug || !object->is_local || !reference)
		return NULL;
	HFX_TRY(naming_of(closure->new_program, closure->function, object,
	                  &naming));
	*ret = naming == DEBUG_NAMING_CANNOT || naming == DEBUG_NAMING_MAY;
	if (!*ret)
		HFX_TRY(is_of_another(closure, object, ret));
	if (!*ret || naming == DEBUG_NAMING_CANNOT)
		return NULL;
	/* What is inlined there may have a name for it. */
	HFX_TRY(debug_info_inlined_at(
		debug, closure->function->addr + reference->insn_off,
		&inlined));
	*ret = !inlined;
	return NULL;
}

/*
 * What is no array may be counted from as well, for the sake of what is around
 * it (`container_of()`), by code that uses it otherwise, too.
 */
struct hfx_error *closure_may_count(struct closure *closure,
                                    const struct symbol *object,
                                    enum address_fate fate, bool *ret)
{
	*ret = false;
	if (fate == ADDRESS_USED)
		return NULL;
	*ret = true;
	if (function_refers_to(closure->function, object->addr,
	                       object->size + 1))
		return NULL;
	*ret = fate != ADDRESS_COMPARED;
	if (!*ret || !closure->new_program->debug)
		return NULL;
	return debug_info_has_array(closure->new_program->debug, object->addr,
	                            ret);
}
