"""Intel's offline compiler, ocloc, from Debian's packages, unpacked: installed they would add a platform without a device."""
import concurrent.futures
import hashlib
import os
import subprocess
import sys
import tempfile

import yaml

NAME = "Intel"
FAMILIES = ["skl", "tgllp", "dg2"]
COLUMNS = ["SIMD width", "registers", "spilled, bytes", "private, bytes", "local, bytes", "code, bytes"]
LEAST_IS_WORST = {"SIMD width"}
ABOUT = """Intel's ocloc compiles every program of the OpenCL backend, with the options for a device that has subgroups of 16. Parts:
Gen9 (skl), Xe-LP (tgllp), Xe-HPG (dg2). A register is 32 bytes; "private" is what a work-item has in memory, and of the first two parts
what was spilled too, for which the compiler tells one figure."""
PACKAGES = ["intel-opencl-icd", "libigc1", "libigdfcl1", "libigdgmm12", "libopencl-clang14", "libllvmspirvlib14", "libllvm14"]
ROOM = os.environ.get("NORMA_OCLOC", os.path.join(os.environ.get("NORMA_BUILD", "build"), "ocloc"))


def install():
    if os.path.exists(os.path.join(ROOM, "usr/bin/ocloc")):
        return
    os.makedirs(ROOM, exist_ok=True)
    subprocess.run(["apt-get", "-q", "download", *PACKAGES], cwd=ROOM, check=True, stdout=sys.stderr)
    for name in sorted(os.listdir(ROOM)):
        if name.endswith(".deb"):
            subprocess.run(["dpkg-deb", "-x", name, "."], cwd=ROOM, check=True)
            os.remove(os.path.join(ROOM, name))


def driver():
    shown = subprocess.run(["apt-cache", "policy", "intel-opencl-icd"], capture_output=True, text=True).stdout
    version = [line.split()[-1] for line in shown.splitlines() if "Candidate" in line]
    return "ocloc of intel-opencl-icd " + (version[0] if version else "of another system")


def section(elf, name, folder):
    out = os.path.join(folder, "section")
    # The machine is one that binutils do not know.
    subprocess.run(["objcopy", "-I", "elf64-little", "-O", "binary", f"--only-section={name}", "--set-section-flags",
                    name + "=alloc", elf, out], check=True)
    with open(out, "rb") as file:
        return file.read()


def compile_one(family, folder, kernel, source, options):
    libraries = os.path.join(ROOM, "usr/lib/x86_64-linux-gnu")
    env = dict(os.environ, LD_LIBRARY_PATH=f"{libraries}:{libraries}/intel-opencl")
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run([os.path.join(ROOM, "usr/bin/ocloc"), "compile", "-q", "-file", os.path.join(folder, source),
                               "-device", family, "--format", "zebin", "-options", options, "-output", "program",
                               "-output_no_suffix", "-out_dir", out], env=env, capture_output=True, text=True)
        elf = os.path.join(out, "program")
        if done.returncode or not os.path.exists(elf):
            sys.exit(f"tools/static: ocloc does not compile {kernel} for {family} with {options}\n{done.stdout}{done.stderr}")
        about = next(k for k in yaml.safe_load(section(elf, ".ze_info", out))["kernels"] if k["name"] == kernel)
        code = len(section(elf, ".text." + kernel, out))
    runs, memory = about["execution_env"], about.get("per_thread_memory_buffers", [])
    spilled = sum(b["size"] for b in memory if b["usage"] == "spill_fill_space")
    private = sum(b["size"] for b in memory if b["usage"] != "spill_fill_space")
    return [runs["simd_size"], runs["grf_count"], spilled, private, runs.get("slm_size", 0), code]


def list_programs(folder, few):
    """[kernel, source in folder, options] of each."""
    program = os.path.join(os.environ.get("NORMA_BUILD", "build"), "tests/static/norma-static-intel")
    listed = subprocess.run([program, folder] + ["--few"] * few, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [line.split("\t") for line in listed.splitlines()]


def fingerprint():
    """Of all programs' sources and options, from which their figures follow: the compiler takes minutes."""
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory() as folder:
        digest.update(repr(list_programs(folder, False)).encode())
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as file:
                digest.update(file.read())
    return digest.hexdigest()


def compile_for(family, few):
    """(kernel, constants, figures) of each program."""
    install()
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
        programs = list_programs(folder, few)
        figures = pool.map(lambda p: compile_one(family, folder, *p), programs)
        for (kernel, _, options), told in zip(programs, figures):
            yield kernel, options.replace("-D", ""), told
