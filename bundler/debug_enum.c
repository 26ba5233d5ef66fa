/* SPDX-License-Identifier: MIT */
/* What is listed in a type but takes no room: enumerators, virtual functions.
 */
#include "debug_private.h"
#include "lambda_names.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

/** Something with a name and a number: an enumerator, a virtual function. */
struct entry {
	Dwarf_Die die;
	const char *name;
	int64_t number;
};

typedef bool (*next_fn)(int status, Dwarf_Die *die, struct entry *ret);

static bool next_enumerator(int status, Dwarf_Die *die, struct entry *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Sword value;

	for (; status == 0; status = dwarf_siblingof(die, die)) {
		if (dwarf_tag(die) != DW_TAG_enumerator ||
		    !dwarf_attr(die, DW_AT_const_value, &attr) ||
		    dwarf_formsdata(&attr, &value))
			continue;
		*ret = (struct entry){*die, debug_name(die), value};
		return true;
	}
	return false;
}

/** Index in the virtual table; -1 if DWARF does not say it. */
static int64_t virtual_slot(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops;
	size_t num_ops;
	uint64_t slot;

	if (debug_number(die, DW_AT_vtable_elem_location, &slot))
		return (int64_t)slot;
	if (!dwarf_attr(die, DW_AT_vtable_elem_location, &attr) ||
	    dwarf_getlocation(&attr, &ops, &num_ops) || num_ops != 1)
		return -1;
	if (ops[0].atom >= DW_OP_lit0 && ops[0].atom <= DW_OP_lit31)
		return ops[0].atom - DW_OP_lit0;
	return (int64_t)ops[0].number;
}

static bool next_virtual(int status, Dwarf_Die *die, struct entry *ret)
{
	for (; status == 0; status = dwarf_siblingof(die, die)) {
		uint64_t virtuality = 0;

		if (dwarf_tag(die) != DW_TAG_subprogram)
			continue;
		debug_number(die, DW_AT_virtuality, &virtuality);
		if (!virtuality)
			continue;
		*ret = (struct entry){*die, debug_linkage_name(die),
		                      virtual_slot(die)};
		return true;
	}
	return false;
}

/** Names of virtual functions may have numbers of lambdas in them. */
static bool find(Dwarf_Die *type, next_fn next, const char *name,
                 struct entry *ret)
{
	Dwarf_Die die;
	int status = dwarf_child(type, &die);

	while (next(status, &die, ret)) {
		if (next == next_virtual ? lambda_names_alike(ret->name, name)
		                         : !strcmp(ret->name, name))
			return true;
		status = dwarf_siblingof(&die, &die);
	}
	return false;
}

/**
 * Words in the names of enumerators that no object has for a value. Others
 * ("END", "SIZE") as often name a state or a field.
 */
static const char *const count_words[] = {
	"MAX", "MAXIMUM", "NUM", "NUMOF", "NR", "NB", "N", "COUNT", "LAST",
};

static bool is_count_word(const char *word, size_t length)
{
	for (size_t i = 0; i < sizeof(count_words) / sizeof(*count_words); i++)
		if (strlen(count_words[i]) == length &&
		    strncasecmp(word, count_words[i], length) == 0)
			return true;
	return false;
}

/** Length of the word that @p name begins with: "NUM" of "NUM_STATES". */
static size_t word_length(const char *name)
{
	size_t i = 1;

	while (isalnum((unsigned char)name[i]) &&
	       !(islower((unsigned char)name[i - 1]) &&
	         isupper((unsigned char)name[i])))
		i++;
	return i;
}

/** Whether a name says that it counts the others: its first or last word. */
static bool has_count_name(const char *name)
{
	bool is_first = true;

	while (*name) {
		size_t length;

		if (!isalnum((unsigned char)*name)) {
			name++;
			continue;
		}
		length = word_length(name);
		if (is_count_word(name, length) &&
		    (is_first || !name[length + strspn(name + length, "_")]))
			return true;
		is_first = false;
		name += length;
	}
	return false;
}

/** Whether @p number is at least that of each enumerator that counts nothing.
 */
static bool is_behind_all(Dwarf_Die *type, int64_t number)
{
	struct entry other;
	Dwarf_Die die;
	int status = dwarf_child(type, &die);

	while (next_enumerator(status, &die, &other)) {
		if (other.number > number && !has_count_name(other.name))
			return false;
		status = dwarf_siblingof(&die, &die);
	}
	return true;
}

