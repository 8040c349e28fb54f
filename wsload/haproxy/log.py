"""HAProxy's log lines, received by a thread of their own and written as they come.

HAProxy never waits for its log: what the kernel cannot queue is lost, and many tunnels that end together are
as many lines at once. So the transport is UDP on loopback, where the queue is the *receiver's* buffer. On a
Unix datagram socket it is ``net.unix.max_dgram_qlen`` (10 lines) and then the *sender's* buffer (about 170):
of 4,900 tunnels killed while Python was busy, 237 lines arrived that way, and all 4,900 over UDP.
"""

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

import msgspec

from wsload.errors import FolderError

RECEIVE_BUFFER_BYTES = 512 * 1024 * 1024
"""Asked of the kernel: some 400,000 lines, since hundreds of thousands of tunnels that end within two minutes
leave us little CPU to read. It takes memory only for what is queued, and without CAP_NET_ADMIN gives
``net.core.rmem_max`` at most."""

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; the socket module names neither
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
_MEMINFO_DROPS = 8  # SK_MEMINFO_DROPS, linux/sock_diag.h
_LONGEST_LINE = 65536
_BATCH_LINES = 512
_QUIET_S = 0.1
_LAST_LINES_S = 60.0
_TIMEVAL = struct.Struct("ll")


class LogReceiver:
    """Where HAProxy's ``log`` line points. Memory is bounded: at most one batch of lines is held."""

    def __init__(self) -> None:
        self.lines = 0
        """Log lines received so far: one for each request or tunnel that ended."""
        self.notices = 0
        """Other lines received, kept as ``{"raw": ...}``: HAProxy announces that a proxy stops, for one."""
        self.error: OSError | None = None
        """Why writing stopped (disk full); lines are still received and counted after it."""
        self._stop_by_s: float | None = None
        self._dropped = 0
        self._sock: socket.socket | None = None

    def start(self, path: Path) -> None:
        """Listen, and append every line to ``path`` until :meth:`stop`. Raises FolderError."""
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise FolderError(
                f"{path}: cannot be written: {error.strerror}; choose another with --out"
            ) from error
        self._sock = _loopback_socket()
        host, port = self._sock.getsockname()
        self.address = f"{host}:{port}"
        """What to write after ``log`` in HAProxy's configuration."""
        self._thread = threading.Thread(
            target=self._receive, args=(self._sock,), name="haproxy-log", daemon=True
        )
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines the kernel threw away as we were too slow. HAProxy's own DroppedLogs does not know them."""
        if self._sock is not None:
            memory = self._sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            self._dropped = _MEMINFO.unpack(memory)[_MEMINFO_DROPS]
        return self._dropped

    @property
    def receive_buffer_bytes(self) -> int:
        """What the kernel granted; 0 before :meth:`start` and after :meth:`stop`."""
        return 0 if self._sock is None else self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def stop(self) -> None:
        """Take what is still coming, until 100 ms pass without a line, and close. May be called again.

        Blocks meanwhile, for 60 s at most. Stop HAProxy first.
        """
        if self._sock is None:
            return
        self._stop_by_s = time.monotonic() + _LAST_LINES_S
        self._thread.join()
        self._dropped = self.dropped
        self._sock.close()
        self._sock = None
        self._file.close()

    def _receive(self, sock: socket.socket) -> None:
        while self._stop_by_s is None or time.monotonic() < self._stop_by_s:
            try:
                batch = [sock.recv(_LONGEST_LINE)]
            except BlockingIOError:  # nothing for as long as SO_RCVTIMEO says
                if self._stop_by_s is not None:
                    return
                continue
            with contextlib.suppress(BlockingIOError):
                while len(batch) < _BATCH_LINES:
                    batch.append(sock.recv(_LONGEST_LINE, socket.MSG_DONTWAIT))
            logged = [is_json(line) for line in batch]
            self.lines += sum(logged)
            self.notices += len(batch) - sum(logged)
            self._write(b"".join(map(json_line, batch, logged)))

    def _write(self, data: bytes) -> None:
        if self.error is not None:
            return
        try:
            while data:
                data = data[self._file.write(data) or 0 :]
        except OSError as error:
            self.error = error


def is_json(line: bytes) -> bool:
    """Whether a received line is one JSON object on one line."""
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return b"\n" not in line.rstrip(b"\n")


def json_line(line: bytes, is_object: bool) -> bytes:
    """What to write for a received line: itself, or ``{"raw": "..."}``, and a newline."""
    text = line.rstrip(b"\r\n\0")
    return (text if is_object else msgspec.json.encode({"raw": text.decode("utf-8", "replace")})) + b"\n"


def _loopback_socket() -> socket.socket:
    """Bound to a free port, its receive buffer as large as we may, its receives giving up when quiet."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        # In the kernel, where Python's own time-out would be a second system call for each line.
        quiet = _TIMEVAL.pack(0, int(_QUIET_S * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, quiet)
        sock.bind(("127.0.0.1", 0))
    except BaseException:
        sock.close()
        raise
    return sock
