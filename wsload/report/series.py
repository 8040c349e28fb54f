"""A run's numbers as arrays for plotting: one pass over its folder, no matplotlib."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wsload.analysis.folder import Merged, RunFolder, add_interval
from wsload.record.histogram import Histogram
from wsload.record.layout import IntervalLine, RunInfo
from wsload.record.outcome import Phase
from wsload.report.doubt_captions import Doubts, doubts_of
from wsload.units import NS_PER_MS

Floats = NDArray[np.float64]

METRIC_WORDS = {
    "echo_corrected": "echo, corrected",
    "echo_service": "echo, service",
    "ping_rtt": "ping RTT",
}
OVER_TIME_METRICS = ("echo_corrected", "ping_rtt")
_MOST_TIME_BINS = 600
"""Intervals of longer runs are merged before percentiles are taken, so that a soak's plot stays readable."""
_CURVE_POINTS = 400


@dataclass(frozen=True)
class PhaseSpan:
    """A phase from ``start_s`` to ``end_s``."""

    phase: Phase
    start_s: float
    end_s: float


@dataclass
class RunData:
    """What one pass over a run's intervals leaves for the plots. Lists are parallel to ``t_s``."""

    doubts: Doubts = field(default_factory=Doubts)
    sums: Merged = field(default_factory=dict)
    """Without what was timed in intervals that are not valid; the lists have every interval's."""
    t_s: list[float] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    open: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    counters: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    cpu_s: dict[tuple[str, int], dict[float, float]] = field(default_factory=lambda: defaultdict(dict))
    rss_bytes: dict[tuple[str, int], dict[float, int]] = field(default_factory=lambda: defaultdict(dict))
    slots: dict[int, dict[float, int]] = field(default_factory=lambda: defaultdict(dict))
    """HAProxy process -> interval's end -> slots in use."""
    bins: dict[tuple[str, str], list[tuple[float, list[float]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """(metric, cohort) -> (time of the bin's end, [p50, p99, max] in ms)."""

    def total(self, metric: str, cohorts: Sequence[str], phases: Sequence[Phase]) -> Histogram:
        """A metric's histogram, added up over cohorts and phases."""
        total = Histogram()
        for cohort in cohorts:
            for phase in phases:
                merged = self.sums.get(cohort, {}).get(phase)
                if merged is not None and metric in merged.histograms:
                    total.merge(merged.histograms[metric])
        return total


def gather(folder: RunFolder) -> RunData:
    """Read ``snapshots.jsonl`` once. Memory: a few numbers an interval, and one histogram a metric."""
    info, data = folder.info, RunData(doubts_of(folder))
    expected = (info.ramp_s + info.hold_s + info.drain_s) / info.interval_s
    per_bin = max(1, -(-int(expected) // _MOST_TIME_BINS))
    pending: dict[tuple[str, str], Histogram] = {}
    count = 0
    for count, line in enumerate(folder.intervals(), 1):
        add_interval(data.sums, line, timed=not data.doubts.leaves_out(line.t_s))
        _add_levels(data, line, list(info.cohorts))
        for cohort, phases in line.cohorts.items():
            for part in phases.values():
                for metric in OVER_TIME_METRICS:
                    if metric in part.histograms:
                        total = pending.setdefault((metric, cohort), Histogram())
                        total.merge(Histogram.decode(part.histograms[metric]))
        if count % per_bin == 0:
            _close_bin(data, pending)
    if count % per_bin:
        _close_bin(data, pending)
    _add_haproxy(data, folder)
    return data


def _add_levels(data: RunData, line: IntervalLine, cohorts: Sequence[str]) -> None:
    data.t_s.append(line.t_s)
    data.phases.append(line.phase)
    for cohort in cohorts:
        data.open[cohort].append(line.open.get(cohort, 0))
    parts = [part for phases in line.cohorts.values() for part in phases.values()]
    for name in ("opened", "handshake_failed"):
        data.counters[name].append(sum(part.counters.get(name, 0) for part in parts))
    for process in line.processes:
        data.cpu_s[process.role, process.index][line.t_s] = process.cpu_s
        data.rss_bytes[process.role, process.index][line.t_s] = process.rss_bytes


def _add_haproxy(data: RunData, folder: RunFolder) -> None:
    """HAProxy's figures stand in a file of their own; each row is filed under the nearest interval's end."""
    if not data.t_s:
        return
    ends_s = np.array(data.t_s)
    for row in folder.iter_haproxy_stats():
        t_s = data.t_s[int(np.argmin(np.abs(ends_s - row["t_s"])))]
        key = ("haproxy", row["process"])
        data.slots[key[1]][t_s] = row["slots"]
        data.cpu_s[key][t_s] = row["cpu_s"]
        data.rss_bytes[key][t_s] = row["rss_bytes"]


def _close_bin(data: RunData, pending: dict[tuple[str, str], Histogram]) -> None:
    for key, histogram in pending.items():
        if histogram.total():
            p50, p99, most = (value / NS_PER_MS for value in histogram.percentiles_ns((50, 99, 100)))
            data.bins[key].append((data.t_s[-1], [p50, p99, most]))
    pending.clear()


def phase_spans(t_s: Sequence[float], phases: Sequence[Phase], info: RunInfo) -> list[PhaseSpan]:
    """When each phase began and ended, from the intervals' ends and phases.

    An interval's phase is the one at its end, so a boundary is known to an interval; where the plan's
    lies within that, the plan's is taken (it differs in a run cut short).
    """
    planned_s = {Phase.HOLD: info.ramp_s, Phase.DRAIN: info.ramp_s + info.hold_s}
    starts: dict[Phase, float] = {}
    before_s = 0.0
    for end_s, phase in zip(t_s, phases, strict=True):
        if phase not in starts:
            plan_s = planned_s.get(phase, 0.0)
            starts[phase] = plan_s if before_s - 1e-9 <= plan_s <= end_s else before_s
        before_s = end_s
    ends = [*list(starts.values())[1:], before_s]
    return [PhaseSpan(phase, start, end) for (phase, start), end in zip(starts.items(), ends, strict=False)]


def cpu_shares(t_s: Sequence[float], cpu_s: Mapping[float, float]) -> Floats:
    """One process's CPU per interval as a share of one core in %; NaN where a reading is missing."""
    readings = np.array([cpu_s.get(t, np.nan) for t in t_s])
    if len(readings) < 2:
        return np.full(len(readings), np.nan)
    shares = 100 * np.diff(readings) / np.diff(np.asarray(t_s))
    return np.concatenate([[np.nan], np.where(shares < 0, np.nan, shares)])


def percentile_curve(histogram: Histogram) -> tuple[Floats, Floats]:
    """``x`` = 1/(1-p) and the value in ms, from the minimum to the maximum (at x = 2 x count).

    HdrHistogram's plot: equal steps on the axis are equal factors in rarity. Empty arrays when empty.
    """
    total = histogram.total()
    if not total:
        return np.empty(0), np.empty(0)
    x = np.geomspace(1.0, 2.0 * total, _CURVE_POINTS)
    percentiles = 100 * (1 - 1 / x)
    percentiles[-1] = 100.0
    return x, np.asarray(histogram.percentiles_ns(percentiles.tolist()), dtype=np.float64) / NS_PER_MS
