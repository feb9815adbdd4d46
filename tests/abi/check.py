#!/usr/bin/env python3
"""Holds the symbols that the shared library shows against the committed list; fails with the difference.

check.py NM LIBNORMA.so LIST [--write]
A symbol that goes or changes its meaning needs a new soname (meson.build); one that comes needs --write alone.
"""
import difflib
import subprocess
import sys


def main():
    nm, library, listed = sys.argv[1:4]
    out = subprocess.run([nm, "-D", "--defined-only", "--format=posix", library], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    # Name and kind (T: function): data in the interface would need copy relocations, so a D would show here.
    shown = sorted(" ".join(line.split()[:2]) for line in out.splitlines())
    if not shown:
        sys.exit(f"{library}: shows no symbols")
    if sys.argv[4:] == ["--write"]:
        with open(listed, "w", encoding="ascii") as f:
            f.write("\n".join(shown) + "\n")
        return
    with open(listed, encoding="ascii") as f:
        wanted = f.read().splitlines()
    difference = list(difflib.unified_diff(wanted, shown, listed, library, lineterm="", n=0))
    print("\n".join(difference) if difference else f"{len(shown)} symbols as listed")
    sys.exit(1 if difference else 0)


if __name__ == "__main__":
    main()
