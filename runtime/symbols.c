/* SPDX-License-Identifier: MIT */
#include <elf.h>
#include <string.h>

#include "symbols.h"

#define VERSION_HIDDEN 0x8000u
#define VERSION_INDEX  0x7fffu

/** One lookup in one module. */
struct lookup {
	struct target *target;
	const struct module *module;
	const struct symbol_query *query;
	/** Whether a symbol was found, and which. */
	bool is_found;
	Elf64_Sym symbol;
};

static uint32_t hash_gnu(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (uint8_t)*name;
	return hash;
}

static uint32_t hash_sysv(const char *name)
{
	uint32_t hash = 0;

	for (; *name; name++) {
		hash = (hash << 4) + (uint8_t)*name;
		hash ^= (hash >> 24) & 0xf0;
		hash &= 0x0fffffff;
	}
	return hash;
}

static struct hfx_error *read_u32(const struct lookup *lookup, uint64_t addr,
                                  uint32_t *ret)
{
	return module_read(lookup->target, lookup->module, addr, ret,
	                   sizeof(*ret));
}

static bool string_is(const struct lookup *lookup, uint64_t off,
                      const char *text)
{
	return module_string_is(lookup->target, lookup->module, off, text);
}

/**
 * Name of the version with @p index among those that the module defines, as an
 * offset in its strings. The base definition names the module, not a version.
 */
static struct hfx_error *find_definition(const struct lookup *lookup,
                                         uint32_t index, uint64_t *off_ret,
                                         bool *found_ret)
{
	uint64_t addr = lookup->module->dynamic.definitions_addr;
	uint64_t count = lookup->module->dynamic.num_definitions;

	for (uint64_t i = 0; addr && i < count && i < SYMBOLS_MAX_VERSIONS;
	     i++) {
		Elf64_Verdef definition;
		Elf64_Verdaux name;

		HFX_TRY(module_read(lookup->target, lookup->module, addr,
		                    &definition, sizeof(definition)));
		if ((definition.vd_ndx & VERSION_INDEX) == index &&
		    !(definition.vd_flags & VER_FLG_BASE)) {
			HFX_TRY(module_read(lookup->target, lookup->module,
			                    addr + definition.vd_aux, &name,
			                    sizeof(name)));
			*off_ret = name.vda_name;
			*found_ret = true;
			return NULL;
		}
		if (!definition.vd_next)
			break;
		addr += definition.vd_next;
	}
	return NULL;
}

/** As find_definition(), in one list of needed versions. */
static struct hfx_error *find_need(const struct lookup *lookup, uint64_t addr,
                                   uint32_t count, uint32_t index,
                                   uint64_t *off_ret, bool *found_ret)
{
	for (uint32_t i = 0; i < count; i++) {
		Elf64_Vernaux need;

		HFX_TRY(module_read(lookup->target, lookup->module, addr, &need,
		                    sizeof(need)));
		if ((need.vna_other & VERSION_INDEX) == index) {
			*off_ret = need.vna_name;
			*found_ret = true;
			return NULL;
		}
		if (!need.vna_next)
			break;
		addr += need.vna_next;
	}
	return NULL;
}

/**
 * As find_definition(), among the versions that the module needs: those of
 * variables that it has by R_X86_64_COPY.
 */
static struct hfx_error *find_needed(const struct lookup *lookup,
                                     uint32_t index, uint64_t *off_ret,
                                     bool *found_ret)
{
	uint64_t addr = lookup->module->dynamic.needs_addr;
	uint64_t count = lookup->module->dynamic.num_needs;

	for (uint64_t i = 0;
	     addr && !*found_ret && i < count && i < SYMBOLS_MAX_VERSIONS;
	     i++) {
		Elf64_Verneed needs;

		HFX_TRY(module_read(lookup->target, lookup->module, addr,
		                    &needs, sizeof(needs)));
		HFX_TRY(find_need(lookup, addr + needs.vn_aux, needs.vn_cnt,
		                  index, off_ret, found_ret));
		if (!needs.vn_next)
			break;
		addr += needs.vn_next;
	}
	return NULL;
}

