"""A worker's own CPU and memory, read from the kernel."""

import resource
import time
from pathlib import Path

_PAGE_BYTES = resource.getpagesize()
_STATM = Path("/proc/self/statm")


def cpu_s() -> float:
    """CPU seconds of this process since it started, user and system."""
    return time.process_time()


def rss_bytes() -> int:
    """Resident memory of this process (proc(5), statm, second field)."""
    return int(_STATM.read_text().split()[1]) * _PAGE_BYTES


def descriptor_limit() -> int:
    """Descriptors that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft


def raise_descriptor_limit() -> None:
    """Lift the soft descriptor limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
