/* SPDX-License-Identifier: MIT */
#include "image_tables.h"

#include <elf.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "cleanup.h"
#include "image.h"

/* Indices in .dynsym: 0 is the null symbol. */
#define MODULE_SYMBOL 1
#define FIRST_IMPORT  2

/* Versions in .gnu.version; the highest bit means "hidden". */
#define FIRST_VERSION 2
#define MAX_VERSION   0x7fff

/** A version of a library that some import has. */
struct need {
	const char *library;
	const char *version;
	/** First need with the same library: needs of one library share it. */
	size_t group;
	uint16_t index;
};

struct needs {
	struct need *items;
	size_t num_items;
	size_t cap_items;
};

static void needs_deinit(struct needs *needs)
{
	free(needs->items);
}

/** The hash of the gABI's hash table, which versions use, too. */
static uint32_t elf_hash(const char *name)
{
	uint32_t hash = 0;

	for (; *name; name++) {
		uint32_t top;

		hash = (hash << 4) + (unsigned char)*name;
		top = hash & 0xf0000000;
		hash = (hash ^ (top >> 24)) & ~top;
	}
	return hash;
}

static uint32_t add_string(struct image_tables *tables, const char *string)
{
	uint32_t off = tables->strings.size;

	bytes_string(&tables->strings, string);
	return off;
}

static bool has_text(const char *string)
{
	return string && *string;
}

static struct hfx_error *
find_need(struct needs *needs, const struct image_import *import, uint16_t *ret)
{
	struct need need = {
		.library = import->library,
		.version = import->version,
		.group = needs->num_items,
		.index = FIRST_VERSION + needs->num_items,
	};

	for (size_t i = needs->num_items; i-- > 0;) {
		const struct need *other = &needs->items[i];

		if (strcmp(other->library, need.library) != 0)
			continue;
		need.group = other->group;
		if (strcmp(other->version, need.version) == 0) {
			*ret = other->index;
			return NULL;
		}
	}
	if (needs->num_items > MAX_VERSION - FIRST_VERSION)
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "the imports have too many versions");
	if (!HFX_ARRAY_PUSH(needs, items, need))
		return hfx_error_no_memory();
	*ret = need.index;
	return NULL;
}

static struct hfx_error *import_version(struct needs *needs,
                                        const struct image_import *import,
                                        uint16_t *ret)
{
	if (!has_text(import->name))
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "an import has no name");
	if (!has_text(import->version)) {
		*ret = VER_NDX_GLOBAL;
		return NULL;
	}
	if (!has_text(import->library))
		return hfx_error_create(
			HFX_ERROR_INVALID_ARGUMENT,
			"the import %s has version %s of no library",
			import->name, import->version);
	return find_need(needs, import, ret);
}

static void put_symbol(struct image_tables *tables, const char *name,
                       unsigned char bind)
{
	Elf64_Sym symbol = {
		.st_name = *name ? add_string(tables, name) : 0,
		.st_info = ELF64_ST_INFO(bind, STT_NOTYPE),
		.st_shndx = SHN_UNDEF,
	};

	bytes_put(&tables->symbols, &symbol, sizeof(symbol));
}

static struct hfx_error *
put_symbols(struct image_tables *tables, struct needs *needs,
            const struct image_description *description)
{
	bytes_u8(&tables->strings, 0);
	put_symbol(tables, "", STB_LOCAL);
	bytes_u16(&tables->versions, VER_NDX_LOCAL);
	put_symbol(tables, IMAGE_MODULE_SYMBOL, STB_GLOBAL);
	bytes_u16(&tables->versions, VER_NDX_GLOBAL);
	for (size_t i = 0; i < description->num_imports; i++) {
		const struct image_import *import = &description->imports[i];
		uint16_t version = VER_NDX_GLOBAL;

		HFX_TRY(import_version(needs, import, &version));
		put_symbol(tables, import->name,
		           import->is_weak ? STB_WEAK : STB_GLOBAL);
		bytes_u16(&tables->versions, version);
	}
	if (has_text(description->soname))
		tables->soname = add_string(tables, description->soname);
	return NULL;
}

/** Needs of the group that begins at @p first. */
static size_t group_size(const struct needs *needs, size_t first)
{
	size_t count = 0;

	for (size_t i = first; i < needs->num_items; i++)
		count += needs->items[i].group == first;
	return count;
}

