/* SPDX-License-Identifier: MIT */
/*
 * Types as C text. A declaration is read from its name outwards, and so it is
 * built: `text` begins as the name, each step along DW_AT_type wraps a piece
 * of declarator around it ("*", "[4]", "(int)"), and the type at the end of
 * the chain goes in front.
 */
#include "debug_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/** Types in one signature; damaged DWARF can make it a tree without end. */
#define MAX_TYPES 1000

/** Scopes around a name; in damaged DWARF they can form a circle. */
#define MAX_SCOPES 64

enum qualifier {
	QUALIFIER_CONST = 1,
	QUALIFIER_VOLATILE = 2,
	QUALIFIER_RESTRICT = 4,
	QUALIFIER_ATOMIC = 8,
};

struct printer {
	struct debug_info *debug;
	bool is_c;
	/** Leave out the names of parameters. */
	bool is_nameless;
	unsigned num_types;
};

/** A declaration while it grows. */
struct declarator {
	char **text;
	/** enum qualifier, of the type that comes next. */
	unsigned qualifiers;
	/** The last piece was a `*` or `&`: `[]` and `()` bind closer. */
	bool is_pointer;
};

static struct hfx_error *parameters_text(struct printer *printer,
                                         Dwarf_Die *function, char **ret);

static unsigned qualifier_of(int tag)
{
	switch (tag) {
	case DW_TAG_const_type:
		return QUALIFIER_CONST;
	case DW_TAG_volatile_type:
		return QUALIFIER_VOLATILE;
	case DW_TAG_restrict_type:
		return QUALIFIER_RESTRICT;
	case DW_TAG_atomic_type:
		return QUALIFIER_ATOMIC;
	default:
		return 0;
	}
}

static struct hfx_error *prepend(char **text, const char *word)
{
	return debug_text_set(text, "%s%s%s", word, (*text)[0] ? " " : "",
	                      *text);
}

/** Put the qualifiers before the text, and none are left. */
static struct hfx_error *flush_qualifiers(const struct printer *printer,
                                          struct declarator *declarator)
{
	unsigned set = declarator->qualifiers;
	char **text = declarator->text;

	declarator->qualifiers = 0;
	if (set & QUALIFIER_RESTRICT)
		HFX_TRY(prepend(text,
		                printer->is_c ? "restrict" : "__restrict"));
	if (set & QUALIFIER_ATOMIC)
		HFX_TRY(prepend(text, "_Atomic"));
	if (set & QUALIFIER_VOLATILE)
		HFX_TRY(prepend(text, "volatile"));
	if (set & QUALIFIER_CONST)
		HFX_TRY(prepend(text, "const"));
	return NULL;
}

static const char *keyword_of(int tag)
{
	switch (tag) {
	case DW_TAG_structure_type:
		return "struct";
	case DW_TAG_class_type:
		return "class";
	case DW_TAG_union_type:
		return "union";
	case DW_TAG_enumeration_type:
		return "enum";
	default:
		return NULL;
	}
}

/**
 * The namespace, class or function around the declaration of @p die.
 *
 * @param[in,out] die Anything declared, then what is around it.
 */
static struct hfx_error *go_outwards(struct debug_info *debug, Dwarf_Die *die,
                                     bool *found_ret)
{
	const struct debug_scope *scope;
	struct debug_unit *unit;

	HFX_TRY(debug_follow_all(debug, die, DW_AT_specification, die));
	HFX_TRY(debug_unit_of(debug, die->cu, &unit));
	scope = debug_scope_of(unit, die);
	*found_ret = scope;
	if (scope)
		*die = scope->die;
	return NULL;
}

static const char *scope_name(Dwarf_Die *scope)
{
	const char *name = debug_name(scope);

	if (name[0])
		return name;
	return dwarf_tag(scope) == DW_TAG_namespace ? "(anonymous namespace)"
	                                            : "(anonymous)";
}

