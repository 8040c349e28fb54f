"""Time as integer nanoseconds of the monotonic clock, which all processes of one host share."""

import time
from typing import Protocol


class Clock(Protocol):
    """Something that tells the time and nothing else."""

    def now_ns(self) -> int:
        """Nanoseconds since an arbitrary start; never goes back."""
        ...


class MonotonicClock:
    """CLOCK_MONOTONIC, the same in every process of this host (clock_gettime(2))."""

    def now_ns(self) -> int:
        """See :class:`Clock`."""
        return time.monotonic_ns()


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """See :class:`Clock`."""
        return self._now_ns

    def advance(self, delta_ns: int) -> None:
        """Move time forward by ``delta_ns`` (not negative)."""
        if delta_ns < 0:
            raise ValueError("a clock does not go back")
        self._now_ns += delta_ns
