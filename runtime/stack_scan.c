/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "stack_scan.h"

/** Bytes below the stack pointer that a function may use (x86-64 psABI). */
#define RED_ZONE 128

/** First copy of a stack: most threads that wait have used less. */
#define FIRST_WORDS 2048

#define WORD sizeof(uint64_t)

/** The stacks of one thread: where to begin with each. */
struct stacks {
	uint64_t pointers[STACK_SCAN_STACKS];
	size_t num_pointers;
	/** There were more. */
	bool is_full;
	/** Looked at, by the pointer they began with. */
	uint64_t end_addrs[STACK_SCAN_STACKS];
	size_t num_done;
};

/** @return Words read, up to the first page that is not there. */
static size_t read_words(struct stack_scan *scan, uint64_t live_addr,
                         size_t num_words)
{
	struct iovec local = {scan->words, num_words * WORD};
	struct iovec remote = {(void *)(uintptr_t)live_addr, num_words * WORD};
	ssize_t got = process_vm_readv(scan->tid, &local, 1, &remote, 1, 0);

	return got > 0 ? (size_t)got / WORD : 0;
}

static void add_stack(struct stacks *stacks, uint64_t pointer)
{
	if (stacks->num_pointers < STACK_SCAN_STACKS)
		stacks->pointers[stacks->num_pointers++] = pointer;
	else
		stacks->is_full = true;
}

/**
 * Whether the words behind a stack and a program counter are flags and segments
 * as the kernel saves them for a signal handler (struct sigcontext in
 * asm/sigcontext.h: rsp, rip, eflags, then cs, gs, fs and ss, 16 bits each).
 * Kernels before 4.6 left ss 0.
 */
static bool is_saved_context(uint64_t flags, uint64_t segments)
{
	return (segments == UINT64_C(0x002b000000000033) || segments == 0x33) &&
	       (flags & 0x202) == 0x202 && flags < 0x400000;
}

static void find_contexts(const uint64_t *words, size_t num_words,
                          struct stacks *stacks)
{
	for (size_t i = 3; i < num_words; i++)
		if ((words[i] & 0xffff) == 0x33 &&
		    is_saved_context(words[i - 1], words[i]))
			add_stack(stacks, words[i - 3]);
}

/**
 * End of the stack that @p pointer points into, or 0 if it is not known: a
 * thread that was there before the mappings were read runs on the stack it was
 * started with, which holds its thread-local storage, or on the first one.
 */
static uint64_t known_end(const struct stack_scan *scan,
                          const struct stop_thread *thread, size_t index,
                          uint64_t pointer)
{
	const struct mapping *mapping = maps_find(scan->maps, pointer);

	if (!mapping || index >= scan->num_known)
		return 0;
	if (!strcmp(mapping->name, "[stack]"))
		return mapping->end_addr;
	if (!strcmp(mapping->name, "[heap]") ||
	    thread->regs.fs_base < pointer ||
	    thread->regs.fs_base >= mapping->end_addr)
		return 0;
	return mapping->end_addr;
}

/** Look at words from @p start_addr on; -ENODATA at the end of memory. */
static int scan_piece(struct stack_scan *scan, uint64_t start_addr,
                      size_t num_words, struct stacks *stacks,
                      uint64_t *next_addr_ret)
{
	size_t got = read_words(scan, start_addr, num_words);
	size_t hit = guard_set_scan(scan->guards, scan->words, got);

	if (hit < got) {
		scan->found_addr = scan->words[hit];
		return STACK_SCAN_SUSPECT;
	}
	find_contexts(scan->words, got, stacks);
	*next_addr_ret = start_addr + got * WORD;
	return got < num_words ? -ENODATA : STACK_SCAN_CLEAR;
}

static int scan_range(struct stack_scan *scan, struct stop *stop,
                      uint64_t start_addr, uint64_t end_addr,
                      struct stacks *stacks, uint64_t *reached_addr_ret)
{
	size_t num_words = FIRST_WORDS;
	uint64_t addr = start_addr;

