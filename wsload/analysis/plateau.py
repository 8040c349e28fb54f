"""One plateau of a search for capacity, judged: what was live, what it cost, whether it met the SLO."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, pvariance
from typing import Any, NamedTuple

from wsload.analysis.folder import Merged
from wsload.analysis.slo import Counts, counter_of, histogram_of, judge
from wsload.plan.knee import Outcome
from wsload.profile.model import Profile
from wsload.record.layout import IntervalLine
from wsload.record.outcome import Phase
from wsload.record.snapshot import MergedCohort
from wsload.record.summary import Plateau
from wsload.units import NS_PER_MS

_DRIFT = 0.01
"""Change of the mean from the first half of the judged part to the second that still counts as steady."""
_FULL_SHARE = 0.99
_CUTS = frozenset({"disconnect", "disconnect_unexpected"})
_ARRIVAL_METRICS = ("connect", "upgrade", "handshake")
SLACK_S = 0.05
"""Interval ends and samples may be off their moment by so much."""


class Span(NamedTuple):
    """A level and when it was offered, in seconds since the run's start."""

    level: int
    opened_s: float
    judged_s: float
    end_s: float


class Watched(NamedTuple):
    """One interval: the line as recorded, and its merged data."""

    line: IntervalLine
    merged: Merged


def judge_plateau(
    profile: Profile, span: Span, intervals: Sequence[Watched], samples: Sequence[Mapping[str, Any]]
) -> Plateau:
    """All of a plateau but what bound it, which only the whole folder can tell (:mod:`.limits`).

    Args:
        profile: Its SLOs, and whether there is an HAProxy of ours.
        span: When.
        intervals: The run's, ascending; those outside the span are passed over.
        samples: Rows of ``haproxy-stats.csv``, likewise.
    """
    within = [each for each in intervals if span.opened_s + SLACK_S < each.line.t_s <= span.end_s + SLACK_S]
    judged = [each for each in within if each.line.t_s > span.judged_s + SLACK_S]
    length_s = max(span.end_s - span.judged_s, 1e-3)
    before = next((each.line for each in reversed(within) if each.line.t_s <= span.judged_s + SLACK_S), None)
    merged = _merged(within, judged, before.open if before is not None else {})
    levels = {"open": judged[-1].line.open, "connecting": judged[-1].line.connecting} if judged else {}
    rows = judge(profile.slos, merged, Counts(hold_s=length_s, levels=levels))
    lives = [float(sum(each.line.open.values())) for each in judged]
    live = fmean(lives) if lives else 0.0
    slots = [
        slots for t_s, slots in _by_time(samples, "slots") if span.judged_s - SLACK_S <= t_s <= span.end_s
    ]
    whole = [slots for t_s, slots in _by_time(samples, "slots") if span.opened_s <= t_s <= span.end_s]
    lag = histogram_of(merged, "lag")
    mean_slots = fmean(slots) if slots else 0.0
    return Plateau(
        level=span.level,
        opened_s=span.opened_s,
        judged_s=span.judged_s,
        end_s=span.end_s,
        live=live,
        slots=mean_slots,
        ghosts=max(mean_slots - live, 0.0),
        peak_slots=int(max(whole, default=0)),
        maxconn=int(max((value for _, value in _by_time(samples, "maxconn")), default=0)),
        cuts_per_hour=_judged_counter(judged, "disconnect_unexpected") * 3600 / length_s,
        handshakes_per_s=_judged_counter(judged, "attempted") / length_s,
        failed=counter_of(merged, "handshake_failed"),
        driver_cpu=_busiest(judged, "driver"),
        backend_cpu=_busiest(judged, "backend"),
        haproxy_cpu=_haproxy_cpu(samples, span),
        lag_p99_ms=lag.percentile_ns(99) / NS_PER_MS if lag.total() else None,
        steady=is_steady(slots or lives, came=_judged_counter(judged, "attempted")),
        passed=bool(rows) and all(row.passed for row in rows),
        slo_rows=rows,
    )


def outcome_of(plateau: Plateau) -> Outcome:
    """What the search makes of it."""
    if plateau.passed:
        return Outcome.PASSED
    broken = {row.metric.partition("{")[0] for row in plateau.slo_rows if not row.passed}
    return Outcome.CUT if broken <= _CUTS and not is_full(plateau) and not plateau.failed else Outcome.FAILED