struct hfx_error *debug_qualified_name(struct debug_info *debug, Dwarf_Die *die,
                                       char **ret)
{
	HFX_CLEANUP(hfx_free) char *text = NULL;
	Dwarf_Die outer = *die;
	bool found;

	HFX_TRY(debug_text_set(&text, "%s", debug_name(die)));
	HFX_TRY(go_outwards(debug, &outer, &found));
	for (int steps = 0; found && steps < MAX_SCOPES; steps++) {
		if (dwarf_tag(&outer) != DW_TAG_lexical_block)
			HFX_TRY(debug_text_set(&text, "%s::%s",
			                       scope_name(&outer), text));
		HFX_TRY(go_outwards(debug, &outer, &found));
	}
	*ret = HFX_TAKE(text);
	return NULL;
}

/** The name of a type that has one, with its keyword where C wants it. */
static struct hfx_error *base_name(struct printer *printer, Dwarf_Die *type,
                                   char **ret)
{
	const char *keyword = keyword_of(dwarf_tag(type));
	Dwarf_Die die;

	HFX_TRY(debug_type_resolve(printer->debug, type, &die));
	/* What assembly returns. */
	if (dwarf_tag(&die) == DW_TAG_unspecified_type && !debug_name(&die)[0])
		return debug_text_set(ret, "void");
	if (!debug_name(&die)[0])
		return debug_text_set(ret, "%s {...}", keyword ? keyword : "?");
	if (!printer->is_c)
		return debug_qualified_name(printer->debug, &die, ret);
	return debug_text_set(ret, "%s%s%s", keyword ? keyword : "",
	                      keyword ? " " : "", debug_name(&die));
}

static struct hfx_error *wrap_pointer(struct printer *printer,
                                      struct declarator *declarator,
                                      const char *sign)
{
	HFX_TRY(flush_qualifiers(printer, declarator));
	declarator->is_pointer = true;
	return debug_text_set(declarator->text, "%s%s", sign,
	                      *declarator->text);
}

static struct hfx_error *wrap_member_pointer(struct printer *printer,
                                             struct declarator *declarator,
                                             Dwarf_Die *type)
{
	HFX_CLEANUP(hfx_free) char *name = NULL;
	Dwarf_Die class_die;
	bool found;

	HFX_TRY(debug_follow(printer->debug, type, DW_AT_containing_type,
	                     &class_die, &found));
	if (found)
		HFX_TRY(base_name(printer, &class_die, &name));
	else
		HFX_TRY(debug_text_set(&name, "?"));
	HFX_TRY(debug_text_set(&name, "%s::*", name));
	return wrap_pointer(printer, declarator, name);
}

static struct hfx_error *close_pointer(struct declarator *declarator)
{
	if (!declarator->is_pointer)
		return NULL;
	declarator->is_pointer = false;
	return debug_text_set(declarator->text, "(%s)", *declarator->text);
}

static struct hfx_error *wrap_array(struct declarator *declarator,
                                    Dwarf_Die *array)
{
	char **text = declarator->text;
	Dwarf_Die child;
	int status;

	HFX_TRY(close_pointer(declarator));
	for (status = dwarf_child(array, &child); status == 0;
	     status = dwarf_siblingof(&child, &child)) {
		uint64_t length;

		if (dwarf_tag(&child) != DW_TAG_subrange_type)
			continue;
		if (debug_subrange_length(&child, &length))
			HFX_TRY(debug_text_set(text, "%s[%" PRIu64 "]", *text,
			                       length));
		else
			HFX_TRY(debug_text_set(text, "%s[]", *text));
	}
	return NULL;
}

/** Qualifiers of what `this` points to. */
static struct hfx_error *object_qualifiers(struct printer *printer,
                                           Dwarf_Die *parameter, unsigned *ret)
{
	Dwarf_Die type = *parameter;
	bool is_pointee = false;
	bool found = true;

	*ret = 0;
	for (int steps = 0; steps < DEBUG_MAX_CHAIN; steps++) {
		HFX_TRY(debug_follow(printer->debug, &type, DW_AT_type, &type,
		                     &found));
		if (!found)
			return NULL;
		if (dwarf_tag(&type) == DW_TAG_pointer_type)
			is_pointee = true;
		else if (!qualifier_of(dwarf_tag(&type)))
			return NULL;
		else if (is_pointee)
			*ret |= qualifier_of(dwarf_tag(&type));
	}
	return NULL;
}

