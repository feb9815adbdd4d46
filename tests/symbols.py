"""What the library's objects must not have: memory from elsewhere than src/memory.c, handlers of the process's end,
constructors, and data that anyone can write to, but for what is listed here with its reason.

usage: symbols.py OBJDUMP ARCHIVE LIBRARY     LIBRARY: the shared one, made of the archive and little more
"""

import re
import subprocess
import sys

ALLOCATORS = {"malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign", "memalign", "valloc", "strdup",
              "strndup", "asprintf", "vasprintf", "getline", "getdelim", "reallocarray"}
HANDLERS = {"atexit", "__cxa_atexit", "on_exit", "at_quick_exit", "__cxa_thread_atexit", "pthread_atfork",
            "__register_atfork", "pthread_key_create"}
WRITABLE = {
    ("error.c", "last_error"),  # a thread's last message
}
# Of any shared library: the start files', the linker's, and libgcc's note of what the processor can do.
LINKED = {"__dso_handle", "__TMC_END__", "completed.0", "__bss_start", "_edata", "_end", "__cpu_model", "__cpu_features2"}


def is_writable(section):
    return re.match(r"\.(data|bss|tdata|tbss)\b|\*COM\*", section) and not section.startswith(".data.rel.ro")


def writable_of(objdump, library):
    """What can be written to in the shared library, and what of that it must not have."""
    table = subprocess.run([objdump, "-t", library], check=True, capture_output=True, text=True).stdout
    symbols = re.findall(r"^[0-9a-f]+ .{7} (\S+)\s+[0-9a-f]+\s+(?:\.hidden )?(\S+)$", table, re.M)
    found = {what for section, what in symbols if is_writable(section) and what != section}
    return found, found - LINKED - {what for _, what in WRITABLE}


def main():
    objdump, archive, library = sys.argv[1:]
    table = subprocess.run([objdump, "-t", archive], check=True, capture_output=True, text=True).stdout
    headers = subprocess.run([objdump, "-h", archive], check=True, capture_output=True, text=True).stdout
    faults, objects, found = [], 0, set()
    name = ""
    for line in table.splitlines():
        member = re.match(r"(\S+):\s+file format", line)
        if member:
            name = re.sub(r"\.o$", "", member[1]).split("/")[-1].split("_")[-1]
            objects += 1
            whole = member[1]
            continue
        symbol = re.match(r"[0-9a-f]+ .{7} (\S+)\s+[0-9a-f]+\s+(?:\.hidden )?(\S+)$", line)
        if not symbol:
            continue
        section, what = symbol.groups()
        if section == "*UND*" and what in ALLOCATORS:
            found.add(what)
            if name != "memory.c":
                faults.append(f"{whole} calls {what}")
        if section == "*UND*" and what in HANDLERS:
            faults.append(f"{whole} calls {what}")
        if is_writable(section) and what != section and (name, what) not in WRITABLE:
            faults.append(f"{whole} can write to {what} ({section})")
    for line in headers.splitlines():
        member = re.match(r"(\S+):\s+file format", line)
        if member:
            whole = member[1]
        section = re.match(r"\s*\d+ (\.(?:init_array|fini_array|ctors|dtors|preinit_array)\S*)\s", line)
        if section:
            faults.append(f"{whole} has {section[1]}")
    written, more = writable_of(objdump, library)
    faults += [f"{library} can write to {what}" for what in sorted(more)]
    # The checks themselves: what must be there has been seen.
    if "last_error" not in written:
        faults.append(f"{library}: only {sorted(written)} were seen")
    if objects < 20 or not {"malloc", "free"} <= found:
        faults.append(f"only {objects} objects and {sorted(found)} were seen")
    print("\n".join(faults) or f"{objects} objects, nothing of that kind")
    return bool(faults)


sys.exit(main())
