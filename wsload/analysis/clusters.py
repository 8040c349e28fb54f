"""Fixed intervals among disconnects: found in idle times or ages, and explained by the timers in force.

Method: a scan statistic in one dimension. A window as wide as a timer's own jitter (100 ms, or 2 % of the
value: HAProxy's timers are exact to milliseconds, the rest is transit and a busy machine) slides over the
sorted values. A window is a fixed interval where all of these hold:

- **Enough**: it holds at least 5 values and 2 % of all.
- **Contrast**: it is at least 2.5 times as dense as each of its near sides (4 windows), so that neither
  the edge of a plateau nor the steep start of an exponential passes for a spike.
- **Significance**: given the number of values in it and on its far sides (10 windows each), under one
  density for all three the count in the window is binomial; Chernoff's bound on that tail, times the number
  of windows tried (Bonferroni), is below 0.001. So the background may have any smooth shape.
- **Fixed**: the middle 90 % of its values lie within a quarter of their median. Chatty tunnels killed all
  at once were silent for some milliseconds each, which is no interval.

Sides end where the observed values end: nothing can be known beyond. The best window is taken, grown over
its tail (timers that expire together are served one after the other), removed, and the scan repeated.
Source: J. Glaz, J. Naus, S. Wallenstein, "Scan Statistics", 2001; H. Chernoff, Ann. Math. Stat. 23, 1952.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsload.record.known_timers import KNOWN_TIMERS, KnownTimer
from wsload.record.layout import BACKEND_ENDS_AFTER, OWN_TIMERS
from wsload.units import NS_PER_S

Floats = NDArray[np.float64]
Indexes = NDArray[np.intp]
What = Literal["idle", "age"]

WINDOW_S, WINDOW_SHARE = 0.1, 0.02
"""Width of a window: of the two, the larger. Half of it is the jitter of a timer to each side."""
LEAST_COUNT, LEAST_SHARE = 5, 0.02
CONTRAST = 2.5
SIGNIFICANCE = 1e-3
SHORTEST_S = 0.001
"""HAProxy's timers are whole milliseconds; what ends sooner after a byte ends because of that byte."""
WIDEST = 0.25
"""Spread of a fixed interval over its length, at most."""
_NEAR, _FAR = 4, 10
"""How many windows the sides reach."""
_MOST_CLUSTERS = 20
_MOST_CANDIDATES = 100_000
_THINNING = 0.95
_TAIL_SHARE = 0.05
"""A tail's half window has to hold this share of the window's values, beside what the background explains."""

_MS_PER_S = 1000
_HAPROXY_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))


@dataclass(frozen=True)
class Cluster:
    """Disconnects that share an interval. ``share`` is of all values that were searched."""

    center_s: float
    """Their median."""
    spread_s: float
    """Half the width of their middle 90 %."""
    count: int
    share: float
    low_s: float
    high_s: float


@dataclass(frozen=True)
class Explanation:
    """What a cluster comes from. Both empty: nothing that is known explains it."""

    what: What
    settings: tuple[str, ...] = ()
    """Settings in force of that length, as they are written: ``timeout client 30s``."""
    because: str = ""
    """Why such a timer is the one that counts; may be empty."""
    devices: tuple[KnownTimer, ...] = ()
    """Only where no setting in force fits: devices whose default it is. A guess."""


@dataclass(frozen=True)
class _Windows:
    """Candidate windows over sorted values, parallel arrays: values[first:past] lie in [low_s, high_s]."""

    values_s: Floats
    low_s: Floats
    high_s: Floats

    @property
    def first(self) -> Indexes:
        return np.searchsorted(self.values_s, self.low_s, side="left")

    @property
    def past(self) -> Indexes:
        return np.searchsorted(self.values_s, self.high_s, side="right")

    def left(self, windows: int) -> tuple[Floats, Floats]:
        """Count and length in seconds of what lies up to ``windows`` widths to the left."""
        from_s = np.maximum(self.low_s - windows * (self.high_s - self.low_s), self.values_s[0])
        count = self.first - np.searchsorted(self.values_s, from_s, side="left")
        return count.astype(np.float64), self.low_s - from_s

    def right(self, windows: int) -> tuple[Floats, Floats]:
        """The same to the right."""
        to_s = np.minimum(self.high_s + windows * (self.high_s - self.low_s), self.values_s[-1])
        count = np.searchsorted(self.values_s, to_s, side="right") - self.past
        return np.maximum(count, 0.0), np.maximum(to_s - self.high_s, 0.0)

    def chosen(self, mask: NDArray[np.bool_]) -> "_Windows":
        """Some of them."""
        return _Windows(self.values_s, self.low_s[mask], self.high_s[mask])