static void put_group(struct image_tables *tables, const struct needs *needs,
                      size_t first, bool is_last)
{
	size_t left = group_size(needs, first);
	Elf64_Verneed head = {
		.vn_version = VER_NEED_CURRENT,
		.vn_cnt = left,
		.vn_file = add_string(tables, needs->items[first].library),
		.vn_aux = sizeof(head),
		.vn_next =
			is_last ? 0
				: sizeof(head) + left * sizeof(Elf64_Vernaux),
	};

	bytes_put(&tables->needs, &head, sizeof(head));
	tables->num_needs++;
	for (size_t i = first; left; i++) {
		const struct need *need = &needs->items[i];
		Elf64_Vernaux aux = {
			.vna_hash = elf_hash(need->version),
			.vna_other = need->index,
			.vna_next = left > 1 ? sizeof(aux) : 0,
		};

		if (need->group != first)
			continue;
		aux.vna_name = add_string(tables, need->version);
		bytes_put(&tables->needs, &aux, sizeof(aux));
		left--;
	}
}

/** The versions by library, in the order of their first import. */
static void put_needs(struct image_tables *tables, const struct needs *needs)
{
	size_t last = 0;

	for (size_t i = 0; i < needs->num_items; i++)
		if (needs->items[i].group == i)
			last = i;
	for (size_t i = 0; i < needs->num_items; i++)
		if (needs->items[i].group == i)
			put_group(tables, needs, i, i == last);
}

/** One bucket for about two symbols; a power of two is good enough. */
static uint32_t bucket_count(size_t num_symbols)
{
	uint32_t count = 1;

	while (count < num_symbols / 2)
		count *= 2;
	return count;
}

/** gABI, "Hash Table". */
static struct hfx_error *put_hash(struct image_tables *tables,
                                  const struct image_description *description)
{
	size_t num_symbols = FIRST_IMPORT + description->num_imports;
	uint32_t num_buckets = bucket_count(num_symbols);
	HFX_CLEANUP(hfx_free) uint32_t *words = NULL;
	uint32_t *buckets, *chain;

	words = calloc(2 + num_buckets + num_symbols, sizeof(*words));
	if (!words)
		return hfx_error_no_memory();
	words[0] = num_buckets;
	words[1] = num_symbols;
	buckets = words + 2;
	chain = buckets + num_buckets;
	for (size_t i = num_symbols - 1; i >= MODULE_SYMBOL; i--) {
		const char *name =
			i == MODULE_SYMBOL
				? IMAGE_MODULE_SYMBOL
				: description->imports[i - FIRST_IMPORT].name;
		uint32_t *bucket = &buckets[elf_hash(name) % num_buckets];

		chain[i] = *bucket;
		*bucket = i;
	}
	for (size_t i = 0; i < 2 + num_buckets + num_symbols; i++)
		bytes_u32(&tables->hash, words[i]);
	return NULL;
}

/** Whether docs/format.md has @p type with a symbol of this kind. */
static bool is_allowed(uint32_t type, uint32_t symbol)
{
	switch (type) {
	case R_X86_64_RELATIVE:
		return symbol == IMAGE_SYMBOL_NONE;
	case R_X86_64_32:
	case R_X86_64_32S:
		return symbol >= IMAGE_SYMBOL_MODULE;
	case R_X86_64_PC32:
	case R_X86_64_DTPMOD64:
		return symbol == IMAGE_SYMBOL_MODULE;
	case R_X86_64_64:
		return symbol != IMAGE_SYMBOL_NONE;
	case R_X86_64_GLOB_DAT:
	case R_X86_64_JUMP_SLOT:
		return symbol < IMAGE_SYMBOL_MODULE;
	default:
		return false;
	}
}

static uint64_t width_of(uint32_t type)
{
	return type == R_X86_64_PC32 || type == R_X86_64_32 ||
	                       type == R_X86_64_32S
	               ? 4
	               : 8;
}

static struct hfx_error *
check_relocation(const struct image_description *description,
                 const struct image_relocation *relocation)
{
	uint32_t symbol = relocation->symbol;

	if (symbol < IMAGE_SYMBOL_MODULE && symbol >= description->num_imports)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "the relocation at 0x%" PRIx64
		                        " names import %u of %zu",
		                        relocation->addr, symbol,
		                        description->num_imports);
	if (!is_allowed(relocation->type, symbol))
		return hfx_error_create(
			HFX_ERROR_INVALID_ARGUMENT,
			"the relocation at 0x%" PRIx64
			" has type %u with a symbol that an image cannot have "
			"with it",
			relocation->addr, relocation->type);
	return NULL;
}

