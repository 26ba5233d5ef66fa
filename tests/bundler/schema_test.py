#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What hfx-bundle prints as JSON is what the schemas in docs/ say."""

import copy
import json
import os
import pathlib
import sys
import unittest

try:
    import jsonschema
except ImportError:
    print("python3-jsonschema is not installed")
    sys.exit(77)

from sandbox import BUNDLER, Sandbox

DOCS = pathlib.Path(os.environ["HFX_DOCS"])

# A change of each kind: changed, new, removed, a cold part, an import.
CHANGES = r"""
#include <stdio.h>
#include <stdlib.h>
#define NOINLINE __attribute__((noinline, noclone))
#ifdef NEW
int fresh_variable;
NOINLINE int fresh(int n) { fresh_variable += n; return n * 3; }
#else
NOINLINE int stale(int n) { return n * 5; }
#endif
NOINLINE void complain(int n) __attribute__((cold));
NOINLINE void complain(int n) { printf("%d\n", n); }
NOINLINE int work(int n)
{
	int result = V(stale(n), fresh(n) + atoi("4"));

	if (__builtin_expect(n < 0, 0)) {
		complain(n);
		complain(result);
		result = -result;
	}
	printf("%d\n", result);
	return result + 1;
}
int main(int argc, char **argv)
{ (void)argv; printf("%d\n", work(argc)); return 0; }
"""

SIMPLE = r"""
#include <stdio.h>
__attribute__((noinline, noclone)) int work(int n) { puts("work"); return n + V(1, 2); }
int main(int argc, char **argv)
{ (void)argv; return work(argc) > 100; }
"""

# Too short for a jump, with the next function right behind it.
REFUSED = r"""
__asm__(".text\n.type tiny,@function\ntiny: " V("nop", "cld") "; ret\n"
	".size tiny, .-tiny\n.type next,@function\nnext: nop; ret\n"
	".size next, .-next\n");
void tiny(void);
void next(void);
int main(void) { tiny(); next(); return 0; }
"""

# A structure whose objects live, a variable with another initial value, and a
# call that can be redirected.
LAYOUT = r"""
#include <stdio.h>
struct record { int key; V(, int extra;) long sum; };
enum state { IDLE, V(BUSY, READY), V(DONE, BUSY) };
static struct record records[4];
static enum state state;
static int limit = V(3, 5);
/* As hfx_patch.h calls them. */
V(, long hfx_shadow_table_1[16];)
V(, void hfx_pre_apply(void) {} void hfx_post_apply(void) {})
V(, void hfx_pre_revert(void) {} void hfx_post_revert(void) {})
V(, int hfx_hook_start_1(void *job) { return !job; })
__attribute__((noinline, noclone)) int work(int n)
{
	struct record *record = &records[n & 3];
	puts("work");
	state = BUSY;
	record->sum += n;
	V(, record->extra++; hfx_shadow_table_1[1]++;)
	return record->sum > limit++ ? state : record->key;
}
int main(int argc, char **argv)
{ puts(argv[0]); return work(argc) > 100; }
"""

# A call under way keeps a value where the new `half` overwrites it, and the old
# one cannot stay, since a pointer leads to it.
REGISTERS = r"""
#include <stdio.h>
static volatile long one = 1000, two = 7;
__attribute__((noinline, noclone)) static long half(long n)
{
	V(, __asm__ volatile("xor %%ecx,%%ecx\nxor %%edx,%%edx\n"
			     "xor %%esi,%%esi" ::: "rcx", "rdx", "rsi");)
	return n / 2 + V(0, 1);
}
long (*volatile pointer)(long) = half;
__attribute__((noinline, noclone)) static long work(void)
{
	long a = one, b = half(two);
	return a + b;
}
int main(void) { printf("%ld\n", work()); return 0; }
"""

SAME = "int main(void) { return 0; }\n"