def is_full(plateau: Plateau) -> bool:
    """Whether HAProxy's slots were all taken at some time, as far as a sample an interval can tell."""
    return plateau.maxconn > 0 and plateau.peak_slots >= _FULL_SHARE * plateau.maxconn


def is_steady(values: Sequence[float], came: int = 0) -> bool:
    """Whether a level neither rises nor falls: the means of both halves are alike.

    Alike: within 1 %, or within what chance makes of it, taken as two standard deviations. A level through
    which clients come and go at random wanders: ``came`` arrivals in all, and as many departures, move the
    means of the two halves apart by sqrt(2/3 came), were nothing to pull it back (the difference of the means
    of a random walk over two halves of which each has a variance of ``came``). Values that do not follow each
    other so closely scatter by themselves.
    """
    half = len(values) // 2
    if half < 2:
        return True
    first, second = values[:half], values[-half:]
    scatter = math.sqrt((pvariance(first) + pvariance(second)) / (half - 1))
    chance = 2 * max(scatter, math.sqrt(2 / 3 * came))
    return abs(fmean(second) - fmean(first)) <= max(_DRIFT * fmean(values), chance)


def _merged(within: Sequence[Watched], judged: Sequence[Watched], before: Mapping[str, int]) -> Merged:
    """For :func:`wsload.analysis.slo.judge`: the judged part as the hold; before it, the arrivals alone.

    ``opened`` counts from what was open when the judged part began, so that a rate of disconnects is one of
    the tunnels that could end in it.
    """
    sums: Merged = {}
    for each in within:
        is_judged = each in judged
        for cohort, phases in each.merged.items():
            parts = sums.setdefault(cohort, {Phase.OPEN: MergedCohort(), Phase.HOLD: MergedCohort()})
            for part in phases.values():
                parts[Phase.HOLD].merge(part) if is_judged else _add_arrivals(parts[Phase.OPEN], part)
    for cohort, number in before.items():
        parts = sums.setdefault(cohort, {Phase.OPEN: MergedCohort(), Phase.HOLD: MergedCohort()})
        parts[Phase.OPEN].counters["opened"] = number
    return sums


def _add_arrivals(total: MergedCohort, part: MergedCohort) -> None:
    arrivals = MergedCohort()
    arrivals.counters = {
        name: count
        for name, count in part.counters.items()
        if name == "attempted" or name.startswith("handshake_failed")
    }
    arrivals.histograms = {
        name: part.histograms[name] for name in _ARRIVAL_METRICS if name in part.histograms
    }
    total.merge(arrivals)


def _judged_counter(judged: Sequence[Watched], name: str) -> int:
    return sum(
        part.counters.get(name, 0)
        for each in judged
        for phases in each.merged.values()
        for part in phases.values()
    )


def _by_time(samples: Sequence[Mapping[str, Any]], column: str) -> list[tuple[float, float]]:
    """A column added up over HAProxy's processes, by the moment of the sample."""
    sums: dict[float, float] = {}
    for row in samples:
        sums[row["t_s"]] = sums.get(row["t_s"], 0.0) + row[column]
    return sorted(sums.items())


def _busiest(judged: Sequence[Watched], role: str) -> float:
    """The largest share of a core that a process of that role used between first and last line."""
    if len(judged) < 2:
        return 0.0
    first, last = judged[0].line, judged[-1].line
    began = {process.index: process.cpu_s for process in first.processes if process.role == role}
    used = [
        process.cpu_s - began[process.index]
        for process in last.processes
        if process.role == role and process.index in began
    ]
    return max(used, default=0.0) / max(last.t_s - first.t_s, 1e-3)


def _haproxy_cpu(samples: Sequence[Mapping[str, Any]], span: Span) -> float:
    readings: dict[int, list[tuple[float, float]]] = {}
    for row in samples:
        if span.judged_s - SLACK_S <= row["t_s"] <= span.end_s:
            readings.setdefault(row["process"], []).append((row["t_s"], row["cpu_s"]))
    shares = [
        (each[-1][1] - each[0][1]) / (each[-1][0] - each[0][0]) for each in readings.values() if len(each) > 1
    ]
    return max(shares, default=0.0)
