"""One scheduler per worker: everything that is due, in order, from one timerfd.

Sources give what is due in windows of time; the agenda merges them with numpy, so that a message costs
no heap operation and no timer. uvloop's own timers tick at 1 ms; a timerfd does not.
"""

import asyncio
import ctypes
import heapq
import os
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic_ns
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wsload.units import NS_PER_MS, NS_PER_S, NS_PER_US

WINDOW_NS = 50 * NS_PER_MS
"""How much of the future is laid out at a time."""
PAUSE_NS = 400 * NS_PER_US
"""How long before a pause's end begins what is done in it: by then, who was sent to before it may have
answered."""
LAYING_OUT_NS = 20 * NS_PER_MS
"""The last part of a window, in a pause of which the next is laid out; what is added after that has to wait
for the one that follows it."""
MAX_ACTIONS_PER_WAKE = 256
"""After this many the loop gets a turn to read, however far behind the schedule is."""

Window = tuple[NDArray[np.int64], NDArray[np.int32]]
_NOTHING: Window = (np.empty(0, np.int64), np.empty(0, np.int32))
"""Sources that have nothing to say are asked 20 times a second too, while messages wait: numpy's calls would
take several us each."""
Action = Callable[[int, int], None]
"""Called with the event's index and the time it was due (monotonic ns)."""
Laid = tuple[list[int], list[Action], list[int]]
"""Due times, actions and indexes of a window, in order."""


class Source(Protocol):
    """Something that knows what is due. Times are ns since the run's start."""

    def window(self, until_ns: int) -> Window:
        """Due times (ascending) and indexes of all that is due before ``until_ns``, each once."""
        ...


class Listed:
    """A source from a list that is known beforehand."""

    def __init__(self, due_ns: NDArray[np.int64], index: NDArray[np.int32]) -> None:
        """``due_ns`` ascends; ``index`` is what each due time stands for."""
        self._due_ns, self._index, self._next = due_ns, index, 0

    def window(self, until_ns: int) -> Window:
        """See :class:`Source`."""
        if self._next == len(self._due_ns) or self._due_ns[self._next] >= until_ns:
            return _NOTHING
        start, self._next = self._next, max(self._next, int(np.searchsorted(self._due_ns, until_ns)))
        return self._due_ns[start : self._next], self._index[start : self._next]


class Every:
    """A source that is due at each multiple of a period, counted from 1."""

    def __init__(self, period_ns: int, last_ns: int = 0) -> None:
        """Nothing up to and including ``last_ns`` is due."""
        self._period_ns, self._last = period_ns, last_ns // period_ns

    def window(self, until_ns: int) -> Window:
        """See :class:`Source`."""
        last = (until_ns - 1) // self._period_ns
        if last <= self._last:
            return _NOTHING
        index = np.arange(self._last + 1, last + 1, dtype=np.int64)
        self._last = last
        return index * self._period_ns, index.astype(np.int32)


