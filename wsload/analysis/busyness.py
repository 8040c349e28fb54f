"""How busy HAProxy was in some spans of a run: of its own work, or waiting for a core that others had."""

from collections.abc import Iterable, Sequence

from wsload.analysis.folder import HaproxySample, RunFolder
from wsload.profile.model import Profile
from wsload.record.summary import CapacityResult

Span = tuple[float, float]
"""Begin and end, in seconds since the run's start."""


def shared_haproxy_busy(
    folder: RunFolder, profile: Profile, capacity: CapacityResult | None, hold_end_s: float
) -> tuple[float, float]:
    """Of a HAProxy that several runs shared: where this one was judged, and in its ramp; else 0.

    A search for capacity is judged plateau by plateau, and has no ramp of its own.
    """
    info = folder.info
    if info.haproxy_sharers < 2:
        return 0.0, 0.0
    judged, ramp = [(info.ramp_s, hold_end_s)], [(0.0, info.ramp_s)]
    if capacity is not None:
        judged, ramp = [(plateau.judged_s, plateau.end_s) for plateau in capacity.plateaus], []
    shares = (
        busiest_share(folder.iter_haproxy_stats(), spans, profile.haproxy.threads) for spans in (judged, ramp)
    )
    return next(shares), next(shares)


def busiest_share(samples: Iterable[HaproxySample], spans: Sequence[Span], threads: int) -> float:
    """The largest share of a span that any process was busy; 0 where no two samples lie in one.

    Busy is what was not idle by HAProxy's own count (``Idle_pct`` covers about the last second, and a process
    that waits for a core is not idle), or the CPU that it used of what ``threads`` could, whichever is more.
    """
    last: dict[int, HaproxySample] = {}
    sums: dict[tuple[int, int], tuple[float, float]] = {}
    for sample in samples:
        process = sample["process"]
        before = last.get(process)
        last[process] = sample
        if before is None or sample["t_s"] <= before["t_s"]:
            continue
        length_s = sample["t_s"] - before["t_s"]
        used = (sample["cpu_s"] - before["cpu_s"]) / length_s / threads
        busy = max(used, 1 - sample["idle_pct"] / 100)
        for number, (begin_s, end_s) in enumerate(spans):
            within_s = min(sample["t_s"], end_s) - max(before["t_s"], begin_s)
            if within_s > 0:
                busy_s, whole_s = sums.get((process, number), (0.0, 0.0))
                sums[process, number] = (busy_s + busy * within_s, whole_s + within_s)
    return max((busy_s / whole_s for busy_s, whole_s in sums.values()), default=0.0)