/**
 * Whether an enumerator only says how many there are, or which is the last one:
 * by its name, and because the values that mean something come before it in
 * both. The last value of an enumeration alone may as well be one like others.
 */
static bool is_count(Dwarf_Die *old_type, Dwarf_Die *new_type,
                     const struct entry *old_entry,
                     const struct entry *new_entry)
{
	return has_count_name(new_entry->name) &&
	       is_behind_all(old_type, old_entry->number) &&
	       is_behind_all(new_type, new_entry->number);
}

/** The first entry of OLD's that NEW has not, or with another number. */
static bool find_lost(Dwarf_Die *old_type, Dwarf_Die *new_type, next_fn next,
                      struct entry *old_ret, struct entry *new_ret,
                      bool *is_removed_ret)
{
	Dwarf_Die die;
	int status = dwarf_child(old_type, &die);

	while (next(status, &die, old_ret)) {
		*is_removed_ret = !find(new_type, next, old_ret->name, new_ret);
		if (*is_removed_ret ||
		    (new_ret->number != old_ret->number &&
		     !(next == next_enumerator &&
		       is_count(old_type, new_type, old_ret, new_ret))))
			return true;
		status = dwarf_siblingof(&die, &die);
	}
	return false;
}

struct hfx_error *debug_enum_count(Dwarf_Die *old_type, Dwarf_Die *new_type,
                                   char **ret)
{
	struct entry entry, other;
	Dwarf_Die die;
	int status = dwarf_child(old_type, &die);

	*ret = NULL;
	while (next_enumerator(status, &die, &entry)) {
		if (find(new_type, next_enumerator, entry.name, &other) &&
		    other.number != entry.number)
			return debug_text_set(
				ret,
				"value %s %" PRId64 " -> %" PRId64
				", which by its name counts the others",
				entry.name, entry.number, other.number);
		status = dwarf_siblingof(&die, &die);
	}
	return NULL;
}

bool debug_enums_share(Dwarf_Die *old_type, Dwarf_Die *new_type)
{
	struct entry entry, other;
	Dwarf_Die die;
	int status = dwarf_child(old_type, &die);

	while (next_enumerator(status, &die, &entry)) {
		if (find(new_type, next_enumerator, entry.name, &other))
			return true;
		status = dwarf_siblingof(&die, &die);
	}
	return false;
}

const char *debug_enum_first(Dwarf_Die *type, bool *has_more_ret)
{
	struct entry entry, other;
	Dwarf_Die die;
	int status = dwarf_child(type, &die);

	*has_more_ret = false;
	if (!next_enumerator(status, &die, &entry))
		return "";
	status = dwarf_siblingof(&die, &die);
	*has_more_ret = next_enumerator(status, &die, &other);
	return entry.name;
}

struct hfx_error *debug_enums_differ(struct debug_pair *pair,
                                     Dwarf_Die *old_type, Dwarf_Die *new_type,
                                     char **ret)
{
	struct entry old_entry, new_entry;
	bool is_removed;

	(void)pair;
	if (!find_lost(old_type, new_type, next_enumerator, &old_entry,
	               &new_entry, &is_removed))
		return NULL;
	if (is_removed)
		return debug_text_set(ret, "value %s (%" PRId64 ") removed",
		                      old_entry.name, old_entry.number);
	return debug_text_set(ret, "value %s %" PRId64 " -> %" PRId64,
	                      old_entry.name, old_entry.number,
	                      new_entry.number);
}

static const char *name_of(struct entry *entry)
{
	const char *name = debug_name(&entry->die);

	return name[0] ? name : entry->name;
}

struct hfx_error *debug_virtuals_differ(Dwarf_Die *old_type,
                                        Dwarf_Die *new_type, char **ret)
{
	struct entry old_entry, new_entry;
	bool is_removed;

	if (find_lost(new_type, old_type, next_virtual, &new_entry, &old_entry,
	              &is_removed))
		return is_removed
		               ? debug_text_set(ret,
		                                "virtual function \"%s\" added "
		                                "at slot %" PRId64,
		                                name_of(&new_entry),
		                                new_entry.number)
		               : debug_text_set(
					 ret,
					 "virtual function \"%s\" at slot "
					 "%" PRId64 " -> %" PRId64,
					 name_of(&new_entry), old_entry.number,
					 new_entry.number);
	if (!find_lost(old_type, new_type, next_virtual, &old_entry, &new_entry,
	               &is_removed))
		return NULL;
	return debug_text_set(ret,
	                      "virtual function \"%s\" removed from slot "
	                      "%" PRId64,
	                      name_of(&old_entry), old_entry.number);
}
