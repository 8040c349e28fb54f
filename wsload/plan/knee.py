"""Which level of tunnels a search for capacity offers next. Pure: outcomes in, levels out."""

from enum import StrEnum

from wsload.profile.model import Capacity


class Outcome(StrEnum):
    """What a level came to."""

    PASSED = "passed"
    CUT = "cut"
    """Only an idle timer's cuts broke the SLO: they do so at any level, so higher ones are worth trying."""
    FAILED = "failed"


class KneeFinder:
    """Levels one after the other: rising by a step until one fails, or by bisection.

    A bisection tries the lowest level, then the highest, then the middle between the highest that did not
    fail and the lowest that did, until they are no further apart than the resolution.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._held = 0
        """The highest level that did not fail."""
        self._failed: int | None = None
        """The lowest level that failed."""

    @property
    def first(self) -> int:
        """The level to begin with."""
        return self._capacity.least

    @property
    def held(self) -> int:
        """The highest level so far that did not fail; 0: none."""
        return self._held

    def next(self, level: int, outcome: Outcome) -> int | None:
        """The level after ``level``, which came to ``outcome``; None: the knee is found."""
        if outcome is Outcome.FAILED:
            self._failed = level if self._failed is None else min(level, self._failed)
        else:
            self._held = max(level, self._held)
        return self._by_step() if self._capacity.step is not None else self._by_bisection()

    def _by_step(self) -> int | None:
        assert self._capacity.step is not None
        if self._failed is not None or self._held >= self._capacity.most:
            return None
        return min(self._held + self._capacity.step, self._capacity.most)

    def _by_bisection(self) -> int | None:
        if self._failed is None:
            return self._capacity.most if self._held < self._capacity.most else None
        if not self._held or self._failed - self._held <= self._capacity.resolution:
            return None
        return (self._held + self._failed) // 2
