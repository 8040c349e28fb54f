"""Finds a path's idle timers: opens the tunnels of :mod:`wsload.probe.idle_plan` and watches them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wsload.clock import Clock
from wsload.probe.idle_plan import (
    MOST_ROUNDS,
    SEEN_ENDS,
    Fate,
    Kind,
    Outcome,
    Trial,
    first_round,
    next_round,
    watch_ns,
)
from wsload.probe.request_checks import describe_opening
from wsload.probe.stream import Address
from wsload.probe.target import Target
from wsload.probe.tunnel import Tunnel, open_tunnel
from wsload.record.outcome import Wire
from wsload.wire.frames import PONG

_TELL_PERIOD_S = 0.25
_OPENING_GAP_S = 0.01
"""Between tunnels: all at once, they would wait for each other, and timers begin before we see the 101."""
_FATES = {
    Wire.FIN: Fate.FIN,
    Wire.RST: Fate.RST,
    Wire.CLOSE: Fate.CLOSE,
    Wire.TIMEOUT: Fate.UNANSWERED,
}

_PROVOKED = {
    Wire.FIN: "a FIN",
    Wire.RST: "an RST",
    Wire.CLOSE: "a close frame",
    Wire.TIMEOUT: "no answer",
}


@dataclass(frozen=True)
class Underway:
    """Where the search stands, for who watches."""

    elapsed_ns: int
    bound_ns: int
    round_number: int
    open: int
    ended: int


class IdleFinder:
    """One search. :meth:`stop` ends it early; what is known by then is the result."""

    def __init__(
        self,
        target: Target,
        address: Address,
        clock: Clock,
        *,
        pings: bool,
        tell: Callable[[Underway], None] | None = None,
    ) -> None:
        """``pings``: whether the server answers them; if not, only silence can be watched."""
        self._target, self._address, self._clock = target, address, clock
        self._pings, self._tell = pings, tell
        self._watches: list[_Watch] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._started_ns = clock.now_ns()
        self._watched_ns = self._bound_ns = self._round_number = 0
        self.stopped = False
        """Whether :meth:`stop` cut it short."""

    def stop(self) -> None:
        """End all watches now; tunnels that live are not asked any more."""
        self.stopped = True
        for task in self._tasks:
            task.cancel()

    async def find(self, bound_ns: int) -> list[Outcome]:
        """Watch for up to about ``bound_ns``, and an answer's time more. Every tunnel is closed then."""
        self._started_ns, self._bound_ns = self._clock.now_ns(), bound_ns
        outcomes: list[Outcome] = []
        trials = first_round(bound_ns, pings=self._pings)
        watched_ns = bound_ns
        while trials and not self.stopped and self._round_number < MOST_ROUNDS:
            outcomes += await self._round(trials, watched_ns)
            remaining_ns = bound_ns - (self._clock.now_ns() - self._started_ns)
            trials = next_round(outcomes, remaining_ns)
            watched_ns = watch_ns(max((trial.interval_ns for trial in trials), default=0))
        return outcomes

    async def _round(self, trials: Sequence[Trial], watched_ns: int) -> list[Outcome]:
        self._round_number += 1
        self._watched_ns = watched_ns
        self._watches = [_Watch(trial, self) for trial in trials]
        self._tasks = [
            asyncio.create_task(watch.run(number * _OPENING_GAP_S))
            for number, watch in enumerate(self._watches)
        ]
        telling = asyncio.create_task(self._keep_telling())
        try:
            await asyncio.wait(self._tasks)
        finally:
            for task in (*self._tasks, telling):
                task.cancel()
            for watch in self._watches:
                watch.close()
        for task in self._tasks:
            if not task.cancelled():
                task.result()
        return [watch.outcome or watch.cut_short() for watch in self._watches]

    async def open(self) -> tuple[Tunnel | None, str]:
        """A new tunnel, or why there is none."""
        try:
            opening = await open_tunnel(self._target, self._address, self._clock)
        except OSError as error:
            return None, error.strerror or str(error) or type(error).__name__
        return opening.tunnel, "" if opening.tunnel else describe_opening(opening, self._target)[0]

    def due(self, watch: "_Watch") -> bool:
        """Whether this watch's time is up."""
        return self._clock.now_ns() >= self.deadline_ns(watch)

    def deadline_ns(self, watch: "_Watch") -> int:
        """When this watch ends. Sooner than planned once every silent tunnel was seen to end."""
        silent = [other for other in self._watches if other.trial.kind is Kind.SILENT]
        ends = [other.outcome for other in silent if other.outcome and other.outcome.fate in SEEN_ENDS]
        watched_ns = self._watched_ns
        if silent and len(ends) == len(silent):
            watched_ns = min(watched_ns, watch_ns(max(end.age_ns for end in ends)))
        return watch.opened_ns + watched_ns

    def ended(self) -> None:
        """A watch is over: the others' deadline may have moved."""
        for watch in self._watches:
            watch.wake()

    @property
    def timeout_ns(self) -> int:
        """Of every answer."""
        return self._target.timeout_ns

    @property
    def clock(self) -> Clock:
        """Whose time all of it is in."""
        return self._clock

    @property
    def pings(self) -> bool:
        """Whether the server answers them."""
        return self._pings

    async def _keep_telling(self) -> None:
        while self._tell is not None:
            over = sum(watch.outcome is not None for watch in self._watches)
            self._tell(
                Underway(
                    elapsed_ns=self._clock.now_ns() - self._started_ns,
                    bound_ns=self._bound_ns,
                    round_number=self._round_number,
                    open=len(self._watches) - over,
                    ended=over,
                )
            )
            await asyncio.sleep(_TELL_PERIOD_S)


