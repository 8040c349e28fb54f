"""Reads the kernel's counters while a run lasts; what they mean is said in :mod:`wsload.record.kernel`."""

import contextlib
from pathlib import Path

from wsload.record import layout
from wsload.record.kernel import parse_counters
from wsload.record.layout import KernelLine
from wsload.run.collector import ClosedInterval
from wsload.run.folder import FolderWriter

_FILES = ("snmp", "netstat")
_PROC_NET = Path("/proc/net")


def read_counters(proc_net: Path = _PROC_NET) -> dict[str, int]:
    """The counters now, of our network namespace; empty where this system does not offer them."""
    found: dict[str, int] = {}
    for name in _FILES:
        with contextlib.suppress(OSError, ValueError):
            found |= parse_counters((proc_net / name).read_text(encoding="ascii"))
    return found


class KernelWatch:
    """Writes ``kernel.jsonl``: the counters at first, and again whenever one of them has risen."""

    def __init__(self, folder: FolderWriter, proc_net: Path = _PROC_NET) -> None:
        self._folder, self._proc_net = folder, proc_net
        self._last: dict[str, int] | None = None

    def note(self, t_s: float) -> None:
        """Read them, as those of that moment. Raises RecordingError."""
        counters = read_counters(self._proc_net)
        if counters != self._last:
            self._folder.append_json(layout.KERNEL, KernelLine(round(t_s, 3), counters))
            self._last = counters

    def interval(self, closed: ClosedInterval) -> None:
        """An interval has ended."""
        self.note(closed.line.t_s)
