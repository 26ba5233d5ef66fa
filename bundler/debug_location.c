/* SPDX-License-Identifier: MIT */
/* Where variables are: addresses, and offsets of thread-local ones. */
#include "debug_private.h"

static bool operation_addr(Dwarf_Attribute *location, Dwarf_Op *op,
                           uint64_t *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Addr addr;

	if (op->atom == DW_OP_addr) {
		*ret = op->number;
		return true;
	}
	if ((op->atom != DW_OP_addrx && op->atom != DW_OP_GNU_addr_index) ||
	    dwarf_getlocation_attr(location, op, &attr) ||
	    dwarf_formaddr(&attr, &addr))
		return false;
	*ret = addr;
	return true;
}

/** Whether a location begins with an operation that may give a place. */
static bool begins_with_place(const Dwarf_Block *block)
{
	if (block->length == 0)
		return false;
	switch (block->data[0]) {
	case DW_OP_addr:
	case DW_OP_addrx:
	case DW_OP_GNU_addr_index:
	case DW_OP_const4u:
	case DW_OP_const8u:
	case DW_OP_constx:
	case DW_OP_GNU_const_index:
		return true;
	default:
		return false;
	}
}

static bool is_tls_operation(const Dwarf_Op *op)
{
	return op->atom == DW_OP_form_tls_address ||
	       op->atom == DW_OP_GNU_push_tls_address;
}

/** Offset of a thread-local variable in the TLS block of the module. */
static bool operation_offset(Dwarf_Attribute *location, Dwarf_Op *op,
                             uint64_t *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Word value;

	if (op->atom != DW_OP_constx && op->atom != DW_OP_GNU_const_index) {
		*ret = op->number;
		return true;
	}
	if (dwarf_getlocation_attr(location, op, &attr) ||
	    dwarf_formudata(&attr, &value))
		return false;
	*ret = value;
	return true;
}

bool debug_fixed_location(Dwarf_Die *die, struct debug_variable *ret)
{
	Dwarf_Attribute attr;
	Dwarf_Block block;
	Dwarf_Op *ops;
	size_t num_ops;

	if (!dwarf_attr(die, DW_AT_location, &attr) ||
	    dwarf_formblock(&attr, &block) || !begins_with_place(&block))
		return false;
	if (dwarf_getlocation(&attr, &ops, &num_ops) || num_ops == 0 ||
	    num_ops > 2)
		return false;
	ret->is_tls = num_ops == 2 && is_tls_operation(&ops[1]);
	if (ret->is_tls)
		return operation_offset(&attr, &ops[0], &ret->addr);
	if (!operation_addr(&attr, &ops[0], &ret->addr))
		return false;
	if (num_ops == 2) {
		if (ops[1].atom != DW_OP_plus_uconst)
			return false;
		ret->addr += ops[1].number;
	}
	/* Linkers write 0 for what they dropped. */
	return ret->addr != 0;
}
