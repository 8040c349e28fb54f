"""One run, end to end: plan, folder, system, workers, then wait and watch, then the verdict."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from wsload.analysis.folder import INTERRUPTED, RunFolder
from wsload.analysis.summary import encode_summary, summarise
from wsload.clock import Clock, MonotonicClock
from wsload.engine.local import LocalEngine
from wsload.errors import (
    ExitCode,
    HaproxyConfigError,
    InterruptedRunError,
    RecordingError,
)
from wsload.plan.model import Plan
from wsload.plan.preflight import checks, read_machine, require
from wsload.plan.sharding import assignments, make_plan
from wsload.profile.load import LoadedProfile
from wsload.record import layout
from wsload.record.layout import RunInfo
from wsload.record.outcome import Validity, Verdict
from wsload.record.summary import Summary
from wsload.run.collector import Collector, latency_log_header
from wsload.run.environment import describe_environment
from wsload.run.folder import FolderWriter
from wsload.run.host import HostWatch
from wsload.run.journal import Journal
from wsload.run.kernel import KernelWatch
from wsload.run.progress import ProgressKeeper, ProgressListener
from wsload.run.scheduling import giving_way, kept_to
from wsload.run.search import Search
from wsload.run.shared import SharedHaproxy
from wsload.run.signals import Signals, taking_signals
from wsload.run.system import System
from wsload.run.underway import Underway
from wsload.run.verdicts import write_verdicts
from wsload.units import NS_PER_S, NS_PER_US

_START_DELAY_NS = NS_PER_S // 4
"""Between choosing the run's time 0 and its coming, so that all workers have heard of it."""


class RunResult(msgspec.Struct, frozen=True):
    """What a run came to."""

    folder: Path
    summary: Summary
    exit_code: ExitCode


async def run(
    loaded: LoadedProfile,
    out: Path | None,
    on_progress: ProgressListener | None = None,
    cell: str = "",
    clock: Clock | None = None,
) -> RunResult:
    """Carry out a profile and leave its result folder at ``out``; None: ``results/TIME-TITLE``.

    The first SIGINT or SIGTERM drains and reports, the second stops at once; both leave a valid folder.
    Raises a WsloadError where there is nothing to report: before the first tunnel (no folder is left then,
    but for a configuration that HAProxy rejects), or when the folder can no longer be written.
    """
    with taking_signals() as signals, giving_way():
        folder = await measure(loaded, out, signals, on_progress, cell, clock)
    return finish(folder, loaded)


