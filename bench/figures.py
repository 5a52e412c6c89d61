"""What every benchmark says: a figure beside its goal, at the scale that was asked for."""

from __future__ import annotations

import os
import resource
import statistics

SCALE = float(os.environ.get("AMEND_BENCH_SCALE", "1"))


def scaled(many: int) -> int:
    """So many records at the scale that was asked for, in thousands and at least one."""
    return max(1000, int(many * SCALE)) // 1000 * 1000


def say(what: str, measured: str, goal: str) -> None:
    print(f"{what:<62} {measured:>34}   {goal}", flush=True)


def spread(took: list[float], against: list[float] | None = None) -> str:
    """Median and 99th percentile of sorted seconds, and how many times the other median it is."""
    middle = statistics.median(took)
    ratio = f" ({middle / statistics.median(against):.2f} times)" if against else ""
    return f"{middle * 1000:.1f} / {took[int(len(took) * 0.99) - 1] * 1000:.1f} ms{ratio}"


def peak() -> float:
    """The peak of this process's memory, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
