#!/usr/bin/env python3
"""Compiles shaders, describes the modules of a release, and takes them from one instead of compiling.

spirv.py compile OUT DEPFILE GLSLC SOURCE [ARGUMENT ...]
    SPIR-V without names and line numbers, which no driver needs. The argument --small: through spirv-opt, with passes
    that change no arithmetic and inline nothing.
spirv.py manifest OUT ROOT GLSLC FILE
    Copies the modules that FILE lists to the folder `release` beside OUT, and writes there and to OUT what each is made
    of: hashes of its sources and of itself, the arguments and the compiler's version. A line of FILE: NAME, MODULE,
    SOURCE, ARGUMENT..., tabs between.
spirv.py take OUT DEPFILE MANIFEST ROOT NAME SOURCE [ARGUMENT ...]
    The module of a release, if all that it was made of is as it was then; else an error.
"""
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys

TARGET = ["--target-env=vulkan1.1", "--target-spv=spv1.3", "-Werror"]
# OpSourceContinued, OpSource, OpSourceExtension, OpName, OpMemberName, OpString, OpLine, OpNoLine, OpModuleProcessed
# (SPIR-V specification, section 3.42.2 and 3.42.3, and 330)
DEBUG = {2, 3, 4, 5, 6, 7, 8, 317, 330}
MAGIC = 0x07230203
SMALL = "--small"
SMALL_PASSES = ["--convert-local-access-chains", "--eliminate-local-single-block", "--eliminate-local-single-store",
                "--eliminate-local-multi-store", "--redundancy-elimination", "--eliminate-dead-code-aggressive",
                "--merge-blocks"]


def fail(text):
    sys.exit(f"spirv.py: {text}")


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def without_debug(data):
    words = struct.unpack(f"<{len(data) // 4}I", data)
    if words[0] != MAGIC:
        fail("the compiler's output is no SPIR-V")
    kept, at = list(words[:5]), 5
    while at < len(words):
        length, op = words[at] >> 16, words[at] & 0xffff
        if op not in DEBUG:
            kept += words[at:at + length]
        at += length
    return struct.pack(f"<{len(kept)}I", *kept)


def closure(root, source):
    """The source and all that it includes, by paths from root, as glslc finds them: beside the file, then in src."""
    found, waiting = set(), [source]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        with open(os.path.join(root, path), encoding="utf-8") as f:
            names = re.findall(r'^\s*#\s*include\s+"(.*?)"', f.read(), flags=re.M)
        for name in names:
            places = [os.path.normpath(os.path.join(folder, name)) for folder in (os.path.dirname(path), "src")]
            there = [p for p in places if os.path.exists(os.path.join(root, p))]
            if not there:
                fail(f'{path}: includes "{name}", which is in neither of {places}')
            waiting.append(there[0])
    return sorted(found)


def compile_module(out, depfile, glslc, source, *arguments):
    source_folder = os.path.join(os.path.dirname(source), "..", "src")
    flags = [a for a in arguments if a != SMALL]
    subprocess.run([glslc, *TARGET, "-MD", "-MF", depfile, "-I", source_folder, *flags, source, "-o", out], check=True)
    if SMALL in arguments:
        subprocess.run(["spirv-opt", *SMALL_PASSES, out, "-o", out], check=True)
    with open(out, "rb") as f:
        data = without_debug(f.read())
    with open(out, "wb") as f:
        f.write(data)


def write_manifest(out, root, glslc, listed):
    version = subprocess.run([glslc, "--version"], check=True, text=True, stdout=subprocess.PIPE).stdout
    manifest = {"compiler": version.split("\n\n")[0].splitlines(), "target": TARGET, "sources": {}, "modules": {}}
    with open(listed, encoding="utf-8") as f:
        lines = f.read().splitlines()
    folder = os.path.join(os.path.dirname(out), "release")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for line in lines:
        name, module, source, *arguments = line.split("\t")
        source = os.path.relpath(source, root)
        copy = os.path.join(folder, name + ".spv")
        shutil.copyfile(module, copy)
        parts = closure(root, source)
        manifest["sources"].update((part, digest(os.path.join(root, part))) for part in parts)
        manifest["modules"][name] = {"source": source, "arguments": [a for a in arguments if a], "parts": parts,
                                     "bytes": os.path.getsize(copy), "sha256": digest(copy)}
    with open(out, "w", encoding="ascii") as f:
        json.dump(manifest, f, indent=1, sort_keys=True)
        f.write("\n")
    shutil.copyfile(out, os.path.join(folder, os.path.basename(out)))


def take(out, depfile, manifest_path, root, name, source, *arguments):
    with open(manifest_path, encoding="ascii") as f:
        manifest = json.load(f)
    again = "; compile it with -Dspirv=glslc, or take the files of the release"
    entry = manifest["modules"].get(name)
    if not entry:
        fail(f"{manifest_path} has no module {name}{again}")
    if entry["arguments"] != list(arguments) or entry["source"] != os.path.relpath(source, root) or \
            manifest["target"] != TARGET:
        fail(f"{name}: was made of another file or with other arguments than this build wants{again}")
    for part in entry["parts"]:
        path = os.path.join(root, part)
        if not os.path.exists(path) or digest(path) != manifest["sources"][part]:
            fail(f"{part}: is not the file that {name}.spv was made of{again}")
    module = os.path.join(os.path.dirname(manifest_path), name + ".spv")
    if digest(module) != entry["sha256"]:
        fail(f"{module}: is not the module that MANIFEST.json describes{again}")
    shutil.copyfile(module, out)
    with open(depfile, "w", encoding="utf-8") as f:
        f.write(f"{out}: {manifest_path} {module} {' '.join(os.path.join(root, p) for p in entry['parts'])}\n")


def main():
    commands = {"compile": compile_module, "manifest": write_manifest, "take": take}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