/** Append " const" for a method whose object parameter says so. */
static struct hfx_error *add_object_qualifiers(struct printer *printer,
                                               Dwarf_Die *method, char **text)
{
	unsigned qualifiers;
	Dwarf_Die child;

	if (printer->is_c || dwarf_child(method, &child) ||
	    dwarf_tag(&child) != DW_TAG_formal_parameter ||
	    !debug_flag(&child, DW_AT_artificial))
		return NULL;
	HFX_TRY(object_qualifiers(printer, &child, &qualifiers));
	return debug_text_set(text, "%s%s%s", *text,
	                      qualifiers & QUALIFIER_CONST ? " const" : "",
	                      qualifiers & QUALIFIER_VOLATILE ? " volatile"
	                                                      : "");
}

static struct hfx_error *wrap_function(struct printer *printer,
                                       struct declarator *declarator,
                                       Dwarf_Die *function)
{
	HFX_CLEANUP(hfx_free) char *parameters = NULL;
	char **text = declarator->text;

	/* A qualified function is a method: it says so by its parameter. */
	declarator->qualifiers = 0;
	HFX_TRY(close_pointer(declarator));
	HFX_TRY(parameters_text(printer, function, &parameters));
	HFX_TRY(debug_text_set(text, "%s(%s)", *text, parameters));
	return add_object_qualifiers(printer, function, text);
}

/** Put the type's name in front: the end of the chain. */
static struct hfx_error *finish(struct printer *printer,
                                struct declarator *declarator, const char *name)
{
	HFX_TRY(prepend(declarator->text, name));
	return flush_qualifiers(printer, declarator);
}

/** @param[out] is_done_ret True when @p type is the end of the chain. */
static struct hfx_error *wrap_type(struct printer *printer,
                                   struct declarator *declarator,
                                   Dwarf_Die *type, bool *is_done_ret)
{
	HFX_CLEANUP(hfx_free) char *name = NULL;
	int tag = dwarf_tag(type);

	*is_done_ret = false;
	switch (tag) {
	case DW_TAG_const_type:
	case DW_TAG_volatile_type:
	case DW_TAG_restrict_type:
	case DW_TAG_atomic_type:
		declarator->qualifiers |= qualifier_of(tag);
		return NULL;
	case DW_TAG_pointer_type:
		return wrap_pointer(printer, declarator, "*");
	case DW_TAG_reference_type:
		return wrap_pointer(printer, declarator, "&");
	case DW_TAG_rvalue_reference_type:
		return wrap_pointer(printer, declarator, "&&");
	case DW_TAG_ptr_to_member_type:
		return wrap_member_pointer(printer, declarator, type);
	case DW_TAG_array_type:
		return wrap_array(declarator, type);
	case DW_TAG_subroutine_type:
		return wrap_function(printer, declarator, type);
	default:
		*is_done_ret = true;
		HFX_TRY(base_name(printer, type, &name));
		return finish(printer, declarator, name);
	}
}

/**
 * Make a declaration with the DW_AT_type of @p die, `void` without one.
 *
 * @param[in,out] text What is declared: a name or "", then the declaration.
 */
static struct hfx_error *declare(struct printer *printer, Dwarf_Die *die,
                                 char **text)
{
	struct declarator declarator = {.text = text};
	Dwarf_Die type = *die;
	bool is_done = false;
	bool found;

	while (!is_done) {
		HFX_TRY(debug_follow(printer->debug, &type, DW_AT_type, &type,
		                     &found));
		if (!found)
			return finish(printer, &declarator, "void");
		if (++printer->num_types > MAX_TYPES)
			return debug_error_damaged(printer->debug,
			                           "a type without end");
		HFX_TRY(wrap_type(printer, &declarator, &type, &is_done));
	}
	return NULL;
}

