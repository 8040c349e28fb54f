"""What a run and the kernel use, read from outside of the run while it lasts."""

import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Self

import msgspec
import psutil

PERIOD_S = 0.25
"""As long as a run waits between its workers' being ready and its time 0: so one sample falls in between."""

_KERNEL_FIELDS = ("Slab", "KernelStack", "PageTables")
"""Where sockets, their files, their buffers and their processes are accounted (proc_meminfo(5))."""


class Owner(StrEnum):
    """Who uses memory and CPU."""

    DRIVER = "driver"
    HAPROXY = "haproxy"
    BACKEND = "backend"
    PARENT = "parent"
    """wsload itself: it merges, samples and writes."""
    KERNEL = "kernel"
    """Memory alone, and the whole host's."""


class Sample(msgspec.Struct, frozen=True):
    """One moment. ``cpu_s`` counts since each process started; the processes of an owner are added up."""

    t_ns: int
    """Monotonic clock."""
    cpu_s: dict[Owner, float]
    memory_bytes: dict[Owner, int]
    """Resident; of the kernel what :func:`kernel_bytes` counts."""
    processes: dict[Owner, int]
    available_bytes: int
    """MemAvailable of the host."""
    system_s: dict[Owner, float] = {}
    """What of ``cpu_s`` was in the kernel."""


class Sampler:
    """Samples a process and its children until it is left; ``samples`` are then complete."""

    def __init__(self, pid: int) -> None:
        self.samples: list[Sample] = []
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(PERIOD_S):
            try:
                self.samples.append(read_sample(self._process))
            except psutil.NoSuchProcess:  # the run is over, or a child ended as we looked
                continue


def watch(command: Sequence[str]) -> tuple[list[Sample], int, str]:
    """Run a command to its end: samples of it and its children, its exit code, and what it said."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        with Sampler(process.pid) as sampler:
            try:
                _, errors = process.communicate()
            except KeyboardInterrupt:  # the command has it too, and drains; what it uses must outlive it
                process.wait()
                raise
        return sampler.samples, process.returncode, errors.strip()


def read_sample(parent: psutil.Process) -> Sample:
    """A process, its children and the kernel now. Raises psutil.NoSuchProcess."""
    cpu_s: dict[Owner, float] = {}
    memory_bytes: dict[Owner, int] = {}
    processes: dict[Owner, int] = {}
    system_s: dict[Owner, float] = {}
    t_ns = time.monotonic_ns()
    for process in (parent, *parent.children()):
        owner = Owner.PARENT if process.pid == parent.pid else owner_of(process.cmdline())
        times = process.cpu_times()
        cpu_s[owner] = cpu_s.get(owner, 0.0) + times.user + times.system
        system_s[owner] = system_s.get(owner, 0.0) + times.system
        memory_bytes[owner] = memory_bytes.get(owner, 0) + process.memory_info().rss
        processes[owner] = processes.get(owner, 0) + 1
    meminfo = parse_meminfo(Path("/proc/meminfo").read_text(encoding="ascii"))
    memory_bytes[Owner.KERNEL] = kernel_bytes(meminfo)
    return Sample(t_ns, cpu_s, memory_bytes, processes, meminfo["MemAvailable"], system_s)


def owner_of(arguments: Sequence[str]) -> Owner:
    """Of a child of wsload's. What is no Python module of ours is HAProxy, whatever loader runs it."""
    for module, owner in (("wsload.driver", Owner.DRIVER), ("wsload.backend", Owner.BACKEND)):
        if module in arguments:
            return owner
    return Owner.HAPROXY


def parse_meminfo(text: str) -> dict[str, int]:
    """``/proc/meminfo`` in bytes by name."""
    rows = (line.split() for line in text.splitlines())
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if row[2:] == ["kB"]}


def kernel_bytes(meminfo: Mapping[str, int]) -> int:
    """What the kernel uses for sockets and processes, the page cache left out."""
    return sum(meminfo[name] for name in _KERNEL_FIELDS)


def sample_at(samples: Sequence[Sample], t_ns: int) -> Sample:
    """The last sample at or before a time; the first where all are later."""
    return max(
        (each for each in samples if each.t_ns <= t_ns), key=lambda each: each.t_ns, default=samples[0]
    )
