"""When each tunnel opens, and when each of its messages (or pings) is due.

Times are int64 nanoseconds after the run's start. Nothing here reads a clock: a schedule is asked for a
window of time and tells what falls into it, so its memory and its cost do not grow with the run's length.
"""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from wsload.plan.distributions import draw_ns, uniforms
from wsload.profile.model import Arrivals, Distribution
from wsload.units import NS_PER_S

Times = NDArray[np.int64]
Indices = NDArray[np.int32]
Window = tuple[Times, Indices]

_LEAST_BLOCK, _MOST_BLOCK = 64, 65_536


def opening_times_ns(count: int, ramp_ns: int, arrivals: Arrivals, seed: int) -> Times:
    """When each of ``count`` tunnels opens: ascending, between 0 and ``ramp_ns``.

    Even: ``i * ramp / count``. Poisson: sorted uniform times, which is a Poisson process given that
    ``count`` of its events fall into the ramp, so that the number of tunnels is exact.
    """
    if arrivals is Arrivals.EVEN:
        step, rest = divmod(ramp_ns, max(count, 1))
        i = np.arange(count, dtype=np.int64)
        return i * step + i * rest // max(count, 1)
    rng = np.random.default_rng(seed)
    return np.sort(rng.integers(0, ramp_ns, size=count, dtype=np.int64, endpoint=True))


class MessageSchedule(ABC):
    """All messages of one cohort on one worker, in windows that follow each other.

    What falls due never depends on how the windows are cut: the concatenation of any windows up to T
    is the window of T.
    """

    def __init__(self, opens_ns: Times, end_ns: int) -> None:
        self._opens_ns = np.asarray(opens_ns, dtype=np.int64)
        self._end_ns = end_ns
        self._reached_ns = 0

    @classmethod
    def create(
        cls, opens_ns: Times, period_ns: int, arrivals: Arrivals, end_ns: int, seed: int
    ) -> "MessageSchedule":
        """The schedule of tunnels that open at ``opens_ns`` and have a message each ``period_ns``.

        Args:
            opens_ns: Opening time of each tunnel, 0 or later, in any order; its index names the tunnel.
            period_ns: Between two messages of one tunnel, 1 or more; the mean where Poisson.
            arrivals: Even or Poisson.
            end_ns: Nothing is due at or after this.
            seed: Equal seeds give equal schedules.
        """
        if period_ns < 1:
            raise ValueError(f"a period of {period_ns} ns")
        kind = EvenSchedule if arrivals is Arrivals.EVEN else PoissonSchedule
        return kind(opens_ns, period_ns, end_ns, seed)

    def window(self, until_ns: int) -> Window:
        """All messages due from the last call's ``until_ns`` (at first: 0) up to, not including, this one.

        Returns:
            Due times, ascending, and the index of each one's tunnel in ``opens_ns``.
        """
        start_ns, until_ns = self._reached_ns, min(until_ns, self._end_ns)
        if until_ns <= start_ns or not len(self._opens_ns):
            return np.empty(0, np.int64), np.empty(0, np.int32)
        self._reached_ns = until_ns
        return self._between(start_ns, until_ns)

    @abstractmethod
    def _between(self, start_ns: int, until_ns: int) -> Window:
        """What is due in [start, until). Starts where the last call ended."""


class EvenSchedule(MessageSchedule):
    """Tunnel ``i`` is due at ``opens_ns[i] + period * (u_i + k)``, k = 0, 1, …, ``u_i`` uniform in (0, 1].

    The tunnels, sorted by phase (first due time modulo the period), repeat in that order forever. So the
    messages of all of them have a running number ``g = cycle * n + rank``, ``g`` rises with the due time, and
    a window is a range of ``g`` found by two binary searches. It costs its messages plus log n.
    """

    def __init__(self, opens_ns: Times, period_ns: int, end_ns: int, seed: int) -> None:
        super().__init__(opens_ns, end_ns)
        rng = np.random.default_rng(seed)
        offsets = rng.integers(1, period_ns, size=len(self._opens_ns), dtype=np.int64, endpoint=True)
        first_ns = self._opens_ns + offsets
        order = np.argsort(first_ns % period_ns, kind="stable")
        self._period_ns = period_ns
        self._order = order.astype(np.int32)
        self._first_ns = first_ns[order]
        self._phase_ns = self._first_ns % period_ns
        self._all_started_ns = int(first_ns.max(initial=0))

    def _running_number(self, time_ns: int) -> int:
        """Of the first message due at ``time_ns`` or later."""
        cycle, phase_ns = divmod(time_ns, self._period_ns)
        return cycle * len(self._order) + int(self._phase_ns.searchsorted(phase_ns))

    def _between(self, start_ns: int, until_ns: int) -> Window:
        numbers = np.arange(self._running_number(start_ns), self._running_number(until_ns), dtype=np.int64)
        cycles, ranks = np.divmod(numbers, len(self._order))
        due_ns = cycles * self._period_ns + self._phase_ns[ranks]
        if start_ns < self._all_started_ns:
            started = due_ns >= self._first_ns[ranks]
            due_ns, ranks = due_ns[started], ranks[started]
        return due_ns, self._order[ranks]