def strict(schema):
    """The same schema, without members that it does not describe."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if made.get("type") == "object" and "properties" in made:
        made.setdefault("additionalProperties", False)
    return made


def described(schema):
    """All members that a schema describes, each as "object.member"."""
    found = set()

    def look(node, name):
        if isinstance(node, list):
            for item in node:
                look(item, name)
            return
        if not isinstance(node, dict):
            return
        if node.get("type") == "object":
            found.update(f"{name}.{key}" for key in node["properties"])
            for key, value in node["properties"].items():
                look(value, key)
        for key in ("oneOf", "items"):
            look(node.get(key), name)
        for key, value in node.get("$defs", {}).items():
            look(value, key)

    look(schema, "root")
    return found


def members(schema):
    """Names alone: a place is described once and used under many."""
    return {name.rsplit(".", 1)[1] for name in described(schema)}


def used(document):
    """All names of members in a document."""
    if isinstance(document, list):
        return set().union(*map(used, document)) if document else set()
    if not isinstance(document, dict):
        return set()
    return set(document).union(*map(used, document.values()))


def module(manifest):
    """The only module of a manifest."""
    return manifest["modules"][0]


class Schemas(Sandbox):
    def setUp(self):
        super().setUp()
        self.reports = json.loads((DOCS / "diff.schema.json").read_text())
        self.manifests = json.loads(
            (DOCS / "manifest.schema.json").read_text())

    def check(self, document, schema):
        jsonschema.Draft202012Validator(schema).validate(document)
        jsonschema.Draft202012Validator(strict(schema)).validate(document)

    def is_valid(self, document, schema):
        return jsonschema.Draft202012Validator(schema).is_valid(document)

    def report(self, *options, status=0):
        report = json.loads(self.diff("--json", *options, status=status))
        self.check(report, self.reports)
        return report

    def shown(self):
        shown = json.loads(self.run_command(BUNDLER, "show", "--json",
                                            "fix.hfx"))
        self.check(shown, self.manifests)
        return shown

    def test_schemas_are_schemas(self):
        for schema in self.reports, self.manifests:
            jsonschema.Draft202012Validator.check_schema(schema)

    def test_every_kind_of_change_fits(self):
        self.build(CHANGES)
        report = self.report("-o", "fix.hfx", "--skip", "main")
        kinds = {function["kind"] for function in report["functions"]}
        self.assertLessEqual({"changed", "new", "removed"}, kinds)
        self.assertIsNotNone(report["bundle"])
        shown = self.shown()
        self.assertTrue(module(shown["manifest"])["imports"])
        self.assertTrue(module(shown["manifest"])["objects"])
        self.build(LAYOUT)
        accept = "--accept-type", "*", "--accept-data", "*"
        self.run_command(BUNDLER, "keygen", "-W", "test")
        self.report("-o", "fix.hfx", "--sign-key", "test.key", *accept)
        seen = used(shown) | used(self.shown())
        self.build(REGISTERS)
        self.report("-o", "fix.hfx")
        seen |= used(self.shown())
        self.build(CHANGES, "-O2", "-static-pie", "-fPIE")
        self.report("-o", "fix.hfx", "--skip", "main")
        seen |= used(self.shown())
        self.assertEqual(members(self.manifests) - seen, set())

    def test_without_a_bundle_or_with_all_functions_they_fit(self):
        self.build(CHANGES)
        self.assertIsNone(self.report()["bundle"])
        self.report("--all", "-o", "fix.hfx")
        self.shown()

    def test_refusals_fit(self):
        self.build(REFUSED)
        report = self.report("-o", "fix.hfx", status=1)
        self.assertTrue(report["refusals"])

    def test_types_fit(self):
        self.build(LAYOUT)
        types = {a["name"]: a for a in self.report(status=1)["types"]}
        record = types["struct record"]
        self.assertEqual(record["verdict"], "refused")
        self.assertEqual(record["storage"], "global")
        self.assertEqual(len(record["users"]), 1)
        self.assertEqual([part["name"] for part in record["new"]["parts"]],
                         ["key", "extra", "sum"])
        self.assertEqual(record["new"]["parts"][1]["bit_offset"], 32)
        self.assertEqual([(part["name"], part["value"])
                          for part in types["enum state"]["old"]["parts"]],
                         [("IDLE", "0"), ("BUSY", "1"), ("DONE", "2")])
        accepted = self.report("--accept-type", "*", "--accept-data", "*")
        self.assertEqual({a["verdict"] for a in accepted["types"]},
                         {"accepted"})

    def test_nothing_to_patch_fits(self):
        self.build(SAME)
        self.report(status=3)

    def test_builds_without_debug_information_fit(self):
        self.build(SIMPLE, "-O2", "-g0")
        report = self.report("-o", "fix.hfx")
        self.assertTrue(report["warnings"])
        self.shown()

    def test_every_member_of_the_report_is_seen(self):
        self.build(SIMPLE)
        seen = used(self.report("-o", "fix.hfx", "--all", "--skip", "main"))
        self.build(REFUSED)
        seen |= used(self.report(status=1))
        self.build(LAYOUT)
        seen |= used(self.report(status=1))
        seen |= used(self.report_of_modules(status=1))
        # Names of the two forms of the document.
        self.assertEqual(members(self.reports) - seen, set())

    def report_of_modules(self, *options, status=0):
        """Of all that was built, the last first, and of a library."""
        for build, value in ("old", 1), ("new", 2):
            (self.folder / "lib.c").write_text(
                f"int value(void) {{ return {value}; }}\n")
            self.run_command("gcc", "-g", "-O2", "-shared", "-fPIC", "lib.c",
                             "-o", f"{build}/libvalue.so")
        report = json.loads(self.run_command(
            BUNDLER, "diff", "--module", "old/prog", "new/prog", "--module",
            "old/libvalue.so", "new/libvalue.so", "--json", *options,
            status=status))
        self.check(report, self.reports)
        return report

    def test_reports_of_several_modules_fit(self):
        self.build(SIMPLE)
        report = self.report_of_modules("-o", "fix.hfx")
        self.assertEqual([(one["name"], one["outcome"])
                          for one in report["modules"]],
                         [("prog", "patched"), ("libvalue.so", "patched")])
        self.assertEqual(len(self.shown()["manifest"]["modules"]), 2)
        self.build(SAME)
        report = self.report_of_modules("-o", "fix.hfx")
        self.assertEqual([one["outcome"] for one in report["modules"]],
                         ["nothing", "patched"])
        self.build(REFUSED)
        report = self.report_of_modules("-o", "fix.hfx", status=1)
        self.assertIsNone(report["bundle"])
        self.assertEqual(report["modules"][0]["outcome"], "refused")

    def test_wrong_reports_do_not_fit(self):
        self.build(SIMPLE)
        report = self.report("-o", "fix.hfx")

        def broken(change):
            wrong = copy.deepcopy(report)
            change(wrong)
            self.assertFalse(self.is_valid(wrong, self.reports))

        broken(lambda wrong: wrong.pop("totals"))
        broken(lambda wrong: wrong.update(report=2))
        broken(lambda wrong: wrong["old"].update(build_id="XY"))
        broken(lambda wrong: wrong["functions"][0].pop("old"))
        broken(lambda wrong: wrong["functions"][0].update(kind="removed"))
        broken(lambda wrong: wrong["functions"][0].update(source="main.c"))
        broken(lambda wrong: wrong["refusals"].append(
            {"subject": "f", "source": "", "reason": "r", "remedy": "s"}))

    def test_wrong_manifests_do_not_fit(self):
        self.build(SIMPLE)
        self.report("-o", "fix.hfx")
        shown = self.shown()

        def broken(change):
            wrong = copy.deepcopy(shown)
            change(wrong["manifest"])
            self.assertFalse(self.is_valid(wrong, self.manifests))

        broken(lambda wrong: wrong.update(more=1))
        broken(lambda wrong: wrong.update(name="a name"))
        broken(lambda wrong: wrong.update(modules=[]))
        broken(lambda wrong: module(wrong)["functions"][0].pop("old"))
        broken(lambda wrong: module(wrong)["functions"][0]["old"].update(
            entry=1))
        broken(lambda wrong: module(wrong)["image"].update(sha256=""))


if __name__ == "__main__":
    unittest.main()
