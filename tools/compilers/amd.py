"""Mesa's RADV, which compiles for GPUs that need not be there (RADV_FORCE_FAMILY)."""
import glob
import os
import subprocess
import sys

NAME = "AMD"
FAMILIES = ["polaris10", "vega10", "navi10", "navi21", "gfx1100"]
# The driver's name for a figure, by column.
TOLD = {"VGPRs": "VGPRs", "SGPRs": "SGPRs", "spilled": "Spilled", "scratch, bytes": "Scratch size",
        "LDS, bytes": "LDS size", "code, bytes": "Code size", "subgroups per SIMD": "Subgroups per SIMD"}
COLUMNS = list(TOLD)
LEAST_IS_WORST = {"subgroups per SIMD"}
ABOUT = """Mesa's RADV compiles every program of the Vulkan backend (`RADV_FORCE_FAMILY`). Families: GCN 4 (polaris10), GCN 5 (vega10),
RDNA 1 (navi10), RDNA 2 (navi21), RDNA 3 (gfx1100). Of the first four nothing is spilled and nothing lies in scratch. This
version gives no gfx1100 shader more than 132 vector registers, of 256 that the instructions can name, and spills what needs more:
`row_whole`, `column_stats`, `column_sums` and `strided_rescue`."""


def driver():
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "mesa-vulkan-drivers"], capture_output=True, text=True)
    return "Mesa " + (version.stdout or "of another system")


def fingerprint():
    return None  # it compiles them all in seconds


def compile_for(family, few):
    """(kernel, constants, figures) of each program."""
    drivers = glob.glob("/usr/share/vulkan/icd.d/radeon_icd*.json")
    if not drivers:
        sys.exit("tools/static: RADV is not installed: apt install mesa-vulkan-drivers")
    program = os.path.join(os.environ.get("NORMA_BUILD", "build"), "tests/static/norma-static-amd")
    env = dict(os.environ, VK_ICD_FILENAMES=drivers[0], RADV_FORCE_FAMILY=family)
    env.pop("VK_INSTANCE_LAYERS", None)
    done = subprocess.run([program] + ["--few"] * few, env=env, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"tools/static: {program} for {family} ended with status {done.returncode}")
    for line in done.stdout.splitlines():
        kernel, constants, *pairs = line.split("\t")
        told = {name: int(value) for name, value in (pair.split("=") for pair in pairs)}
        told["Spilled"] = told["Spilled SGPRs"] + told["Spilled VGPRs"]
        yield kernel, constants, [told[name] for name in TOLD.values()]
