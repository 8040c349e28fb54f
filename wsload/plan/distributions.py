"""Drawing from a profile's distributions, and what is known of them in closed form."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from wsload.profile.model import Distribution, Spread

_LEAST_NS = 1
_MOST_NS = 2**62
"""Above it sums of times would leave 64 bits; no run gets there."""
_STANDARD_NORMAL = NormalDist()
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


def mean_ns(lengths: Distribution) -> float:
    """The mean length."""
    return lengths.mean_ns


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


def mean_below_ns(lengths: Distribution, limit_ns: float) -> float:
    """The mean of min(length, limit): how long, on average, a client is there before it speaks or is cut."""
    if limit_ns <= 0:
        return 0.0
    if lengths.spread is Spread.TABLE:
        return math.fsum(min(value, limit_ns) for value in lengths.values_ns) / len(lengths.values_ns)
    if lengths.spread is Spread.EXPONENTIAL:
        return -lengths.scale_ns * math.expm1(-limit_ns / lengths.scale_ns)
    if lengths.spread is Spread.LOGNORMAL:
        below = _STANDARD_NORMAL.cdf(math.log(limit_ns / lengths.scale_ns) / lengths.sigma - lengths.sigma)
        return mean_ns(lengths) * below + limit_ns * share_above(lengths, limit_ns)
    return float(min(lengths.scale_ns, limit_ns))