async def measure(
    loaded: LoadedProfile,
    out: Path | None,
    signals: Signals,
    on_progress: ProgressListener | None = None,
    cell: str = "",
    clock: Clock | None = None,
    shared: SharedHaproxy | None = None,
    beside: Sequence[str] = (),
) -> Path:
    """The part of :func:`run` that measures: the folder, to which :func:`finish` adds what is made from it.

    Runs ``beside`` it, by their folders' names, may be under way at once, through one ``shared`` HAProxy;
    each then plans with its share of the cores. Raises as :func:`run` does.
    """
    machine = read_machine()
    machine = msgspec.structs.replace(machine, cores=max(machine.cores // (len(beside) + 1), 1))
    plan = make_plan(loaded.profile, machine)
    require(checks(plan, machine))
    title, now = loaded.profile.title, datetime.now(UTC)
    folder = FolderWriter.create_default(title, now) if out is None else FolderWriter.create(out)
    session = _Session(loaded, plan, folder, on_progress, cell, clock or MonotonicClock(), shared, beside)
    try:
        with signals.told_to(session.signalled), kept_to(plan.placement.parent):
            await session.conduct()
    except HaproxyConfigError:  # its text names lines of the file in the folder
        raise
    except RecordingError as error:
        if not session.began:
            folder.discard()
            raise
        raise RecordingError(f"{error}; to see it type: wsload report {folder.path}") from error
    except BaseException as error:
        if not session.began:
            folder.discard()
        if session.was_cancelled and isinstance(error, asyncio.CancelledError):
            raise InterruptedRunError("interrupted before the first tunnel; nothing was measured") from None
        raise
    finally:
        folder.close()
    return folder.path


def finish(
    out: Path,
    loaded: LoadedProfile,
    external_log: Path | None = None,
    timers_ms: Mapping[str, int] | None = None,
    log_ahead_s: float | None = None,
) -> RunResult:
    """Write the final causes and ``summary.json`` from what stands in a run's folder.

    ``external_log`` is the log of a HAProxy that wsload did not start, ``timers_ms`` are its timers, and
    ``log_ahead_s`` is how far its clock is ahead; what is None stays as it was said the last time.
    """
    write_verdicts(out, external_log, timers_ms, log_ahead_s)
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
        shared: SharedHaproxy | None,
        beside: Sequence[str],
    ) -> None:
        self._loaded, self._plan, self._folder = loaded, plan, folder
        self._shared, self._beside = shared, beside
        self._on_progress, self._cell = on_progress, cell
        self._journal = Journal(folder, clock)
        self._main: asyncio.Task[None] | None = None
        self._underway: Underway | None = None
        self._is_closing = False
        self.was_cancelled = False
        """A signal came before the workers were told to go."""

    async def conduct(self) -> None:
        """From an empty folder to one that holds everything but the views made from it."""
        self._main = asyncio.current_task()
        loaded, plan, folder, journal = self._loaded, self._plan, self._folder, self._journal
        folder.write(layout.PROFILE, loaded.text)
        async with contextlib.AsyncExitStack() as stack:
            system = await System.start(plan, folder, self._shared)
            stack.push_async_callback(system.stop)
            engine = LocalEngine(plan.placement.driver)
            stack.callback(engine.stop)
            shares = assignments(plan)
            target, load = loaded.profile.target, loaded.profile.load
            await engine.prepare(shares, system.endpoints, target.headers, target.subprotocols)
            journal.note("workers_ready", rss_bytes=engine.base_rss_bytes(), workers=plan.workers)
            start_ns = journal.begin(_START_DELAY_NS)
            info = self._describe(system, start_ns)
            keeper = ProgressKeeper(info, self._cell)
            search = Search(loaded.profile, engine, journal) if loaded.profile.capacity is not None else None
            bounds_ns = (load.ramp_ns, load.ramp_ns + load.hold_ns)
            host = HostWatch(folder, plan.placement.driver or plan.placement.host)
            kernel = KernelWatch(folder)
            kernel.note(0.0)
            listeners = [keeper.interval, kernel.interval]
            if search is not None:
                listeners.append(search.interval)
            collector = Collector(folder, shares, info.timers_of_ms, bounds_ns, listeners)
            engine.go(start_ns)
            self._underway = Underway(
                engine, system, collector, keeper, journal, host, load, plan.workers, search
            )
            await self._underway.until_done(self._on_progress)
            self._is_closing = True
            engine.stop()
            collector.finish()
            kernel.note(journal.elapsed_s)
            host.note(journal.elapsed_s, system.lost_logs)
            await system.sample(round(journal.elapsed_s, 6))
            await system.stop()
            if system.log_lines:
                journal.note("haproxy_log", **system.log_lines)
            if system.backend_records_lost:
                journal.note("backend_log", lost=system.backend_records_lost)

    @property
    def began(self) -> bool:
        """Whether the workers were told to go."""
        return self._underway is not None

    def signalled(self, name: str) -> None:
        """A signal came. Closing takes a few seconds at most: it goes on."""
        if self._underway is not None:
            if not self._is_closing:
                self._underway.interrupt(name)
        elif self._main is not None and not self.was_cancelled:
            self.was_cancelled = True
            self._main.cancel()

    def _describe(self, system: System, start_ns: int) -> RunInfo:
        loaded, plan = self._loaded, self._plan
        profile, load = loaded.profile, loaded.profile.load
        start = datetime.now(UTC) + timedelta(microseconds=self._journal.until_start_ns() / NS_PER_US)
        names = [cohort.name for cohort in profile.cohorts]
        info = RunInfo(
            title=profile.title,
            started=f"{start:%Y-%m-%dT%H:%M:%SZ}",
            started_unix_s=start.timestamp(),
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
            cohort_timers_ms=system.cohort_timers_ms,
            maxconn=system.maxconn,
            lag_limit_ms=load.lag_limit_ns / 1e6,
            settings=dict(text.split("=", 1) for text in loaded.overrides),
            start_monotonic_ns=start_ns,
            haproxy_version=system.haproxy_version,
            haproxy_sharers=system.sharers,
            beside=list(self._beside),
        )
        self._folder.write_json(layout.PLAN, info)
        environment = describe_environment(system.haproxy_version, system.timers_ms, plan)
        self._folder.write_json(layout.ENVIRONMENT, environment)
        self._folder.append_text(layout.LATENCY_LOG, latency_log_header(info.started_unix_s))
        self._folder.append_rows(layout.DISCONNECTS, layout.DISCONNECT_COLUMNS, [])
        self._folder.append_rows(layout.HANDSHAKE_FAILURES, layout.HANDSHAKE_FAILURE_COLUMNS, [])
        return info