/** The dynamic linker's rule for a symbol whose name fits already. */
static struct hfx_error *version_fits(const struct lookup *lookup,
                                      uint64_t index, bool *ret)
{
	const char *wanted = lookup->query->version;
	uint64_t off = 0;
	bool has_version = false;
	uint16_t version;

	*ret = true;
	if (!lookup->module->dynamic.versions_addr)
		return NULL;
	HFX_TRY(module_read(lookup->target, lookup->module,
	                    lookup->module->dynamic.versions_addr +
	                            index * sizeof(version),
	                    &version, sizeof(version)));
	if (!*wanted) {
		/* The base version or, hidden or not, the first after it. */
		*ret = (version & VERSION_INDEX) <= 2 ||
		       !(version & VERSION_HIDDEN);
		return NULL;
	}
	HFX_TRY(find_definition(lookup, version & VERSION_INDEX, &off,
	                        &has_version));
	if (!has_version)
		HFX_TRY(find_needed(lookup, version & VERSION_INDEX, &off,
		                    &has_version));
	*ret = has_version ? string_is(lookup, off, wanted)
	                   : !(version & VERSION_HIDDEN);
	return NULL;
}

static bool is_definition(const struct lookup *lookup, const Elf64_Sym *symbol)
{
	unsigned int type = ELF64_ST_TYPE(symbol->st_info);
	unsigned int binding = ELF64_ST_BIND(symbol->st_info);
	unsigned int visibility = ELF64_ST_VISIBILITY(symbol->st_other);

	if (symbol->st_shndx == SHN_UNDEF &&
	    (lookup->query->is_call || !symbol->st_value))
		return false;
	if (!symbol->st_value && symbol->st_shndx != SHN_ABS && type != STT_TLS)
		return false;
	if (visibility == STV_HIDDEN || visibility == STV_INTERNAL)
		return false;
	return (binding == STB_GLOBAL || binding == STB_WEAK ||
	        binding == STB_GNU_UNIQUE) &&
	       (type == STT_NOTYPE || type == STT_OBJECT || type == STT_FUNC ||
	        type == STT_COMMON || type == STT_TLS || type == STT_GNU_IFUNC);
}

/** Look at the symbol at @p index; if it is the one, it is kept. */
static struct hfx_error *try_symbol(struct lookup *lookup, uint64_t index)
{
	Elf64_Sym symbol;
	bool fits;

	HFX_TRY(module_read(lookup->target, lookup->module,
	                    lookup->module->dynamic.symbols_addr +
	                            index * sizeof(symbol),
	                    &symbol, sizeof(symbol)));
	if (!is_definition(lookup, &symbol) ||
	    !string_is(lookup, symbol.st_name, lookup->query->name))
		return NULL;
	HFX_TRY(version_fits(lookup, index, &fits));
	if (fits) {
		lookup->symbol = symbol;
		lookup->is_found = true;
	}
	return NULL;
}

/** Head of DT_GNU_HASH; behind it the Bloom filter, buckets and chains. */
struct gnu_hash_head {
	uint32_t num_buckets;
	uint32_t first_symbol;
	uint32_t num_words;
	uint32_t shift;
};

/** Whether the Bloom filter lets the name pass. */
static struct hfx_error *bloom_passes(const struct lookup *lookup,
                                      const struct gnu_hash_head *head,
                                      uint64_t words_addr, uint32_t hash,
                                      bool *ret)
{
	uint64_t word;
	uint32_t second = head->shift < 32 ? hash >> head->shift : 0;

	HFX_TRY(module_read(lookup->target, lookup->module,
	                    words_addr +
	                            hash / 64 % head->num_words * sizeof(word),
	                    &word, sizeof(word)));
	*ret = word >> (hash % 64) & word >> (second % 64) & 1;
	return NULL;
}

static struct hfx_error *find_by_gnu_hash(struct lookup *lookup)
{
	uint64_t words_addr, buckets_addr, chains_addr;
	uint32_t hash = hash_gnu(lookup->query->name);
	struct gnu_hash_head head;
	uint32_t index;
	bool passes;

