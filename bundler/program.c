/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "debug_info.h"
#include "elf_file.h"

/*
 * Index of the first of `count` items of `size` bytes whose leading address,
 * at `address_off` in the item, is above `addr`.
 */
static size_t upper_bound(const void *items, size_t count, size_t size,
                          size_t address_off, uint64_t addr)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		uint64_t at;

		memcpy(&at, (const char *)items + middle * size + address_off,
		       sizeof(at));
		if (at <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

#define UPPER_BOUND(items, count, limit)                                       \
	upper_bound(items, count, sizeof(*(items)),                            \
	            offsetof(__typeof__(*(items)), addr), limit)

const struct section *program_section_named(const struct program *program,
                                            const char *name)
{
	for (size_t i = 0; i < program->num_sections; i++)
		if (!strcmp(program->sections[i].name, name))
			return &program->sections[i];
	return NULL;
}

const struct section *program_section_at(const struct program *program,
                                         uint64_t addr)
{
	size_t low = 0, high = program->num_placed_sections;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct section *section =
			&program->sections[program->placed_sections[middle]];

		if (section->addr > addr)
			high = middle;
		else if (addr - section->addr < section->size)
			return section;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct section *program_tls_data_at(const struct program *program,
                                          uint64_t addr)
{
	for (size_t i = 0; i < program->num_sections; i++) {
		const struct section *section = &program->sections[i];

		if (section->kind == SECTION_TLS && section->data &&
		    addr - section->addr < section->size)
			return section;
	}
	return NULL;
}

struct function *program_function_at(const struct program *program,
                                     uint64_t addr)
{
	size_t i =
		UPPER_BOUND(program->functions, program->num_functions, addr);

	if (!i)
		return NULL;
	struct function *function = &program->functions[i - 1];
	return addr - function->addr < function->size ? function : NULL;
}

size_t program_relocation_from(const struct program *program, uint64_t addr)
{
	if (!addr)
		return 0;
	return UPPER_BOUND(program->relocations, program->num_relocations,
	                   addr - 1);
}

const struct dynamic_relocation *
program_relocation_at(const struct program *program, uint64_t addr)
{
	size_t i = program_relocation_from(program, addr);

	return i < program->num_relocations &&
	                       program->relocations[i].addr == addr
	               ? &program->relocations[i]
	               : NULL;
}

const struct plt_stub *program_stub_at(const struct program *program,
                                       uint64_t addr)
{
	size_t i = UPPER_BOUND(program->stubs, program->num_stubs, addr);

	return i && program->stubs[i - 1].addr == addr ? &program->stubs[i - 1]
	                                               : NULL;
}

/* Symbols but those of TLS, which are last. */
static size_t num_placed_symbols(const struct program *program)
{
	return program->num_symbols - program->num_tls_symbols;
}

const struct symbol *program_object_at(const struct program *program,
                                       uint64_t addr)
{
	/* Objects do not nest deeply: a few steps back reach the outer one. */
	const size_t max_steps = 64;
	size_t i = UPPER_BOUND(program->objects, program->num_objects, addr);
	const struct symbol *best = NULL;

	for (size_t steps = 0; i && steps < max_steps; i--, steps++) {
		const struct object_span *span = &program->objects[i - 1];
		const struct symbol *symbol = &program->symbols[span->symbol];

		if (span->reach_addr <= addr ||
		    (best && span->addr != best->addr))
			break;
		if (addr - span->addr < symbol->size &&
		    (!best || symbol->size < best->size))
			best = symbol;
	}
	return best;
}

const struct symbol *program_label_at(const struct program *program,
                                      uint64_t addr)
{
	size_t i = UPPER_BOUND(program->symbols, num_placed_symbols(program),
	                       addr);

	for (; i && program->symbols[i - 1].addr == addr; i--)
		if (program->symbols[i - 1].kind == SYMBOL_LABEL)
			return &program->symbols[i - 1];
	return NULL;
}

bool program_has_label(const struct program *program, uint64_t addr,
                       const char *prefix, const char *name)
{
	size_t i = UPPER_BOUND(program->symbols, num_placed_symbols(program),
	                       addr);
	size_t length = strlen(prefix);

	for (; i && program->symbols[i - 1].addr == addr; i--) {
		const struct symbol *symbol = &program->symbols[i - 1];

		if (symbol->kind == SYMBOL_LABEL &&
		    !strncmp(symbol->name, prefix, length) &&
		    !strcmp(symbol->name + length, name))
			return true;
	}
	return false;
}

const struct symbol *program_object_before(const struct program *program,
                                           uint64_t addr)
{
	size_t i = addr ? UPPER_BOUND(program->objects, program->num_objects,
	                              addr - 1)
	                : 0;

	return i ? &program->symbols[program->objects[i - 1].symbol] : NULL;
}

const struct symbol *program_object_after(const struct program *program,
                                          uint64_t addr)
{
	size_t i = UPPER_BOUND(program->objects, program->num_objects, addr);

	return i < program->num_objects
	               ? &program->symbols[program->objects[i].symbol]
	               : NULL;
}

uint64_t program_landmark_after(const struct program *program, uint64_t addr,
                                uint64_t limit)
{
	size_t low = 0, high = program->num_landmarks;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (program->landmarks[middle] <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < program->num_landmarks && program->landmarks[low] < limit)
		return program->landmarks[low];
	return limit;
}

const char *function_name(const struct program *program,
                          const struct function *function)
{
	return program->symbols[function->symbol].name;
}

bool function_is_replaced(const struct function *function)
{
	return function->is_selected && !function->is_copy;
}

void program_destroy(struct program *program)
{
	if (!program)
		return;
	for (size_t i = 0; i < program->num_functions; i++) {
		free(program->functions[i].references);
		free(program->functions[i].reason);
	}
	free(program->functions);
	free(program->sections);
	free(program->placed_sections);
	free(program->objects);
	free(program->symbols);
	free(program->relocations);
	free(program->kept);
	free(program->stubs);
	free(program->landmarks);
	debug_info_destroy(program->debug);
	elf_file_destroy(program->elf);
	free(program);
}
