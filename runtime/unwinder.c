/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>

#include "array.h"
#include "cleanup.h"
#include "proc_status.h"
#include "unwind_module.h"
#include "unwinder.h"

struct unwinder {
	pid_t pid;
	/** Above it is what the kernel gave the program, and no frame. */
	uint64_t start_stack_addr;
	Dwfl *dwfl;
	/** Owners of what libdw reads. */
	struct unwind_module *modules;
	size_t num_modules;
	size_t cap_modules;
	/** Thread that is walked, and what is done at each frame. */
	const struct stop_thread *thread;
	unwinder_frame_fn *fn;
	void *arg;
	int result;
};

/* ---- Modules ------------------------------------------------------------ */

/** @param[in] userdata The module, as report_modules() has set it. */
static int find_elf(Dwfl_Module *module, void **userdata, const char *name,
                    Dwarf_Addr base, char **file_name, Elf **elf)
{
	const struct unwind_module *found = *userdata;

	(void)module;
	(void)name;
	(void)base;
	(void)file_name;
	*elf = elf_memory((char *)found->elf.data, found->elf.size);
	return -1;
}

/** Tables are enough, and looking for more takes time. */
static int find_no_debug(Dwfl_Module *module, void **userdata, const char *name,
                         Dwarf_Addr base, const char *file_name,
                         const char *link, GElf_Word crc, char **debug_name)
{
	(void)module;
	(void)userdata;
	(void)name;
	(void)base;
	(void)file_name;
	(void)link;
	(void)crc;
	(void)debug_name;
	return -1;
}

static const Dwfl_Callbacks module_callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = find_no_debug,
};

static struct hfx_error *add_module(struct unwinder *unwinder,
                                    struct unwind_module *module)
{
	if (HFX_ARRAY_PUSH(unwinder, modules, *module))
		return NULL;
	buffer_deinit(&module->elf);
	return hfx_error_no_memory();
}

static struct hfx_error *read_modules(struct unwinder *unwinder,
                                      const struct maps *maps,
                                      const struct commit_plan *plan)
{
	const pid_t tid = proc_memory_thread(unwinder->pid);
	struct unwind_module module;
	uint64_t end_addr = 0;

	for (size_t i = 0; i < maps->num_mappings; i++) {
		const struct mapping *mapping = &maps->mappings[i];

		if (mapping->start_addr < end_addr ||
		    (!mapping->inode && strcmp(mapping->name, "[vdso]")) ||
		    !unwind_module_read(tid, maps, mapping, &module))
			continue;
		end_addr = module.end_addr;
		HFX_TRY(add_module(unwinder, &module));
	}
	for (size_t i = 0; i < plan->num_images; i++)
		if (unwind_module_read_image(tid, maps, &plan->images[i],
		                             &module))
			HFX_TRY(add_module(unwinder, &module));
	return NULL;
}

/* ---- The thread --------------------------------------------------------- */

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg)
{
	(void)dwfl;
	(void)arg;
	(void)thread_arg;
	return 0;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *arg, void **thread_arg)
{
	(void)dwfl;
	(void)tid;
	*thread_arg = arg;
	return true;
}

static bool read_word(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result,
                      void *arg)
{
	const struct unwinder *unwinder = arg;

	(void)dwfl;
	return unwind_read(unwinder->thread->tid, addr, result,
	                   sizeof(*result));
}

/** In the order of the psABI's DWARF register numbers. */
static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	const struct user_regs_struct *regs =
		&((const struct unwinder *)arg)->thread->regs;
	const Dwarf_Word words[] = {
		regs->rax, regs->rdx, regs->rcx, regs->rbx, regs->rsi,
		regs->rdi, regs->rbp, regs->rsp, regs->r8,  regs->r9,
		regs->r10, regs->r11, regs->r12, regs->r13, regs->r14,
		regs->r15, regs->rip,
	};

	return dwfl_thread_state_registers(
		thread, 0, sizeof(words) / sizeof(*words), words);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = read_word,
	.set_initial_registers = set_registers,
};

/** Whether a table covers the code at @p addr. */
static bool is_covered(struct unwinder *unwinder, Dwarf_Addr addr)
{
	Dwfl_Module *module = dwfl_addrmodule(unwinder->dwfl, addr);
	Dwarf_Frame *frame = NULL;
	Dwarf_Addr bias;
	Dwarf_CFI *cfi;

	cfi = module ? dwfl_module_eh_cfi(module, &bias) : NULL;
	if (!cfi || dwarf_cfi_addrframe(cfi, addr - bias, &frame))
		return false;
	free(frame);
	return true;
}

/** Number of rsp in DWARF (x86-64 psABI). */
#define RSP 7

/** Result of a frame that has none above it, though no table says so. */
#define OUTERMOST 1

