"""The results of tools/compare as a page, as JSON, as a chart."""
import itertools
import json
import os
import platform


def machine():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def times_of_norma(record):
    """Peer -> how many times as long as Norma's fastest it takes."""
    return {name: p["times"] for name, p in record["peers"].items() if p.get("times")}


def line(record):
    times = times_of_norma(record)
    words = [f"{name} {p['median'] * 1e6:.4g}" + (f" ({times[name]:.2f})" if name in times else "")
             for name, p in record["peers"].items() if "median" in p]
    return f"{record['name']}: us " + ", ".join(words)


def wrong(results):
    """Lines about what Norma did not do, or did not do right."""
    lines = []
    for section in results["sections"]:
        if not any(name.startswith("norma-") for name in section["versions"]):
            lines.append(f"Norma took no part on {section['on']}")
        for record in section["results"]:
            for name, peer in record["peers"].items():
                if name.startswith("norma-") and ("refused" in peer or (peer.get("error") or 0) > 1):
                    lines.append(f"{record['name']}: {name}: " +
                                 (peer.get("refused") or f"{peer['error']:.3g} times the error that is allowed"))
    return lines


def cell(record, name, times):
    peer = record["peers"].get(name, {"refused": ""})
    if "median" not in peer:
        return "-"
    text = f"{peer['minimum'] * 1e6:.4g} / {peer['median'] * 1e6:.4g}"
    if name in times:
        text += f" ({times[name]:.2f})"
    if (peer.get("error") or 0) > 1:
        text += f" [{peer['error']:.2g}]"
    return text


def heading(record):
    case = record["case"]
    return f"{case['op']}, {case['dtype']}, {case['direction']}"


def refusals(section):
    """What is not in the tables: (peer, reason) -> how many cases."""
    found = {}
    for record in section["results"]:
        for name, peer in record["peers"].items():
            if "refused" in peer:
                found[name, peer["refused"]] = found.get((name, peer["refused"]), 0) + 1
    return found


def page(results):
    lines = [f"# Norma beside other libraries: {results['machine']}", "",
             f"Made by `{results['command']}`. {results['threads']} threads each, {'cold' if results['cold'] else 'warm'} caches.",
             "Microseconds of a run, minimum / median over turns that the peers take one after another, in brackets how many times as",
             "long as Norma's fastest it takes (the median over the rounds); in square brackets the largest error in units of what",
             "Norma's contract allows, where it is more than 1. `copy` is a memcpy of as many bytes, half read and half written. `-plan`: on buffers of Norma's own;",
             "the others of Norma and of ncnn take the caller's memory and give it back."]
    if results["quick"]:
        lines += ["", "Made with `--quick`: the shapes have fewer rows, and the figures mean nothing."]
    for section in results["sections"]:
        lines += ["", f"# On the {section['on'].upper()}", ""]
        lines += [f"- {device['id']}: {device['name']}" for device in section["devices"]]
        lines += [f"- {name} {version}" for name, version in section["versions"].items() if not name.startswith("norma-")]
        names = list(section["versions"])
        for title, group in itertools.groupby(section["results"], heading):
            lines += ["", f"## {title}", "", "| shape | " + " | ".join(names) + " |", "|---" + "|---:" * len(names) + "|"]
            for record in group:
                shape = "x".join(map(str, record["case"]["shape"]))
                shape += ", channels last" if record["case"]["layout"] != "contiguous" else ""
                times = times_of_norma(record)
                lines.append(f"| {shape} | " + " | ".join(cell(record, name, times) for name in names) + " |")
        if refusals(section):
            lines += ["", "## Not measured", ""]
        lines += [f"- {name}, {count} cases: {reason}" for (name, reason), count in refusals(section).items()]
    return "\n".join(lines) + "\n"


def draw(results, file):
    """Times against Norma's fastest, a row a shape, a panel a section and heading. False without matplotlib."""
    try:
        import matplotlib  # pylint: disable=import-outside-toplevel # needed for the chart alone
        matplotlib.use("svg")
        from matplotlib import pyplot  # pylint: disable=import-outside-toplevel
    except ImportError:
        return False
    panels = [(section["on"], title, list(group)) for section in results["sections"]
              for title, group in itertools.groupby(section["results"], heading)]
    if not panels:
        return True
    names = sorted({name for _, _, group in panels for record in group for name in record["peers"]})
    colour = {name: f"C{i % 10}" for i, name in enumerate(names)}
    marker = {name: "osD^vP"[i // 10 % 6] for i, name in enumerate(names)}
    heights = [len(group) + 2 for _, _, group in panels]
    figure, axes = pyplot.subplots(len(panels), 1, figsize=(10, 0.25 * sum(heights) + 2), squeeze=False,
                                   gridspec_kw={"height_ratios": heights})
    for axis, (on, title, group) in zip(axes[:, 0], panels):
        for name in names:
            points = [(times_of_norma(record)[name], i) for i, record in enumerate(group) if name in times_of_norma(record)]
            axis.plot(*(zip(*points) if points else ((), ())), marker[name], color=colour[name], label=name, markersize=5)
        axis.set_xscale("log")
        axis.axvline(1, color="0.6", linewidth=1)
        axis.set_yticks(range(len(group)), ["x".join(map(str, r["case"]["shape"])) for r in group])
        axis.set_ylim(len(group) - 0.5, -0.5)
        axis.grid(axis="x", alpha=0.4)
        axis.set_title(f"{on}: {title}, time in units of Norma's fastest", fontsize=10, loc="left")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncol=4)
    figure.tight_layout(rect=(0, 0, 1, 1 - 1.3 / figure.get_figheight()))
    figure.savefig(file)
    pyplot.close(figure)
    return True


def write(results, folder, chart=False):
    with open(os.path.join(folder, "compare.json"), "w", encoding="utf-8") as file:
        json.dump(results, file, indent=1)
    with open(os.path.join(folder, "compare.md"), "w", encoding="utf-8") as file:
        file.write(page(results))
    if chart and not draw(results, os.path.join(folder, "compare.svg")):
        print("no chart: there is no matplotlib (python3-matplotlib); tools/compare --page-of FILE.json makes it later")
