"""One line a check, and what is to be known of the machine when one fails."""

import collections
import time
import traceback

Counts = collections.namedtuple("Counts", "passed failed skipped")


class Report:
    """Counts what the groups check. A check is a promise in words, whether it holds, and what was seen."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, [], []
        self.group, self.began = "", time.monotonic()

    def check(self, promise, holds, seen=""):
        if holds:
            self.passed += 1
            print(f"ok      {self.elapsed()} {self.group}: {promise}{f' ({seen})' if short(seen) else ''}", flush=True)
        else:
            self.failed.append(f"{self.group}: {promise}")
            print(f"FAILED  {self.elapsed()} {self.group}: {promise}\n        seen: {seen}", flush=True)
        return bool(holds)

    def counts(self):
        return Counts(self.passed, len(self.failed), len(self.skipped))

    def forget_since(self, before):
        """What has passed or was skipped since then counts no more."""
        self.passed = before.passed
        del self.skipped[before.skipped:]

    def elapsed(self):
        """Seconds since the group began, as a column."""
        return f"{time.monotonic() - self.began:4.0f}"

    def equal(self, promise, found, wanted):
        return self.check(promise, found == wanted,
                          "" if found == wanted else f"{found!r}, wanted {wanted!r}")

    def skip(self, what, reason):
        self.skipped.append(what)
        print(f"skipped: {self.group}: {what}: {reason}", flush=True)


class Group:
    """with Group(report, name): ... An exception in it is a failed check, and ends the group only."""

    def __init__(self, report, name):
        self.report, self.name, self.began = report, name, time.monotonic()

    def __enter__(self):
        self.report.group, self.report.began = self.name, self.began

    def __exit__(self, kind, error, trace):
        if error is not None and not isinstance(error, KeyboardInterrupt):
            self.report.check(f"the group comes to its end ({place_in_group(trace)})", False,
                              f"{kind.__name__}: {error}")
        print(f"        {self.name} took {time.monotonic() - self.began:.1f} s", flush=True)
        return not isinstance(error, KeyboardInterrupt)


def place_in_group(trace):
    """Where in its own file a group was when something it called raised."""
    steps = [step for step in traceback.extract_tb(trace) if "group_" in step.filename]
    return f"line {steps[-1].lineno}" if steps else "outside of its file"


def short(seen):
    return bool(seen) and len(str(seen)) <= 60 and "\n" not in str(seen)
