"""Child processes that end with us, and the message channel to those that are ours.

A Python child is started as ``python -m MODULE`` with one end of a socket pair as its file descriptor;
messages are msgpack (msgspec), each behind its 4-byte length. Every child gets SIGKILL from the kernel
when its parent is gone (PR_SET_PDEATHSIG, prctl(2)) and a session of its own, so that a terminal's
Ctrl-C reaches the parent only. Nothing of this leaves a file anywhere: a child's stderr goes to memory.
"""

import asyncio
import contextlib
import ctypes
import functools
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from wsload.errors import ChildError

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_STARTED_WITH = os.sched_getscheduler(0)
"""The policy that our own starter chose. Children do not get the one that we take while a run lasts
(:func:`wsload.run.scheduling.giving_way`)."""
_LENGTH_BYTES = 4

Incoming = TypeVar("Incoming")


def die_with_parent(parent_pid: int) -> None:
    """In a child: the kernel kills it when the thread that started it is gone."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before the kernel knew
        os._exit(1)


def _begin(parent_pid: int, limits: Mapping[int, int], cores: Collection[int]) -> None:
    """What a child does between fork and exec."""
    die_with_parent(parent_pid)
    if cores:
        os.sched_setaffinity(0, cores)
    if (_STARTED_WITH, os.sched_getscheduler(0)) == (os.SCHED_OTHER, os.SCHED_BATCH):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    for which, limit in limits.items():
        resource.setrlimit(which, (limit, limit))


class Channel(Generic[Incoming]):
    """One end of the message channel. Sends any struct, receives ``incoming_type``."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, incoming_type: Any
    ) -> None:
        self._reader, self._writer = reader, writer
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(incoming_type).decode

    @classmethod
    async def open(cls, sock: socket.socket, incoming_type: Any) -> "Channel[Incoming]":
        """Wrap a connected stream socket."""
        reader, writer = await asyncio.open_connection(sock=sock)
        return cls(reader, writer, incoming_type)

    def send(self, message: msgspec.Struct) -> None:
        """Queue a message; a peer that is gone is noticed by :meth:`receive`, not here."""
        body = self._encode(message)
        self._writer.write(len(body).to_bytes(_LENGTH_BYTES, "little") + body)

    async def flush(self) -> None:
        """Wait until the kernel has taken what was queued; silently returns if the peer is gone."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def receive(self) -> Incoming | None:
        """The next message, or None once the peer is gone."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "little")
            message: Incoming = self._decode(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return message

    def close(self) -> None:
        """Close this end."""
        self._writer.close()


class Process:
    """A running child and its stderr, kept in memory. Always started with :func:`start`."""

    def __init__(self, popen: "subprocess.Popen[bytes]", stderr_fd: int) -> None:
        self._popen, self._stderr_fd = popen, stderr_fd

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._popen.pid

    def returncode(self) -> int | None:
        """None while it runs, else its exit status (negative: the signal that ended it)."""
        return self._popen.poll()

    def stderr_text(self) -> str:
        """All that the child wrote to stderr (and stdout) so far."""
        size = os.fstat(self._stderr_fd).st_size
        return os.pread(self._stderr_fd, size, 0).decode("utf-8", "replace")

    def signal(self, signal_number: int) -> None:
        """Send a signal; nothing happens if it has ended."""
        self._popen.send_signal(signal_number)

    async def wait(self, timeout_s: float) -> bool:
        """Whether it ended within the time."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self.returncode() is None:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(0.01)
        return True

    def kill(self) -> None:
        """End it now and reap it, whatever state it is in."""
        self._popen.kill()
        self._popen.wait()

    def close(self) -> None:
        """Kill it if need be and release what it held."""
        self.kill()
        if self._stderr_fd >= 0:
            os.close(self._stderr_fd)
            self._stderr_fd = -1


def in_turn(cores: Sequence[int], number: int) -> tuple[int, ...]:
    """The core of the ``number``-th of several processes that are dealt out over ``cores``; () where any will
    do."""
    return (cores[number % len(cores)],) if cores else ()


def start(
    arguments: Sequence[str],
    pass_fds: Sequence[int] = (),
    limits: Mapping[int, int] | None = None,
    cores: Collection[int] = (),
) -> Process:
    """Start a program as a child that ends with us.

    Args:
        arguments: The program and its arguments.
        pass_fds: Descriptors of ours that it gets.
        limits: Resource (``resource.RLIMIT_…``) -> both its soft and its hard limit there.
        cores: Those that it, with all its threads, is kept to; empty: ours.

    Raises:
        OSError: It cannot be executed.
        subprocess.SubprocessError: A limit is above ours, and we may not raise it; or there is no such core.
    """
    stderr_fd = os.memfd_create("stderr")
    try:
        popen = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=stderr_fd,
            stderr=stderr_fd,
            pass_fds=pass_fds,
            start_new_session=True,
            # Runs between fork and exec; safe, as it is a few system calls of modules already loaded.
            preexec_fn=functools.partial(_begin, os.getpid(), limits or {}, cores),
        )
    except BaseException:
        os.close(stderr_fd)
        raise
    return Process(popen, stderr_fd)


class PythonChild(Generic[Incoming]):
    """One of our own modules running as a child, with a channel to it."""

    def __init__(self, process: Process, channel: Channel[Incoming], name: str) -> None:
        self.process, self.channel, self.name = process, channel, name

    @classmethod
    async def spawn(
        cls, module: str, incoming_type: Any, name: str, cores: Collection[int] = ()
    ) -> "PythonChild[Incoming]":
        """Run ``python -m module FD`` on ``cores``; the child opens its end with :func:`parent_channel`."""
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            with theirs:
                fd = theirs.fileno()
                process = start([sys.executable, "-m", module, str(fd)], [fd], cores=cores)
            undo.callback(process.close)
            channel: Channel[Incoming] = await Channel.open(ours, incoming_type)
            undo.pop_all()
        return cls(process, channel, name)

    async def expect(self) -> Incoming:
        """The next message. Raises ChildError with the child's last words if it ended instead."""
        message = await self.channel.receive()
        if message is None:
            await self.process.wait(1.0)
            raise ChildError(f"{self.name} ended unexpectedly{self.last_words()}")
        return message

    def last_words(self) -> str:
        """`` (status S): its last line of stderr``, or what is known of it."""
        status = self.process.returncode()
        lines = self.process.stderr_text().strip().splitlines()
        return f" (status {status})" + (f": {lines[-1]}" if lines else "")

    def close(self) -> None:
        """End the child and the channel."""
        self.channel.close()
        self.process.close()


async def parent_channel(incoming_type: Any) -> "Channel[Any]":
    """In a child: the channel to the parent, from the descriptor on the command line."""
    return await Channel.open(socket.socket(fileno=int(sys.argv[1])), incoming_type)
