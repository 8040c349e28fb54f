"""The file of :class:`~wsload.record.backend_log.BackendEnd` lines, as one backend process writes it."""

import asyncio
import os

import msgspec

from wsload.record.backend_log import BackendEnd

_FLUSH_AFTER_S = 0.2
_MOST_LINES_HELD = 1000  # some 300 KB


class EndLog:
    """Appends lines, several at a time. All processes write to one file.

    A line costs a few microseconds; one write is due every 1000 lines or 200 ms, whichever is first. Where
    the disk refuses, writing stops for good, and what is lost is counted.
    """

    def __init__(self, path: str) -> None:
        """Use it from within the running loop. A file that cannot be opened is told by :attr:`error`."""
        self._encode = msgspec.json.Encoder().encode
        self._loop = asyncio.get_running_loop()
        self._held: list[bytes] = []
        self._flush_due: asyncio.TimerHandle | None = None
        self.lines = 0
        """Lines taken, those lost included."""
        self.lost = 0
        self.error = ""
        """Why writing stopped."""
        self._fd = -1
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            self.error = error.strerror or str(error)

    def add(self, end: BackendEnd) -> None:
        """Take a line."""
        self.lines += 1
        if self.error:
            self.lost += 1
            return
        self._held.append(self._encode(end))
        if len(self._held) >= _MOST_LINES_HELD:
            self.flush()
        elif self._flush_due is None:
            self._flush_due = self._loop.call_later(_FLUSH_AFTER_S, self.flush)

    def flush(self) -> None:
        """Write what is held."""
        if self._flush_due is not None:
            self._flush_due.cancel()
            self._flush_due = None
        if not self._held:
            return
        # One write for all of it: O_APPEND keeps the lines of several processes apart.
        data = b"\n".join((*self._held, b""))
        count = len(self._held)
        self._held.clear()
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            self.error = error.strerror or str(error)
            self.lost += count - data.count(b"\n", 0, written)

    def close(self) -> None:
        """Write what is held and close the file."""
        self.flush()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
