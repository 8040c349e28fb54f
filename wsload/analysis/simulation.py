"""Tunnels under an idle timer, life by life: for whatever :mod:`wsload.analysis.model` has no formula for.

A client's tunnels are drawn one after the other, for all clients at once. So the cost goes with the number of
lives, not with messages or time: a million tunnels over a day take seconds where lives are long.

Exact: how many gaps pass before one is longer than the timer (geometric), vanishing, sessions, how long a
client that was cut stays away, and the sum of up to 16 gaps. Approximate: the sum of more gaps than that (a
gamma distribution of the same mean and variance), and the age of a vanished client's last byte, which is
drawn from its distribution over all that vanish, whatever the tunnel's own age.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsload.analysis.backoff import Backoff
from wsload.plan.distributions import below, share_above
from wsload.plan.quantiles import Quantiles
from wsload.profile.model import Distribution, Reconnect
from wsload.units import NS_PER_S

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_EXACT_GAPS = 16
_AT_A_TIME = 200_000
"""Clients drawn together: bounds the memory."""
_AGES = 4096
"""Points of the table from which ages are drawn, evenly on a log scale."""
_LEAST_AGE = 1e-6
"""Of the timer."""
_NEVER_CUT = 1e-15
_COUNTED = ("opened", "ended", "cut", "vanished", "released")


@dataclass(frozen=True, kw_only=True)
class Clients:
    """A population alike. ``session`` is of a tunnel, as the driver draws it; None: for good.

    ``comes_back``: when one whose tunnel was cut opens the next: with its next message, after a backoff (it
    reacts to HAProxy's FIN at once), or never. Vanished and departed ones are replaced at once.
    """

    number: int
    gaps: Distribution
    timer_s: float
    vanish_per_s: float = 0.0
    session: Distribution | None = None
    comes_back: Reconnect | Backoff = Reconnect.WHEN_DUE
    ramp_s: float = 0.0
    """Over which the first tunnels open, evenly."""


@dataclass(frozen=True)
class Course:
    """What became of them. The first two are counts at ``at_s``, the others within each step up to it."""

    at_s: Floats
    live: Counts
    ghosts: Counts
    cuts: Counts
    handshakes: Counts
    vanished: Counts
    lives: int
    """Tunnels drawn."""

    def rate_per_s(self, counts: Counts, since_s: float) -> float:
        """The mean rate of what is counted in steps, from a moment on."""
        chosen = counts[self.at_s > since_s]
        return float(chosen.sum() / (len(chosen) * (self.at_s[1] - self.at_s[0])))

    def mean(self, levels: Counts, since_s: float) -> float:
        """The mean of what is counted at moments, from a moment on."""
        return float(levels[self.at_s > since_s].mean())


def simulate(clients: Clients, until_s: float, step_s: float, seed: int) -> Course:
    """Their lives from 0 to ``until_s``, counted each ``step_s``. The same seed gives the same course."""
    rng = np.random.default_rng(seed)
    tally = _Tally(until_s, step_s)
    draw = _Draw(clients, rng)
    for first in range(0, clients.number, _AT_A_TIME):
        some = np.arange(first, min(first + _AT_A_TIME, clients.number))
        opens_s = clients.ramp_s * some / clients.number
        while len(opens_s):
            lives = draw.lives(len(opens_s))
            ends_s = opens_s + lives.length_s
            tally.add(opens_s, ends_s, lives)
            following_s = ends_s + lives.away_s
            opens_s = following_s[following_s < until_s]
    return tally.course()


class _Lives(NamedTuple):
    """As many tunnels: how long each lasts, what ends it, what it leaves behind, when the next opens."""

    length_s: Floats
    is_cut: NDArray[np.bool_]
    vanishes: NDArray[np.bool_]
    hold_s: Floats
    """Of the slot, by those that vanish; else 0."""
    away_s: Floats


class _Draw:
    """Draws lives of one population."""

    def __init__(self, clients: Clients, rng: np.random.Generator) -> None:
        self._clients, self._rng = clients, rng
        timer_ns = clients.timer_s * NS_PER_S
        self._quantiles = Quantiles(clients.gaps, timer_ns)
        self._cut_share = share_above(clients.gaps, timer_ns)
        """Of gaps: longer than the timer."""
        self._short_mean_s, self._short_variance_s2 = _short_moments(clients.gaps, timer_ns)
        self._ages_s, self._age_chances = _ages(clients)

    def lives(self, count: int) -> _Lives:
        clients, rng = self._clients, self._rng
        cut_s = self._until_cut(count)
        vanish_s, leave_s = np.full(count, np.inf), np.full(count, np.inf)
        if clients.vanish_per_s:
            vanish_s = rng.exponential(1 / clients.vanish_per_s, count)
        if clients.session is not None:
            leave_s = Quantiles(clients.session).any_s(rng.random(count))
        length_s = np.minimum(np.minimum(cut_s, vanish_s), leave_s)
        is_cut = (cut_s <= length_s) & np.isfinite(length_s)
        vanishes = (vanish_s <= length_s) & np.isfinite(length_s) & ~is_cut
        hold_s, away_s = np.zeros(count), np.zeros(count)
        ages_s = np.interp(rng.random(int(vanishes.sum())), self._age_chances, self._ages_s)
        hold_s[vanishes] = clients.timer_s - ages_s
        away_s[is_cut] = self._away(int(is_cut.sum()))
        return _Lives(length_s, is_cut, vanishes, hold_s, away_s)

    def _until_cut(self, count: int) -> Floats:
        """Gaps not longer than the timer, one after the other, then the timer itself."""
        clients, rng = self._clients, self._rng
        if self._cut_share < _NEVER_CUT:
            return np.full(count, np.inf, np.float64)
        gaps = rng.geometric(self._cut_share, count) - 1
        total_s = np.full(count, float(clients.timer_s))
        many = gaps > _EXACT_GAPS
        if many.any():
            total_s[many] += self._sum_of_many(gaps[many])
        for number in range(1, _EXACT_GAPS + 1):
            chosen = np.flatnonzero((gaps >= number) & ~many)
            if not len(chosen):
                break
            total_s[chosen] += self._quantiles.below_s(rng.random(len(chosen)))
        return total_s

    def _sum_of_many(self, gaps: Counts) -> Floats:
        mean, variance = self._short_mean_s, self._short_variance_s2
        if variance <= (1e-9 * mean) ** 2:
            return gaps.astype(np.float64) * mean
        drawn: Floats = self._rng.gamma(gaps * (mean**2 / variance)) * (variance / mean)
        return drawn

    def _away(self, count: int) -> Floats:
        clients, rng = self._clients, self._rng
        if isinstance(clients.comes_back, Backoff):
            return clients.comes_back.delays_s(np.zeros(count, np.int64), rng.random(count))
        if clients.comes_back is Reconnect.NEVER:
            return np.full(count, np.inf)
        return self._quantiles.above_s(rng.random(count)) - clients.timer_s


def _short_moments(gaps: Distribution, timer_ns: float) -> tuple[float, float]:
    """Mean (s) and variance (s^2) of the gaps that are not longer than the timer; 0 where there are none."""
    above = share_above(gaps, timer_ns)
    if above >= 1:
        return 0.0, 0.0
    smaller = below(gaps, timer_ns)
    mean = (smaller.time_ns - timer_ns * above) / (1 - above)
    square = (2 * smaller.age_ns * smaller.time_ns - timer_ns**2 * above) / (1 - above)
    return mean / NS_PER_S, max(square - mean**2, 0.0) / NS_PER_S**2


def _ages(clients: Clients) -> tuple[Floats, Floats]:
    """Ages of the last byte, and the chance that a client that vanishes has one below each.

    In proportion to the chance that a gap lasts for so long and nobody goes in it.
    """
    going_per_s = clients.vanish_per_s
    if clients.session is not None:
        going_per_s += NS_PER_S / clients.session.mean_ns
    ages_s = np.concatenate(([0.0], clients.timer_s * np.geomspace(_LEAST_AGE, 1.0, _AGES)))
    lasting = np.array([share_above(clients.gaps, age * NS_PER_S) for age in ages_s.tolist()])
    lasting *= np.exp(-going_per_s * ages_s)
    areas = np.cumsum(np.diff(ages_s) * (lasting[1:] + lasting[:-1]) / 2)
    return ages_s, np.concatenate(([0.0], areas / areas[-1]))


class _Tally:
    """Counts openings and ends into steps, so that levels are the sums of their differences."""

    def __init__(self, until_s: float, step_s: float) -> None:
        self._step_s = step_s
        self._steps = max(round(until_s / step_s), 1)
        self._counts = {name: np.zeros(self._steps + 2, np.int64) for name in _COUNTED}
        self._lives = 0

    def add(self, opens_s: Floats, ends_s: Floats, lives: _Lives) -> None:
        gone_s = ends_s[lives.vanishes]
        self._lives += len(opens_s)
        self._count("opened", opens_s)
        self._count("ended", ends_s)
        self._count("cut", ends_s[lives.is_cut])
        self._count("vanished", gone_s)
        self._count("released", gone_s + lives.hold_s[lives.vanishes])

    def course(self) -> Course:
        within = {name: counts[: self._steps + 1] for name, counts in self._counts.items()}
        level: Callable[[Counts], Counts] = np.cumsum
        return Course(
            at_s=np.arange(self._steps + 1, dtype=np.float64) * self._step_s,
            live=level(within["opened"] - within["ended"]),
            ghosts=level(within["vanished"] - within["released"]),
            cuts=within["cut"],
            handshakes=within["opened"],
            vanished=within["vanished"],
            lives=self._lives,
        )

    def _count(self, name: str, times_s: Floats) -> None:
        """A time counts from the first moment of the grid that is not before it."""
        steps = np.ceil(np.minimum(times_s / self._step_s, self._steps + 1)).astype(np.int64)
        self._counts[name] += np.bincount(steps, minlength=self._steps + 2)
