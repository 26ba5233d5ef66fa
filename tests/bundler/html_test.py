#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The page that hfx-bundle diff --html writes, read as a parser reads it."""

import html.parser
import json
import os
import re
import unittest

from sandbox import BUNDLER, Sandbox

# What a symbol may be called: everything but NUL.
HOSTILE = "a<b>&amp;'q'</script><script>alert(1)</script>"

SIMPLE = r"""
#include <stdio.h>
__attribute__((noinline, noclone)) int work(int n) { puts("work"); return n + V(1, 2); }
int main(int argc, char **argv)
{ (void)argv; return work(argc) > 100; }
"""

REFUSED = r"""
__asm__(".text\n.type tiny,@function\ntiny: " V("nop", "cld") "; ret\n"
	".size tiny, .-tiny\n.type next,@function\nnext: nop; ret\n"
	".size next, .-next\n");
void tiny(void);
void next(void);
int main(void) { tiny(); next(); return 0; }
"""


class Page(html.parser.HTMLParser):
    """Elements, texts and code of a page; every end must have its start."""

    EMPTY = {"meta", "br", "input", "link", "img", "col"}

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.elements = []
        self.texts = []
        self.scripts = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append([dict(attrs), ""])
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (self.open, tag)
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1][1] += data
        else:
            self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)

    @property
    def codes(self):
        """The code of each function that has some."""
        return [json.loads(text) for attrs, text in self.scripts
                if attrs.get("type") == "application/json"]


def runs(code):
    """Runs of a code as a text: "=12 -1 +2"."""
    return " ".join(f"{kind}{count}" for kind, count in code["runs"])


def texts(code, side):
    return [line[2] for line in code[side]["lines"] if len(line) > 2]


