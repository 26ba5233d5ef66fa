# SPDX-License-Identifier: MIT
"""Apply and revert, many times, in a process in which everything happens.

    soak_test.py CALLER ROUNDS THREADS BUILD SOURCE

CALLER is hfx (from outside) or library (the process by itself). After each
change both functions must be of the wanted version; at the end no answer may
have been wrong, and mappings, descriptors and memory are what they were after
the first rounds, but for what threads that come and go make of it.
"""

import os
import subprocess
import sys
import tempfile

WARM_UP = 20
# Stacks that glibc keeps for later threads come and go.
MAX_MAPPINGS = 16
MAX_DESCRIPTORS = 2
MAX_KILOBYTES = 8192
NAMES = ("first", "second", "wrong", "rounds", "signals", "mappings",
         "descriptors", "kilobytes")


class Crowd:
    def __init__(self, caller, threads, build, source, folder):
        self.hfx = os.path.join(build, "bin", "hfx")
        self.bundle = os.path.join(folder, "fix.hfx")
        self.is_outside = caller == "hfx"
        self.retries = 0
        options = [] if self.is_outside else [
            "-DHAVE_LIBHFX", f"-I{source}/runtime/include",
            f"-I{source}/common/include", f"-L{build}/lib", "-lhfx",
            f"-Wl,-rpath,{build}/lib"]
        programs = []
        for version in 1, 2:
            programs.append(os.path.join(folder, f"v{version}"))
            subprocess.run(
                ["gcc", "-O2", "-g", "-pthread", f"-DVERSION={version}",
                 os.path.join(source, "tests", "fault", "crowd.c"), "-o",
                 programs[-1], *options], check=True)
        subprocess.run(
            [os.path.join(build, "bin", "hfx-bundle"), "diff", "-q", *programs,
             "-o", self.bundle], check=True)
        command = [programs[0], str(threads)]
        if not self.is_outside:
            command += [self.bundle, os.path.join(build, "bin", "hfx-tracer")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, what=""):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process has died: {self.process.wait()}")
        return dict(zip(NAMES, map(int, line.split())))

    def attempt(self, action):
        if not self.is_outside:
            return self.ask(action[0])
        pid = str(self.process.pid)
        what = self.bundle if action == "apply" else "fix"
        result = subprocess.run(
            [self.hfx, action, "--timeout", "10000", pid, what],
            capture_output=True, text=True)
        if result.returncode:
            print(result.stderr, end="", file=sys.stderr)
        return self.ask()

    def change(self, action):
        """A busy machine may refuse: try again, and count it."""
        wanted = 2 if action == "apply" else 1
        for _ in range(10):
            state = self.attempt(action)
            if state["first"] == state["second"] == wanted:
                return state
            self.retries += 1
        raise SystemExit(f"to {action} does not succeed: {state}")

    def end(self):
        self.process.kill()
        self.process.wait()


def soak(crowd, num_rounds):
    start = None
    for i in range(num_rounds + WARM_UP):
        crowd.change("apply")
        state = crowd.change("revert")
        if i == WARM_UP - 1:
            start = state
    print(f"{num_rounds} rounds, {crowd.retries} tries more; start {start}, "
          f"end {state}")
    more = {name: state[name] - start[name] for name in NAMES}
    good = (state["wrong"] == 0 and more["rounds"] > 0 and more["signals"] > 0
            and more["mappings"] <= MAX_MAPPINGS
            and more["descriptors"] <= MAX_DESCRIPTORS
            and more["kilobytes"] <= MAX_KILOBYTES)
    return 0 if good else 1


def main():
    caller, num_rounds, threads, build, source = sys.argv[1:6]
    with tempfile.TemporaryDirectory() as folder:
        crowd = Crowd(caller, threads, build, source, folder)
        try:
            return soak(crowd, int(num_rounds))
        finally:
            crowd.end()


sys.exit(main())
