"""One run, end to end: plan, folder, system, workers, then wait and watch, then the verdict."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from wsload.analysis.folder import INTERRUPTED, RunFolder
from wsload.analysis.summary import encode_summary, summarise
from wsload.clock import Clock, MonotonicClock
from wsload.engine.base import Engine, WorkerDone, WorkerLost
from wsload.engine.local import LocalEngine
from wsload.errors import BackendError, ChildError, ExitCode, InterruptedRunError, RecordingError
from wsload.plan.model import Plan
from wsload.plan.preflight import checks, read_machine, require
from wsload.plan.sharding import assignments, make_plan
from wsload.profile.load import LoadedProfile, parse_profile
from wsload.record import layout
from wsload.record.layout import ActionLine, RunInfo, Summary
from wsload.record.outcome import Validity, Verdict
from wsload.report.live import Progress
from wsload.run.collector import Collector, latency_log_header
from wsload.run.environment import describe_environment
from wsload.run.folder import FolderWriter
from wsload.run.progress import ProgressKeeper
from wsload.run.system import System
from wsload.units import NS_PER_S

_START_DELAY_NS = NS_PER_S // 5
"""Between telling workers to go and the run's time 0, so that all have heard it."""
_GRACE_S = 10.0
"""How long past its planned end a run waits for a worker before it is given up."""
_PROGRESS_PERIOD_S = 0.25

ProgressListener = Callable[[Progress], None]


class RunResult(msgspec.Struct, frozen=True):
    """What a run came to."""

    folder: Path
    summary: Summary
    exit_code: ExitCode


async def run(
    loaded: LoadedProfile,
    out: Path,
    on_progress: ProgressListener | None = None,
    cell: str = "",
    clock: Clock | None = None,
) -> RunResult:
    """Carry out a profile and leave its result folder at ``out``.

    The first SIGINT or SIGTERM drains and reports, the second stops at once; both leave a valid folder.
    Raises a WsloadError where there is nothing to report: before the first tunnel, or when the folder can
    no longer be written.
    """
    plan = make_plan(loaded.profile, machine := read_machine())
    require(checks(plan, machine))
    folder = FolderWriter.create(out)
    session = _Session(loaded, plan, folder, on_progress, cell, clock or MonotonicClock())
    try:
        with _signals(session):
            await session.conduct()
    except asyncio.CancelledError:
        folder.discard()
        raise InterruptedRunError("interrupted before the first tunnel; nothing was measured") from None
    except (BackendError, ChildError):
        if not session.began:
            folder.discard()
        raise
    finally:
        folder.close()
    return finish(out, loaded)


def finish(out: Path, loaded: LoadedProfile) -> RunResult:
    """Write ``summary.json`` from what stands in a run's folder."""
    folder = RunFolder(out)
    summary = summarise(folder, loaded.profile)
    writer = FolderWriter(out)
    writer.write(layout.SUMMARY, encode_summary(summary))
    interrupted = any(action.action == INTERRUPTED for action in folder.actions())
    return RunResult(out, summary, exit_code_of(summary, interrupted=interrupted))


def exit_code_of(summary: Summary, *, interrupted: bool) -> ExitCode:
    """An interruption outranks a result that is not valid, and that a failed SLO."""
    if interrupted:
        return ExitCode.INTERRUPTED
    if summary.verdict.validity == Validity.INVALID:
        return ExitCode.INVALID_RESULT
    return ExitCode.SLO_FAILED if summary.verdict.slo == Verdict.FAILED else ExitCode.PASSED


def stored_profile(out: Path) -> LoadedProfile:
    """The profile that a run's folder holds, with the overrides it was run with."""
    folder = RunFolder(out)
    text = (out / layout.PROFILE).read_text(encoding="utf-8")
    overrides = tuple(f"{key}={value}" for key, value in folder.info.settings.items())
    profile = parse_profile(text, str(out / layout.PROFILE), overrides)
    return LoadedProfile(profile=profile, text=text, overrides=overrides)


