# SPDX-License-Identifier: MIT
"""hfx is killed, or a system call of it fails, at each one in turn.

    fault_test.py CALLER FAULT BUILD SOURCE [STRIDE]

CALLER is hfx, which patches a process from outside; hooks, the same with a patch
that has hooks; or tracer: hfx-tracer, by which a process with libhfx patches
itself. FAULT is kill or fail. BUILD is the
build tree, SOURCE the tree of the sources. With a STRIDE, only every so many
system calls. Whatever happens, the process goes on, each function is the old or
the new one (with libhfx: all of them are the same), and the next attempt to
apply and to revert succeeds. What one hook began another one has ended then.
"""

import collections
import contextlib
import itertools
import os
import re
import subprocess
import sys
import tempfile

OLD, NEW = "1 1 0 1", "2 2 0 1"
# What system calls fail with in real life; others with OTHER_ERRORS.
ERRORS = {
    "ptrace": ("ESRCH", "EPERM", "EIO"),
    "process_vm_readv": ("EPERM", "EFAULT", "ENOMEM"),
    "process_vm_writev": ("EPERM", "EFAULT", "ENOMEM"),
    "pread64": ("EIO", "EINTR"),
    "pwrite64": ("EIO", "EACCES"),
    "openat": ("EMFILE", "EACCES", "ENOENT"),
    "read": ("EIO", "EINTR"),
    "mmap": ("ENOMEM",),
    "waitid": ("EINTR", "ECHILD"),
    "timer_create": ("EAGAIN",),
}
OTHER_ERRORS = ("ENOMEM", "EINTR")
# A busy machine must not look like a finding.
PATIENCE_MS = "60000"
# Without these there is nothing that could fail, or nobody to tell.
LEFT_OUT = {"execve", "exit_group", "brk", "arch_prctl", "rseq", "write"}


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