	words_addr = lookup->module->dynamic.gnu_hash_addr + sizeof(head);
	HFX_TRY(module_read(lookup->target, lookup->module,
	                    words_addr - sizeof(head), &head, sizeof(head)));
	if (!head.num_buckets || !head.num_words)
		return NULL;
	buckets_addr = words_addr + head.num_words * UINT64_C(8);
	chains_addr = buckets_addr + head.num_buckets * UINT64_C(4);
	HFX_TRY(bloom_passes(lookup, &head, words_addr, hash, &passes));
	if (!passes)
		return NULL;
	HFX_TRY(read_u32(lookup,
	                 buckets_addr + hash % head.num_buckets * UINT64_C(4),
	                 &index));
	if (index < head.first_symbol || !index)
		return NULL;
	for (uint32_t i = 0; i < SYMBOLS_MAX_CHAIN; i++, index++) {
		uint32_t link;

		HFX_TRY(read_u32(lookup,
		                 chains_addr + (index - head.first_symbol) *
		                                       UINT64_C(4),
		                 &link));
		if ((link | 1) == (hash | 1))
			HFX_TRY(try_symbol(lookup, index));
		if (lookup->is_found || (link & 1))
			break;
	}
	return NULL;
}

static struct hfx_error *find_by_sysv_hash(struct lookup *lookup)
{
	uint64_t addr = lookup->module->dynamic.hash_addr;
	uint32_t num_buckets, index;

	HFX_TRY(read_u32(lookup, addr, &num_buckets));
	if (!num_buckets)
		return NULL;
	HFX_TRY(read_u32(
		lookup,
		addr + 8 + hash_sysv(lookup->query->name) % num_buckets * 4ul,
		&index));
	for (uint32_t i = 0; index && i < SYMBOLS_MAX_CHAIN; i++) {
		HFX_TRY(try_symbol(lookup, index));
		if (lookup->is_found)
			break;
		HFX_TRY(read_u32(
			lookup,
			addr + 8 + (UINT64_C(0) + num_buckets + index) * 4,
			&index));
	}
	return NULL;
}

static struct hfx_error *find_in_module(struct lookup *lookup)
{
	const struct module_dynamic *dynamic = &lookup->module->dynamic;

	if (!dynamic->symbols_addr || !dynamic->strings_addr)
		return NULL;
	if (dynamic->gnu_hash_addr)
		return find_by_gnu_hash(lookup);
	if (dynamic->hash_addr)
		return find_by_sysv_hash(lookup);
	return NULL;
}

static struct hfx_error *symbol_address(const struct lookup *lookup,
                                        uint64_t *ret)
{
	static const uint64_t no_args[2];
	const Elf64_Sym *symbol = &lookup->symbol;
	uint64_t addr = symbol->st_value;

	if (symbol->st_shndx != SHN_ABS)
		addr += lookup->module->bias;
	switch (ELF64_ST_TYPE(symbol->st_info)) {
	case STT_TLS:
		return hfx_error_create(HFX_ERROR_UNSUPPORTED,
		                        "the new code imports the thread-local "
		                        "variable %s of %s",
		                        lookup->query->name,
		                        lookup->module->path);
	case STT_GNU_IFUNC:
		if (!module_holds(lookup->module, addr, 1, PF_X))
			return hfx_error_create(
				HFX_ERROR_BAD_ELF,
				"%s: the resolver of %s is not code",
				lookup->module->path, lookup->query->name);
		return hfx_error_wrap(
			lookup->target->ops->call(lookup->target, addr, no_args,
		                                  ret),
			"call the resolver of %s", lookup->query->name);
	}
	*ret = addr;
	return NULL;
}

struct hfx_error *symbols_find(struct target *target,
                               const struct modules *modules,
                               const struct symbol_query *query,
                               uint64_t *addr_ret)
{
	for (size_t i = 0; i < modules->num_modules; i++) {
		struct lookup lookup = {
			.target = target,
			.module = &modules->modules[i],
			.query = query,
		};

		HFX_TRY(hfx_error_wrap(find_in_module(&lookup), "look up %s",
		                       query->name));
		if (lookup.is_found)
			return symbol_address(&lookup, addr_ret);
	}
	*addr_ret = 0;
	return NULL;
}