class _Session:
    """The state of one run while it lasts."""

    def __init__(
        self,
        loaded: LoadedProfile,
        plan: Plan,
        folder: FolderWriter,
        on_progress: ProgressListener | None,
        cell: str,
        clock: Clock,
    ) -> None:
        self._loaded, self._plan, self._folder = loaded, plan, folder
        self._on_progress, self._cell, self._clock = on_progress, cell, clock
        self._engine: Engine | None = None
        self._main: asyncio.Task[None] | None = None
        self._start_ns = 0
        self.signals_seen = 0
        self._draining = False

    async def conduct(self) -> None:
        """From an empty folder to one that holds everything but the views made from it."""
        loaded, plan, folder = self._loaded, self._plan, self._folder
        self._main = main = asyncio.current_task()
        assert main is not None
        folder.write(layout.PROFILE, loaded.text)
        async with contextlib.AsyncExitStack() as stack:
            system = await System.start(plan, folder)
            stack.push_async_callback(system.stop)
            info = self._describe(system)
            engine = LocalEngine()
            stack.callback(engine.stop)
            shares = assignments(plan)
            target = loaded.profile.target
            await engine.prepare(shares, system.endpoints, target.headers, target.subprotocols)
            self._act("workers_ready", rss_bytes=engine.base_rss_bytes(), workers=plan.workers)
            keeper = ProgressKeeper(info, self._cell)
            load = loaded.profile.load
            bounds_ns = (load.ramp_ns, load.ramp_ns + load.hold_ns)
            collector = Collector(folder, shares, system.timers_ms, bounds_ns, keeper.interval)
            self._start_ns = self._clock.now_ns() + _START_DELAY_NS
            self._engine = engine
            engine.go(self._start_ns)
            try:
                await self._until_done(engine, collector, system, keeper)
            except asyncio.CancelledError:  # the second signal
                main.uncancel()
            collector.finish()
            await self._close(system)

    async def _until_done(
        self, engine: Engine, collector: Collector, system: System, keeper: ProgressKeeper
    ) -> None:
        """Until every worker is done or lost. An error of any part (a full disk) ends the run."""
        tasks = [
            asyncio.create_task(self._collect(engine, collector, keeper)),
            asyncio.create_task(self._watch(engine, collector, system, keeper)),
            asyncio.create_task(self._show(keeper)),
        ]
        try:
            finished, _ = await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
            for task in finished:
                task.result()
        finally:
            for task in tasks:
                task.cancel()

    async def _collect(self, engine: Engine, collector: Collector, keeper: ProgressKeeper) -> None:
        working = self._plan.workers
        while working:
            event = await engine.next_event()
            if isinstance(event, WorkerDone):
                working -= 1
                collector.done(event.worker)
            elif isinstance(event, WorkerLost):
                working -= 1
                tunnels = collector.lost(event.worker, self._elapsed_ns())
                self._act("worker_lost", worker=event.worker, reason=event.reason, tunnels=tunnels)
                keeper.warnings.append(f"{event.reason}; {tunnels} tunnels lost with it")
            else:
                collector.add(event)

    async def _watch(
        self, engine: Engine, collector: Collector, system: System, keeper: ProgressKeeper
    ) -> None:
        """Each interval: read what the system under test uses, and whether it still lives."""
        load = self._loaded.profile.load
        end_s = (load.ramp_ns + load.hold_ns + load.drain_ns) / NS_PER_S + _GRACE_S
        number = 0
        while True:
            await self._sleep_until(number * load.interval_ns)
            number += 1
            collector.others = system.backend_processes()
            keeper.haproxy(await system.sample(round(self._elapsed_ns() / NS_PER_S, 6)))
            for death in system.new_deaths():
                self._act(f"{death.role}_exited", index=death.index, pid=death.pid, returncode=death.code)
                keeper.warnings.append(f"{death.role} (pid {death.pid}) ended unasked, status {death.code}")
                self._drain(collector, keeper)
            if self.signals_seen:
                self._drain(collector, keeper)
            if self._elapsed_ns() / NS_PER_S > end_s:
                self._act("gave_up", waited_s=_GRACE_S)
                engine.give_up()

    async def _show(self, keeper: ProgressKeeper) -> None:
        if self._on_progress is None:
            return
        while True:
            self._on_progress(keeper.now(max(self._elapsed_ns(), 0) / NS_PER_S))
            await asyncio.sleep(_PROGRESS_PERIOD_S)

    async def _close(self, system: System) -> None:
        """The last figures, and the end of the system under test."""
        await system.sample(round(self._elapsed_ns() / NS_PER_S, 6))
        await system.stop()
        if system.log_lines:
            self._act("haproxy_log", **system.log_lines)

    def signalled(self, name: str) -> None:
        """A signal asks us to end: politely the first time, at once the second."""
        self.signals_seen += 1
        if self._engine is None:
            if self._main is not None:
                self._main.cancel()
            return
        # A disk that is full by now is noticed, and told, by the next writer.
        with contextlib.suppress(RecordingError):
            self._act(INTERRUPTED, signal=name, number=self.signals_seen)
        if self.signals_seen == 1:
            self._engine.drain()
        elif self._main is not None:
            self._main.cancel()

    @property
    def began(self) -> bool:
        """Whether the workers were told to go."""
        return self._engine is not None

    def _drain(self, collector: Collector, keeper: ProgressKeeper) -> None:
        if not self._draining and self._engine is not None:
            self._draining = True
            self._engine.drain()
            at_ns = self._elapsed_ns()
            collector.move_drain(at_ns)
            keeper.drain_at_s = at_ns / NS_PER_S

    def _describe(self, system: System) -> RunInfo:
        loaded, plan = self._loaded, self._plan
        profile, load = loaded.profile, loaded.profile.load
        now = datetime.now(UTC)
        names = [cohort.name for cohort in profile.cohorts]
        info = RunInfo(
            title=profile.title,
            started=f"{now:%Y-%m-%dT%H:%M:%SZ}",
            started_unix_s=now.timestamp(),
            tunnels=load.tunnels,
            cohorts=dict(zip(names, plan.cohort_tunnels, strict=True)),
            workers=plan.workers,
            sources=len(plan.sources),
            endpoints=[endpoint.address for endpoint in system.endpoints],
            ramp_s=load.ramp_ns / NS_PER_S,
            hold_s=load.hold_ns / NS_PER_S,
            drain_s=load.drain_ns / NS_PER_S,
            interval_s=load.interval_ns / NS_PER_S,
            via=profile.target.via,
            timers_ms=system.timers_ms,
            maxconn=system.maxconn,
            lag_limit_ms=load.lag_limit_ns / 1e6,
            settings=dict(text.split("=", 1) for text in loaded.overrides),
        )
        self._folder.write_json(layout.PLAN, info)
        environment = describe_environment(system.haproxy_version, profile.target.via)
        self._folder.write_json(layout.ENVIRONMENT, environment)
        self._folder.append_text(layout.LATENCY_LOG, latency_log_header(info.started_unix_s))
        self._folder.append_rows(layout.DISCONNECTS, layout.DISCONNECT_COLUMNS, [])
        return info

    def _act(self, action: str, **detail: object) -> None:
        at_s = round(self._elapsed_ns() / NS_PER_S, 3) if self._start_ns else 0.0
        self._folder.append_json(layout.ACTIONS, ActionLine(at_s, action, dict(detail)))

    def _elapsed_ns(self) -> int:
        return self._clock.now_ns() - self._start_ns

    async def _sleep_until(self, at_ns: int) -> None:
        await asyncio.sleep(max(at_ns - self._elapsed_ns(), 0) / NS_PER_S)


@contextlib.contextmanager
def _signals(session: _Session) -> Iterator[None]:
    """SIGINT and SIGTERM go to the session while it lasts."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, session.signalled, signal.Signals(number).name)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