struct hfx_error *debug_declared_type(struct debug_info *debug, Dwarf_Die *die,
                                      char **ret)
{
	HFX_CLEANUP(hfx_free) char *text = NULL;
	struct printer printer = {.debug = debug};
	struct debug_unit *unit;

	HFX_TRY(debug_unit_of(debug, die->cu, &unit));
	printer.is_c = unit->is_c;
	HFX_TRY(debug_text_set(&text, "%s", ""));
	HFX_TRY(declare(&printer, die, &text));
	*ret = HFX_TAKE(text);
	return NULL;
}

/** Append one parameter, named if it has a name. */
static struct hfx_error *add_parameter(struct printer *printer,
                                       Dwarf_Die *parameter, char **list)
{
	HFX_CLEANUP(hfx_free) char *text = NULL;

	HFX_TRY(debug_text_set(&text, "%s",
	                       printer->is_nameless ? ""
	                                            : debug_name(parameter)));
	HFX_TRY(declare(printer, parameter, &text));
	return debug_text_set(list, "%s%s%s", *list, (*list)[0] ? ", " : "",
	                      text);
}

static struct hfx_error *add_child(struct printer *printer, Dwarf_Die *child,
                                   char **list)
{
	switch (dwarf_tag(child)) {
	case DW_TAG_formal_parameter:
		if (debug_flag(child, DW_AT_artificial))
			return NULL;
		return add_parameter(printer, child, list);
	case DW_TAG_unspecified_parameters:
		return debug_text_set(list, "%s%s...", *list,
		                      (*list)[0] ? ", " : "");
	default:
		return NULL;
	}
}

/** Append the parameters; those of a C++ parameter pack stand one deeper. */
static struct hfx_error *add_parameters(struct printer *printer,
                                        Dwarf_Die *function, char **list)
{
	Dwarf_Die child;
	int status;

	for (status = dwarf_child(function, &child); status == 0;
	     status = dwarf_siblingof(&child, &child)) {
		if (dwarf_tag(&child) == DW_TAG_GNU_formal_parameter_pack)
			HFX_TRY(add_parameters(printer, &child, list));
		else
			HFX_TRY(add_child(printer, &child, list));
	}
	return NULL;
}

static struct hfx_error *parameters_text(struct printer *printer,
                                         Dwarf_Die *function, char **ret)
{
	HFX_CLEANUP(hfx_free) char *list = NULL;
	bool is_open;

	HFX_TRY(debug_text_set(&list, "%s", ""));
	HFX_TRY(add_parameters(printer, function, &list));
	is_open = printer->is_c && !debug_flag(function, DW_AT_prototyped);
	if (!list[0] && !is_open)
		HFX_TRY(debug_text_set(&list, "void"));
	*ret = HFX_TAKE(list);
	return NULL;
}

static bool has_parameters(Dwarf_Die *function)
{
	Dwarf_Die child;
	int status;

	for (status = dwarf_child(function, &child); status == 0;
	     status = dwarf_siblingof(&child, &child)) {
		if (dwarf_tag(&child) == DW_TAG_formal_parameter)
			return true;
	}
	return false;
}

/**
 * What stands behind a method's parameters: " const", " &".
 *
 * @param[in] parameters The DIE that holds the parameters.
 */
static struct hfx_error *method_suffix(struct printer *printer,
                                       struct debug_subprogram *function,
                                       Dwarf_Die *parameters, char **ret)
{
	Dwarf_Die *die = &function->declaration;

	HFX_TRY(debug_text_set(ret, "%s", ""));
	HFX_TRY(add_object_qualifiers(printer, parameters, ret));
	return debug_text_set(ret, "%s%s%s", *ret,
	                      debug_flag(die, DW_AT_reference) ? " &" : "",
	                      debug_flag(die, DW_AT_rvalue_reference) ? " &&"
	                                                              : "");
}

