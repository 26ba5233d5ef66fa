#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The page of hfx-bundle diff --html in a real browser without a window."""

import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from sandbox import Sandbox

BROWSER = shutil.which("chromium")
if not BROWSER:
    print("chromium is not installed")
    sys.exit(77)

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         "--enable-logging=stderr"]

FUNCTION = """
__attribute__((noinline, noclone)) int work_%d(int n)
{ if (n > %d) puts("more than %d"); return n + V(1, 2); }
"""


class Browser(Sandbox):
    def dom(self, fragment=""):
        """The document after its script ran, which may not complain."""
        with tempfile.TemporaryDirectory(prefix="hfx-test-") as profile:
            done = subprocess.run(
                [BROWSER, *FLAGS, f"--user-data-dir={profile}", "--dump-dom",
                 f"file://{self.folder}/report.html{fragment}"],
                capture_output=True, timeout=600, check=True)
        said = done.stderr.decode(errors="replace")
        self.assertNotRegex(said, "CONSOLE")
        dom = done.stdout.decode()
        self.assertIn('data-script="ready"', dom)
        return dom

    def make(self, count):
        calls = " + ".join(f"work_{i}(n)" for i in range(count))
        self.build("int puts(const char *);\n" + "".join(
            FUNCTION % (i, i, i) for i in range(count)) +
            f"int main(int n, char **v) {{ return !v || ({calls}); }}\n",
            "-O1")
        self.diff("--html", "report.html", "--quiet")

    def test_list_can_be_filtered_and_a_link_opens_the_code(self):
        self.make(3)
        dom = self.dom()
        self.assertIn("3 of 3", dom)
        self.assertNotIn("<table", dom)
        dom = self.dom("#f1")
        self.assertEqual(dom.count("<table"), 1)
        self.assertRegex(dom, r'<tr class="differs"><td class="off old"')
        self.assertIn('["more than 1"]', dom)

    def test_page_of_2000_functions_is_usable(self):
        self.make(2000)
        size = (self.folder / "report.html").stat().st_size
        start = time.monotonic()
        dom = self.dom()
        print(f"2000 functions: {size >> 10} KiB, "
              f"{time.monotonic() - start:.1f} s with the browser's start",
              file=sys.stderr)
        self.assertIn("2000 of 2000", dom)
        self.assertEqual(len(re.findall('<li data-kind="changed"', dom)), 2000)
        self.assertLess(size, 8 << 20)


if __name__ == "__main__":
    unittest.main()