class _Watch:
    """One tunnel from its opening to its outcome."""

    def __init__(self, trial: Trial, finder: IdleFinder) -> None:
        self.trial = trial
        self.outcome: Outcome | None = None
        self.opened_ns = finder.clock.now_ns()
        self._finder, self._clock = finder, finder.clock
        self._tunnel: Tunnel | None = None
        self._beats = 0

    def wake(self) -> None:
        """Look again at the deadline."""
        if self._tunnel is not None:
            self._tunnel.stream.wake()

    def close(self) -> None:
        """End the tunnel, if it still lives."""
        if self._tunnel is not None:
            self._tunnel.close()

    async def run(self, wait_s: float) -> None:
        """Watch until it ends or the deadline passes; then, if it can be asked, whether it lives."""
        await asyncio.sleep(wait_s)
        self._tunnel, why = await self._finder.open()
        if self._tunnel is None:
            self.outcome = Outcome(self.trial, Fate.REFUSED, detail=why)
        else:
            self.opened_ns = self._tunnel.opened_ns
            self.outcome = await self._watch(self._tunnel)
        self._finder.ended()

    def cut_short(self) -> Outcome:
        """What is known of it before it is over."""
        if self._tunnel is None:
            return Outcome(self.trial, Fate.OPEN)
        if self._tunnel.end() is not None:
            return self._seen(self._tunnel)
        return self._made(self._tunnel, Fate.OPEN, self._clock.now_ns() - self._tunnel.last_byte_ns)

    async def _watch(self, tunnel: Tunnel) -> Outcome:
        next_beat_ns = tunnel.opened_ns + self.trial.interval_ns if self.trial.interval_ns else None
        while tunnel.end() is None and not self._finder.due(self):
            deadline_ns = self._finder.deadline_ns(self)
            if next_beat_ns is None or next_beat_ns > deadline_ns:
                await tunnel.stream.changed(deadline_ns)
                continue
            if self._clock.now_ns() < next_beat_ns:
                await tunnel.stream.changed(next_beat_ns)
                continue
            next_beat_ns = self._clock.now_ns() + self.trial.interval_ns
            if self.trial.kind is Kind.UPSTREAM:
                tunnel.send(PONG, b"")
                self._beats += 1
            elif (lost := await self._ask(tunnel)) is not None:
                return lost
            else:
                self._beats += 1
        if tunnel.end() is not None:
            return self._seen(tunnel)
        silence_ns = self._clock.now_ns() - tunnel.last_byte_ns
        if not self._finder.pings:
            return self._made(tunnel, Fate.OPEN, silence_ns)
        lost = await self._ask(tunnel)
        if lost is not None:
            return lost
        # The last question is a heartbeat too, if it came after a whole interval.
        self._beats += self.trial.kind is Kind.PINGED and silence_ns >= self.trial.interval_ns
        return self._made(tunnel, Fate.ALIVE, 0)

    async def _ask(self, tunnel: Tunnel) -> Outcome | None:
        """Ping it. None if it answers, else what became of it; its silence is the one before the ping."""
        idle_ns = self._clock.now_ns() - tunnel.last_byte_ns
        if await tunnel.ping(self._finder.timeout_ns) is not None:
            return None
        # What ends it now was provoked by our bytes: it is no timer that ran out by itself.
        wire = tunnel.end()
        return self._made(tunnel, Fate.UNANSWERED, idle_ns, _PROVOKED[wire] if wire else "no answer")

    def _seen(self, tunnel: Tunnel) -> Outcome:
        wire = tunnel.end()
        assert wire is not None
        return self._made(tunnel, _FATES[wire], tunnel.idle_at_end_ns)

    def _made(self, tunnel: Tunnel, fate: Fate, idle_ns: int, detail: str = "") -> Outcome:
        code, reason = tunnel.closed or (None, "")
        ended_ns = self._clock.now_ns() if tunnel.ended_ns is None else tunnel.ended_ns
        return Outcome(
            trial=self.trial,
            fate=fate,
            age_ns=ended_ns - tunnel.opened_ns,
            idle_ns=idle_ns,
            longest_silence_ns=max(tunnel.longest_silence_ns, idle_ns if fate is Fate.OPEN else 0),
            beats=self._beats,
            unasked=tunnel.unasked,
            close_code=code,
            detail=detail or reason or ("no answer" if fate is Fate.UNANSWERED else ""),
        )
