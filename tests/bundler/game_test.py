#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A larger program in C++20 (game/): OLD with the bundle does as NEW does.

Applied before its first round, and after one: then old code has made objects
that new code goes on with. All functions that can be replaced are as well.
Arguments choose rows, as for matrix_test.py.
"""

import pathlib
import shutil
import sys
import tempfile

import matrix_test as matrix

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = ["game/game.cpp", "game/util.cpp"]
# Where a specialization of a template is new, its objects are others.
ACCEPT = ["--accept-type", "Ring*"]

ROWS = [
    {"compiler": "g++", "flags": "-O2"},
    {"compiler": "g++", "flags": "-O1 -flto"},
    {"compiler": "g++", "flags": "-Os -static-pie -fPIE"},
    {"compiler": "clang++", "flags": "-O2"},
    {"compiler": "clang++", "flags": "-O0 -fuse-ld=lld"},
    {"compiler": "clang++", "flags": "-O1 -fno-pie -no-pie -Wl,--emit-relocs"},
]


def build(row, folder):
    for name, defines in ("old", []), ("new", ["-DNEW"]):
        (folder / name).mkdir()
        command = [row["compiler"], "-g", "-std=c++20", "-pthread",
                   *row["flags"].split(), *defines, "-Wl,--build-id"]
        for source in SOURCES:
            matrix.run([*command, "-c", str(HERE / source)], folder / name)
        matrix.run(["gcc", "-g", "-O2", "-fPIE", "-c",
                    str(HERE / "matrix/host.c")], folder / name)
        matrix.run([*command, "game.o", "util.o", "host.o", "-o", "prog"],
                   folder / name)


def make(folder, output, *options):
    refusals = matrix.refusals_of(
        matrix.diff(folder, output, *ACCEPT, *options))
    if refusals:
        raise matrix.Failed(f"{output} is refused:\n" + "\n".join(refusals))


def apply_at_start(folder, bundle, new, *options):
    with matrix.Process(folder / "old/prog") as process:
        process.hfx("apply", *options, str(folder / bundle))
        for wanted in new:
            matrix.expect(wanted, process.round(), bundle)


def check(row, folder):
    with matrix.Process(folder / "old/prog") as process:
        old = [process.round() for _ in range(4)]
    with matrix.Process(folder / "new/prog") as process:
        new = [process.round() for _ in range(4)]
    make(folder, "fix.hfx")
    apply_at_start(folder, "fix.hfx", new)
    with matrix.Process(folder / "old/prog") as process:
        matrix.expect(old[0], process.round(), "before")
        process.hfx("apply", str(folder / "fix.hfx"))
        # The second line tells nothing of what was before.
        for wanted in new[1:3]:
            matrix.expect(wanted.splitlines()[1],
                          process.round().splitlines()[1], "late")
        process.hfx("revert", "fix")
        matrix.expect(old[3].splitlines()[1],
                      process.round().splitlines()[1], "reverted")
    make(folder, "all.hfx", "--all")
    apply_at_start(folder, "all.hfx", new,
                   *(["--allow-active"] if "static" in row["flags"] else []))


def main():
    failed = done = 0
    for row in ROWS:
        if not all(word in row.values() or word in row["flags"].split()
                   for word in sys.argv[1:]):
            continue
        if not shutil.which(row["compiler"]):
            print(f"skipped: there is no {row['compiler']}")
            continue
        with tempfile.TemporaryDirectory(prefix="hfx-game-") as name:
            try:
                build(row, pathlib.Path(name))
                check(row, pathlib.Path(name))
                print("ok", *row.values(), flush=True)
            except matrix.Failed as err:
                print("FAILED", *row.values(), err, flush=True)
                failed += 1
        done += 1
    if not done:
        return 77
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