class Html(Sandbox):
    def page(self, *options, status=0):
        self.diff("--html", "report.html", *options, status=status)
        return Page((self.folder / "report.html").read_text())

    def test_page_says_what_changed_and_where(self):
        self.build(SIMPLE)
        page = self.page("-o", "fix.hfx")
        for part in "Bundle written", "work", "main.c:3", "old/prog", "fix.hfx":
            self.assertIn(part, page.text)
        self.assertTrue((self.folder / "fix.hfx").exists())

    def test_page_needs_nothing_else(self):
        self.build(SIMPLE)
        page = self.page()
        self.assertFalse((self.folder / "fix.hfx").exists())
        self.assertFalse([tag for tag, _ in page.elements
                          if tag in ("link", "img", "iframe", "object")])
        for _, attrs in page.elements:
            self.assertNotIn("src", attrs)
            self.assertRegex(attrs.get("href", "#"), "^#")
        style = page.text
        self.assertNotRegex(style, r"url\(|@import")

    def test_names_stay_text(self):
        # In the symbol table, in DWARF, in the name of a file and in strings.
        name = HOSTILE.replace("\\", "\\\\").replace('"', '\\"')
        source = (f'int work(int n) __asm__("\\"{name}\\"");\n'
                  f'int puts(const char *);\n'
                  '__attribute__((noinline, noclone)) int work(int n)\n'
                  f'{{ puts("{name}"); return n + V(1, 2); }}\n'
                  'int main(int c, char **v) { return work(c) > 100 + !v; }\n')
        self.build(source, name='a<b>&"c.c')
        page = self.page("--all")
        self.assertIn(HOSTILE, page.text)
        self.assertIn('a<b>&"c.c:', page.text)
        self.assertEqual(sum(not attrs for attrs, _ in page.scripts), 1)
        self.assertNotIn("alert", page.scripts[-1][1])
        said = [text for code in page.codes for text in texts(code, "new")]
        self.assertTrue([text for text in said if "</script>" in text], said)

    def test_bytes_that_are_no_text_are_replaced(self):
        self.build(SIMPLE.replace("noclone)) int work(int n)",
                                  "noclone)) int work(int n)").replace(
                                      '"work"', '"\\377\\033[31m\\u202e"'))
        page = self.page()
        self.assertNotRegex(page.text + json.dumps(page.codes,
                                                   ensure_ascii=False),
                            "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")

    def test_policy_names_our_style_and_script(self):
        self.build(SIMPLE)
        page = self.page()
        policy = [attrs["content"] for tag, attrs in page.elements
                  if attrs.get("http-equiv") == "Content-Security-Policy"]
        self.assertEqual(len(policy), 1)
        self.assertRegex(policy[0], "default-src 'none'; style-src "
                         "'sha256-.{44}'; script-src 'sha256-.{44}'$")

    def test_refused_page_says_how_to_go_on(self):
        self.build(REFUSED)
        page = self.page("-o", "fix.hfx", status=1)
        self.assertIn("Refused.", page.text)
        self.assertIn("How to go on:", page.text)
        ids = {attrs.get("id") for _, attrs in page.elements}
        links = [attrs["href"][1:] for tag, attrs in page.elements
                 if tag == "a"]
        self.assertIn("f0", links)
        self.assertLessEqual(set(links), ids)
        self.assertFalse((self.folder / "fix.hfx").exists())

    def test_nothing_to_patch_has_a_page(self):
        self.build("int main(void) { return 0; }\n")
        page = self.page(status=3)
        self.assertIn("Nothing to patch.", page.text)

    def test_page_is_written_whole_or_not_at_all(self):
        self.build(SIMPLE)
        self.run_command(BUNDLER, "diff", "old/prog", "new/prog", "--html",
                         "missing/report.html", "-o", "fix.hfx", status=2)
        self.assertFalse((self.folder / "missing").exists())
        self.assertFalse((self.folder / "fix.hfx").exists())
        self.run_command(BUNDLER, "diff", "old/prog", "new/prog", "--html",
                         "old", "-o", "fix.hfx", status=2)
        self.assertFalse((self.folder / "fix.hfx").exists())
        kept = self.folder / "report.html"
        kept.write_text("kept")
        self.run_command(BUNDLER, "diff", "old/prog", "nothing", "--html",
                         "report.html", status=2)
        self.assertEqual(kept.read_text(), "kept")

    def test_page_replaces_neither_bundle_nor_input(self):
        self.build(SIMPLE)
        before = (self.folder / "old/prog").read_bytes()
        self.diff("--html", "fix", "-o", "fix", status=2)
        self.assertFalse((self.folder / "fix").exists())
        self.diff("--html", "./old/prog", status=2)
        self.assertEqual((self.folder / "old/prog").read_bytes(), before)

    def test_json_and_exit_status_stay_as_they_are(self):
        self.build(SIMPLE)
        plain = self.diff("--json")
        self.assertEqual(self.diff("--json", "--html", "report.html"), plain)

    def test_same_builds_give_the_same_page(self):
        self.build(SIMPLE)
        self.page()
        first = (self.folder / "report.html").read_bytes()
        self.page()
        self.assertEqual((self.folder / "report.html").read_bytes(), first)

    def test_code_that_moved_is_the_same(self):
        self.build("int limit = 7;\n#ifdef NEW\n"
                   "__attribute__((noinline)) int first(int n)"
                   "{ return n * n / 3 + limit; }\n#endif\n" +
                   SIMPLE.replace("n + V(1, 2)",
                                  "(n > limit ? puts(\"more\") : n) + V(1, 2)"))
        code = self.page("--only", "work").codes[0]
        self.assertRegex(runs(code), r"^(=\d+ -1 \+1 )+=\d+$")

    def test_jumps_over_more_code_are_the_same(self):
        self.build(SIMPLE.replace(
            "return n + V(1, 2);",
            "if (__builtin_expect(n == 5, 1)) "
            "{ puts(\"five\"); V(, puts(\"more\");) } "
            "puts(\"end\"); return n;"), "-O1")
        code = self.page("--only", "work").codes[0]
        self.assertNotIn("-", runs(code))
        self.assertNotIn("~", runs(code))
        self.assertIn('lea rdi, ["more"]', texts(code, "new"))
        # Each side shows where its own jump leads.
        jumps = [[text for text in texts(code, side) if text[0] == "j"]
                 for side in ("old", "new")]
        self.assertEqual(len(jumps[0]), len(jumps[1]))
        self.assertNotEqual(jumps[0], jumps[1])

    def test_jumps_to_other_places_differ(self):
        self.build('__asm__(".type work,@function\\nwork: .rept 6; nop; .endr; '
                   '0: inc %eax; 1: dec %eax; jne " V("0b", "1b") "; '
                   'xor %ecx, %ecx; xor %edx, %edx; ret\\n'
                   '.size work,.-work\\n"); int work(void);\n'
                   'int main(void) { return work(); }\n')
        code = self.page("--only", "work").codes[0]
        self.assertEqual(runs(code), "=8 ~1 =3")

    def test_references_have_names(self):
        self.build("static const double third = 0.25; int table[9];\n" +
                   SIMPLE.replace("n + V(1, 2)",
                                  "n * 1.5 + third + table[3] + V(1, 2)"))
        said = "\n".join(texts(self.page("--only", "work").codes[0], "new"))
        self.assertIn("call puts@plt", said)
        self.assertIn("table+0xc", said)
        self.assertIn("constant 0x3ff8000000000000", said)

    def test_source_lines_are_shown_while_they_are_those_of_the_build(self):
        def lines(side):
            code = self.page("--only", "work").codes[0]
            return [place[1] for place in code[side]["places"]
                    if len(place) > 1]

        self.build(SIMPLE)
        # #line 1 counts from the third line of the file: without it, the
        # numbers are those of the file.
        for build in "old", "new":
            path = self.folder / build / "main.c"
            stamp = path.stat().st_mtime - 10
            path.write_text(SIMPLE)
            os.utime(path, (stamp, stamp))
        self.assertTrue(lines("old"))
        self.assertTrue(any("puts" in line for line in lines("new")))
        later = (self.folder / "new/prog").stat().st_mtime + 10
        os.utime(self.folder / "new/main.c", (later, later))
        self.assertFalse(lines("new"))

    def test_source_that_is_no_plain_file_is_left_alone(self):
        self.build(SIMPLE)
        path = self.folder / "new/main.c"
        path.unlink()
        os.mkfifo(path)
        code = self.page("--only", "work").codes[0]
        self.assertFalse([place for place in code["new"]["places"]
                          if len(place) > 1])

    def test_causes_are_a_tree(self):
        self.build(r"""
#include <stdio.h>
#define NOINLINE __attribute__((noinline, noclone))
static inline __attribute__((always_inline)) int inner(int n)
{ return n * V(3, 5); }
#ifdef NEW
NOINLINE int deep(int n) { puts("deep"); return n; }
NOINLINE int fresh(int n) { puts("fresh"); return deep(n) + 1; }
#endif
NOINLINE int outer(int n) { puts("outer"); return inner(n); }
NOINLINE int other(int n) { puts("other"); return V(n, fresh(n)); }
int main(int argc, char **argv)
{ (void)argv; return outer(argc) + other(argc) > 999; }
""")
        text = re.sub(r"\s+", " ", self.page().text)
        self.assertIn("inner changed outer inlines it", text)
        self.assertIn("other fresh is needed by it deep is needed by it", text)

    def test_types_have_tables_of_before_and_after(self):
        self.build("struct record { int key; V(, int extra;) char *names[3];"
                   " unsigned low : 3, high : V(4, 5); };\n"
                   "struct record records[4];\n" +
                   SIMPLE.replace("n + V(1, 2)",
                                  "records[n & 3].key + records[1].high"))
        page = self.page(status=1)
        text = re.sub(r"\s+", " ", page.text)
        for part in ("Types 1", "struct record", "main.c:1 refused",
                     "0key int", "4extra int", "8names char *[3]", " : 5"):
            self.assertIn(part, text)
        rows = [attrs["class"].split() for tag, attrs in page.elements
                if tag == "tr" and "class" in attrs]
        self.assertIn(["same"], rows)
        self.assertIn(["differs"], rows)

    def test_every_user_of_a_type_and_every_offset_is_told(self):
        users = "".join(f"__attribute__((noinline)) int use_{i}"
                        "(struct record *r)\n"
                        f"{{ return r->key * {i + 3}; }}\n"
                        for i in range(6))
        self.build("struct record { V(, long extra;) int key; char rest[]; };"
                   "\nstruct record *record;\n" + users +
                   "int main(int n, char **v)\n{ (void)v; (void)n;"
                   " return " +
                   " + ".join(f"use_{i}(record)" for i in range(6)) + "; }\n")
        page = self.page(status=1)
        text = re.sub(r"\s+", " ", page.text)
        self.assertRegex(text, "Used by [67] functions")
        for i in range(6):
            self.assertIn(f"use_{i}", text)
        self.assertIn("4rest char []", text)
        self.assertIn("12rest char []", text)

    def test_members_that_moved_stand_beside_themselves(self):
        self.build("struct record { V(, int extra;) int key; };\n"
                   "struct record records[4];\n" +
                   SIMPLE.replace("n + V(1, 2)", "records[n & 3].key"))
        page = self.page(status=1)
        self.assertIn("0extra int", page.text)
        self.assertRegex(page.text, r"0key int4key int")

    def test_functions_that_are_the_same_have_no_code(self):
        self.build(SIMPLE)
        page = self.page("--all")
        self.assertEqual(len(page.codes), 1)
        self.assertIn("The code is the same in both builds.", page.text)


if __name__ == "__main__":
    unittest.main()
