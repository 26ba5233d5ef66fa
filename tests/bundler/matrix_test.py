#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Many compilers, linkers and options: each bundle is applied and taken back.

For each row of a table the program in matrix/ is built twice and started. It
must print what the old build prints, what the new one prints once the bundle
is applied, and the old again when it is reverted. A second process gets all
functions that can be replaced.

The default run takes rows such that each pair of values is in one of them.
HFX_MATRIX_STRENGTH=3 does so for any three values, HFX_MATRIX_SAMPLE=100 takes
as many rows at random (others with another HFX_MATRIX_SEED), and
HFX_LONG_TESTS=1 all that there are. Arguments choose rows: "clang -O2", "lld".
"""

import collections
import concurrent.futures
import itertools
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent / "matrix"
BUNDLER = os.environ.get("HFX_BUNDLE", "hfx-bundle")
HFX = os.environ.get("HFX", "hfx")

AXES = {
    "language": ["c", "c++"],
    "compiler": ["gcc", "clang"],
    "level": ["-O0", "-O1", "-O2", "-O3", "-Os"],
    "lto": ["", "-flto"],
    "linker": ["bfd", "gold", "lld", "mold"],
    "kind": ["pie", "shared", "fixed", "static", "static-pie"],
    "option": ["", "-fcf-protection=full", "-fstack-protector-strong",
               "-fno-plt", "-Wl,-z,now",
               "-ffunction-sections -fdata-sections -Wl,--gc-sections",
               "-ffunction-sections -Wl,--icf=all",
               "-fpatchable-function-entry=16,4", "-pg",
               "-fno-omit-frame-pointer", "-Wl,--emit-relocs"],
    "changes": ["0xffffffff", "0x55555555", "0xaaaaaaaa", "0x0f0f0f0f"],
}

KIND_FLAGS = {
    "pie": ("-fPIE", "-pie"),
    "shared": ("-fPIC", "-shared"),
    "fixed": ("-fno-pie", "-no-pie -Wl,--emit-relocs"),
    "static": ("-fno-pie", "-static -Wl,--emit-relocs"),
    "static-pie": ("-fPIE", "-static-pie"),
}


def why_not(row):
    """Why no compiler or linker makes this, or None."""
    linker, option = row["linker"], row["option"]
    keeps_relocs = "emit-relocs" in KIND_FLAGS[row["kind"]][1]
    if "icf" in option and linker == "bfd":
        return "ld.bfd cannot fold identical code"
    if (row["language"], row["compiler"]) == ("c++", "gcc") and \
            linker in ("gold", "lld") and "patchable" in option:
        return "they have discarded sections that gcc's list of entries names"
    if row["kind"] == "static-pie" and linker == "gold":
        return "gold cannot link these"
    if (row["compiler"], row["kind"], option) == ("clang", "static-pie", "-pg"):
        return "clang links start-up code that needs a fixed address"
    if row["lto"] and row["compiler"] == "gcc" and linker == "lld":
        return "lld does not know gcc's intermediate code"
    if linker == "gold" and keeps_relocs and (
            "gc-sections" in option or "icf" in option):
        return "gold ends with an internal error"
    if linker == "mold" and (keeps_relocs or "emit-relocs" in option):
        # But see ALWAYS.
        return "mold ends with an assertion for most of these"
    if "emit-relocs" in option and keeps_relocs:
        return "these have it always"
    return None


SOURCES = {"c": ("matrix.c", "other.c"), "c++": ("matrix.cpp", "other.cpp")}
COMPILERS = {"c": {"gcc": "gcc", "clang": "clang"},
             "c++": {"gcc": "g++", "clang": "clang++"}}


def may_refuse(row, refusal):
    """Whether a program of this row may be refused for that."""
    if "needs a relocation of type 5" in refusal:
        # Copies of a library's tables among a program's own: which of them
        # an address in between means is not always known.
        return row["language"] == "c++" and row["kind"] != "shared"
    if "its old code is shared" in refusal:
        # What is one function in a build is two in the other.
        return "icf" in row["option"]
    # The relocations that are kept name sections, no variables.
    return (row["lto"] and row["compiler"] == "clang" and
            "moved apart" in refusal)


class Failed(Exception):
    """A row that is not as it should be."""


def run(command, folder, status=0, data=None):
    """Run a command line that must end with a status; its output."""
    done = subprocess.run(command, cwd=folder, input=data, timeout=300,
                          capture_output=True, check=False)
    if done.returncode != status:
        raise Failed(f"{' '.join(command)}\nstatus {done.returncode}\n"
                     + (done.stdout + done.stderr).decode(errors="replace"))
    return done.stdout


def compile_key(row):
    """What decides how the sources are compiled."""
    return tuple(row[axis] for axis in
                 ("language", "compiler", "level", "lto", "option",
                  "changes")) + (KIND_FLAGS[row["kind"]][0],)


def compile_option(row):
    return [word for word in row["option"].split()
            if not word.startswith("-Wl,")]


def compile_sources(row, folder):
    """Objects of both builds, in the folders `old` and `new`."""
    compiler = COMPILERS[row["language"]][row["compiler"]]
    flags = ["-g", row["level"], *row["lto"].split(), *compile_option(row),
             KIND_FLAGS[row["kind"]][0]]
    for build, changes in (("old", "0"), ("new", row["changes"])):
        (folder / build).mkdir()
        run([compiler, *flags, f"-DCHANGES={changes}ul", "-c",
             *(str(HERE / name) for name in SOURCES[row["language"]])],
            folder / build)
    run(["gcc", "-g", "-O2", *KIND_FLAGS[row["kind"]][0].split(), "-c",
         str(HERE / "host.c")], folder)


def link(row, objects, folder):
    """Link the objects of both builds to old/prog and new/prog."""
    compiler = COMPILERS[row["language"]][row["compiler"]]
    flags = ["-g", row["level"], *row["lto"].split(), *row["option"].split(),
             *KIND_FLAGS[row["kind"]][1].split(),
             "-fuse-ld=" + row["linker"], "-Wl,--build-id",
             # For the trampolines of gcc's nested functions.
             "-Wl,-z,execstack"]
    is_shared = row["kind"] == "shared"
    if is_shared:
        flags += ["-Wl,-soname,prog",
                  f"-Wl,--version-script={HERE / 'matrix.map'}"]
    for build in ("old", "new"):
        (folder / build).mkdir()
        found = sorted(str(path) for path in (objects / build).glob("*.o"))
        if not is_shared:
            found.append(str(objects / "host.o"))
        run([compiler, *found, "-o", "prog", *flags], folder / build)
        if is_shared:
            run([compiler, str(objects / "host.o"), "prog", "-o", "host",
                 "-Wl,-rpath,$ORIGIN"], folder / build)


class Process:
    """The program, which does a round for each byte it gets."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=path.parent)

    def __enter__(self):
        self.wait()
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def round(self):
        self.process.stdin.write(b"x")
        self.process.stdin.flush()
        return self.wait()

    def wait(self):
        """What it prints until it wants more."""
        text = b""
        while not text.endswith(b"done\n"):
            line = self.process.stdout.readline()
            if not line:
                raise Failed(f"ended with status {self.process.wait()} in "
                             "the middle of\n" + text.decode())
            text += line
        return text.decode()

    def hfx(self, *words):
        run([HFX, words[0], "-q", str(self.process.pid), *words[1:]], "/")