class Timeline:
    """A source that grows while the run lasts."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int]] = []
        self._reached_ns = 0

    def add(self, due_ns: int, index: int) -> None:
        """Something is due then, or at the end of what is laid out already."""
        heapq.heappush(self._heap, (max(due_ns, self._reached_ns), index))

    def window(self, until_ns: int) -> Window:
        """See :class:`Source`."""
        self._reached_ns = max(self._reached_ns, until_ns)
        if not self._heap or self._heap[0][0] >= until_ns:
            return _NOTHING
        due: list[tuple[int, int]] = []
        while self._heap and self._heap[0][0] < until_ns:
            due.append(heapq.heappop(self._heap))
        return np.array([at for at, _ in due], np.int64), np.array([index for _, index in due], np.int32)


class Agenda:
    """Merges sources window by window, in order of due time."""

    def __init__(self) -> None:
        self._sources: list[tuple[Source, Action]] = []
        self.until_ns = 0
        """Everything before this has been handed out."""

    def add(self, source: Source, action: Action) -> None:
        """``action`` is called for all that ``source`` says."""
        self._sources.append((source, action))

    def clear(self) -> None:
        """Drop all sources."""
        self._sources.clear()

    def advance(self, until_ns: int) -> Laid:
        """What is due up to ``until_ns``; of equal times, earlier sources first."""
        self.until_ns = until_ns
        windows = [(source.window(until_ns), action) for source, action in self._sources]
        windows = [entry for entry in windows if len(entry[0][0])]
        if not windows:
            return [], [], []
        if len(windows) == 1:
            (due_ns, index), action = windows[0]
            return due_ns.tolist(), [action] * len(due_ns), index.tolist()
        due_ns = np.concatenate([due for (due, _), _ in windows])
        index = np.concatenate([index for (_, index), _ in windows])
        which = np.repeat(np.arange(len(windows)), [len(due) for (due, _), _ in windows])
        order = np.argsort(due_ns, kind="stable")
        actions = [windows[number][1] for number in which[order].tolist()]
        return due_ns[order].tolist(), actions, index[order].tolist()


class TimerFd:
    """A timerfd on the monotonic clock (timerfd_create(2)); Python has it only from 3.13."""

    _CLOCK_MONOTONIC = 1
    _ABSOLUTE = 1

    def __init__(self) -> None:
        libc = ctypes.PyDLL(None, use_errno=True)  # keeps the GIL: the worker has no other thread
        self.fd: int = libc.timerfd_create(self._CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        spec = (ctypes.c_int64 * 4)()
        """struct itimerspec: seconds and nanoseconds of the interval, which stays 0, and of the value."""
        self._spec = memoryview(spec).cast("B").cast("q")
        self._settime = partial(libc.timerfd_settime, self.fd, self._ABSOLUTE, ctypes.byref(spec), None)

    def arm(self, at_ns: int) -> None:
        """Become readable at this time. Also clears a past expiry, so the descriptor needs no read."""
        self._spec[2], self._spec[3] = divmod(at_ns, NS_PER_S)
        self._settime()

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self.fd)


class Scheduler:
    """Runs an agenda against the clock on an event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_window: Callable[[int], None], slack_ns: int = 0
    ) -> None:
        """Takes the loop to run on.

        Args:
            loop: Its thread does all that is due.
            on_window: Called with the time at least every :data:`WINDOW_NS`, for housekeeping.
            slack_ns: Timed wake-ups are at least this far apart: what falls due in between leaves together,
                at most this late.
        """
        self.agenda = Agenda()
        self.behind_ns = 0
        """How late the latest action since :meth:`take_behind_ns` was."""
        self._loop, self._on_window, self._slack_ns = loop, on_window, slack_ns
        self._timer = TimerFd()
        self._start_ns = 0
        self._due: list[int] = []
        self._actions: list[Action] = []
        self._index: list[int] = []
        self._position = 0
        self._next: Laid | None = None
        """The window that follows, once it is laid out."""

    def start(self, start_ns: int) -> None:
        """The agenda's time 0 is the monotonic ``start_ns``."""
        self._start_ns = start_ns
        self._loop.add_reader(self._timer.fd, self._wake)
        self._timer.arm(start_ns)

    def replan(self, since_ns: int) -> None:
        """Forget what was laid out; the agenda's sources were exchanged and start at ``since_ns``."""
        self._due, self._actions, self._index, self._position, self._next = [], [], [], 0, None
        self.agenda.until_ns = since_ns - self._start_ns

    def stop(self) -> None:
        """No more actions."""
        self._loop.remove_reader(self._timer.fd)
        self._timer.close()

    def do_in_pauses(self, action: Action, indexes: Sequence[int], last_ns: int = WINDOW_NS) -> None:
        """Have something done once for each index while nothing is due.

        To be called as a window begins (``on_window``). Each gets one of the longest pauses in the window's
        last part. There is at least one, and whoever finds none is left out.
        """
        until_ns = self.agenda.until_ns
        first = bisect_left(self._due, until_ns - last_ns)
        edges_ns = np.array([until_ns - last_ns, *self._due[first:], until_ns], np.int64)
        longest = np.argsort(np.diff(edges_ns))[::-1][: len(indexes)].tolist()
        for place, index in zip(sorted(longest, reverse=True), indexes, strict=False):
            begin_ns, end_ns = edges_ns[place : place + 2].tolist()
            self._due.insert(first + place, max(begin_ns, end_ns - PAUSE_NS))
            self._actions.insert(first + place, action)
            self._index.insert(first + place, index)

    def take_behind_ns(self) -> int:
        """The worst lateness since the last call."""
        behind_ns, self.behind_ns = self.behind_ns, 0
        return behind_ns

    def _wake(self) -> None:
        now_ns = monotonic_ns()
        start_ns = self._start_ns
        done_by = MAX_ACTIONS_PER_WAKE
        while done_by:
            due, actions, index = self._due, self._actions, self._index
            position, behind_ns = self._position, self.behind_ns
            # An action may exchange what is laid out (a replan), so what it sees has to be up to date; the
            # rest of the loop works on locals, as it runs for every message.
            while position < len(due) and done_by:
                due_ns = start_ns + due[position]
                if due_ns > now_ns:
                    now_ns = monotonic_ns()
                    if due_ns > now_ns:
                        self._timer.arm(max(due_ns, now_ns + self._slack_ns))
                        return
                if now_ns - due_ns > behind_ns:
                    behind_ns = self.behind_ns = now_ns - due_ns
                self._position = position + 1
                actions[position](index[position], due_ns)
                if self._due is not due:
                    break
                position += 1
                done_by -= 1
            else:
                if done_by:
                    self._turn_over(now_ns)
        self._timer.arm(1)

    def _turn_over(self, now_ns: int) -> None:
        """Go on to the next window."""
        self._due, self._actions, self._index = self._next or self._advance()
        self._position, self._next = 0, None
        self.do_in_pauses(self._lay_out, [0], LAYING_OUT_NS)
        self._on_window(now_ns)

    def _lay_out(self, _index: int, _due_ns: int) -> None:
        self._next = self._advance()

    def _advance(self) -> Laid:
        return self.agenda.advance(self.agenda.until_ns + WINDOW_NS)
