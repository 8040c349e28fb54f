"""Drawing many lengths fast, also of those alone that are below or above a limit; to 6 digits."""

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from wsload.plan.distributions import share_above
from wsload.profile.model import Distribution, Spread
from wsload.units import NS_PER_S

Floats = NDArray[np.float64]

_NORMAL = NormalDist()
_DEVIATES = np.linspace(-8.0, 8.0, 16_001)
_CHANCES = np.array([_NORMAL.cdf(deviate) for deviate in _DEVIATES.tolist()])
_LEAST_CHANCE = float(_CHANCES[0])


class Quantiles:
    """Lengths in seconds for numbers in (0, 1): of any, of those up to a limit, of those above it."""

    def __init__(self, lengths: Distribution, limit_ns: float = np.inf) -> None:
        self._lengths, self._limit_ns = lengths, limit_ns
        self._above = 0.0 if limit_ns == np.inf else share_above(lengths, limit_ns)
        values: Floats = np.asarray(lengths.values_ns or (lengths.scale_ns,), np.float64)
        self._short, self._long = values[values <= limit_ns], values[values > limit_ns]
        self._values = values

    def any_s(self, uniform: Floats) -> Floats:
        """Of all lengths."""
        if self._lengths.spread in _STEPS:
            return _picked(self._values, uniform) / NS_PER_S
        return self._longest_first(uniform)

    def below_s(self, uniform: Floats) -> Floats:
        """Of those not longer than the limit; there must be some."""
        if self._lengths.spread in _STEPS:
            return _picked(self._short, uniform) / NS_PER_S
        return np.minimum(self._longest_first(self._above + uniform * (1 - self._above)), self._limit_s)

    def above_s(self, uniform: Floats) -> Floats:
        """Of those longer than the limit; there must be some."""
        if self._lengths.spread in _STEPS:
            return _picked(self._long, uniform) / NS_PER_S
        return np.maximum(self._longest_first(uniform * self._above), self._limit_s)

    @property
    def _limit_s(self) -> float:
        return self._limit_ns / NS_PER_S

    def _longest_first(self, chance: Floats) -> Floats:
        """The length that is exceeded with the given chance."""
        scale_s = self._lengths.scale_ns / NS_PER_S
        if self._lengths.spread is Spread.EXPONENTIAL:
            return -scale_s * np.log(np.maximum(chance, np.finfo(np.float64).tiny))
        deviates = np.interp(np.maximum(chance, _LEAST_CHANCE), _CHANCES, _DEVIATES)
        lengths: Floats = scale_s * np.exp(-self._lengths.sigma * deviates)
        return lengths


_STEPS = frozenset({Spread.FIXED, Spread.TABLE})


def _picked(values: Floats, uniform: Floats) -> Floats:
    picked: Floats = values.take((uniform * len(values)).astype(np.int64))
    return picked
