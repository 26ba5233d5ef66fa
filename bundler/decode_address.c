/* SPDX-License-Identifier: MIT */
/*
 * What instructions do with an address that others have loaded.
 */
#include <string.h>

#include "decode_private.h"

/* ---- What comes first ---------------------------------------------------- */

/* The registers that carry arguments (psABI 3.2.3). */
static bool is_argument(x86_reg reg)
{
	return reg == X86_REG_RDI || reg == X86_REG_RSI || reg == X86_REG_RDX ||
	       reg == X86_REG_RCX || reg == X86_REG_R8 || reg == X86_REG_R9;
}

/* A store of the register itself, but not into the frame: it would be read. */
static bool is_store(const cs_insn *insn, x86_reg reg)
{
	const cs_x86_op *operands = insn->detail->x86.operands;

	return insn->id == X86_INS_MOV && operands[0].type == X86_OP_MEM &&
	       operands[1].type == X86_OP_REG && operands[1].reg == reg &&
	       operands[0].mem.base != reg && operands[0].mem.index != reg &&
	       operands[0].mem.base != X86_REG_RSP &&
	       operands[0].mem.base != X86_REG_RBP;
}

static bool uses_register(csh handle, const cs_insn *insn, x86_reg reg)
{
	cs_regs read, written;
	uint8_t num_read, num_written;

	if (cs_regs_access(handle, insn, read, &num_read, written,
	                   &num_written) != CS_ERR_OK)
		return true;
	for (uint8_t i = 0; i < num_read; i++)
		if (read[i] == reg)
			return true;
	for (uint8_t i = 0; i < num_written; i++)
		if (written[i] == reg)
			return true;
	return false;
}

/* A call, or a jump that leaves the function: [0, size). */
static bool leads_away(const cs_insn *insn, size_t size)
{
	const cs_x86 *x86 = &insn->detail->x86;

	return decode_in_group(insn->detail, CS_GRP_CALL) ||
	       (insn->id == X86_INS_JMP &&
	        x86->operands[0].type == X86_OP_IMM &&
	        (uint64_t)x86->operands[0].imm >= size);
}

enum fate {
	FATE_OTHER,
	FATE_STORED,
	FATE_PASSED_ON,
};

/* What is done first with the register that the instruction at `off` loads. */
static enum fate fate_of_loaded(struct decoder *decoder, const uint8_t *code,
                                size_t size, size_t off)
{
	cs_insn *found = decoder->insn;
	const uint8_t *bytes = code + off;
	size_t left = size - off;
	uint64_t at = off;

	if (!cs_disasm_iter(decoder->handle, &bytes, &left, &at, found) ||
	    found->detail->x86.operands[0].type != X86_OP_REG)
		return FATE_OTHER;
	x86_reg reg = found->detail->x86.operands[0].reg;
	while (cs_disasm_iter(decoder->handle, &bytes, &left, &at, found)) {
		if (leads_away(found, size))
			return is_argument(reg) ? FATE_PASSED_ON : FATE_OTHER;
		if (is_store(found, reg))
			return FATE_STORED;
		if (decode_in_group(found->detail, CS_GRP_RET))
			return reg == X86_REG_RAX ? FATE_PASSED_ON : FATE_OTHER;
		if (decode_in_group(found->detail, CS_GRP_JUMP) ||
		    uses_register(decoder->handle, found, reg))
			return FATE_OTHER;
	}
	return FATE_OTHER;
}

bool decoder_stores(struct decoder *decoder, const uint8_t *code, size_t size,
                    size_t off)
{
	return fate_of_loaded(decoder, code, size, off) == FATE_STORED;
}

bool decoder_passes_on(struct decoder *decoder, const uint8_t *code,
                       size_t size, size_t off)
{
	return fate_of_loaded(decoder, code, size, off) != FATE_OTHER;
}

/* ---- Addresses in registers --------------------------------------------- */

