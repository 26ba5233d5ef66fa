/* SPDX-License-Identifier: MIT */
/*
 * The dynamic linker calls a function of its own, which does nothing, whenever
 * its list of modules begins or ceases to change: `r_brk` of <link.h>, made for
 * the breakpoint of a debugger. A jump there leads to us. glibc calls it for
 * the end of a change when all modules of a dlopen() are mapped, before their
 * constructors, and in 2.36 before it relocates them: nothing here counts on
 * their being relocated, or not.
 *
 * Interposing dlopen() would see less (what libc loads itself), and would
 * change what the call means: the dynamic linker looks for a library by the
 * RUNPATH and the namespace of its caller. The auditing interface has to be
 * asked for when the program starts, and slows down all its calls.
 */
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "cleanup.h"
#include "engine_private.h"
#include "image.h"
#include "load_notice.h"
#include "loaded.h"

/** Code is aligned so: behind a `ret` up to there is nothing of use. */
#define CODE_ALIGN 16

static load_notice_fn *notice;

/** The dynamic linker's, `NULL` until the notice is installed. */
static const struct r_debug *debug;

/** Guarded by the dynamic linker's lock, as the two that follow. */
static size_t first_new = LOAD_NOTICE_NONE;

/**
 * How many modules there were when the list was complete before. Not known
 * until the jump is in place, or modules that came meanwhile would pass for
 * new.
 */
static atomic_size_t known_count = LOAD_NOTICE_NONE;

/** Something has been added since, and nothing removed. */
static bool is_adding;

/** First of the modules that load_notice_go_on() is about. */
static atomic_size_t unready_first = LOAD_NOTICE_NONE;

/** Thread that is inside the notice, 0 if there is none. */
static _Atomic pthread_t notice_thread;

size_t load_notice_first(void)
{
	return atomic_load(&notice_thread) == pthread_self() ? first_new
	                                                     : LOAD_NOTICE_NONE;
}

struct new_search {
	size_t first;
	uint64_t live_addr;
};

static bool holds_addr(const struct loaded_module *module, void *arg)
{
	const struct new_search *search = arg;

	return module->index >= search->first &&
	       search->live_addr >= module->start_addr &&
	       search->live_addr < module->end_addr;
}

static bool is_from(size_t first, uint64_t live_addr)
{
	struct new_search search = {first, live_addr};

	return first != LOAD_NOTICE_NONE && loaded_find(holds_addr, &search);
}

bool load_notice_is_new(uint64_t live_addr)
{
	return is_from(load_notice_first(), live_addr);
}

void load_notice_go_on(void)
{
	atomic_store(&unready_first, load_notice_first());
}

bool load_notice_is_unready(uint64_t live_addr)
{
	return load_notice_is_new(live_addr) ||
	       is_from(atomic_load(&unready_first), live_addr);
}

/** The list is complete; what is new stands at its end. */
static void on_consistent(void)
{
	first_new = is_adding ? atomic_load(&known_count) : LOAD_NOTICE_NONE;
	atomic_store(&notice_thread, pthread_self());
	notice();
	atomic_store(&notice_thread, 0);
	first_new = LOAD_NOTICE_NONE;
	atomic_store(&known_count, loaded_count());
	is_adding = false;
}

/** What the jump leads to, in place of a function that returns. */
static void on_change(void)
{
	int saved_errno = errno, cancel_state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	atomic_store(&unready_first, LOAD_NOTICE_NONE);
	switch (debug->r_state) {
	case RT_ADD:
		/* The first one may be in the list by now. */
		is_adding = true;
		break;
	case RT_DELETE:
		is_adding = false;
		break;
	case RT_CONSISTENT:
		on_consistent();
		break;
	}
	pthread_setcancelstate(cancel_state, NULL);
	errno = saved_errno;
}

/* ---- Installing -------------------------------------------------------- */

/** Where the jump goes, and what is there. */
struct place {
	const struct module *linker;
	uint64_t debug_addr;
	uint64_t live_addr;
	uint8_t before[SITE_SIZE];
};

static struct hfx_error *find_debug(const struct engine *engine,
                                    struct r_debug *ret, uint64_t *addr_ret)
{
	struct target *target = engine->target;

	for (size_t i = 0; i < engine->modules.num_modules; i++) {
		const struct module *module = &engine->modules.modules[i];

		*addr_ret = module->dynamic.debug_addr;
		if (!module->is_main || !*addr_ret)
			continue;
		HFX_TRY(target->ops->read(target, *addr_ret, ret,
		                          sizeof(*ret)));
		if (ret->r_version >= 1 && ret->r_brk)
			return NULL;
	}
	return hfx_error_create(HFX_ERROR_UNSUPPORTED,
	                        "the program has no dynamic linker that would "
	                        "tell of libraries that it loads (a static "
	                        "program)");
}

