# SPDX-License-Identifier: MIT
"""For tests of hfx-bundle in Python: a folder with two builds in it.

The program under test is the environment's HFX_BUNDLE.
"""

import os
import pathlib
import subprocess
import tempfile
import unittest

BUNDLER = os.environ.get("HFX_BUNDLE", "hfx-bundle")


class Sandbox(unittest.TestCase):
    """A test that works in a temporary folder, self.folder."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="hfx-test-")
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)

    def run_command(self, *command, status=0):
        """Run a command that must end with a status; its standard output."""
        done = subprocess.run(command, cwd=self.folder, capture_output=True,
                              timeout=600, check=False)
        if done.returncode != status:
            self.fail(f"{command}: status {done.returncode}, not {status}\n"
                      + done.stderr.decode(errors="replace"))
        return done.stdout.decode()

    def build(self, source, *flags, name="main.c", compiler="gcc"):
        """Build old/prog and new/prog.

        In the source, V(a, b) is a in the old build and b in the new one,
        which also has NEW defined.
        """
        heads = {"old": "#define V(a, b) a\n",
                 "new": "#define V(a, b) b\n#define NEW 1\n"}
        for build, head in heads.items():
            folder = self.folder / build
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(head + "#line 1\n" + source)
            done = subprocess.run([compiler, "-g", *(flags or ["-O2"]),
                                   "-o", "prog", name], cwd=folder,
                                  capture_output=True, timeout=600,
                                  check=False)
            self.assertEqual(done.returncode, 0, done.stderr.decode())

    def diff(self, *options, status=0):
        """Compare the builds; the standard output."""
        return self.run_command(BUNDLER, "diff", "old/prog", "new/prog",
                                *options, status=status)
