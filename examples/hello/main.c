/* SPDX-License-Identifier: MIT */
/*
 * Hot-fix this very process: apply two bundles, one over the other, and take
 * them back.
 *
 *	hello hello_v1.hfx hello_v2.hfx
 */
#include <hfx.h>

#include "hello.h"

#include <stdio.h>
#include <stdlib.h>

/* Report @p err, if there is one, and end. */
static void check(struct hfx_error *err)
{
	if (!err)
		return;
	fprintf(stderr, "hello: %s\n", hfx_error_message(err));
	hfx_error_destroy(err);
	exit(EXIT_FAILURE);
}

static void show(const char *title)
{
	puts(title);
	hello_print();
	hello_print();
}

int main(int argc, char **argv)
{
	struct hfx_patch_id v1;
	struct hfx_patch_id v2;

	if (argc != 3) {
		fprintf(stderr, "usage: hello hello_v1.hfx hello_v2.hfx\n");
		return EXIT_FAILURE;
	}
	show("As built:");
	check(hfx_apply_bundle(argv[1], NULL, &v1));
	show("hello_v1 applied:");
	check(hfx_apply_bundle(argv[2], NULL, &v2));
	show("hello_v2 applied:");
	check(hfx_revert(&v2, NULL));
	show("hello_v2 reverted:");
	check(hfx_revert(&v1, NULL));
	show("hello_v1 reverted:");
	return EXIT_SUCCESS;
}