/** Constructors, destructors and conversions declare no type. */
static struct hfx_error *is_untyped_method(struct debug_info *debug,
                                           Dwarf_Die *declaration, bool *ret)
{
	const char *name = debug_name(declaration);
	const struct debug_scope *scope;
	struct debug_unit *unit;
	const char *class_name;
	Dwarf_Die class_die;
	size_t length;

	*ret = false;
	HFX_TRY(debug_unit_of(debug, declaration->cu, &unit));
	scope = debug_scope_of(unit, declaration);
	if (!scope)
		return NULL;
	class_die = scope->die;
	if (!debug_is_aggregate(&class_die))
		return NULL;
	class_name = debug_name(&class_die);
	length = strcspn(class_name, "<");
	*ret = name[0] == '~' || (strncmp(name, class_name, length) == 0 &&
	                          strcspn(name, "<") == length);
	return NULL;
}

static struct hfx_error *declare_function(struct printer *printer,
                                          struct debug_subprogram *function,
                                          char **text)
{
	Dwarf_Attribute attr;
	bool is_untyped = false;

	if (!printer->is_c &&
	    !dwarf_attr_integrate(&function->origin, DW_AT_type, &attr))
		HFX_TRY(is_untyped_method(printer->debug,
		                          &function->declaration, &is_untyped));
	if (is_untyped)
		return NULL;
	return declare(printer, &function->origin, text);
}

/** "hit(int)", for C++. */
static struct hfx_error *overload_name(struct printer *printer,
                                       Dwarf_Die *parameters, char **name)
{
	HFX_CLEANUP(hfx_free) char *list = NULL;

	printer->is_nameless = true;
	HFX_TRY(debug_text_set(&list, "%s", ""));
	HFX_TRY(add_parameters(printer, parameters, &list));
	return debug_text_set(name, "%s(%s)", *name, list);
}

static struct hfx_error *signature(struct printer *printer,
                                   struct debug_subprogram *function,
                                   char **name_ret, char **signature_ret)
{
	HFX_CLEANUP(hfx_free) char *suffix = NULL;
	HFX_CLEANUP(hfx_free) char *list = NULL;
	Dwarf_Die parameters = function->origin;

	if (!has_parameters(&parameters))
		parameters = function->declaration;
	HFX_TRY(method_suffix(printer, function, &parameters, &suffix));
	HFX_TRY(parameters_text(printer, &parameters, &list));
	HFX_TRY(debug_text_set(signature_ret, "%s(%s)%s", *name_ret, list,
	                       suffix));
	HFX_TRY(declare_function(printer, function, signature_ret));
	if (printer->is_c)
		return NULL;
	HFX_TRY(overload_name(printer, &parameters, name_ret));
	return debug_text_set(name_ret, "%s%s", *name_ret, suffix);
}

struct hfx_error *debug_signature(struct debug_info *debug,
                                  struct debug_subprogram *function,
                                  char **name_ret, char **signature_ret)
{
	struct printer printer = {.debug = debug, .is_c = function->unit->is_c};
	HFX_CLEANUP(hfx_free) char *name = NULL;
	HFX_CLEANUP(hfx_free) char *text = NULL;

	if (printer.is_c)
		HFX_TRY(debug_text_set(&name, "%s",
		                       debug_name(&function->declaration)));
	else
		HFX_TRY(debug_qualified_name(debug, &function->declaration,
		                             &name));
	HFX_TRY(debug_text_set(&text, "%s", name));
	HFX_TRY(signature(&printer, function, &name, &text));
	*name_ret = HFX_TAKE(name);
	*signature_ret = HFX_TAKE(text);
	return NULL;
}

struct hfx_error *debug_function_name(struct debug_info *debug,
                                      struct debug_subprogram *function,
                                      char **ret)
{
	HFX_CLEANUP(hfx_free) char *signature = NULL;

	if (function->unit->is_c)
		return debug_text_set(ret, "%s",
		                      debug_name(&function->declaration));
	return debug_signature(debug, function, ret, &signature);
}
