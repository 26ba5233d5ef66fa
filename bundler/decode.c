/* SPDX-License-Identifier: MIT */
#include "decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <elf.h>

#include "decode_private.h"
#include "decode_vector.h"

/* Canary of the stack protector, the one %fs operand that is not TLS data. */
#define STACK_GUARD_OFFSET 0x28

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

bool decode_in_group(const cs_detail *detail, uint8_t group)
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

/*
 * Whether the operand is written to. capstone has many stores as loads (movups,
 * movdqa, cmpxchg, fstp), so the first of several operands counts as written.
 */
static bool is_written(const cs_x86 *x86, const cs_x86_op *operand,
                       unsigned int id)
{
	switch (id) {
	case X86_INS_CMP:
	case X86_INS_TEST:
	case X86_INS_BT:
		return false;
	case X86_INS_CMPXCHG8B:
	case X86_INS_CMPXCHG16B:
	case X86_INS_FIST:
	case X86_INS_FISTP:
	case X86_INS_FISTTP:
	case X86_INS_FNSTCW:
	case X86_INS_FNSTSW:
	case X86_INS_FST:
	case X86_INS_FSTP:
	case X86_INS_FXSAVE:
	case X86_INS_STMXCSR:
	case X86_INS_VSTMXCSR:
		return true;
	default:
		return (operand->access & CS_AC_WRITE) ||
		       (operand == x86->operands && x86->op_count > 1);
	}
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
	if (operand->mem.base != X86_REG_RIP) {
		if (operand->mem.base || operand->mem.index)
			insn->indexed_off = x86->encoding.disp_offset;
		return true;
	}
	insn->has_reference = true;
	reference->relocation = R_X86_64_PC32;
	reference->kind =
		id == X86_INS_LEA ? REFERENCE_ADDRESS : REFERENCE_ACCESS;
	reference->access_size = operand->size;
	reference->is_write = is_written(x86, operand, id);
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

/* What capstone does not know may be a vector instruction that is younger. */
static bool decode_vector(const uint8_t *code, size_t size, uint64_t addr,
                          size_t off, struct instruction *ret)
{
	struct vector_form form;
	int32_t distance;

	if (!vector_form(code + off, size - off, &form))
		return false;
	*ret = (struct instruction){
		.off = off,
		.size = form.size,
		.uses_tls = form.uses_fs,
		.has_reference = form.displacement_off,
		.reference =
			{
				.insn_off = off,
				.insn_size = form.size,
				.kind = REFERENCE_ACCESS,
				.access_size = form.width,
				.relocation = R_X86_64_PC32,
				.field_off = form.displacement_off,
				.field_size = 4,
			},
	};
	if (!ret->has_reference)
		return true;
	memcpy(&distance, code + off + form.displacement_off, sizeof(distance));
	ret->reference.target = addr + off + form.size + distance;
	return true;
}

bool decoder_next(struct decoder *decoder, const uint8_t *code, size_t size,
                  uint64_t addr, size_t off, struct instruction *ret)
{
	const uint8_t *bytes = code + off;
	size_t left = size - off;
	uint64_t at = addr + off;
	cs_insn *found = decoder->insn;

	decoder->is_known =
		cs_disasm_iter(decoder->handle, &bytes, &left, &at, found);
	if (!decoder->is_known)
		return decode_vector(code, size, addr, off, ret);
	const cs_x86 *x86 = &found->detail->x86;
	bytes = code + off;
	addr += off;

	*ret = (struct instruction){.off = off, .size = found->size};
	ret->reference.insn_off = off;
	ret->reference.insn_size = found->size;
	ret->is_call = decode_in_group(found->detail, CS_GRP_CALL);
	ret->is_jump =
		decode_in_group(found->detail, CS_GRP_JUMP) && !ret->is_call;
	ret->is_conditional = ret->is_jump && found->id != X86_INS_JMP &&
	                      found->id != X86_INS_LJMP;
	ret->is_return = decode_in_group(found->detail, CS_GRP_RET);
	ret->is_syscall = found->id == X86_INS_SYSCALL;
	ret->is_restore = is_restore(found);
	ret->is_padding = found->id == X86_INS_NOP || found->id == X86_INS_INT3;
	if (decode_in_group(found->detail, CS_GRP_BRANCH_RELATIVE) &&
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

/* Those that a function may change (psABI 3.2.1), by their numbers. */
static register_set general_register(unsigned int id, bool *is_whole_ret)
{
	static const register_set registers[NUM_GENERALS] = {
		REGISTER_RAX,
		REGISTER_RCX,
		REGISTER_RDX,
		0,
		0,
		0,
		REGISTER_RSI,
		REGISTER_RDI,
		REGISTER_R8,
		REGISTER_R9,
		REGISTER_R10,
		REGISTER_R11,
	};
	general_set general = decode_general(id, is_whole_ret);

	return general ? registers[__builtin_ctz(general)] : 0;
}

static register_set register_of(unsigned int id, bool *is_whole_ret)
{
	static const unsigned int vectors[] = {X86_REG_XMM0, X86_REG_YMM0,
	                                       X86_REG_ZMM0};

	*is_whole_ret = true;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++)
		if (id >= vectors[i] && id < vectors[i] + 16)
			return REGISTER_XMM0 << (id - vectors[i]);
	return general_register(id, is_whole_ret);
}

bool decode_is_clearing(const cs_insn *insn)
{
	const cs_x86 *x86 = &insn->detail->x86;

	switch (insn->id) {
	case X86_INS_XOR:
	case X86_INS_SUB:
	case X86_INS_PXOR:
	case X86_INS_XORPS:
	case X86_INS_XORPD:
	case X86_INS_VPXOR:
	case X86_INS_VXORPS:
	case X86_INS_VXORPD:
		break;
	default:
		return false;
	}
	for (uint8_t i = 0; i < x86->op_count; i++)
		if (x86->operands[i].type != X86_OP_REG ||
		    (i && x86->operands[i].reg != x86->operands[i - 1].reg))
			return false;
	return true;
}

struct register_use decoder_registers(struct decoder *decoder)
{
	const cs_insn *insn = decoder->insn;
	struct register_use use = {0};
	cs_regs read, written;
	uint8_t num_read, num_written;
	bool is_whole;

	/* A vector instruction: it may read anything, and writes its kind. */
	if (!decoder->is_known)
		return (struct register_use){REGISTERS_ALL, REGISTERS_XMM, 0};
	if (insn->id == X86_INS_SYSCALL)
		return (struct register_use){
			.read = REGISTER_RAX | REGISTER_RDI | REGISTER_RSI |
		                REGISTER_RDX | REGISTER_R10 | REGISTER_R8 |
		                REGISTER_R9,
			.written = REGISTER_RAX | REGISTER_RCX | REGISTER_R11,
			.replaced = REGISTER_RAX | REGISTER_RCX | REGISTER_R11,
		};
	if (cs_regs_access(decoder->handle, insn, read, &num_read, written,
	                   &num_written) != CS_ERR_OK)
		return (struct register_use){REGISTERS_ALL, REGISTERS_ALL, 0};
	for (uint8_t i = 0; i < num_read && !decode_is_clearing(insn); i++)
		use.read |= register_of(read[i], &is_whole);
	for (uint8_t i = 0; i < num_written; i++) {
		register_set bit = register_of(written[i], &is_whole);

		use.written |= bit;
		/* A `cmov` may leave it as it was. */
		if (is_whole && strncmp(insn->mnemonic, "cmov", 4) != 0)
			use.replaced |= bit;
	}
	return use;
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
	struct vector_form form;

	if (cs_disasm_iter(decoder->handle, &code, &size, &addr, found))
		snprintf(text_ret, text_size, "%s %s", found->mnemonic,
		         found->op_str);
	else if (vector_form(code, size, &form))
		snprintf(text_ret, text_size, "(vector instruction)");
}
