"""Reads what the host says of itself while a run lasts; what is read is said in :mod:`wsload.record.host`."""

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple, TypeVar

from wsload.record import host, layout
from wsload.record.layout import HostLine
from wsload.run.folder import FolderWriter
from wsload.units import NS_PER_MS

T = TypeVar("T")

_PROC, _SYS = Path("/proc"), Path("/sys")
_CLOCKSOURCE = "devices/system/clocksource/clocksource0/current_clocksource"
_TRIES = 5
_AT_ONCE_NS = 50_000
"""Readings that took no longer are of one moment."""


class Clocks(NamedTuple):
    """How clocks differ. Corrections of the clock's rate (NTP's) move all of them."""

    boot_ns: int
    """By how much the boot clock is ahead of the monotonic one: only a suspended host moves it."""
    wall_ns: int
    """By how much the wall clock is ahead of the boot clock: only who sets the wall clock moves it."""


def read_clocks() -> Clocks:
    """Now. Of a few tries the one that was interrupted least."""
    best_ns, clocks = 0, Clocks(0, 0)
    for _ in range(_TRIES):
        before_ns = time.monotonic_ns()
        boot_ns, wall_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns()
        took_ns = time.monotonic_ns() - before_ns
        if best_ns == 0 or took_ns < best_ns:
            best_ns, clocks = took_ns, Clocks(boot_ns - before_ns, wall_ns - boot_ns)
        if took_ns < _AT_ONCE_NS:
            break
    return clocks


class HostWatch:
    """Writes ``host.jsonl``: a reading each time it is asked to."""

    def __init__(
        self,
        folder: FolderWriter,
        cores: Collection[int],
        proc: Path = _PROC,
        sys: Path = _SYS,
        clocks: Callable[[], Clocks] = read_clocks,
    ) -> None:
        """``cores`` are those that driver workers may run on; ``clocks`` are read at once, and again."""
        self._folder, self._cores = folder, frozenset(cores)
        self._proc, self._sys, self._clocks = proc, sys, clocks
        self._first = clocks()
        self._ticks_per_s, self._page_bytes = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        self._nice_gives_way = os.getpriority(os.PRIO_PROCESS, 0) <= 0

    def note(self, t_s: float, lost_logs: int) -> None:
        """Read, as at that moment since the run's start. Raises RecordingError."""
        clocks = self._clocks()
        cpu = self._read(host.STAT, self._cpu_times, host.CpuTimes())
        line = HostLine(
            t_s=round(t_s, 3),
            busy_s=round(cpu.busy_s, 2),
            idle_s=round(cpu.idle_s, 2),
            stolen_s=round(cpu.stolen_s, 2),
            swapped_bytes=self._page_bytes * self._read(host.VMSTAT, host.parse_swapped_pages, 0),
            conntrack=self._read(host.CONNTRACK_COUNT, int, 0),
            conntrack_max=self._read(host.CONNTRACK_MAX, int, 0),
            conntrack_drops=self._read(host.CONNTRACK_COUNTERS, host.parse_conntrack_drops, 0),
            suspended_s=_ms_exact(clocks.boot_ns - self._first.boot_ns),
            wall_step_s=_ms_exact(clocks.wall_ns - self._first.wall_ns),
            clocksource=_read(self._sys / _CLOCKSOURCE, str.strip, ""),
            lost_logs=lost_logs,
        )
        self._folder.append_json(layout.HOST, line)

    def _cpu_times(self, text: str) -> host.CpuTimes:
        return host.parse_cpu_times(text, self._cores, self._ticks_per_s, self._nice_gives_way)

    def _read(self, name: str, parse: Callable[[str], T], absent: T) -> T:
        return _read(self._proc / name, parse, absent)


def _ms_exact(ns: int) -> float:
    """In seconds, to the millisecond: what is below it is the time between two readings."""
    return round(ns / NS_PER_MS) / 1000


def _read(path: Path, parse: Callable[[str], T], absent: T) -> T:
    """What a file says; ``absent`` where this system does not offer it, or in another form."""
    try:
        return parse(path.read_text(encoding="ascii"))
    except (OSError, ValueError, IndexError):
        return absent
