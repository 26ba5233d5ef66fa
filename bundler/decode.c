/* SPDX-License-Identifier: MIT */
#include "decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <capstone/capstone.h>
#include <elf.h>

/* Canary of the stack protector, the one %fs operand that is not TLS data. */
#define STACK_GUARD_OFFSET 0x28

struct decoder {
	csh handle;
	cs_insn *insn;
};

struct hfx_error *decoder_create(struct decoder **ret)
{
	struct decoder *decoder = calloc(1, sizeof(*decoder));
	if (!decoder)
		return hfx_error_no_memory();
	cs_err code = cs_open(CS_ARCH_X86, CS_MODE_64, &decoder->handle);
	if (code == CS_ERR_OK)
		code = cs_option(decoder->handle, CS_OPT_DETAIL, CS_OPT_ON);
	if (code == CS_ERR_OK)
		decoder->insn = cs_malloc(decoder->handle);
	if (!decoder->insn) {
		decoder_destroy(decoder);
		return hfx_error_create(HFX_ERROR_UNSUPPORTED, "capstone: %s",
		                        cs_strerror(code));
	}
	*ret = decoder;
	return NULL;
}

void decoder_destroy(struct decoder *decoder)
{
	if (!decoder)
		return;
	if (decoder->insn)
		cs_free(decoder->insn, 1);
	if (decoder->handle)
		cs_close(&decoder->handle);
	free(decoder);
}

static bool in_group(const cs_detail *detail, uint8_t group)
{
	for (uint8_t i = 0; i < detail->groups_count; i++)
		if (detail->groups[i] == group)
			return true;
	return false;
}

/*
 * The field must say what the operand says; where the decoder's idea of the
 * field's place is wrong, nothing is known of the instruction.
 */
static bool field_agrees(const uint8_t *bytes, uint64_t addr,
                         const struct instruction *insn)
{
	const struct reference *reference = &insn->reference;
	int32_t value;

	if (reference->field_off + reference->field_size > insn->size)
		return false;
	if (reference->field_size == 1) {
		value = (int8_t)bytes[reference->field_off];
	} else if (reference->field_size == 4) {
		memcpy(&value, bytes + reference->field_off, sizeof(value));
	} else {
		return false;
	}
	return reference->target == addr + insn->size + value;
}

static bool add_branch(const cs_x86 *x86, const uint8_t *bytes, uint64_t addr,
                       struct instruction *insn)
{
	struct reference *reference = &insn->reference;

	insn->has_reference = true;
	reference->relocation = R_X86_64_PC32;
	reference->kind = insn->is_call ? REFERENCE_CALL : REFERENCE_JUMP;
	reference->target = x86->operands[0].imm;
	reference->field_off = x86->encoding.imm_offset;
	reference->field_size = x86->encoding.imm_size;
	return field_agrees(bytes, addr, insn);
}

static bool add_memory(const cs_x86 *x86, const cs_x86_op *operand,
                       unsigned int id, const uint8_t *bytes, uint64_t addr,
                       struct instruction *insn)
{
	struct reference *reference = &insn->reference;

	if (operand->mem.segment == X86_REG_FS &&
	    (operand->mem.base || operand->mem.index ||
	     operand->mem.disp != STACK_GUARD_OFFSET))
		insn->uses_tls = true;
	if (operand->mem.base != X86_REG_RIP)
		return true;
	insn->has_reference = true;
	reference->relocation = R_X86_64_PC32;
	reference->kind =
		id == X86_INS_LEA ? REFERENCE_ADDRESS : REFERENCE_ACCESS;
	reference->access_size = operand->size;
	reference->is_write = operand->access & CS_AC_WRITE;
	reference->target = addr + insn->size + operand->mem.disp;
	reference->field_off = x86->encoding.disp_offset;
	/* 32 bits in every RIP-relative operand (Intel SDM 2.2.1.6). */
	reference->field_size = 4;
	return field_agrees(bytes, addr, insn);
}

static bool is_restore(const cs_insn *insn)
{
	static const unsigned int preserved[] = {
		X86_REG_RBX, X86_REG_RBP, X86_REG_R12,
		X86_REG_R13, X86_REG_R14, X86_REG_R15,
	};
	const cs_x86 *x86 = &insn->detail->x86;

	if (insn->id == X86_INS_LEAVE)
		return true;
	if (!x86->op_count || x86->operands[0].type != X86_OP_REG)
		return false;
	if (insn->id == X86_INS_ADD && x86->operands[0].reg == X86_REG_RSP)
		return true;
	for (size_t i = 0; i < sizeof(preserved) / sizeof(*preserved); i++)
		if (insn->id == X86_INS_POP &&
		    x86->operands[0].reg == preserved[i])
			return true;
	return false;
}

bool decoder_next(struct decoder *decoder, const uint8_t *code, size_t size,
                  uint64_t addr, size_t off, struct instruction *ret)
{
	const uint8_t *bytes = code + off;
	size_t left = size - off;
	uint64_t at = addr + off;
	cs_insn *found = decoder->insn;

	if (!cs_disasm_iter(decoder->handle, &bytes, &left, &at, found))
		return false;
	const cs_x86 *x86 = &found->detail->x86;
	bytes = code + off;
	addr += off;

	*ret = (struct instruction){.off = off, .size = found->size};
	ret->reference.insn_off = off;
	ret->reference.insn_size = found->size;
	ret->is_call = in_group(found->detail, CS_GRP_CALL);
	ret->is_jump = in_group(found->detail, CS_GRP_JUMP) && !ret->is_call;
	ret->is_conditional = ret->is_jump && found->id != X86_INS_JMP &&
	                      found->id != X86_INS_LJMP;
	ret->is_return = in_group(found->detail, CS_GRP_RET);
	ret->is_syscall = found->id == X86_INS_SYSCALL;
	ret->is_restore = is_restore(found);
	ret->is_padding = found->id == X86_INS_NOP || found->id == X86_INS_INT3;
	if (in_group(found->detail, CS_GRP_BRANCH_RELATIVE) &&
	    x86->op_count == 1 && x86->operands[0].type == X86_OP_IMM)
		return add_branch(x86, bytes, addr, ret);
	ret->constant_off = x86->encoding.imm_offset;
	ret->constant_size = x86->encoding.imm_size;
	if (ret->constant_off + ret->constant_size > ret->size)
		ret->constant_size = 0;
	for (uint8_t i = 0; i < x86->op_count; i++)
		if (x86->operands[i].type == X86_OP_MEM &&
		    !add_memory(x86, &x86->operands[i], found->id, bytes, addr,
		                ret))
			return false;
	return true;
}

bool is_endbr64(const uint8_t *code, size_t size)
{
	return size >= 4 && !memcmp(code, "\xf3\x0f\x1e\xfa", 4);
}

void decoder_text(struct decoder *decoder, const uint8_t *code, size_t size,
                  uint64_t addr, char *text_ret, size_t text_size)
{
	cs_insn *found = decoder->insn;

	*text_ret = '\0';
	if (cs_disasm_iter(decoder->handle, &code, &size, &addr, found))
		snprintf(text_ret, text_size, "%s %s", found->mnemonic,
		         found->op_str);
}