/**
 * Whether @p code is a function that only returns, with room for a jump: what
 * follows is filled up.
 */
static bool is_empty_function(const uint8_t code[CODE_ALIGN], size_t *off_ret)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	const uint8_t *end;

	*off_ret = memcmp(code, endbr64, sizeof(endbr64)) ? 0 : sizeof(endbr64);
	end = code + *off_ret + 1;
	return end[-1] == 0xc3 &&
	       (end[0] == 0x90 || end[0] == 0xcc || end[0] == 0x66 ||
	        end[0] == 0x2e || (end[0] == 0x0f && end[1] == 0x1f));
}

static struct hfx_error *find_place(const struct engine *engine,
                                    struct place *ret)
{
	struct target *target = engine->target;
	uint8_t code[CODE_ALIGN] = {0};
	struct r_debug list = {0};
	size_t off = 0;

	HFX_TRY(find_debug(engine, &list, &ret->debug_addr));
	ret->live_addr = list.r_brk;
	for (size_t i = 0; i < engine->modules.num_modules; i++)
		if (module_holds(&engine->modules.modules[i], ret->live_addr,
		                 sizeof(code), PF_X))
			ret->linker = &engine->modules.modules[i];
	if (ret->linker)
		HFX_TRY(target->ops->read(target, ret->live_addr, code,
		                          sizeof(code)));
	if (!ret->linker || ret->live_addr % CODE_ALIGN ||
	    !is_empty_function(code, &off))
		return hfx_error_create(
			HFX_ERROR_UNSUPPORTED,
			"the dynamic linker cannot be asked to tell of "
			"libraries that it loads: the function that it calls "
			"then is not an empty one (another dynamic linker, a "
			"breakpoint, another tool)");
	ret->live_addr += off;
	memcpy(ret->before, code + off, JUMP_SIZE);
	return NULL;
}

/** A page in reach of the dynamic linker whose code goes on at on_change(). */
static struct hfx_error *
make_page(struct engine *engine, const struct place *place, uint64_t *addr_ret)
{
	struct target *target = engine->target;
	const uint64_t function_addr = (uintptr_t)on_change;
	/* jmp *0(%rip), and the address behind it. */
	uint8_t code[14] = {0xff, 0x25};

	memcpy(code + 6, &function_addr, sizeof(function_addr));
	HFX_TRY(engine_region_reserve(engine, PAGE_BYTES,
	                              place->linker->start_addr,
	                              place->linker->end_addr, addr_ret));
	if (mprotect((void *)(uintptr_t)*addr_ret, PAGE_BYTES,
	             PROT_READ | PROT_EXEC))
		return hfx_error_os(errno, "make a page executable");
	return target->ops->write(target, *addr_ret, code, sizeof(code));
}

static struct hfx_error *
write_jump(struct engine *engine, const struct place *place, uint64_t page_addr)
{
	HFX_CLEANUP(engine_plan_deinit) struct engine_plan plan = {0};
	uint8_t after[SITE_SIZE] = {JUMP_OPCODE};
	int32_t distance =
		(int32_t)(int64_t)(page_addr - place->live_addr - JUMP_SIZE);
	struct commit_result result;

	memcpy(after + 1, &distance, sizeof(distance));
	HFX_TRY(engine_plan_code(&plan, place->live_addr, place->before,
	                         after));
	return engine_plan_commit(&plan, engine->target, NULL, &result);
}

/** Unless the dynamic linker has told of a complete list by now. */
static void note_count(void)
{
	size_t none = LOAD_NOTICE_NONE;

	atomic_compare_exchange_strong(&known_count, &none, loaded_count());
}

struct hfx_error *load_notice_install(struct target *target, load_notice_fn *fn)
{
	HFX_CLEANUP(engine_close) struct engine engine = {.lock_fd = -1};
	struct place place = {0};
	uint64_t page_addr = 0;
	struct hfx_error *err;

	if (debug)
		return NULL;
	HFX_TRY(engine_open(target, NULL, &engine));
	HFX_TRY(find_place(&engine, &place));
	notice = fn;
	debug = (const struct r_debug *)(uintptr_t)place.debug_addr;
	err = make_page(&engine, &place, &page_addr);
	if (!err)
		err = write_jump(&engine, &place, page_addr);
	if (!err)
		note_count();
	if (!err || hfx_error_code(err) == HFX_ERROR_POISONED)
		return err;
	debug = NULL;
	if (page_addr)
		engine_region_destroy(target, page_addr, PAGE_BYTES);
	return hfx_error_wrap(err, "have the dynamic linker tell of libraries "
	                           "that it loads");
}
