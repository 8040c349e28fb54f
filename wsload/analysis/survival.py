"""Survival of tunnels: the share still alive against age, and against idle time, per cohort.

Kaplan and Meier's product-limit estimator with right-censoring, Greenwood's variance, and a 95 % band on the
log(-log) scale, which stays within 0 and 1. By hand in numpy: scipy's ``ecdf`` of censored data would bring
140 MB and two seconds of import for what is forty lines here.
Sources: E. L. Kaplan, P. Meier, JASA 53, 1958; M. Greenwood, 1926; J. D. Kalbfleisch, R. L. Prentice, "The
Statistical Analysis of Failure Time Data", 1980 (the band).
"""

import csv
from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsload.analysis.folder import RunFolder
from wsload.errors import FolderError
from wsload.record import layout
from wsload.record.outcome import Cause

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_Z_95 = 1.959963984540054
"""The normal distribution's 97.5 % point."""
_COLUMNS = ("cohort", "t_s", "age_s", "idle_rx_s", "idle_tx_s", "cause")


@dataclass(frozen=True)
class SurvivalCurve:
    """A step function; arrays are parallel to ``times_s``, which ascend: every time of an end or a censoring.

    From each time to the next ``survival`` holds; before the first it is 1. Empty arrays: nothing was seen.
    """

    times_s: Floats
    survival: Floats
    low: Floats
    """The 95 % band, pointwise; 0 once none is alive."""
    high: Floats
    at_risk: Counts
    """Alive and under observation just before."""
    ended: Counts
    censored: Counts
    """Left at that time, alive: closed by the plan, or still open when the run ended."""


def kaplan_meier(durations_s: ArrayLike, ended: ArrayLike) -> SurvivalCurve:
    """The curve of tunnels observed for ``durations_s``; where ``ended`` is False it was censored then.

    At equal times, ends come before censorings, as is usual.
    """
    times_s, index = np.unique(np.asarray(durations_s, dtype=np.float64), return_inverse=True)
    is_end = np.asarray(ended, dtype=np.bool_)
    ends = np.bincount(index[is_end], minlength=len(times_s)).astype(np.int64)
    leaving = np.bincount(index, minlength=len(times_s)).astype(np.int64)
    at_risk = len(index) - np.cumsum(leaving) + leaving
    survival = np.cumprod(1 - ends / at_risk)
    survivors = at_risk - ends
    greenwood = np.cumsum(ends / np.maximum(at_risk * survivors, 1))
    inside = (survival > 0) & (survival < 1)
    low, high = survival.copy(), survival.copy()
    log = np.log(survival[inside])
    width = _Z_95 * np.sqrt(greenwood[inside]) / -log
    low[inside], high[inside] = np.exp(log * np.exp(width)), np.exp(log * np.exp(-width))
    if not survival.all():  # the variance at 0 is not defined: what bounded the last survivors still does
        dead = int(np.argmin(survival))
        high[dead:] = high[dead - 1] if dead else 1.0
    return SurvivalCurve(times_s, survival, low, high, at_risk, ends, leaving - ends)


@dataclass
class _Observed:
    """One cohort's tunnels, one number an observation."""

    age_s: "array[float]" = field(default_factory=lambda: array("d"))
    age_ended: "array[int]" = field(default_factory=lambda: array("b"))
    idle_s: "array[float]" = field(default_factory=lambda: array("d"))
    idle_ended: "array[int]" = field(default_factory=lambda: array("b"))
    opened_s: "array[float]" = field(default_factory=lambda: array("d"))
    """When each of them opened, since the run's start."""


def curves(folder: RunFolder) -> dict[str, dict[str, SurvivalCurve]]:
    """Cohort -> ``age`` or ``idle`` -> curve, of every tunnel that opened; about 40 bytes a tunnel.

    Censored are tunnels that the plan closed, and those that a run cut short left open: their age then is
    known to an interval, from when the cohort's tunnels opened; their silence is not, so ``idle`` lacks them
    (see :func:`left_open`). A tunnel that the driver lost sight of is in neither.

    ``idle`` is each tunnel's last silence, both ways, at its end. Where the plan closed it, the silence
    before our close frame is taken from what arrived: too long where a client talks to a silent backend.
    """
    observed = defaultdict(_Observed, {cohort: _Observed() for cohort in folder.info.cohorts})
    for cohort, t_s, age_s, idle_rx_s, idle_tx_s, cause in _cells(folder):
        if not age_s:  # nobody saw it end
            continue
        seen = observed[cohort]
        is_end = cause != Cause.PLANNED
        seen.age_s.append(float(age_s))
        seen.age_ended.append(is_end)
        seen.opened_s.append(float(t_s) - float(age_s))
        if idle_rx_s and idle_tx_s:
            rx_s, tx_s = float(idle_rx_s), float(idle_tx_s)
            seen.idle_s.append(min(rx_s, tx_s) if is_end else max(rx_s - tx_s, 0.0))
            seen.idle_ended.append(is_end)
    for cohort, ages_s in _ages_left_open_s(folder, observed).items():
        observed[cohort].age_s.extend(ages_s)
        observed[cohort].age_ended.extend([0] * len(ages_s))
    return {
        cohort: {
            "age": kaplan_meier(np.array(seen.age_s), np.array(seen.age_ended)),
            "idle": kaplan_meier(np.array(seen.idle_s), np.array(seen.idle_ended)),
        }
        for cohort, seen in observed.items()
    }


def left_open(folder: RunFolder) -> dict[str, int]:
    """Cohort -> tunnels open at the end of what a run cut short has recorded; 0 of a run that drained."""
    still_open: dict[str, int] = {}
    for line in folder.intervals():
        still_open = line.open
    return still_open


def _ages_left_open_s(folder: RunFolder, observed: Mapping[str, _Observed]) -> dict[str, Floats]:
    """Cohort -> the ages at the end of its tunnels still open: those opened less those seen to end."""
    still_open = {cohort: count for cohort, count in left_open(folder).items() if count}
    if not still_open:
        return {}
    edges_s, opened = [0.0], {cohort: list[int]() for cohort in still_open}
    for line in folder.intervals():
        edges_s.append(line.t_s)
        for cohort, counts in opened.items():
            parts = line.cohorts.get(cohort, {}).values()
            counts.append(sum(part.counters.get("opened", 0) for part in parts))
    middles_s = (np.array(edges_s[1:]) + np.array(edges_s[:-1])) / 2
    ages_s = {}
    for cohort, counts in opened.items():
        ended, _ = np.histogram(observed[cohort].opened_s, bins=edges_s)
        ages_s[cohort] = np.repeat(edges_s[-1] - middles_s, np.maximum(np.array(counts) - ended, 0))
    return ages_s


def _cells(folder: RunFolder) -> Iterator[tuple[str, ...]]:
    """The cells of ``_COLUMNS`` of each row of ``disconnects.csv``; one cut short is left out.

    :meth:`RunFolder.iter_disconnects` types every cell of a row, and takes several times as long.
    """
    path = folder.path / layout.DISCONNECTS
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.reader(file)
        header = next(reader, [])
        missing = [name for name in _COLUMNS if name not in header]
        if missing and header:
            raise FolderError(f"{path}: has no column {missing[0]}; make the folder anew with wsload run")
        chosen = itemgetter(*map(header.index, _COLUMNS)) if header else tuple
        yield from (chosen(row) for row in reader if len(row) == len(header))
