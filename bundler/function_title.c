/* SPDX-License-Identifier: MIT */
#include "function_title.h"

#include <string.h>

#include "debug_info.h"

struct hfx_error *function_title(const struct program *program,
                                 const struct function *function, char **ret)
{
	struct debug_function debug = {0};

	if (program->debug)
		HFX_TRY(debug_info_function(program->debug, function->addr,
		                            &debug));
	*ret = strdup(debug.name && *debug.name
	                      ? debug.name
	                      : function_name(program, function));
	debug_function_deinit(&debug);
	return *ret ? NULL : hfx_error_no_memory();
}
