#!/usr/bin/env python3
"""Writes a C file with the bytes of files as 32-bit word arrays (SPIR-V) or strings (OpenCL C), each under its name.

embed.py --words|--text OUT.c NAME=FILE [NAME=FILE ...]
Without FILE: nothing, of size 0. A text's lines `#include "other"` are replaced by that file, found beside it: the text then stands alone.
The C file defines `const uint32_t NAME[]` and `const size_t NAME_size` (bytes), or `const char NAME[]` alike.
"""
import os
import re
import struct
import sys


def words(name, data):
    if len(data) % 4:
        sys.exit(f"{name}: {len(data)} bytes are not whole words")
    values = struct.unpack(f"<{len(data) // 4}I", data) or (0,) # C has no empty arrays
    rows = [", ".join(f"0x{v:08x}" for v in values[i:i + 10]) for i in range(0, len(values), 10)]
    return f"const uint32_t {name}[] = {{\n    " + ",\n    ".join(rows) + "\n};\n"


def text(name, data):
    # Numbers, not a string literal: C compilers may refuse literals of more than 4095 bytes.
    values = list(data) + [0]
    rows = [", ".join(str(v) for v in values[i:i + 24]) for i in range(0, len(values), 24)]
    return f"const char {name}[] = {{\n    " + ",\n    ".join(rows) + "\n};\n"


def expanded(path):
    with open(path, "rb") as f:
        source = f.read()
    folder = os.path.dirname(path)
    return re.sub(rb'^#include "(.*)"\n', lambda m: expanded(os.path.join(folder, m[1].decode())), source, flags=re.M)


def main():
    kind, out, *pairs = sys.argv[1:]
    parts = ["#include <stddef.h>\n#include <stdint.h>\n"]
    for pair in pairs:
        name, path = pair.split("=", 1)
        if not path:
            data = b""
        elif kind == "--words":
            with open(path, "rb") as f:
                data = f.read()
        else:
            data = expanded(path)
        parts.append(f"extern const {'uint32_t' if kind == '--words' else 'char'} {name}[];\nextern const size_t {name}_size;\n")
        parts.append(words(name, data) if kind == "--words" else text(name, data))
        parts.append(f"const size_t {name}_size = {len(data)};\n")
    with open(out, "w", encoding="ascii") as f:
        f.write("\n".join(parts))


if __name__ == "__main__":
    main()
