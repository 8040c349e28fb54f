"""Stated bounds against what was measured.

What a metric is measured over: histograms over the hold (``connect``, ``upgrade`` and ``handshake`` over
the whole run, since openings happen in the ramp); ``opened``, ``handshake_failed`` and ``disconnect`` over
the whole run; ``disconnect_unexpected`` until the drain, in which our own silence brings timers out; the
other counters over the hold; gauges at its end.

Of intervals that are not valid (:mod:`.doubts`) whatever was timed is left out, and so is what is told per
second of hold. What was counted stays: a failed handshake or a cut tunnel is a fact, and a run must not pass
because its failures fell where the generator was in trouble.
"""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from wsload.analysis.folder import Merged
from wsload.profile.model import COUNTER_METRICS, GAUGE_METRICS, Aggregation, Slo
from wsload.record.histogram import Histogram
from wsload.record.outcome import Phase, Verdict
from wsload.record.snapshot import MergedCohort
from wsload.record.summary import SloRow
from wsload.units import NS_PER_MS

WHOLE_RUN_METRICS = frozenset({"connect", "upgrade", "handshake", "opened", "handshake_failed", "disconnect"})
"""Measured over the whole run; all others over the hold alone, but for the next."""
UNTIL_THE_DRAIN = "disconnect_unexpected"

OVER_TUNNELS = {
    "handshake_failed": "attempted",
    "disconnect": "opened",
    "disconnect_unexpected": "opened",
}
"""Counter -> the counter its ``rate`` is a share of; the others' is per second of hold."""

COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}

HISTOGRAM_VALUE_NS: dict[Aggregation, Callable[[Histogram], float]] = {
    Aggregation.AVG: Histogram.mean_ns,
    Aggregation.MIN: Histogram.min_ns,
    Aggregation.MAX: Histogram.max_ns,
    Aggregation.MED: lambda histogram: histogram.percentile_ns(50),
}


@dataclass(frozen=True)
class Counts:
    """What an SLO needs beside the merged data."""

    hold_s: float = 0.0
    """Seconds of hold that were measured, without what is left out."""
    levels: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Gauge -> cohort -> its last level in the hold; empty where no interval ended in it."""
    left_out: Merged = field(default_factory=dict)
    """What was counted in intervals that are not valid."""


def phases_of(metric: str) -> tuple[Phase, ...]:
    """The phases that a metric is measured over."""
    if metric == UNTIL_THE_DRAIN:
        return Phase.OPEN, Phase.HOLD
    return tuple(Phase) if metric in WHOLE_RUN_METRICS else (Phase.HOLD,)


def histogram_of(merged: Merged, metric: str, cohort: str | None = None) -> Histogram:
    """A metric's values over its phases, of one cohort or (None) of all; empty where there are none."""
    result = Histogram()
    for phases in _cohorts(merged, cohort):
        for phase in phases_of(metric):
            part = phases.get(phase)
            if part is not None and metric in part.histograms:
                result.merge(part.histograms[metric])
    return result


def counter_of(merged: Merged, metric: str, cohort: str | None = None) -> int:
    """A counter over its phases, of one cohort or (None) of all."""
    wanted = tuple(Phase) if metric == "attempted" else phases_of(metric)
    return sum(
        phases[phase].counters.get(metric, 0)
        for phases in _cohorts(merged, cohort)
        for phase in wanted
        if phase in phases
    )


def judge(slos: Sequence[Slo], merged: Merged, counts: Counts) -> list[SloRow]:
    """Each SLO's measured value and whether it holds. One without a value fails, and its note says why."""
    return [_judge_one(slo, merged, counts) for slo in slos]


def verdict_of(rows: Sequence[SloRow]) -> Verdict:
    """Of all rows together."""
    if not rows:
        return Verdict.NONE
    return Verdict.PASSED if all(row.passed for row in rows) else Verdict.FAILED


def _judge_one(slo: Slo, merged: Merged, counts: Counts) -> SloRow:
    metric = f"{slo.metric}{{{slo.cohort}}}" if slo.cohort else slo.metric
    value, note, is_time = _measure(slo, merged, counts)
    if value is None:
        return SloRow(metric=metric, assertion=slo.text, value=None, passed=False, note=note)
    return SloRow(
        metric=metric,
        assertion=slo.text,
        value=value / NS_PER_MS if is_time else value,
        passed=COMPARE[slo.operator](value, slo.bound),
    )


def _measure(slo: Slo, merged: Merged, counts: Counts) -> tuple[float | None, str, bool]:
    """The value (ns for times), or None and why; and whether it is a time."""
    if slo.metric in COUNTER_METRICS:
        return *_counter_value(slo, merged, counts), False
    if slo.metric in GAUGE_METRICS:
        levels = counts.levels.get(slo.metric, {})
        chosen = list(levels.values()) if slo.cohort is None else [levels.get(slo.cohort, 0)]
        return (float(sum(chosen)), "", False) if levels else (None, "no interval ended in the hold", False)
    histogram = histogram_of(merged, slo.metric, slo.cohort)
    if slo.aggregation is Aggregation.COUNT:
        return float(histogram.total()), "", False
    where = "the run" if slo.metric in WHOLE_RUN_METRICS else "the hold"
    if histogram.total() == 0:
        valid = "the valid intervals of " if counts.left_out else ""
        return None, f"nothing measured in {valid}{where}", True
    if slo.aggregation is Aggregation.PERCENTILE:
        return float(histogram.percentile_ns(slo.percentile or 0.0)), "", True
    if slo.aggregation not in HISTOGRAM_VALUE_NS:
        return (
            None,
            f"{slo.aggregation} of a time means nothing; use p(99), avg, min, med, max or count",
            True,
        )
    return float(HISTOGRAM_VALUE_NS[slo.aggregation](histogram)), "", True


def _counter_value(slo: Slo, merged: Merged, counts: Counts) -> tuple[float | None, str]:
    count = counter_of(merged, slo.metric, slo.cohort)
    if slo.aggregation is not Aggregation.RATE:
        return float(count), ""
    over = OVER_TUNNELS.get(slo.metric)
    if over is None:
        count -= counter_of(counts.left_out, slo.metric, slo.cohort)
        if counts.hold_s <= 0:
            return None, "no interval of the hold is valid" if counts.left_out else "no hold was measured"
        return count / counts.hold_s, ""
    tunnels = counter_of(merged, over, slo.cohort)
    return (count / tunnels, "") if tunnels else (None, f"no tunnel was {over}")


def _cohorts(merged: Merged, cohort: str | None) -> Iterable[Mapping[Phase, MergedCohort]]:
    return merged.values() if cohort is None else [merged.get(cohort, {})]
