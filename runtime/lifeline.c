/* SPDX-License-Identifier: MIT */
#include <asm/sigcontext.h>
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "cleanup.h"
#include "lifeline.h"

/* Results that the kernel keeps to itself (include/linux/errno.h). */
#define KERNEL_ERESTARTSYS           512
#define KERNEL_ERESTARTNOINTR        513
#define KERNEL_ERESTARTNOHAND        514
#define KERNEL_ERESTART_RESTARTBLOCK 516

/** Size of the `syscall` instruction. */
#define SYSCALL_SIZE 2

/** Of struct ucontext (arch/x86/include/uapi/asm/ucontext.h). */
#define UC_FP_XSTATE         0x1
#define UC_SIGCONTEXT_SS     0x2
#define UC_STRICT_RESTORE_SS 0x4

/** The area of FXSAVE, with what the kernel adds to it, and XSAVE's header. */
#define FXSAVE_SIZE     512u
#define FXSAVE_ADDED    464u
#define XSAVE_MIN_SIZE  576u
#define XSAVE_ALIGNMENT UINT64_C(64)

/** The first two components, x87 and SSE, are in the area of FXSAVE. */
#define XFEATURES_LEGACY UINT64_C(3)
#define CPUID_XSAVE      0xd

/** Mode that sigaltstack() refuses: the thread keeps the one it has. */
#define NO_ALTSTACK_MODE 0x7

/** A page for what may lie below the frame when the thread is sent on. */
#define SPARE_ROOM 16384u

/** struct rt_sigframe of the kernel, without the siginfo that nobody reads. */
struct frame {
	uint64_t return_addr;
	uint64_t flags;
	uint64_t link;
	uint64_t stack_addr;
	uint32_t stack_flags;
	uint32_t padding;
	uint64_t stack_size;
	struct sigcontext context;
	uint64_t signal_mask;
};
_Static_assert(sizeof(struct frame) == 8 + 304, "struct ucontext");

bool lifeline_has_room(const struct maps *maps, uint64_t sp, uint64_t fs_base)
{
	const struct mapping *mapping = maps_find(maps, sp);
	int access = PROT_READ | PROT_WRITE;

	if (!mapping || (mapping->protection & access) != (uint32_t)access)
		return false;
	if (sp - mapping->start_addr < XSTATE_MAX + SPARE_ROOM)
		return false;
	return !strcmp(mapping->name, "[stack]") ||
	       (fs_base > sp && fs_base < mapping->end_addr);
}

/** The registers with which an interrupted system call is made again. */
static struct user_regs_struct restarted(const struct user_regs_struct *from)
{
	struct user_regs_struct regs = *from;

	if ((int64_t)regs.orig_rax < 0)
		return regs;
	switch (-(int64_t)regs.rax) {
	case KERNEL_ERESTARTSYS:
	case KERNEL_ERESTARTNOINTR:
	case KERNEL_ERESTARTNOHAND:
	case KERNEL_ERESTART_RESTARTBLOCK:
		regs.rax = regs.orig_rax;
		regs.rip -= SYSCALL_SIZE;
		break;
	default:
		break;
	}
	return regs;
}

static struct sigcontext context_of(const struct user_regs_struct *regs,
                                    uint64_t xstate_addr)
{
	return (struct sigcontext){
		.r8 = regs->r8,
		.r9 = regs->r9,
		.r10 = regs->r10,
		.r11 = regs->r11,
		.r12 = regs->r12,
		.r13 = regs->r13,
		.r14 = regs->r14,
		.r15 = regs->r15,
		.rdi = regs->rdi,
		.rsi = regs->rsi,
		.rbp = regs->rbp,
		.rbx = regs->rbx,
		.rdx = regs->rdx,
		.rax = regs->rax,
		.rcx = regs->rcx,
		.rsp = regs->rsp,
		.rip = regs->rip,
		.eflags = regs->eflags,
		.cs = (uint16_t)regs->cs,
		.ss = (uint16_t)regs->ss,
		.fpstate = (struct _fpstate *)(uintptr_t)xstate_addr,
	};
}

/** Bytes that hold the components @p features in the standard format. */
static uint32_t size_of_features(uint64_t features)
{
	uint32_t end = XSAVE_MIN_SIZE;

	for (uint32_t i = 2; i < 63; i++) {
		uint32_t size = 0, off = 0, ecx, edx;

		if (!(features >> i & 1))
			continue;
		__cpuid_count(CPUID_XSAVE, i, size, off, ecx, edx);
		if (off + size > end)
			end = off + size;
	}
	return end;
}

/**
 * Turn what ptrace gives into what rt_sigreturn takes: say in the area of
 * FXSAVE what is there, and mark the end.
 *
 * @return Its size, 0 if there is none.
 */
static size_t pack_xstate(const struct lifeline_state *state,
                          uint8_t room[static XSTATE_MAX])
{
	struct _fpx_sw_bytes added = {.magic1 = FP_XSTATE_MAGIC1};
	uint32_t end_mark = FP_XSTATE_MAGIC2;
	uint64_t features;

	if (state->xstate_size < XSAVE_MIN_SIZE ||
	    state->xstate_size > XSTATE_MAX - sizeof(end_mark))
		return 0;
	memcpy(room, state->xstate, state->xstate_size);
	memcpy(&features, room + FXSAVE_SIZE, sizeof(features));
	features |= XFEATURES_LEGACY;
	memcpy(room + FXSAVE_SIZE, &features, sizeof(features));
	added.xfeatures = features;
	added.xstate_size = size_of_features(features);
	added.extended_size = added.xstate_size + sizeof(end_mark);
	if (added.xstate_size > state->xstate_size)
		return 0;
	memcpy(room + FXSAVE_ADDED, &added, sizeof(added));
	memcpy(room + added.xstate_size, &end_mark, sizeof(end_mark));
	return added.extended_size;
}

static int write_vm(pid_t tid, uint64_t live_addr, const void *data,
                    size_t size)
{
	struct iovec local = {(void *)data, size};
	struct iovec remote = {(void *)(uintptr_t)live_addr, size};
	ssize_t put = process_vm_writev(tid, &local, 1, &remote, 1, 0);

	if (put < 0)
		return -errno;
	return (size_t)put == size ? 0 : -EFAULT;
}

int lifeline_write(pid_t tid, const struct lifeline_state *state,
                   uint64_t return_addr, uint64_t *sp_ret)
{
	struct user_regs_struct regs = restarted(&state->regs);
	HFX_CLEANUP(hfx_free) uint8_t *room = malloc(XSTATE_MAX);
	struct frame frame = {
		.return_addr = return_addr,
		.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
		.stack_flags = NO_ALTSTACK_MODE,
		.signal_mask = state->signal_mask,
	};
	uint64_t addr = state->regs.rsp - RED_ZONE;
	size_t size;
	int rc;

	if (!room)
		return -ENOMEM;
	size = pack_xstate(state, room);
	if (!size)
		return -ENOTSUP;
	addr = (addr - size) & ~(XSAVE_ALIGNMENT - 1);
	rc = write_vm(tid, addr, room, size);
	frame.context = context_of(&regs, addr);
	addr = ((addr - sizeof(frame)) & ~UINT64_C(15)) - sizeof(uint64_t);
	if (!rc)
		rc = write_vm(tid, addr, &frame, sizeof(frame));
	*sp_ret = addr;
	return rc;
}
