"""Drawing from a profile's distributions, and what is known of them in closed form."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsload.profile.model import Distribution, Spread
from wsload.units import NS_PER_S

_LEAST_NS = 1
_MOST_NS = 2**62
"""Above it sums of times would leave 64 bits; no run gets there."""
_STANDARD_NORMAL = NormalDist()
_SMALL = 1e-4
"""Exponents below it take the series, since differences of nearly equal numbers lose digits."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_REACH = 6.0
"""Panels go down to so many standard deviations below a lognormal's median."""
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_STEPS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))


def uniforms(seed: int, ids: NDArray[np.int32], numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """One number in (0, 1) for each pair of id and number: the same pair always gives the same one.

    SplitMix64's finaliser over a Weyl sequence in both (Steele, Lea, Flood, OOPSLA 2014): a counter-based
    generator, which numpy's own are not per element.
    """
    with np.errstate(over="ignore"):
        state = (
            np.uint64(seed & (2**64 - 1))
            + (ids.astype(np.uint64) + np.uint64(1)) * _STEPS[0]
            + (numbers.astype(np.uint64) + np.uint64(1)) * _STEPS[1]
        )
        for _ in range(2):
            state = (state ^ (state >> np.uint64(30))) * _MIX[0]
            state = (state ^ (state >> np.uint64(27))) * _MIX[1]
            state ^= state >> np.uint64(31)
    return ((state >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def draw_ns(lengths: Distribution, uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """Lengths of time by inversion, one for each number in (0, 1)."""
    if lengths.spread is Spread.TABLE:
        values: NDArray[np.int64] = np.asarray(lengths.values_ns, dtype=np.int64)
        return values.take((uniform * len(values)).astype(np.int64))
    if lengths.spread is Spread.EXPONENTIAL:
        drawn: NDArray[np.float64] = -lengths.scale_ns * np.log(uniform)
    elif lengths.spread is Spread.LOGNORMAL:
        normal = np.fromiter(map(_STANDARD_NORMAL.inv_cdf, uniform.tolist()), np.float64, len(uniform))
        drawn = lengths.scale_ns * np.exp(lengths.sigma * normal)
    else:
        drawn = np.full(len(uniform), float(lengths.scale_ns))
    clipped: NDArray[np.int64] = np.clip(drawn, _LEAST_NS, _MOST_NS).astype(np.int64)
    return clipped


def share_above(lengths: Distribution, limit_ns: float) -> float:
    """The share of lengths longer than a limit: of the gaps that a timer cuts."""
    if limit_ns <= 0:
        return 1.0
    if lengths.spread is Spread.TABLE:
        return sum(value > limit_ns for value in lengths.values_ns) / len(lengths.values_ns)
    if lengths.spread is Spread.EXPONENTIAL:
        return math.exp(-limit_ns / lengths.scale_ns)
    if lengths.spread is Spread.LOGNORMAL:
        return 1.0 - _STANDARD_NORMAL.cdf(math.log(limit_ns / lengths.scale_ns) / lengths.sigma)
    return float(lengths.scale_ns > limit_ns)


class Below(NamedTuple):
    """What is known of min(length, limit, going), where clients go at a constant rate whatever they do."""

    time_ns: float
    """Its mean."""
    age_ns: float
    """How long, at a random moment of it, it has lasted so far, on average."""


def below(lengths: Distribution, limit_ns: float, going_per_s: float = 0.0) -> Below:
    """The time until a client speaks, is cut at the limit, or goes, whichever comes first.

    The integrals of S(t) and t S(t) from 0 to the limit, where S(t) is the chance that a length exceeds t and
    that nobody has gone by then: ``age_ns`` is E[m^2] / 2 E[m] where nobody goes. In closed form, but for the
    lognormal (Gauss and Legendre's quadrature, over panels that halve toward 0).
    """
    if limit_ns <= 0:
        return Below(0.0, 0.0)
    going = going_per_s / NS_PER_S
    if lengths.spread is Spread.EXPONENTIAL:
        time, moment = _until(np.array([limit_ns]), going + 1.0 / lengths.scale_ns)
        return Below(float(time[0]), float(moment[0] / time[0]))
    if lengths.spread is Spread.LOGNORMAL:
        return _lognormal_below(lengths, limit_ns, going)
    values = lengths.values_ns if lengths.spread is Spread.TABLE else (lengths.scale_ns,)
    times, moments = _until(np.minimum(np.asarray(values, np.float64), limit_ns), going)
    return Below(float(times.mean()), float(moments.sum() / times.sum()))


def _until(ends: NDArray[np.float64], rate: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The integrals of exp(-rate t) and t exp(-rate t) from 0 to each end."""
    exponents = rate * ends
    small = exponents < _SMALL
    safe_rate = rate if rate > 0 else 1.0
    times = np.where(small, ends * (1 - exponents / 2), -np.expm1(-exponents) / safe_rate)
    large = (-np.expm1(-exponents) - exponents * np.exp(-exponents)) / safe_rate**2
    return times, np.where(small, ends**2 * (0.5 - exponents / 3), large)


def _lognormal_below(lengths: Distribution, limit_ns: float, going: float) -> Below:
    halvings = max(math.log2(limit_ns / lengths.scale_ns) + _REACH * lengths.sigma, 1.0)
    edges = limit_ns * 2.0 ** -np.arange(math.ceil(halvings) + 1.0)
    widths = edges[:-1] - edges[1:]
    at = (edges[1:, None] + widths[:, None] * (_NODES + 1) / 2).ravel()
    weights = (widths[:, None] * _WEIGHTS / 2).ravel()
    lasting = weights * np.array([share_above(lengths, t) for t in at.tolist()]) * np.exp(-going * at)
    # Before the last edge next to no length has ended.
    first, first_moment = _until(edges[-1:], going)
    time = float(first[0] + lasting.sum())
    return Below(time, float(first_moment[0] + (lasting * at).sum()) / time)