/**
 * What to make of a frame without a table: the dynamic linker's first code has
 * none, but the kernel's stack pointer when it runs.
 */
static int end_of_tables(const struct unwinder *unwinder, Dwfl_Frame *frame)
{
	Dwarf_Word pointer;

	if (unwinder->start_stack_addr &&
	    !dwfl_frame_reg(frame, RSP, &pointer) &&
	    pointer == unwinder->start_stack_addr)
		return OUTERMOST;
	return -ENODATA;
}

static int on_frame(Dwfl_Frame *frame, void *arg)
{
	struct unwinder *unwinder = arg;
	Dwarf_Addr pc;
	bool is_exact;

	if (!dwfl_frame_pc(frame, &pc, &is_exact)) {
		unwinder->result = -ENODATA;
		return DWARF_CB_ABORT;
	}
	unwinder->result = unwinder->fn(unwinder->arg, pc, is_exact);
	if (!unwinder->result && !is_covered(unwinder, pc - !is_exact))
		unwinder->result = end_of_tables(unwinder, frame);
	return unwinder->result ? DWARF_CB_ABORT : DWARF_CB_OK;
}

int unwinder_walk(struct unwinder *unwinder, const struct stop_thread *thread,
                  unwinder_frame_fn *fn, void *arg)
{
	int rc;

	unwinder->thread = thread;
	unwinder->fn = fn;
	unwinder->arg = arg;
	unwinder->result = 0;
	rc = dwfl_getthread_frames(unwinder->dwfl, thread->tid, on_frame,
	                           unwinder);
	if (unwinder->result)
		return unwinder->result == OUTERMOST ? 0 : unwinder->result;
	return rc ? -ENODATA : 0;
}

/* ---- Create and destroy ------------------------------------------------- */

static struct hfx_error *dwfl_error(const char *what)
{
	return hfx_error_create(HFX_ERROR_STOP, "%s: %s", what,
	                        dwfl_errmsg(-1));
}

static struct hfx_error *report_modules(struct unwinder *unwinder)
{
	dwfl_report_begin(unwinder->dwfl);
	for (size_t i = 0; i < unwinder->num_modules; i++) {
		struct unwind_module *module = &unwinder->modules[i];
		Dwfl_Module *reported = dwfl_report_module(
			unwinder->dwfl, "module", module->start_addr,
			module->end_addr);
		void **userdata;

		if (!reported ||
		    !dwfl_module_info(reported, &userdata, NULL, NULL, NULL,
		                      NULL, NULL, NULL))
			return dwfl_error("report a module to libdw");
		*userdata = module;
	}
	if (dwfl_report_end(unwinder->dwfl, NULL, NULL))
		return dwfl_error("report modules to libdw");
	return NULL;
}

/** Have libdw look at the tables now, not while threads are stopped. */
static void open_tables(struct unwinder *unwinder)
{
	for (size_t i = 0; i < unwinder->num_modules; i++) {
		Dwfl_Module *module = dwfl_addrmodule(
			unwinder->dwfl, unwinder->modules[i].start_addr);
		Dwarf_Addr bias;

		if (module)
			(void)dwfl_module_eh_cfi(module, &bias);
	}
}

static struct hfx_error *open_dwfl(struct unwinder *unwinder)
{
	unwinder->dwfl = dwfl_begin(&module_callbacks);
	if (!unwinder->dwfl)
		return dwfl_error("begin with libdw");
	HFX_TRY(report_modules(unwinder));
	open_tables(unwinder);
	if (!dwfl_attach_state(unwinder->dwfl, NULL, unwinder->pid,
	                       &thread_callbacks, unwinder))
		return dwfl_error("unwind with libdw");
	return NULL;
}

struct hfx_error *unwinder_create(pid_t pid, const struct maps *maps,
                                  const struct commit_plan *plan,
                                  struct unwinder **ret)
{
	struct unwinder *unwinder = calloc(1, sizeof(*unwinder));
	struct hfx_error *err;

	if (!unwinder)
		return hfx_error_no_memory();
	unwinder->pid = pid;
	unwinder->start_stack_addr = proc_start_stack(pid);
	err = read_modules(unwinder, maps, plan);
	if (!err)
		err = open_dwfl(unwinder);
	if (err) {
		unwinder_destroy(unwinder);
		return err;
	}
	*ret = unwinder;
	return NULL;
}

void unwinder_destroy(struct unwinder *unwinder)
{
	if (!unwinder)
		return;
	if (unwinder->dwfl)
		dwfl_end(unwinder->dwfl);
	for (size_t i = 0; i < unwinder->num_modules; i++)
		buffer_deinit(&unwinder->modules[i].elf);
	free(unwinder->modules);
	free(unwinder);
}
