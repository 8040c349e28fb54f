"""Runs tools in turn through one HAProxy to one backend, and leaves nothing of them behind."""

import asyncio
import contextlib
import ctypes
import functools
import os
import platform
import resource
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec
import psutil

from benchmarks.peer_tools.base import Latency, Launch, Target, Tool, Traffic, Workload
from benchmarks.peers_figures import Measurement, Setting, few_of, grown, measured, window_of
from benchmarks.peers_samples import Sample, Watch
from wsload import children
from wsload.backend.process import EmbeddedBackend
from wsload.errors import WsloadError
from wsload.haproxy.process import HaproxyFleet
from wsload.profile.load import parse_profile

_PATH = "/ws"
_SCRATCH = "wsload-peers-"
_PR_SET_CHILD_SUBREAPER = 36
_LAST_WORDS = 3
_BEYOND_S = 60.0
"""How long a tool may take to start and to report, beyond its load."""
_EMPTY_WITHIN_S = 20.0
_POLL_S = 0.1


class Road:
    """HAProxy and the backend that all tools of a round share."""

    def __init__(self, fleet: HaproxyFleet, backend: EmbeddedBackend) -> None:
        self.fleet, self.backend = fleet, backend
        ip, port = fleet.endpoints[0]
        self.target = Target(ip, port, _PATH)

    @property
    def setting(self) -> Setting:
        """Where we are."""
        return Setting(
            haproxy=self.fleet.version,
            kernel=platform.release(),
            cores=len(os.sched_getaffinity(0)),
            memory_bytes=psutil.virtual_memory().total,
            python=platform.python_version(),
        )

    def processes(self) -> list[psutil.Process]:
        """All processes below ours but those of the road: the tool's, also those that it made daemons."""
        ours = {*self.fleet.pids, *self.backend.pids}
        return [each for each in psutil.Process().children(recursive=True) if each.pid not in ours]

    async def empty(self) -> None:
        """Wait until the last tool's tunnels have gone.

        Raises:
            WsloadError: They stay, or HAProxy or the backend has ended.
        """
        if self.fleet.dead() or self.backend.dead():
            raise WsloadError("HAProxy or the backend has ended")
        deadline_s = asyncio.get_running_loop().time() + _EMPTY_WITHIN_S
        while any(report.tunnels for report in await self.backend.reports()):
            if asyncio.get_running_loop().time() > deadline_s:
                raise WsloadError("tunnels of the last tool are still open")
            await asyncio.sleep(_POLL_S)


@contextlib.asynccontextmanager
async def road(most_tunnels: int) -> AsyncIterator[Road]:
    """One HAProxy and one backend, as wsload's own runs have them; both are gone afterwards."""
    profile = parse_profile(f"[load]\ntunnels = {most_tunnels}\n", "peers")
    with tempfile.TemporaryDirectory(prefix=_SCRATCH) as folder:
        async with contextlib.AsyncExitStack() as stack:
            backend = await EmbeddedBackend.start(profile.backend)
            stack.push_async_callback(backend.stop)
            fleet = await HaproxyFleet.start(profile.haproxy, backend.addresses, Path(folder), _PATH)
            stack.push_async_callback(fleet.stop)
            yield Road(fleet, backend)


async def measure(
    tool: Tool, program: Sequence[str], version: str, workload: Workload, here: Road, round_number: int
) -> Measurement:
    """One tool on one workload. What goes wrong with the tool is in ``error``."""
    result = Measurement(
        tool=tool.name,
        version=version,
        round=round_number,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        workload=workload,
        setting=here.setting,
    )
    try:
        few = []
        if workload.traffic is Traffic.IDLE:
            fewer = few_of(workload)
            samples, _ = await _watched(tool, program, fewer, here)
            few = window_of(samples, fewer)
        samples, result.latency = await _watched(tool, program, workload, here)
        window = window_of(samples, workload)
        figures = measured(window, workload) | (grown(few, window) if few else {})
        figures["peak_bytes"] = max(each.tool.pss_bytes for each in samples)
        result = msgspec.structs.replace(result, **figures)
    except (WsloadError, psutil.Error, OSError, ValueError, LookupError) as error:
        result.error = str(error) or type(error).__name__
    return result


async def _watched(
    tool: Tool, program: Sequence[str], workload: Workload, here: Road
) -> tuple[list[Sample], Latency]:
    """A tool's whole life in samples, and what it reported. Raises WsloadError where it fails."""
    await here.empty()
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        launch = tool.prepare(program, workload, here.target, folder)
        async with Watch(here.backend, here.fleet.pids[0], here.processes) as watch:
            words = await _run(launch, workload, folder, here)
        is_timed = workload.traffic is Traffic.ECHO
        return watch.samples, tool.latency(folder, words) if is_timed else Latency()


async def _run(launch: Launch, workload: Workload, folder: Path, here: Road) -> str:
    """A tool from start to end: what it wrote on stdout. Raises WsloadError where it fails."""
    with (folder / "stdout").open("w+b") as out, (folder / "stderr").open("w+b") as err:
        process = _start(launch, folder, out, err)
        try:
            deadline_s = asyncio.get_running_loop().time() + workload.stay_s + workload.ramp_s + _BEYOND_S
            while process.poll() is None:
                if asyncio.get_running_loop().time() > deadline_s:
                    raise WsloadError(f"it did not end{_last_words(folder)}")
                await asyncio.sleep(_POLL_S)
        finally:
            end_all(process, here)
    if process.returncode != 0:
        raise WsloadError(f"exit status {process.returncode}{_last_words(folder)}")
    return (folder / "stdout").read_text(encoding="utf-8", errors="replace")


def _start(launch: Launch, folder: Path, out: IO[bytes], err: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        launch.arguments,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        cwd=folder,
        env={**_environment(), **launch.environment, "HOME": str(folder)},
        start_new_session=True,
        preexec_fn=functools.partial(_begin, os.getpid()),  # a few system calls, between fork and exec
    )


def _environment() -> Mapping[str, str]:
    """Ours, as a user's shell would have it: Python's and wsload's own settings are not the tools'."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "WSLOAD_"))}


def _begin(parent_pid: int) -> None:
    children.die_with_parent(parent_pid)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def end_all(process: "subprocess.Popen[bytes]", here: Road) -> None:
    """End a tool with all that it started, also what it starts meanwhile, and reap it."""
    while left := here.processes():
        for each in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()
        for each in left:
            with contextlib.suppress(ChildProcessError):  # the tool itself; and whose parent reaps it
                os.waitpid(each.pid, 0)
    process.wait()


def _last_words(folder: Path) -> str:
    said = [(folder / name).read_text(encoding="utf-8", errors="replace") for name in ("stderr", "stdout")]
    lines = next((text.strip().splitlines() for text in said if text.strip()), [])
    return ": " + " / ".join(line.strip() for line in lines[-_LAST_WORDS:]) if lines else ""


@contextlib.contextmanager
def adopting() -> Iterator[None]:
    """Children of children whose parents end become ours, so that a tool's daemons are seen and ended."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0)


def cancelled_by_signal(task: "asyncio.Task[None]") -> None:
    """The first SIGINT or SIGTERM cancels the task, and all is put away on the way out; further ones do
    nothing."""
    loop, numbers = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)

    def cancel() -> None:
        for number in numbers:
            loop.add_signal_handler(number, _ignore)
        task.cancel()

    for number in numbers:
        loop.add_signal_handler(number, cancel)


def _ignore() -> None:
    """We are on our way already."""
