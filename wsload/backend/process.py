"""The embedded backend seen from the parent: starts its processes, watches them, ends them."""

import asyncio
import contextlib
import errno
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from wsload.backend.messages import Ask, Failed, Listening, Report, Serve, Stop, ToParent
from wsload.children import PythonChild, in_turn
from wsload.errors import BackendError, ChildError, FolderError
from wsload.profile import model as profile

_MODULE = "wsload.backend"
_STOP_TIMEOUT_S = 3.0
_MAX_PORT = 65535
_LOOPBACK = "127.0.0.1"

_FIXES = {
    errno.EADDRINUSE: "stop what listens there, or let the kernel choose with --set backend.port=auto",
    errno.EACCES: "use a port above 1023, or --set backend.port=auto",
    errno.EADDRNOTAVAIL: "use an address of this machine",
}
"""What to do about an address that cannot be listened on, by errno."""

Child = PythonChild[ToParent]


class EmbeddedBackend:
    """Running backend processes. Create it with :meth:`start`, and always :meth:`stop` it."""

    def __init__(self, children: Sequence[Child], addresses: Sequence[str]) -> None:
        self._children = list(children)
        self.addresses = list(addresses)
        """``ip:port`` of every listener, process by process."""
        self.last_reports: list[Report] = []
        """After :meth:`stop`: what each process did in all, of those that ended as asked."""
        self._stopped = False

    @classmethod
    async def start(
        cls,
        settings: profile.Backend,
        listeners: int = 1,
        first_ip: str = _LOOPBACK,
        push_payload_bytes: int = 64,
        log_path: Path | None = None,
        seed: int = 1,
        cores: Sequence[int] = (),
    ) -> "EmbeddedBackend":
        """Start ``settings.processes`` processes, ready when this returns.

        Args:
            settings: The profile's part. With an explicit port P, process i listens on P+i; with none
                ("auto") the kernel chooses each port.
            listeners: Addresses that each process listens on: ``first_ip`` and those after it, so that
                HAProxy has source ports enough.
            first_ip: Loopback, or for ``wsload backend`` an address that others reach.
            push_payload_bytes: Size of pushed messages.
            log_path: File to append :class:`~wsload.record.backend_log.BackendEnd` lines to. That it can no
                longer be written is told by :attr:`Report.log_error` alone.
            seed: Of the shares in the settings.
            cores: Processes are pinned to these, in turn; empty: they run where the kernel likes.

        Raises:
            FolderError: ``log_path`` cannot be written.
            BackendError: An address cannot be listened on, or a process does not start.
        """
        if log_path is not None:
            _check_writable(log_path)
        plans = [
            Serve(
                listeners=_listeners(settings.port, index, listeners, first_ip),
                backend=settings,
                push_payload_bytes=push_payload_bytes,
                process=index,
                seed=seed,
                log_path=None if log_path is None else str(log_path.absolute()),
            )
            for index in range(settings.processes)
        ]
        children: list[Child] = []
        try:
            for index, plan in enumerate(plans):
                child: Child = await PythonChild.spawn(
                    _MODULE, ToParent, f"backend process {index}", in_turn(cores, index)
                )
                children.append(child)
                child.channel.send(plan)
            addresses = [address for child in children for address in await _listening(child)]
        except BaseException:
            for child in children:
                child.close()
            raise
        return cls(children, addresses)

    @property
    def pids(self) -> list[int]:
        """The process id of each process."""
        return [child.process.pid for child in self._children]

    def dead(self) -> list[tuple[int, int, int]]:
        """(index, pid, return code) of processes that ended by themselves; always empty after stop."""
        if self._stopped:
            return []
        return [
            (index, child.process.pid, code)
            for index, child in enumerate(self._children)
            if (code := child.process.returncode()) is not None
        ]

    async def reports(self) -> list[Report]:
        """What each living process did so far; those that ended are left out (see :meth:`dead`)."""
        for child in self._children:
            child.channel.send(Ask())
        answers = [await child.channel.receive() for child in self._children]
        return [answer for answer in answers if isinstance(answer, Report)]

    async def stop(self) -> None:
        """End all processes and with them every connection; at most a few seconds. Twice is once."""
        if self._stopped:
            return
        self._stopped = True
        try:
            for child in self._children:
                child.channel.send(Stop())
            last = await asyncio.gather(*(_last_report(child) for child in self._children))
            self.last_reports = [report for report in last if report is not None]
        finally:
            for child in self._children:
                child.close()


def _listeners(port: int | None, index: int, count: int, first_ip: str) -> list[tuple[str, int]]:
    number = 0 if port is None else port + index
    if number > _MAX_PORT:
        raise BackendError(
            f"backend.port: process {index} would listen on {number}, over {_MAX_PORT}; "
            "use a lower port, or --set backend.port=auto"
        )
    try:
        first = ipaddress.ip_address(first_ip)
    except ValueError:
        raise BackendError(f'backend: "{first_ip}" is no IP address; write one, such as 127.0.0.1') from None
    return [(str(first + offset), number) for offset in range(count)]


async def _listening(child: Child) -> list[str]:
    try:
        message = await child.expect()
    except ChildError as error:
        raise BackendError(f"the embedded backend does not start: {error}") from error
    if isinstance(message, Failed):
        fix = _FIXES.get(message.error_number, "use another address or port")
        raise BackendError(
            f"backend.port: cannot listen on {_joined(message.ip, message.port)}: {message.error}; {fix}"
        )
    assert isinstance(message, Listening)
    return [_joined(ip, port) for ip, port in message.addresses]


async def _last_report(child: Child) -> Report | None:
    """What comes before its end of the channel is closed, which is when all is written."""
    last = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            while (message := await child.channel.receive()) is not None:
                last = message
    return last if isinstance(last, Report) else None


def _check_writable(path: Path) -> None:
    try:
        path.open("ab").close()
    except OSError as error:
        raise FolderError(
            f"{path}: cannot be written: {error.strerror}; choose another with --out"
        ) from error


def _joined(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
