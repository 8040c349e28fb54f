"""A worker's own CPU and memory, read from the kernel."""

import os
import resource
import time

_PAGE_BYTES = resource.getpagesize()
_statm: list[int] = []
"""Its descriptor, opened once: a worker that has run out of them still has to tell that it did."""


def cpu_s() -> float:
    """CPU seconds of this process since it started, user and system."""
    return time.process_time()


def rss_bytes() -> int:
    """Resident memory of this process (proc(5), statm, second field)."""
    if not _statm:
        _statm.append(os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC))
    return int(os.pread(_statm[0], 256, 0).split()[1]) * _PAGE_BYTES


def descriptor_limit() -> int:
    """Descriptors that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft


def raise_descriptor_limit() -> None:
    """Lift the soft descriptor limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
