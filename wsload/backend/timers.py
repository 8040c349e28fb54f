"""What falls due and what to do then: any number of wheels on one timer of the loop."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from wsload.backend.wheel import Wheel
from wsload.units import NS_PER_MS

Item = TypeVar("Item")

_NEVER_NS = 1 << 62


class Alarm(Wheel[Item], Generic[Item]):
    """A wheel that calls ``ring(item, now_ns)`` for what is due. Made by :meth:`Timers.alarm`."""

    def __init__(self, timers: "Timers", grain_ns: int, ring: Callable[[Item, int], object]) -> None:
        super().__init__(grain_ns)
        self._timers, self._ring = timers, ring

    def add(self, due_ns: int, item: Item) -> None:
        """Have ``item`` ring then."""
        super().add(due_ns, item)
        self._timers.wake_by(self)

    def ring_due(self, now_ns: int) -> None:
        """Ring for all that is due by now."""
        for item in self.take_due(now_ns):
            self._ring(item, now_ns)


class Timers:
    """The timer. Use it from within the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._alarms: list[Alarm[Any]] = []
        self._wake_ns = _NEVER_NS
        self._handle: asyncio.TimerHandle | None = None

    def alarm(self, grain_ns: int, ring: Callable[[Item, int], object]) -> Alarm[Item]:
        """A new alarm; those made first ring first."""
        alarm = Alarm(self, grain_ns, ring)
        self._alarms.append(alarm)
        return alarm

    def wake_by(self, alarm: Alarm[Any]) -> None:
        """Have the timer run when that alarm needs it, if it would run later."""
        next_ns = alarm.next_ns()
        if next_ns is None or next_ns >= self._wake_ns:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._wake_ns = next_ns
        delay_ms = math.ceil(max(0, next_ns - time.monotonic_ns()) / NS_PER_MS)
        self._handle = self._loop.call_later(delay_ms / 1000, self._run)

    def _run(self) -> None:
        # Whatever is added meanwhile is seen to at the end, once.
        self._handle, self._wake_ns = None, 0
        now_ns = time.monotonic_ns()
        try:
            for alarm in self._alarms:
                alarm.ring_due(now_ns)
        finally:
            self._wake_ns = _NEVER_NS
            for alarm in self._alarms:
                self.wake_by(alarm)
