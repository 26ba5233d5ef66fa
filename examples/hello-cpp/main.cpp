/* SPDX-License-Identifier: MIT */
/*
 * Hot-fix this very process: apply two bundles, one over the other, and take
 * them back.
 *
 *	hello-cpp hello_cpp_v1.hfx hello_cpp_v2.hfx
 */
#include <hfx.h>

#include "greeter.h"

#include <cstdlib>
#include <iostream>

/* Report @p err, if there is one, and end. */
static void check(struct hfx_error *err)
{
	if (!err)
		return;
	std::cerr << "hello-cpp: " << hfx_error_message(err) << "\n";
	hfx_error_destroy(err);
	std::exit(EXIT_FAILURE);
}

static void show(const char *title, Greeter &greeter)
{
	std::cout << title << "\n";
	greeter.print();
	greeter.print();
}

int main(int argc, char **argv)
{
	Greeter greeter;
	hfx_patch_id v1;
	hfx_patch_id v2;

	if (argc != 3) {
		std::cerr << "usage: hello-cpp hello_cpp_v1.hfx "
			     "hello_cpp_v2.hfx\n";
		return EXIT_FAILURE;
	}
	show("As built:", greeter);
	check(hfx_apply_bundle(argv[1], nullptr, &v1));
	show("hello_cpp_v1 applied:", greeter);
	check(hfx_apply_bundle(argv[2], nullptr, &v2));
	show("hello_cpp_v2 applied:", greeter);
	check(hfx_revert(&v2, nullptr));
	show("hello_cpp_v2 reverted:", greeter);
	check(hfx_revert(&v1, nullptr));
	show("hello_cpp_v1 reverted:", greeter);
	return EXIT_SUCCESS;
}