	*reached_addr_ret = start_addr;
	while (addr < end_addr) {
		int rc;

		if ((end_addr - addr) / WORD < num_words)
			num_words = (end_addr - addr) / WORD;
		rc = scan_piece(scan, addr, num_words, stacks,
		                reached_addr_ret);
		if (rc)
			return rc;
		if (stop_deadline_passed(stop))
			return -ETIMEDOUT;
		if (*reached_addr_ret == end_addr)
			break;
		/* A saved context may lie across two pieces. */
		addr = *reached_addr_ret - 3 * WORD;
		num_words = sizeof(scan->words) / WORD;
	}
	return STACK_SCAN_CLEAR;
}

/** Scan one stack from @p pointer on. */
static int scan_stack(struct stack_scan *scan, struct stop *stop, size_t index,
                      uint64_t pointer, struct stacks *stacks)
{
	uint64_t start_addr = pointer & ~(uint64_t)(WORD - 1);
	uint64_t known =
		known_end(scan, stop_thread(stop, index), index, pointer);
	uint64_t room = known ? STACK_SCAN_MAX : STACK_SCAN_UNKNOWN;
	uint64_t end_addr =
		known && known - start_addr < room ? known : start_addr + room;
	uint64_t *reached = &stacks->end_addrs[stacks->num_done];
	int rc;

	/* The page of the red zone may be another one, which is not there. */
	rc = scan_range(scan, stop, start_addr - RED_ZONE, start_addr, stacks,
	                reached);
	if (rc && rc != -ENODATA)
		return rc;
	rc = scan_range(scan, stop, start_addr, end_addr, stacks, reached);
	if (rc == -ENODATA)
		return *reached > start_addr ? STACK_SCAN_CLEAR
		                             : STACK_SCAN_OPEN;
	if (rc)
		return rc;
	return end_addr == known ? STACK_SCAN_CLEAR : STACK_SCAN_OPEN;
}

/** Whether a stack that begins at @p pointer has been looked at already. */
static bool is_done(const struct stacks *stacks, uint64_t pointer)
{
	for (size_t i = 0; i < stacks->num_done; i++)
		if (pointer >= stacks->pointers[i] &&
		    pointer < stacks->end_addrs[i])
			return true;
	return false;
}

/**
 * Keep those that are new, each once: most saved contexts are of the stack that
 * they are on.
 */
static void drop_done(struct stacks *stacks, size_t first)
{
	size_t kept = first;

	for (size_t i = first; i < stacks->num_pointers; i++)
		if (!is_done(stacks, stacks->pointers[i]))
			stacks->pointers[kept++] = stacks->pointers[i];
	stacks->num_pointers = kept;
}

static int scan_registers(struct stack_scan *scan,
                          const struct user_regs_struct *regs)
{
	/* All up to rdi; the rest are no pointers into code, but for rip. */
	const uint64_t words[] = {
		regs->rax, regs->rbx, regs->rcx, regs->rdx, regs->rsi,
		regs->rdi, regs->rbp, regs->r8,  regs->r9,  regs->r10,
		regs->r11, regs->r12, regs->r13, regs->r14, regs->r15,
	};
	const size_t count = sizeof(words) / sizeof(*words);
	size_t hit;

	if (guard_set_find(scan->guards, regs->rip)) {
		scan->found_addr = regs->rip;
		return STACK_SCAN_INSIDE;
	}
	hit = guard_set_scan(scan->guards, words, count);
	if (hit == count)
		return STACK_SCAN_CLEAR;
	scan->found_addr = words[hit];
	return STACK_SCAN_SUSPECT;
}

int stack_scan_thread(struct stack_scan *scan, struct stop *stop, size_t index)
{
	const struct user_regs_struct *regs = &stop_thread(stop, index)->regs;
	struct stacks stacks = {.pointers = {regs->rsp}, .num_pointers = 1};
	int rc = scan_registers(scan, regs);

	scan->tid = stop_thread(stop, index)->tid;
	scan->found_addr = rc ? scan->found_addr : 0;
	while (!rc && stacks.num_done < stacks.num_pointers) {
		size_t first = stacks.num_done + 1;

		rc = scan_stack(scan, stop, index,
		                stacks.pointers[stacks.num_done], &stacks);
		stacks.num_done++;
		drop_done(&stacks, first);
	}
	return !rc && stacks.is_full ? STACK_SCAN_OPEN : rc;
}