class Victim:
    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.ask()

    def ask(self, what=""):
        try:
            self.process.stdin.write(what + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return f"dead, {self.process.wait()}"
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()


class Test:
    """What all callers have in common."""

    wanted = {"apply": NEW, "revert": OLD}

    def __init__(self, build, source, folder):
        self.build = build
        self.bundle = os.path.join(folder, "fix.hfx")
        self.log = os.path.join(folder, "log")
        self.num_runs = 0
        self.findings = []
        builds = [self.compile(source, folder, version) for version in (1, 2)]
        modules = [("--module", *pair) for pair in zip(*builds)]
        subprocess.run(
            [os.path.join(build, "bin", "hfx-bundle"), "diff", "-q",
             *itertools.chain(*modules), "-o", self.bundle], check=True)
        self.command = [builds[0][0]]
        self.victim = None

    def compile(self, source, folder, version, *options):
        """A program and its library."""
        made = os.path.join(folder, f"v{version}")
        os.mkdir(made)
        program, library = (os.path.join(made, name)
                            for name in ("victim", "libsecond.so"))
        command = ["gcc", "-O2", "-g", "-pthread", f"-DVERSION={version}",
                   os.path.join(source, "tests", "fault", "victim.c")]
        subprocess.run([*command, "-DLIBRARY", "-fPIC", "-shared",
                        "-Wl,-soname,libsecond.so", "-o", library],
                       check=True)
        subprocess.run([*command, library, f"-Wl,-rpath,{made}", "-o", program,
                        *options], check=True)
        return program, library

    def begin(self, action):
        """Have a process in the state before: one that no patch was in."""
        if action == "apply" or not self.victim:
            self.end()
            self.victim = Victim(*self.command)
        if action == "revert":
            self.settle("apply")

    def end(self):
        if self.victim:
            self.victim.end()
        self.victim = None

    def check(self, what):
        """After a fault: the process lives, and the next attempt succeeds."""
        self.num_runs += 1
        state = self.victim.ask()
        if not re.fullmatch(self.allowed, state):
            return self.found(what, f"the process answers '{state}'")
        for action, wanted in self.wanted.items():
            state = self.settle(action)
            if not state.startswith(wanted):
                return self.found(what, f"to {action} then gives '{state}'")

    def found(self, what, text):
        self.findings.append(f"{what}: {text}")
        print(self.findings[-1], file=sys.stderr)
        self.end()

    def system_calls(self, action):
        """(name, number of times), in their order."""
        self.begin(action)
        self.attempt(action, ["strace", "-o", self.log])
        with open(self.log) as log:
            names = re.findall(r"^(\w+)\(", log.read(), re.M)
        counts = collections.Counter(names)
        return [(name, count) for name, count in counts.items()
                if name not in LEFT_OUT]

    def inject(self, action, fault, name, when):
        self.begin(action)
        self.attempt(action, ["strace", "-o", "/dev/null", "-e",
                              f"inject={name}:{fault}:when={when}"])
        self.check(f"{action}, {name} {when}, {fault}")

    def run_all(self, mode, stride):
        index = 0
        for action in "apply", "revert":
            for name, count in self.system_calls(action):
                faults = ["signal=KILL"] if mode == "kill" else [
                    f"error={e}" for e in ERRORS.get(name, OTHER_ERRORS)]
                for when in range(1, count + 1):
                    index += 1
                    if index % stride == 0:
                        for fault in faults:
                            self.inject(action, fault, name, when)


class OutsideTest(Test):
    # Functions one by one: what a killed hfx has left is for the next one.
    allowed = "[12] [12] 0 1"

    def attempt(self, action, wrapper):
        hfx = os.path.join(self.build, "bin", "hfx")
        pid = str(self.victim.process.pid)
        what = [pid, self.bundle] if action == "apply" else [pid, "fix"]
        return run(*wrapper, hfx, action, "--timeout", PATIENCE_MS, *what)

    def settle(self, action):
        result = self.attempt(action, [])
        return " ".join([self.victim.ask(), result.stderr]).strip()


class HooksTest(OutsideTest):
    # What is begun, and what hooks were told last.
    allowed = OutsideTest.allowed + " [01] [01]"
    wanted = {"apply": NEW + " 0 1", "revert": OLD + " 0 0"}

    def compile(self, source, folder, version, *options):
        return super().compile(source, folder, version, "-DHOOKS",
                               f"-I{source}/runtime/include")

    def settle(self, action):
        """On a busy machine a hook may be left to the next hfx."""
        state = super().settle(action)
        return super().settle(action) if "hook of fix" in state else state


class TracerTest(Test):
    allowed = "1 1 0 1|2 2 0 1"

    def __init__(self, build, source, folder):
        super().__init__(build, source, folder)
        self.tracer = os.path.join(folder, "tracer")
        self.wrapper = os.path.join(folder, "wrapper")
        self.command += [self.bundle, self.tracer]
        # Its first run may be in a wrapper: what comes next puts that right.
        with open(self.tracer, "w") as script:
            script.write(
                "#!/bin/sh\n"
                f"real={build}/bin/hfx-tracer\n"
                f"if mv {self.wrapper} {self.wrapper}.used 2>/dev/null; then\n"
                f"    exec $(cat {self.wrapper}.used) $real\n"
                "fi\n"
                "exec $real\n")
        os.chmod(self.tracer, 0o755)

    def compile(self, source, folder, version, *options):
        return super().compile(
            source, folder, version, "-DHAVE_LIBHFX",
            f"-I{source}/runtime/include", f"-I{source}/common/include",
            f"-L{self.build}/lib", "-lhfx", f"-Wl,-rpath,{self.build}/lib")

    def attempt(self, action, wrapper):
        with open(self.wrapper, "w") as script:
            script.write(" ".join(wrapper))
        self.victim.ask(action[0])

    def settle(self, action):
        return self.victim.ask(action[0])


def main():
    caller, mode, build, source = sys.argv[1:5]
    stride = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    if not os.access("/usr/bin/strace", os.X_OK):
        print("strace is not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        kinds = {"hfx": OutsideTest, "hooks": HooksTest,
                 "tracer": TracerTest}
        test = kinds[caller](build, source, folder)
        try:
            test.run_all(mode, stride)
        finally:
            test.end()
        print(f"{test.num_runs} faults, {len(test.findings)} findings")
        return 1 if test.findings or not test.num_runs else 0


sys.exit(main())
