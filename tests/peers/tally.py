"""Counts of a program that compares Norma with a framework: a line for each failing case, a line for each device."""


class Tally:
    """The cases of one device. A case's worst error is in units of its tolerance."""

    def __init__(self, device):
        self.device = device
        self.counts = {}    # operator -> [passed, all]
        self.left_out = {}  # reason -> count
        self.worst, self.worst_name = 0.0, ""

    def passed(self, operator, name, worst):
        self._count(operator, 1)
        if worst >= self.worst:
            self.worst, self.worst_name = worst, name

    def failed(self, operator, name, reason):
        self._count(operator, 0)
        print(f"FAIL {self.device} {name}: {reason}", flush=True)

    def leave_out(self, reason):
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def _count(self, operator, passed):
        count = self.counts.setdefault(operator, [0, 0])
        count[0] += passed
        count[1] += 1

    def summary(self):
        counts = ", ".join(f"{operator} {good} of {count}" for operator, (good, count) in self.counts.items())
        line = f"{self.device}: {counts}"
        if self.worst_name:
            line += f"; largest error {self.worst:.3g} of the tolerance ({self.worst_name})"
        if self.left_out:
            line += "; left out: " + ", ".join(f"{count} ({reason})" for reason, count in self.left_out.items())
        return line


def run_devices(devices, open_library, run):
    """run(library, tally) for each device; the exit status of the program."""
    good = bad = 0
    for device in devices:
        tally = Tally(device)
        try:
            library = open_library(device)
        except (OSError, RuntimeError) as error:
            tally.failed("device", "context", error)
        else:
            run(library, tally)
            library.close()
        print(tally.summary(), flush=True)
        good += sum(passed for passed, _ in tally.counts.values())
        bad += sum(count - passed for passed, count in tally.counts.values())
    print(f"{good} passed, {bad} failed")
    return 1 if bad or not good else 0
