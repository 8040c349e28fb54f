"""What a tool, HAProxy and the backend use, read from outside while the tool runs.

CPU is of whole process trees, ended children included. Memory is PSS (proc_pid_smaps_rollup(5)): a page that
several processes share is split among them, so that a tool of many processes is charged for it once.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import msgspec
import psutil

from wsload.backend.process import EmbeddedBackend
from wsload.units import NS_PER_S

PERIOD_S = 0.5
_DRIVER = "wsload.driver"


class Usage(msgspec.Struct, frozen=True):
    """Of some processes together: CPU since each one's start, memory now."""

    cpu_s: float = 0.0
    pss_bytes: int = 0
    processes: int = 0


class Sample(msgspec.Struct, frozen=True):
    """One moment."""

    t_s: float
    """Monotonic clock."""
    tool: Usage
    driver: Usage
    """Of the tool's processes those that are wsload's drivers; nothing for a peer."""
    haproxy_cpu_s: float
    backend_cpu_s: float
    tunnels: int
    """Open, as the backend counts them."""
    replied_bytes: int
    """That the backend has written so far."""


def usage_of(processes: Sequence[psutil.Process]) -> Usage:
    """Those that end while they are read are left out; CPU of children that ended is with their parent."""
    cpu_s, pss_bytes, count = 0.0, 0, 0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            times = process.cpu_times()
            pss = process.memory_full_info().pss
            cpu_s += times.user + times.system + times.children_user + times.children_system
            pss_bytes += pss
            count += 1
    return Usage(cpu_s, pss_bytes, count)


def is_driver(process: psutil.Process) -> bool:
    """Whether it is one of wsload's drivers."""
    try:
        return _DRIVER in process.cmdline()
    except psutil.Error:
        return False


class Watch:
    """Samples every :data:`PERIOD_S` while entered.

    Args:
        backend: It counts tunnels and replies.
        haproxy_pid: HAProxy's one process.
        tool: All of the tool's processes at the moment of the call.
    """

    def __init__(
        self, backend: EmbeddedBackend, haproxy_pid: int, tool: Callable[[], list[psutil.Process]]
    ) -> None:
        self.samples: list[Sample] = []
        self._backend, self._tool = backend, tool
        self._haproxy = psutil.Process(haproxy_pid)
        self._servers = [psutil.Process(pid) for pid in backend.pids]
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Watch":
        self._task = asyncio.create_task(self._sample_on())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _sample_on(self) -> None:
        while True:
            # The read of a large process's PSS takes a while: in a thread, for the loop to go on.
            self.samples.append(await self._read())
            await asyncio.sleep(PERIOD_S)

    async def _read(self) -> Sample:
        reports = await self._backend.reports()
        t_s = time.monotonic_ns() / NS_PER_S
        replied = sum(server.io_counters().write_chars for server in self._servers)
        haproxy, backend = (
            sum(process.cpu_times().user + process.cpu_times().system for process in processes)
            for processes in ([self._haproxy], self._servers)
        )
        tool, driver = await asyncio.to_thread(self._read_tool)
        return Sample(
            t_s=t_s,
            tool=tool,
            driver=driver,
            haproxy_cpu_s=haproxy,
            backend_cpu_s=backend,
            tunnels=sum(report.tunnels for report in reports),
            replied_bytes=replied,
        )

    def _read_tool(self) -> tuple[Usage, Usage]:
        processes = self._tool()
        return usage_of(processes), usage_of([each for each in processes if is_driver(each)])