def expect(wanted, found, when):
    if wanted != found:
        raise Failed(f"{when}: wanted\n{wanted}found\n{found}")


def diff(folder, output, *options):
    """Make a bundle; the report."""
    # The program is in these all the time, and no change is there.
    done = subprocess.run([BUNDLER, "diff", "old/prog", "new/prog", "-o",
                           output, "--json", "--skip", "main", "--skip", "_start",
                           *options],
                          cwd=folder,
                          capture_output=True, timeout=300, check=False)
    if done.returncode not in (0, 1):
        raise Failed(f"diff: status {done.returncode}\n"
                     + done.stderr.decode(errors="replace"))
    return json.loads(done.stdout)


def refusals_of(report):
    return [f"{r['subject']}: {r['reason']}" for r in report["refusals"]]


def make(row, folder, output, *options):
    """Make a bundle; False if it is refused, and may be."""
    refusals = refusals_of(diff(folder, output, *options))
    if not all(may_refuse(row, refusal) for refusal in refusals):
        raise Failed(f"{output} is refused:\n" + "\n".join(refusals))
    return not refusals


def apply_all(row, process, folder):
    """Apply the bundle of all functions, if there is ever a safe point."""
    # The C library of a static program is among them, and always in use.
    active = ["--allow-active"] if "static" in row["kind"] else []
    try:
        process.hfx("apply", *active, str(folder / "all.hfx"))
    except Failed as err:
        if not active or "needs a safe point" not in str(err):
            raise
        return False
    return True