general_set decode_general(unsigned int id, bool *is_whole_ret)
{
	static const uint16_t registers[NUM_GENERALS][5] = {
#define LETTER(x)                                                              \
	{X86_REG_R##x##X, X86_REG_E##x##X, X86_REG_##x##X, X86_REG_##x##L,     \
	 X86_REG_##x##H}
#define POINTER(x)                                                             \
	{                                                                      \
		X86_REG_R##x, X86_REG_E##x, X86_REG_##x, X86_REG_##x##L, 0     \
	}
#define NUMBER(n)                                                              \
	{                                                                      \
		X86_REG_R##n, X86_REG_R##n##D, X86_REG_R##n##W,                \
			X86_REG_R##n##B, 0                                     \
	}
		LETTER(A),   LETTER(C),   LETTER(D),   LETTER(B),
		POINTER(SP), POINTER(BP), POINTER(SI), POINTER(DI),
		NUMBER(8),   NUMBER(9),   NUMBER(10),  NUMBER(11),
		NUMBER(12),  NUMBER(13),  NUMBER(14),  NUMBER(15),
#undef LETTER
#undef POINTER
#undef NUMBER
	};

	*is_whole_ret = false;
	for (size_t i = 0; id && i < NUM_GENERALS; i++)
		for (size_t k = 0; k < 5; k++)
			if (registers[i][k] == id) {
				*is_whole_ret = k < 2;
				return 1 << i;
			}
	return 0;
}

static general_set operand_register(const cs_x86_op *operand)
{
	bool is_whole = false;
	general_set bit = operand->type == X86_OP_REG
	                          ? decode_general(operand->reg, &is_whole)
	                          : 0;

	return is_whole ? bit : 0;
}

static bool is_in_frame(const cs_x86_op *operand)
{
	return operand->mem.base == X86_REG_RSP ||
	       operand->mem.base == X86_REG_RBP;
}

/* `nop` has an operand, too, and so has `xchg %ax,%ax`. */
static bool is_padding(const cs_insn *insn)
{
	const cs_x86_op *operands = insn->detail->x86.operands;

	return insn->id == X86_INS_NOP ||
	       (insn->id == X86_INS_XCHG && operands[0].type == X86_OP_REG &&
	        operands[1].type == X86_OP_REG &&
	        operands[0].reg == operands[1].reg);
}

static general_set all_of(struct address_holders holders)
{
	return holders.exact | holders.shifted;
}

/* Operands in memory: with an index, the address is counted from. */
static void step_through(const cs_insn *insn, general_set holders,
                         struct address_step *step)
{
	const cs_x86 *x86 = &insn->detail->x86;
	bool is_whole;

	for (uint8_t i = 0; i < x86->op_count; i++) {
		const cs_x86_op *operand = &x86->operands[i];

		if (operand->type != X86_OP_MEM)
			continue;
		if (decode_general(operand->mem.index, &is_whole) & holders)
			step->is_counted = true;
		if (!(decode_general(operand->mem.base, &is_whole) & holders))
			continue;
		step->is_counted |= operand->mem.index != X86_REG_INVALID;
		step->is_used |= insn->id != X86_INS_LEA;
	}
}

static bool is_base(const cs_insn *insn, unsigned int reg)
{
	const cs_x86 *x86 = &insn->detail->x86;

	for (uint8_t i = 0; i < x86->op_count; i++)
		if (x86->operands[i].type == X86_OP_MEM &&
		    x86->operands[i].mem.base == reg)
			return true;
	return false;
}

/* Whatever else the instruction reads it from; and what it overwrites. */
static void step_otherwise(struct decoder *decoder, general_set may_read,
                           struct address_step *step)
{
	const cs_insn *insn = decoder->insn;
	general_set holders = all_of(step->holders) & ~may_read;
	cs_regs read, written;
	uint8_t num_read, num_written;
	bool is_whole;

	if (cs_regs_access(decoder->handle, insn, read, &num_read, written,
	                   &num_written) != CS_ERR_OK) {
		step->is_counted = true;
		return;
	}
	for (uint8_t i = 0; i < num_read && !decode_is_clearing(insn); i++)
		if (decode_general(read[i], &is_whole) & holders &&
		    !is_base(insn, read[i]))
			step->is_counted = true;
	for (uint8_t i = 0; i < num_written; i++) {
		general_set bit = decode_general(written[i], &is_whole);

		step->holders.exact &= ~bit;
		step->holders.shifted &= ~bit;
	}
}

/* The register that a constant is added to, if that is all that is done. */
static general_set shifted_register(const cs_insn *insn)
{
	const cs_x86_op *operands = insn->detail->x86.operands;
	bool is_whole;

	switch (insn->id) {
	case X86_INS_LEA:
		return operands[1].mem.index == X86_REG_INVALID
		               ? decode_general(operands[1].mem.base, &is_whole)
		               : 0;
	case X86_INS_ADD:
	case X86_INS_SUB:
		return operands[1].type == X86_OP_IMM
		               ? operand_register(&operands[0])
		               : 0;
	case X86_INS_INC:
	case X86_INS_DEC:
		return operand_register(&operands[0]);
	default:
		return 0;
	}
}

/* Put into @p to what is in the one register @p from. */
static void copy_address(struct address_holders before, general_set from,
                         general_set to, struct address_holders *holders)
{
	holders->exact |= before.exact & from ? to : 0;
	holders->shifted |= before.shifted & from ? to : 0;
}

static void step_move(struct decoder *decoder, struct address_holders before,
                      struct address_step *step)
{
	const cs_x86_op *operands = decoder->insn->detail->x86.operands;
	general_set to = operand_register(&operands[0]);
	general_set from = operand_register(&operands[1]) & all_of(before);

	step_otherwise(decoder, from, step);
	if (from && to)
		copy_address(before, from, to, &step->holders);
	else if (from && is_in_frame(&operands[0]))
		step->is_counted = true;
	else if (from)
		step->is_used = step->is_given = true;
}

struct address_step decoder_address_step(struct decoder *decoder,
                                         struct address_holders holders)
{
	const cs_insn *insn = decoder->insn;
	struct address_step step = {.holders = holders};

	if (!decoder->is_known)
		return (struct address_step){.is_counted = true};
	if (is_padding(insn))
		return step;
	const cs_x86_op *operands = insn->detail->x86.operands;
	general_set from = shifted_register(insn) & all_of(holders);
	step_through(insn, all_of(holders), &step);
	if (from) {
		/* Again and again: a loop counts so. */
		step.is_counted |= (holders.shifted & from) != 0;
		step_otherwise(decoder, from, &step);
		step.holders.shifted |= operand_register(&operands[0]);
	} else if (insn->id == X86_INS_MOV) {
		step_move(decoder, holders, &step);
	} else if (insn->id == X86_INS_CMP || insn->id == X86_INS_TEST) {
		step_otherwise(decoder, all_of(holders), &step);
	} else if (!strncmp(insn->mnemonic, "cmov", 4)) {
		copy_address(holders, operand_register(&operands[1]),
		             operand_register(&operands[0]), &step.holders);
	} else {
		step_otherwise(decoder, 0, &step);
	}
	return step;
}

struct address_step decoder_address_load(struct decoder *decoder)
{
	const cs_insn *insn = decoder->insn;
	struct address_step step = {0};

	if (decoder->is_known && insn->detail->x86.op_count == 2)
		step.holders.exact =
			operand_register(&insn->detail->x86.operands[0]);
	switch (decoder->is_known ? insn->id : X86_INS_INVALID) {
	case X86_INS_CMP:
		step.holders.exact = 0;
		break;
	case X86_INS_MOV:
		step.is_used = step.is_given = !step.holders.exact;
		break;
	case X86_INS_LEA:
	case X86_INS_MOVABS:
		step.is_counted = !step.holders.exact;
		break;
	default:
		step.is_counted = true;
	}
	return step;
}
