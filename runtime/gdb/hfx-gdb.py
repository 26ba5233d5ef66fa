# SPDX-License-Identifier: MIT
"""Let gdb know the code that hfx has brought into a process.

An applied patch leaves a record in the memory of the process, and with it the
symbol table and line numbers of the new code (docs/format.md, "The record").
This finds the records of a live process or a core file and gives gdb the
symbols. Nothing is needed but gdb 13 with Python:

    (gdb) source /usr/share/hfx/hfx-gdb.py

or a link to this file in gdb's folder of start-up files (/etc/gdb/gdbinit.d).
Symbols are looked for whenever the process stops; `hfx list` shows what was
found.

It also keeps breakpoints out of jumps: `break function` means the new code. A
breakpoint is one byte that gdb writes, often some bytes behind the start of a
function; inside the five bytes of a jump it would send the process to a wrong
address.
"""

import os
import re
import shutil
import struct
import tempfile

import gdb

# record_header (docs/format.md): magic to flags, then the place of the symbols.
HEADER = struct.Struct("<8sII2Q32s8Q64s10I")
SYMBOLS = struct.Struct("<QIIQ")
SYMBOLS_OFFSET = 248
SITE = struct.Struct("<Q8s8s")
CALL = 0xe8
ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")

VERSION = 1
STATES = {1: "prepared", 2: "committing", 3: "applied", 4: "reverting",
          5: "reverted", 6: "unloaded", 7: "waiting"}
REVERTED = 5
UNLOADED = 6
HAS_SYMBOLS = 4
PT_LOAD = 1
JUMP_SIZE = 5

# A record is written by the process, which may be anything.
MAX_RECORD = 64 << 20
MAX_SYMBOLS = 64 << 20
MAX_IMAGE = 1 << 30


def read(addr, size):
    return bytes(gdb.selected_inferior().read_memory(addr, size))


def text_at(record, offset):
    return record[offset:record.index(b"\0", offset)].decode(errors="replace")


class Patch:
    """What a record says."""

    def __init__(self, addr):
        header = read(addr, HEADER.size)
        (magic, version, self.state, self_addr, size, self.id,
         self.sequence, _, _, _, self.region, self.region_size,
         self.image_bias, _, _, _, _, _, sites, num_sites, name,
         version_text, _, module, flags) = HEADER.unpack(header)
        if magic != b"hfxpatch" or self_addr != addr:
            raise ValueError("no record")
        if version != VERSION or not HEADER.size <= size <= MAX_RECORD:
            raise ValueError("a record of another version of hfx")
        self.addr = addr
        record = read(addr, size)
        self.name = text_at(record, name)
        self.version = text_at(record, version_text)
        self.module = text_at(record, module)
        places = [SITE.unpack_from(record, sites + i * SITE.size)
                  for i in range(num_sites)]
        # Calls that are redirected are still calls: one may stop at them.
        self.jumps = [addr for addr, _, after in places if after[0] != CALL]
        self.symbols = (0, 0, 0, 0)
        if flags & HAS_SYMBOLS:
            self.symbols = SYMBOLS.unpack_from(record, SYMBOLS_OFFSET)

    def state_name(self):
        return STATES.get(self.state, "unknown")

    def has_symbols(self):
        _, head_size, tail_size, _ = self.symbols
        return tail_size > 0 and head_size + tail_size <= MAX_SYMBOLS

    def write_file(self, path):
        """Put the image's file together again."""
        offset, head_size, tail_size, tail_offset = self.symbols
        head = read(self.addr + offset, head_size)
        fields = ELF_HEADER.unpack_from(head)
        first, count = fields[5], fields[10]
        left = MAX_IMAGE
        with open(path, "wb") as file:
            file.write(head)
            for i in range(count):
                (kind, _, at, vaddr, _, size, _,
                 _) = PROGRAM_HEADER.unpack_from(
                     head, first + i * PROGRAM_HEADER.size)
                if kind != PT_LOAD or at > MAX_IMAGE or size > left:
                    continue
                left -= size
                file.seek(at)
                file.write(read(self.image_bias + vaddr, size))
            if tail_offset <= MAX_IMAGE:
                file.seek(tail_offset)
                file.write(read(self.addr + offset + head_size, tail_size))


# ---- Where records may be ---------------------------------------------------


def native_mappings(pid):
    """Starts of private, read-only memory without a file."""
    with open("/proc/%d/maps" % pid, encoding="utf-8",
              errors="replace") as maps:
        for line in maps:
            fields = line.split(maxsplit=5)
            if (fields[1] == "r--p" and fields[4] == "0" and
                    (len(fields) == 5 or fields[5].startswith("[anon:"))):
                yield int(fields[0].split("-")[0], 16)


def core_mappings():
    for line in gdb.execute("maint info sections", to_string=True).split("\n"):
        match = re.search(r"0x([0-9a-f]+)->.*: load\d+\w* .*READONLY", line)
        if match and "CODE" not in line:
            yield int(match.group(1), 16)


def remote_mappings():
    for line in gdb.execute("info proc mappings", to_string=True).split("\n"):
        fields = line.split()
        if len(fields) == 5 and fields[4] == "r--p":
            yield int(fields[0], 16)


def connection_type():
    connection = gdb.selected_inferior().connection
    return connection.type if connection else ""


