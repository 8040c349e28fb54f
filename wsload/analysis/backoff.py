"""How clients wait before they try again, and what comes of many that do so at once."""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsload.plan.preflight import SOMAXCONN

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_STEPS_PER_SECOND = 20
_LONGEST_STEPS = 3600 * _STEPS_PER_SECOND


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """The n-th delay (from 0) is ``min(first_s factor^n, most_s)``, less up to ``jitter`` of itself.

    A ``factor`` of 1 is a fixed backoff, 2 the usual exponential one; a ``jitter`` of 1 spreads evenly from 0
    to the whole delay ("full jitter").
    """

    first_s: float
    factor: float = 1.0
    most_s: float = np.inf
    jitter: float = 0.0

    def delays_s(self, attempts: Ints, uniform: Floats) -> Floats:
        """Of those who have tried ``attempts`` times; one number in (0, 1) for each."""
        with np.errstate(over="ignore"):
            whole = np.minimum(self.first_s * self.factor ** attempts.astype(np.float64), self.most_s)
        return whole * (1.0 - self.jitter * uniform)


@dataclass(frozen=True, kw_only=True)
class StormCourse:
    """What came of a storm."""

    peak_arrivals_per_s: float
    """Handshakes begun in the busiest second."""
    recovered_s: float | None
    """From the kill to the last client's new tunnel; None: not within an hour."""
    recovered: int
    attempts: int
    gave_up: int
    """Attempts that waited longer than the handshake timeout."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """What the clients come back to. ``backlog`` is how many may wait."""

    accept_per_s: float
    backlog: int = SOMAXCONN
    handshake_timeout_s: float = 10.0
    """After which a client gives up, and backs off again."""


def storm(killed: int, backoff: Backoff, server: Server, seed: int) -> StormCourse:
    """All of ``killed`` tunnels end at once, and their clients come back to an HAProxy that takes so many a
    second, in the order they come.

    Who gives up while waiting still takes its turn, since HAProxy accepts a connection before it can know;
    who finds the backlog full waits for its timeout in vain (that its SYN is sent again is left out).
    """
    rng = np.random.default_rng(seed)
    calendar, queue = _Calendar(), _Queue(server)
    calendar.add(backoff.delays_s(np.zeros(killed, np.int64), rng.random(killed)), np.arange(killed), 0)
    tries = np.zeros(killed, np.int64)
    arrivals: list[int] = []
    gave_up, last_step = 0, 0
    for step in range(_LONGEST_STEPS):
        come = calendar.due(step)
        arrivals.append(len(come))
        tries[come] += 1
        queue.add(come, step)
        if len(impatient := queue.gave_up(step)):
            gave_up += len(impatient)
            calendar.add(backoff.delays_s(tries[impatient], rng.random(len(impatient))), impatient, step)
        if queue.serve():
            last_step = step
        if queue.opened == killed:
            break
    return StormCourse(
        peak_arrivals_per_s=_busiest_second(arrivals),
        recovered_s=(last_step + 1) / _STEPS_PER_SECOND if queue.opened == killed else None,
        recovered=queue.opened,
        attempts=int(tries.sum()),
        gave_up=gave_up,
    )


class _Waiting:
    """Clients that arrived in the same step, of whom the first ``served`` have had their turn."""

    def __init__(self, clients: Ints, since_step: int) -> None:
        self.clients, self.since_step = clients, since_step
        self.served = 0
        self.is_gone = False


class _Queue:
    """HAProxy's backlog, and those that it had no room for."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._timeout_steps = round(server.handshake_timeout_s * _STEPS_PER_SECOND)
        self._waiting: deque[_Waiting] = deque()
        self._patient: deque[_Waiting] = deque()
        """The same and those without room, until they give up."""
        self._length = 0
        self._budget = 0.0
        self.opened = 0

    def add(self, clients: Ints, step: int) -> None:
        """Clients come; as many as there is room for wait."""
        room = self._server.backlog - self._length
        for some, has_room in ((clients[:room], True), (clients[room:], False)):
            if len(some):
                waiting = _Waiting(some, step)
                self._patient.append(waiting)
                if has_room:
                    self._waiting.append(waiting)
                    self._length += len(some)

    def gave_up(self, step: int) -> Ints:
        """Those whose time is up."""
        found = []
        while self._patient and self._patient[0].since_step + self._timeout_steps <= step:
            waiting = self._patient.popleft()
            waiting.is_gone = True
            found.append(waiting.clients[waiting.served :])
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def serve(self) -> int:
        """A step's turns, to those at the head; returns how many tunnels opened."""
        before = self.opened
        self._budget = min(self._budget, 1.0) + self._server.accept_per_s / _STEPS_PER_SECOND
        while self._waiting and self._budget >= 1:
            head = self._waiting[0]
            number = min(int(self._budget), len(head.clients) - head.served)
            head.served += number
            self._budget -= number
            self._length -= number
            if not head.is_gone:
                self.opened += number
            if head.served == len(head.clients):
                self._waiting.popleft()
        return self.opened - before


class _Calendar:
    """Who comes in which step."""

    def __init__(self) -> None:
        self._due: dict[int, list[Ints]] = {}

    def add(self, delays_s: Floats, clients: Ints, now_step: int) -> None:
        steps = now_step + (delays_s * _STEPS_PER_SECOND).astype(np.int64)
        steps = np.maximum(steps, now_step + 1 if now_step else 0)
        order = np.argsort(steps, kind="stable")
        found, begins = np.unique(steps[order], return_index=True)
        for step, some in zip(found.tolist(), np.split(clients[order], begins[1:]), strict=True):
            self._due.setdefault(step, []).append(some)

    def due(self, step: int) -> Ints:
        parts = self._due.pop(step, [])
        return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _busiest_second(arrivals: list[int]) -> float:
    per_second = np.convolve(arrivals, np.ones(_STEPS_PER_SECOND)) if arrivals else np.zeros(1)
    return float(per_second.max())