def check(row, folder):
    """Apply and revert what changed, then everything; or what was refused."""
    program = "host" if row["kind"] == "shared" else "prog"
    with Process(folder / "old" / program) as process:
        old = [process.round() for _ in range(4)]
    with Process(folder / "new" / program) as process:
        new = [process.round() for _ in range(4)]
    for a, b in zip(old, new):
        if a == b:
            raise Failed("both builds do the same")
    if not make(row, folder, "fix.hfx"):
        return "refused"
    with Process(folder / "old" / program) as process:
        expect(old[0], process.round(), "before")
        process.hfx("apply", str(folder / "fix.hfx"))
        expect(new[1], process.round(), "applied")
        expect(new[2], process.round(), "still applied")
        process.hfx("revert", "fix")
        expect(old[3], process.round(), "reverted")
    if not make(row, folder, "all.hfx", "--all"):
        return "refused"
    with Process(folder / "old" / program) as process:
        if not apply_all(row, process, folder):
            return "ok"
        for wanted in new:
            expect(wanted, process.round(), "all functions replaced")
    return "ok"


def try_rows(rows, report):
    """Rows with the same objects."""
    with tempfile.TemporaryDirectory(prefix="hfx-matrix-") as name:
        objects = pathlib.Path(name) / "objects"
        objects.mkdir()
        error = None
        try:
            compile_sources(rows[0], objects)
        except (Failed, subprocess.TimeoutExpired) as err:
            error = err
        for number, row in enumerate(rows):
            folder = pathlib.Path(name) / str(number)
            folder.mkdir()
            start = time.monotonic()
            failure, result = error, "FAILED"
            try:
                if not error:
                    link(row, objects, folder)
                    result = check(row, folder)
            except (Failed, OSError, subprocess.TimeoutExpired) as err:
                failure = err
            report(row, result, failure, time.monotonic() - start)
            if failure and os.environ.get("HFX_KEEP_SANDBOX"):
                shutil.copytree(folder, os.environ["HFX_KEEP_SANDBOX"]
                                + "/" + text_of(row).replace(" ", "_"),
                                dirs_exist_ok=True)
            shutil.rmtree(folder)


def text_of(row):
    return " ".join(filter(None, row.values()))


def product():
    """All rows that can be."""
    for values in itertools.product(*AXES.values()):
        row = dict(zip(AXES, values))
        if not why_not(row):
            yield row


def combinations_of(row, strength):
    return itertools.combinations(row.items(), strength)


def covering(rows, strength):
    """Few of the rows, in which each combination of so many values is."""
    rows = list(rows)
    random.Random(1).shuffle(rows)
    missing = {combination for row in rows
               for combination in combinations_of(row, strength)}
    chosen = []
    while missing:
        # The best of some: the best of all takes long to find.
        best = max(rows[:300], key=lambda row: sum(
            combination in missing
            for combination in combinations_of(row, strength)))
        if missing.isdisjoint(combinations_of(best, strength)):
            rows = rows[300:]
            continue
        chosen.append(best)
        missing.difference_update(combinations_of(best, strength))
    return chosen


def missing_tool(row):
    """The compiler or linker of the row that is not installed, or None."""
    for tool in (COMPILERS[row["language"]][row["compiler"]],
                 "ld." + row["linker"]):
        if not shutil.which(tool):
            return tool
    return None


# Rows in which defects were found, and that others do not stand for.
ALWAYS = [
    # mold makes symbols local that are not exported, of whichever file.
    ("c", "gcc", "-O0", "", "mold", "fixed", "-fstack-protector-strong",
     "0x0f0f0f0f"),
]


def choose_rows(words):
    """What the environment and the arguments ask for."""
    rows = list(product())
    sample = int(os.environ.get("HFX_MATRIX_SAMPLE", "0"))
    if sample:
        seed = int(os.environ.get("HFX_MATRIX_SEED", "1"))
        rows = random.Random(seed).sample(rows, min(sample, len(rows)))
    elif not os.environ.get("HFX_LONG_TESTS"):
        rows = covering(rows, int(os.environ.get("HFX_MATRIX_STRENGTH", "2")))
    rows = [*rows, *(dict(zip(AXES, values)) for values in ALWAYS)]
    return [row for row in rows
            if all(word in list(row.values()) for word in words)]


def main():
    failures = []
    groups = {}
    missing = collections.Counter()
    for row in choose_rows(sys.argv[1:]):
        tool = missing_tool(row)
        if tool:
            missing[tool] += 1
            continue
        groups.setdefault(compile_key(row), []).append(row)

    def tell(row, result, failure, seconds):
        print(f"{result:7} {seconds:5.1f} s {text_of(row)}", flush=True)
        if failure:
            print(failure, flush=True)
            failures.append(row)

    for tool, count in missing.items():
        print(f"skipped {count} rows: there is no {tool}")
    if not groups:
        return 77
    with concurrent.futures.ThreadPoolExecutor(
            len(os.sched_getaffinity(0))) as pool:
        for done in [pool.submit(try_rows, rows, tell)
                     for rows in groups.values()]:
            done.result()
    print(f"{sum(map(len, groups.values()))} rows, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