def mappings():
    kind = connection_type()
    if kind == "core":
        return list(core_mappings())
    if kind == "native":
        return list(native_mappings(gdb.selected_inferior().pid))
    return list(remote_mappings()) if kind else []


def find_patches():
    patches = []
    for addr in mappings():
        try:
            if read(addr, 8) == b"hfxpatch":
                patches.append(Patch(addr))
        except (ValueError, IndexError, struct.error, gdb.error) as error:
            gdb.write("hfx: the record at %#x is of no use: %s\n" %
                      (addr, error), gdb.STDERR)
    return sorted(patches, key=lambda patch: patch.sequence)


# ---- Symbols ----------------------------------------------------------------


class Symbols:
    """The symbol files that gdb was given, and the jumps it must not touch."""

    def __init__(self):
        self.folder = None
        self.files = {}
        self.jumps = {}
        # Locations of breakpoints that were disabled: (number, address).
        self.kept_out = set()
        self.is_busy = False

    def path_for(self, patch):
        if not self.folder:
            self.folder = tempfile.mkdtemp(prefix="hfx-gdb-")
        name = re.sub(r"[^A-Za-z0-9._+-]", "_", patch.name)[:64]
        return os.path.join(self.folder, "%s-%s-%x.so" %
                            (name, patch.id.hex()[:12], patch.addr))

    def add(self, patch):
        key = (patch.addr, patch.id)
        if key in self.files or not patch.has_symbols():
            return
        path = self.path_for(patch)
        # Once and for all, even if it fails.
        self.files[key] = None
        try:
            patch.write_file(path)
            gdb.execute("add-symbol-file %s -o %#x" %
                        (path, patch.image_bias), to_string=True)
            self.files[key] = path
        except (struct.error, gdb.error, OSError) as error:
            gdb.write("hfx: the symbols of %s are of no use: %s\n" %
                      (patch.name, error), gdb.STDERR)

    def remove(self, key):
        path = self.files.pop(key)
        try:
            if path:
                gdb.execute("remove-symbol-file %s" % path, to_string=True)
        except gdb.error:
            pass

    def forget(self):
        for key in list(self.files):
            self.remove(key)
        self.jumps.clear()
        self.kept_out.clear()

    def look(self):
        if self.is_busy or not gdb.selected_inferior().pid:
            return
        self.is_busy = True
        confirm = gdb.parameter("confirm")
        gdb.execute("set confirm off")
        try:
            self.look_again()
        finally:
            gdb.execute("set confirm %s" % ("on" if confirm else "off"))
            self.is_busy = False

    def look_again(self):
        try:
            found = mappings()
        except (OSError, gdb.error):
            return
        # States change without the mappings, but not while gdb is attached,
        # unless the process changes itself.
        patches = find_patches() if found else []
        self.jumps = {jump: patch.name for patch in patches
                      if patch.state not in (REVERTED, UNLOADED)
                      for jump in patch.jumps}
        # What was there may be other memory by now.
        present = {(patch.addr, patch.id) for patch in patches}
        for key in set(self.files) - present:
            self.remove(key)
        for patch in patches:
            self.add(patch)
        self.keep_out_of_jumps()

    def jump_at(self, addr):
        """The patch in whose jump @addr is."""
        for back in range(JUMP_SIZE):
            if addr - back in self.jumps:
                return self.jumps[addr - back]
        return None

    def keep_out_of_jumps(self):
        for breakpoint_ in gdb.breakpoints():
            # gdb before 13 does not say.
            for location in getattr(breakpoint_, "locations", ()):
                key = (breakpoint_.number, location.address)
                name = self.jump_at(location.address)
                if name and location.enabled:
                    location.enabled = False
                    self.kept_out.add(key)
                    gdb.write("hfx: breakpoint %d is left out at %#x: %s has "
                              "replaced that function\n" % (key + (name,)))
                elif not name and key in self.kept_out:
                    location.enabled = True
                    self.kept_out.discard(key)

    def clean_up(self):
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


symbols = Symbols()


# ---- Commands and events ----------------------------------------------------


class HfxCommand(gdb.Command):
    """Patches that hfx has applied to the process."""

    def __init__(self):
        super().__init__("hfx", gdb.COMMAND_STATUS, prefix=True)


class HfxListCommand(gdb.Command):
    """List the patches in the process, and where their code is."""

    def __init__(self):
        super().__init__("hfx list", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        symbols.look()
        patches = find_patches()
        if not patches:
            gdb.write("no patches\n")
        for patch in patches:
            gdb.write("%s  %s  %s  %s  code at %#x%s\n" %
                      (patch.name, patch.version or "-", patch.module,
                       patch.state_name(), patch.region,
                       "" if patch.has_symbols() else "  (no symbols)"))


def on_breakpoint(_breakpoint):
    if not symbols.is_busy:
        symbols.is_busy = True
        try:
            symbols.keep_out_of_jumps()
        finally:
            symbols.is_busy = False


def start():
    HfxCommand()
    HfxListCommand()
    gdb.events.stop.connect(lambda event: symbols.look())
    gdb.events.new_objfile.connect(lambda event: symbols.look())
    gdb.events.before_prompt.connect(symbols.look)
    gdb.events.exited.connect(lambda event: symbols.forget())
    gdb.events.breakpoint_created.connect(on_breakpoint)
    gdb.events.breakpoint_modified.connect(on_breakpoint)
    gdb.events.gdb_exiting.connect(lambda event: symbols.clean_up())
    symbols.look()


start()