static uint32_t symbol_index(uint32_t symbol)
{
	if (symbol == IMAGE_SYMBOL_NONE)
		return 0;
	return symbol == IMAGE_SYMBOL_MODULE ? MODULE_SYMBOL
	                                     : FIRST_IMPORT + symbol;
}

static struct hfx_error *
put_relocation(struct image_tables *tables, const struct image_layout *layout,
               const struct image_relocation *relocation)
{
	Elf64_Rela rela = {
		.r_offset = relocation->addr,
		.r_info = ELF64_R_INFO(symbol_index(relocation->symbol),
	                               relocation->type),
		.r_addend = relocation->addend,
	};
	const struct image_run *run = image_layout_find(
		layout, relocation->addr, width_of(relocation->type));

	if (!run)
		return hfx_error_create(HFX_ERROR_INVALID_ARGUMENT,
		                        "the place of the relocation at "
		                        "0x%" PRIx64 " is not kept",
		                        relocation->addr);
	if ((run->flags & PF_X) && relocation->symbol < IMAGE_SYMBOL_MODULE)
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "the page at 0x%" PRIx64
		                        " has code and a pointer to another "
		                        "library: link with -z separate-code",
		                        relocation->addr & ~(IMAGE_PAGE - 1));
	tables->has_text_relocations |= !(run->flags & PF_W);
	bytes_put(&tables->relocations, &rela, sizeof(rela));
	return NULL;
}

static int compare_relocations(const void *left, const void *right)
{
	const struct image_relocation *a = left, *b = right;

	return a->addr < b->addr ? -1 : a->addr > b->addr;
}

static struct hfx_error *
put_relocations(struct image_tables *tables,
                const struct image_description *description,
                const struct image_layout *layout)
{
	HFX_CLEANUP(hfx_free) struct image_relocation *sorted = NULL;
	size_t count = description->num_relocations;
	uint64_t end = 0;

	sorted = calloc(count + 1, sizeof(*sorted));
	if (!sorted)
		return hfx_error_no_memory();
	for (size_t i = 0; i < count; i++)
		sorted[i] = description->relocations[i];
	hfx_array_sort(sorted, count, sizeof(*sorted), compare_relocations);
	for (size_t i = 0; i < count; i++) {
		if (sorted[i].addr < end)
			return hfx_error_create(
				HFX_ERROR_INVALID_ARGUMENT,
				"two relocations overlap at 0x%" PRIx64,
				sorted[i].addr);
		HFX_TRY(check_relocation(description, &sorted[i]));
		HFX_TRY(put_relocation(tables, layout, &sorted[i]));
		end = sorted[i].addr + width_of(sorted[i].type);
	}
	return NULL;
}

static struct hfx_error *check_memory(const struct image_tables *tables)
{
	HFX_TRY(bytes_check(&tables->symbols));
	HFX_TRY(bytes_check(&tables->strings));
	HFX_TRY(bytes_check(&tables->hash));
	HFX_TRY(bytes_check(&tables->versions));
	HFX_TRY(bytes_check(&tables->needs));
	return bytes_check(&tables->relocations);
}

static struct hfx_error *build(struct image_tables *tables,
                               const struct image_description *description,
                               const struct image_layout *layout)
{
	HFX_CLEANUP(needs_deinit) struct needs needs = {0};

	HFX_TRY(put_symbols(tables, &needs, description));
	put_needs(tables, &needs);
	HFX_TRY(put_hash(tables, description));
	HFX_TRY(put_relocations(tables, description, layout));
	return check_memory(tables);
}

struct hfx_error *image_tables_init(struct image_tables *tables,
                                    const struct image_description *description,
                                    const struct image_layout *layout)
{
	HFX_CLEANUP(image_tables_deinit) struct image_tables built = {0};

	HFX_TRY(build(&built, description, layout));
	*tables = built;
	built = (struct image_tables){0};
	return NULL;
}

void image_tables_deinit(struct image_tables *tables)
{
	bytes_deinit(&tables->symbols);
	bytes_deinit(&tables->strings);
	bytes_deinit(&tables->hash);
	bytes_deinit(&tables->versions);
	bytes_deinit(&tables->needs);
	bytes_deinit(&tables->relocations);
}