class PoissonSchedule(MessageSchedule):
    """Each tunnel has its own Poisson process of rate 1 / period, from its opening on.

    Realised as their superposition, which is exact: n independent processes of rate r together are one of
    rate n * r whose events belong to a tunnel drawn uniformly. All of them start with the earliest opening;
    dropping a tunnel's events before its own opening leaves a Poisson process from there on, since the
    process has no memory.

    Events are drawn in blocks whose size depends only on the rate, so they do not depend on the windows.
    """

    def __init__(self, opens_ns: Times, period_ns: int, end_ns: int, seed: int) -> None:
        super().__init__(opens_ns, end_ns)
        count = len(self._opens_ns)
        self._rng = np.random.default_rng(seed)
        self._mean_gap_ns = period_ns / max(count, 1)
        self._block = int(min(max(NS_PER_S / self._mean_gap_ns, _LEAST_BLOCK), _MOST_BLOCK))
        self._drawn_to_ns = float(self._opens_ns.min()) if count else 0.0
        self._due_ns = np.empty(0, np.int64)
        self._tunnel = np.empty(0, np.int32)

    def _draw(self) -> Window:
        due = self._drawn_to_ns + np.cumsum(self._rng.exponential(self._mean_gap_ns, self._block))
        tunnel = self._rng.integers(0, len(self._opens_ns), self._block, dtype=np.int32)
        self._drawn_to_ns = float(due[-1])
        due_ns = np.minimum(due, self._end_ns).astype(np.int64)  # none at the end is ever handed out
        open_by_then = due_ns >= self._opens_ns[tunnel]
        return due_ns[open_by_then], tunnel[open_by_then]

    def _between(self, start_ns: int, until_ns: int) -> Window:
        if self._drawn_to_ns < until_ns:
            parts = [(self._due_ns, self._tunnel)]
            while self._drawn_to_ns < until_ns:
                parts.append(self._draw())
            self._due_ns = np.concatenate([part[0] for part in parts])
            self._tunnel = np.concatenate([part[1] for part in parts])
        cut = int(self._due_ns.searchsorted(until_ns))
        window = self._due_ns[:cut], self._tunnel[:cut]
        self._due_ns, self._tunnel = self._due_ns[cut:], self._tunnel[cut:]
        return window


class RenewalSchedule(MessageSchedule):
    """Each client's messages have gaps drawn from a distribution; the first gap starts at its opening.

    Kept as one next due time for each client; a window redraws those that fall into it, round by round,
    since a client with short gaps may be due several times. Every client draws from a stream of its own
    order, so that what is due does not depend on how windows are cut: the rounds of one client follow each
    other, and draws are addressed by (client, number of its gap).
    """

    def __init__(self, opens_ns: Times, gaps: Distribution, end_ns: int, seed: int) -> None:
        super().__init__(opens_ns, end_ns)
        self._gaps, self._seed = gaps, seed
        self._number = np.zeros(len(self._opens_ns), np.int64)
        """Of each client's next gap."""
        everyone = np.arange(len(self._opens_ns), dtype=np.int32)
        self._next_ns = self._opens_ns + self._draw(everyone)

    def _draw(self, clients: Indices) -> Times:
        numbers = self._number[clients]
        self._number[clients] += 1
        return draw_ns(self._gaps, uniforms(self._seed, clients, numbers))

    def _between(self, start_ns: int, until_ns: int) -> Window:
        rounds: list[Window] = []
        clients = np.flatnonzero(self._next_ns < until_ns).astype(np.int32)
        while len(clients):
            due_ns = self._next_ns[clients]
            rounds.append((due_ns, clients))
            self._next_ns[clients] = due_ns + self._draw(clients)
            clients = clients[self._next_ns[clients] < until_ns]
        if not rounds:
            return np.empty(0, np.int64), np.empty(0, np.int32)
        due_ns = np.concatenate([each[0] for each in rounds])
        order = np.argsort(due_ns, kind="stable")
        return due_ns[order], np.concatenate([each[1] for each in rounds])[order]


class LossySchedule(MessageSchedule):
    """Another schedule without a share of its messages, as if they were lost on the way.

    Which are lost depends on tunnel and due time alone, not on how windows are cut.
    """

    def __init__(self, whole: MessageSchedule, lost_share: float, seed: int) -> None:
        super().__init__(whole._opens_ns, whole._end_ns)
        self._whole, self._lost_share, self._seed = whole, lost_share, seed

    def _between(self, start_ns: int, until_ns: int) -> Window:
        due_ns, tunnels = self._whole.window(until_ns)
        kept = uniforms(self._seed, tunnels, due_ns) >= self._lost_share
        return due_ns[kept], tunnels[kept]
