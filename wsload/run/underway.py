"""A run from the word go until its last worker has ended: collects, samples, guards, and takes signals."""

import asyncio
import contextlib

from wsload.analysis.folder import FOUND, INTERRUPTED, LOST
from wsload.engine.base import Engine, WorkerDone, WorkerLost
from wsload.errors import RecordingError
from wsload.profile.model import Load
from wsload.report.live import Progress
from wsload.run.collector import Collector
from wsload.run.host import HostWatch
from wsload.run.journal import Journal
from wsload.run.progress import ProgressKeeper, ProgressListener
from wsload.run.search import Search
from wsload.run.system import System
from wsload.units import NS_PER_MS, NS_PER_S, format_count

_GUARD_PERIOD_S = 0.1
_DEATH_SETTLES_S = 0.5
_PROGRESS_PERIOD_S = 0.25
_ASIDE_NS = 20 * NS_PER_MS
"""How long before an interval's end the system is sampled, and after it what workers saw is merged. At the
end itself they take their snapshots, and where cores are few they would have to share them with us."""
_PATIENCE_S = 3.0
_PATIENCE_INTERVALS = 3
"""How long past its end, and silent for how long, workers may be before they are given up."""
_LONGEST_OVERTIME_S = 60.0
"""How long past its end workers may be that still send something."""


class Underway:
    """The one part of a run that waits. All its methods run on the loop."""

    def __init__(
        self,
        engine: Engine,
        system: System,
        collector: Collector,
        keeper: ProgressKeeper,
        journal: Journal,
        host: HostWatch,
        load: Load,
        workers: int,
        search: Search | None = None,
    ) -> None:
        """``search`` decides on levels of tunnels, and on the run's end, where the profile asks for it."""
        self._engine, self._system = engine, system
        self._collector, self._keeper, self._journal = collector, keeper, journal
        self._host = host
        self._interval_ns, self._working = load.interval_ns, workers
        self._drain_ns = load.ramp_ns + load.hold_ns
        self._drain_length_ns = load.drain_ns
        self._aside_ns = min(_ASIDE_NS, load.interval_ns // 10)
        self._heard_ns = 0
        """When a worker last sent something, since the run's start."""
        self._search = search
        self._gave_up = self._draining = False
        self._signals = 0
        self._stopped = asyncio.Event()

    async def until_done(self, on_progress: ProgressListener | None) -> None:
        """Until every worker has ended, or the second signal. Raises the error of any part (a full disk)."""
        jobs = [self._collect(), self._sample(), self._guard(), self._stopped.wait()]
        if self._search is not None:
            jobs.append(self._find_capacity(self._search))
        if on_progress is not None:
            jobs.append(self._show(on_progress))
        tasks = [asyncio.ensure_future(job) for job in jobs]
        try:
            finished, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in finished:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def interrupt(self, name: str) -> None:
        """A signal asks us to end: politely the first time, at once the second."""
        self._signals += 1
        # A disk that is full by now is noticed, and told, by the next writer.
        with contextlib.suppress(RecordingError):
            self._journal.note(INTERRUPTED, signal=name, number=self._signals)
        if self._signals == 1:
            self._keeper.warnings.append(f"{name}: closing all tunnels; once more to stop at once")
            self._drain()
        else:
            self._stopped.set()

    def _drain(self) -> None:
        """Begin the drain now, unless it has begun."""
        at_ns = max(self._journal.elapsed_ns, 0)
        if self._draining or at_ns >= self._drain_ns:
            return
        self._draining = True
        self._drain_ns = at_ns
        self._engine.drain()
        self._collector.move_drain(at_ns)
        self._keeper.drain_at_s = at_ns / NS_PER_S

    async def _collect(self) -> None:
        while self._working:
            event = await self._engine.next_event()
            came_ns = self._journal.elapsed_ns
            # The first of what workers send at an interval's end: the others are still at it.
            if came_ns - self._heard_ns > self._aside_ns:
                await asyncio.sleep(self._aside_ns / NS_PER_S)
            self._heard_ns = self._journal.elapsed_ns
            if isinstance(event, WorkerDone):
                self._working -= 1
                self._collector.done(event.worker)
            elif isinstance(event, WorkerLost):
                self._working -= 1
                tunnels = self._collector.lost(event.worker, max(came_ns, 0))
                self._journal.note(LOST, worker=event.worker, reason=event.reason, tunnels=tunnels)
                self._keeper.warnings.append(f"{event.reason}; {format_count(tunnels)} tunnels lost with it")
            else:
                self._collector.add(event)

    async def _sample(self) -> None:
        """At the start, and toward each interval's end: how the host is, and what the system under test uses.

        On the clock and not as intervals close: a silent worker delays that, and several then close at once.
        """
        number = 0
        while True:
            due_ns = max(number * self._interval_ns - self._aside_ns, 0)
            wait_ns = due_ns - self._journal.elapsed_ns
            await asyncio.sleep(max(wait_ns, 0) / NS_PER_S)
            number += 1
            self._host.note(self._journal.elapsed_s, self._system.lost_logs)
            self._collector.others = self._system.backend_processes()
            rows = await self._system.sample(round(self._journal.elapsed_s, 6))
            self._keeper.haproxy(rows)
            if self._search is not None:
                self._search.sampled(rows)

    async def _find_capacity(self, search: Search) -> None:
        await search.until_found()
        self._journal.note(FOUND)
        self._drain()
        await asyncio.Event().wait()  # the run's end is the workers'

    async def _guard(self) -> None:
        """Does the system still live, and are the workers still with us? Its death ends the run early."""
        while True:
            deaths = self._system.new_deaths()
            for death in deaths:
                self._journal.note(
                    f"{death.role}_exited", index=death.index, pid=death.pid, returncode=death.code
                )
                self._keeper.warnings.append(
                    f"{death.role} (pid {death.pid}) ended unasked, status {death.code}; closing all tunnels"
                )
            if deaths:
                # Its tunnels' ends are on their way to the workers: a close of ours must not cross them.
                await asyncio.sleep(_DEATH_SETTLES_S)
                self._drain()
            self._give_up_if_silent()
            await asyncio.sleep(_GUARD_PERIOD_S)

    def _give_up_if_silent(self) -> None:
        """A worker that is stopped, or hangs, must not keep the run from its end."""
        now_ns = self._journal.elapsed_ns
        patience_ns = max(_PATIENCE_S * NS_PER_S, _PATIENCE_INTERVALS * self._interval_ns)
        over_ns = now_ns - self._drain_ns - self._drain_length_ns
        silent_ns = now_ns - self._heard_ns
        is_hopeless = min(over_ns, silent_ns) > patience_ns or over_ns > _LONGEST_OVERTIME_S * NS_PER_S
        if is_hopeless and not self._gave_up:
            self._gave_up = True
            self._journal.note("gave_up", overtime_s=round(over_ns / NS_PER_S, 3))
            self._engine.give_up()

    async def _show(self, on_progress: ProgressListener) -> None:
        while True:
            progress: Progress = self._keeper.now(self._journal.elapsed_s)
            try:
                on_progress(progress)
            except OSError:  # the terminal is gone: no reason to end a run
                await asyncio.Event().wait()
            await asyncio.sleep(_PROGRESS_PERIOD_S)
