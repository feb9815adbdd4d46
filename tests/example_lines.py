"""An example is read as a whole: each C file has 150 lines at most.

usage: example_lines.py FOLDER
"""

import pathlib
import sys

MOST = 150


def main():
    lines = {path.name: len(path.read_text().splitlines()) for path in sorted(pathlib.Path(sys.argv[1]).glob("*.c"))}
    for name, count in lines.items():
        print(f"{name}: {count} lines" + (f", more than {MOST}" if count > MOST else ""))
    return max(lines.values()) > MOST or "describe.c" not in lines


sys.exit(main())