def find_clusters(values_s: ArrayLike) -> list[Cluster]:
    """The fixed intervals among ``values_s`` (seconds, in any order), ascending. O(n log n)."""
    every = np.asarray(values_s, dtype=np.float64)
    every = np.sort(every[np.isfinite(every)])
    rest, least = every, max(LEAST_COUNT, LEAST_SHARE * len(every))
    found: list[Cluster] = []
    while len(rest) >= least and len(found) < _MOST_CLUSTERS:
        best = _best_window(rest, least, found)
        if best is None:
            break
        first, past = _grown(best)
        members = rest[first:past]
        p5, center, p95 = np.quantile(members, (0.05, 0.5, 0.95))
        found.append(
            Cluster(
                center_s=float(center),
                spread_s=float(p95 - p5) / 2,
                count=len(members),
                share=len(members) / len(every),
                low_s=float(members[0]),
                high_s=float(members[-1]),
            )
        )
        rest = np.concatenate([rest[:first], rest[past:]])
    return sorted(found, key=lambda cluster: cluster.center_s)


def _best_window(values_s: Floats, least: float, found: Sequence[Cluster]) -> _Windows | None:
    """The fixed interval with the most values beyond its background, alone; None where there is none."""
    low_s = np.unique(values_s[:: -(-len(values_s) // _MOST_CANDIDATES)])
    tried = _Windows(values_s, low_s, low_s + _width_s(low_s))
    possible = tried.past - tried.first >= least
    for cluster in found:  # what is left beside a cluster is its own tail
        margin_s = _width_s(cluster.center_s)
        possible &= (tried.high_s < cluster.low_s - margin_s) | (tried.low_s > cluster.high_s + margin_s)
    tried = tried.chosen(possible)
    excess = _excess(tried, len(low_s))
    if not len(excess) or excess.max() < 0:
        return None
    return tried.chosen(np.arange(len(excess)) == np.argmax(excess))


def _excess(tried: _Windows, windows: int) -> Floats:
    """Values in each window beyond its background, -1 where it is no fixed interval; ``windows`` in all."""
    values_s, first, past = tried.values_s, tried.first, tried.past
    width_s, count = tried.high_s - tried.low_s, (past - first).astype(np.float64)
    good = np.ones(len(count), dtype=np.bool_)
    for beside, length_s in (tried.left(_NEAR), tried.right(_NEAR)):
        # Two standard deviations more, and at least half a window: a few values beside it prove no gap.
        beside += 2 * np.sqrt(beside)
        good &= count * np.maximum(length_s, width_s / 2) >= CONTRAST * beside * width_s
    (left, left_s), (right, right_s) = tried.left(_FAR), tried.right(_FAR)
    around, around_s = left + right, left_s + right_s
    chance = windows * _binomial_tail(count, count + around, width_s / (width_s + around_s))
    # Where the window holds all there is, nothing says that the values were ever spread out.
    good &= (chance < SIGNIFICANCE) | (around_s < width_s)
    p5, center, p95 = (values_s[(first + (past - 1 - first) * q).astype(np.intp)] for q in (0.05, 0.5, 0.95))
    good &= (p95 - p5 <= 2 * WIDEST * center) & (center >= SHORTEST_S)
    expected = around * width_s / np.maximum(around_s, width_s)
    return np.where(good, np.maximum(count - expected, 0.0), -1.0)


def _grown(window: _Windows) -> tuple[int, int]:
    """First and one past the last index of the one window's values and of its tails, left and right.

    A tail is longer than its background and thins out step by step, which a plateau does not.
    """
    values_s, first, past = window.values_s, int(window.first[0]), int(window.past[0])
    low_s, high_s = float(window.low_s[0]), float(window.high_s[0])
    step_s, count = (high_s - low_s) / 2, past - first
    sides = [(values.item(), length_s.item()) for values, length_s in (window.left(_FAR), window.right(_FAR))]
    background = min(values * step_s / max(length_s, step_s) for values, length_s in sides)
    enough = max(_TAIL_SHARE * count + CONTRAST * background, 1.0)
    most: float = count
    while most > (more := int(np.searchsorted(values_s, high_s + step_s, side="right")) - past) >= enough:
        past, high_s, most = past + more, high_s + step_s, _THINNING * more
    most = count
    while most > (more := first - int(np.searchsorted(values_s, low_s - step_s, side="left"))) >= enough:
        first, low_s, most = first - more, low_s - step_s, _THINNING * more
    return first, past


def _binomial_tail(count: Floats, trials: Floats, chance: Floats) -> Floats:
    """Chernoff's upper bound on P(X >= count) for X ~ B(trials, chance)."""
    share = np.clip(count / trials, 1e-12, 1 - 1e-12)
    chance = np.clip(chance, 1e-12, 1 - 1e-12)
    divergence = share * np.log(share / chance) + (1 - share) * np.log((1 - share) / (1 - chance))
    return np.where(share <= chance, 1.0, np.exp(-trials * divergence))


def _width_s(at_s: ArrayLike) -> Floats:
    """A window's width at each value."""
    return np.maximum(WINDOW_S, WINDOW_SHARE * np.asarray(at_s))


def explain(cluster: Cluster, timers_ms: Mapping[str, int], what: What) -> Explanation:
    """Which timer in force a cluster comes from; where none fits, which common devices have such a one.

    ``timers_ms`` are by HAProxy's names (``RunInfo.timers_ms``).
    """
    candidates = _candidates(timers_ms) if what == "idle" else _age_candidates(timers_ms)
    fitting = [row for row in candidates if _fits(cluster, timers_ms[row[0][0]] / _MS_PER_S)]
    if not fitting:
        possible = (timer for timer in KNOWN_TIMERS if what == "idle" or timer.by_age)
        return Explanation(
            what, devices=tuple(timer for timer in possible if _fits(cluster, timer.idle_ns / NS_PER_S))
        )
    settings = tuple(" and ".join(_setting(name, timers_ms[name]) for name in names) for names, _ in fitting)
    because = dict.fromkeys(because for _, because in fitting if because)
    return Explanation(what, settings, ", ".join(because))


def sentence(cohort: str, cluster: Cluster, explanation: Explanation) -> str:
    """One cluster for people: how many ended after how long, and which timer that is."""
    since = {"idle": "after their last byte", "age": "after they opened"}[explanation.what]
    ended = f"{cluster.count:,} {cohort} tunnels ended {_seconds(cluster)} {since}"
    if explanation.settings:
        settings = " or ".join(explanation.settings)
        return f"{ended}: {settings}{f', {explanation.because}' if explanation.because else ''}."
    if explanation.devices:
        names = _listed([device.name for device in explanation.devices])
        length = _plain(explanation.devices[0].idle_ns / NS_PER_S)
        verb = "ends" if len(explanation.devices) == 1 else "end"
        return f"{ended}; no timer in force explains that; {names} {verb} connections at {length} s (guess)."
    return f"{ended}; neither a timer in force nor a known device's explains that."


def _candidates(timers_ms: Mapping[str, int]) -> list[tuple[tuple[str, ...], str]]:
    """The timers that can end a silent tunnel, equal ones together, and why it is these that count."""
    rows: list[tuple[tuple[str, ...], str]] = [(("tunnel",), "")]
    if not timers_ms.get("tunnel"):
        both = {name: timers_ms[name] for name in ("client", "server") if timers_ms.get(name)}
        shorter = tuple(name for name, ms in both.items() if ms == min(both.values()))
        rows = [(shorter, "because no `timeout tunnel` is set")] if shorter else []
    rows += [((name,), "") for name in OWN_TIMERS]
    rows += [((name,), "where one side had closed its half") for name in ("client-fin", "server-fin")]
    return [row for row in rows if timers_ms.get(row[0][0])]


def _age_candidates(timers_ms: Mapping[str, int]) -> list[tuple[tuple[str, ...], str]]:
    """The timers that silence has nothing to do with."""
    return [((BACKEND_ENDS_AFTER,), "")] if timers_ms.get(BACKEND_ENDS_AFTER) else []


def _fits(cluster: Cluster, timer_s: float) -> bool:
    """Whether the timer lies in the cluster. Its tail may be late, but nothing ends before its timer."""
    jitter_s = float(_width_s(timer_s)) / 2
    return cluster.center_s - 2 * cluster.spread_s - jitter_s <= timer_s <= cluster.center_s + jitter_s


def _setting(name: str, ms: int) -> str:
    """``timeout client 30s`` in backticks, as HAProxy takes it: one number, one unit."""
    unit_ms, unit = next(row for row in _HAPROXY_UNITS if ms % row[0] == 0)
    length = f"{ms // unit_ms}{unit}"
    return f"{OWN_TIMERS[name]} {length}" if name in OWN_TIMERS else f"`timeout {name} {length}`"


def _seconds(cluster: Cluster) -> str:
    """``30.0 s (±0.1)``: the spread to one digit, rounded up, and the centre as exact as that."""
    spread_s = max(cluster.spread_s, 0.001)
    digits = min(max(-math.floor(math.log10(spread_s)), 1), 3)
    rounded_s = math.ceil(spread_s * 10**digits - 1e-9) / 10**digits
    return f"{cluster.center_s:,.{digits}f} s (\N{PLUS-MINUS SIGN}{_plain(rounded_s)})"


def _plain(number: float) -> str:
    return f"{number:,.6g}"


def _listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
