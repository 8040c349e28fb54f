"""Connecting a tunnel's socket: its own source address, late port choice, no task while it waits."""

import asyncio
import contextlib
import errno
import os
import socket
from time import monotonic_ns
from typing import Final, Protocol

from wsload.driver.tunnel import Tunnel
from wsload.plan.model import Endpoint

_IP_BIND_ADDRESS_NO_PORT: Final = 24
"""Linux: choose the port at connect(), when the destination is known, so that the whole range serves
each (source, destination) pair."""

_REASONS: Final = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.EADDRNOTAVAIL: "no_port",
    errno.EMFILE: "no_descriptor",
    errno.ENFILE: "no_descriptor",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
}


def failure_reason(error: OSError) -> str:
    """The name under which a failed connection is counted: a word, or the errno's own name."""
    return _REASONS.get(error.errno or 0) or errno.errorcode.get(error.errno or 0, "error").lower()


def start_connect(endpoint: Endpoint, source: str | None) -> socket.socket:
    """A non-blocking socket that is connected or on its way. Raises OSError where it fails at once."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if source is not None:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        status = sock.connect_ex((endpoint.ip, endpoint.port))
        if status not in (0, errno.EINPROGRESS):
            raise OSError(status, os.strerror(status))
    except OSError:
        sock.close()
        raise
    return sock


def local_address(sock: socket.socket) -> tuple[str, int] | None:
    """The socket's own address if it is connected, else None."""
    with contextlib.suppress(OSError):
        sock.getpeername()
        ip, port = sock.getsockname()
        return ip, port
    return None


class Listener(Protocol):
    """Who is told how a tunnel's connection goes."""

    def tcp_connected(self, tunnel: Tunnel, address: tuple[str, int], now_ns: int) -> None:
        """It stands, from this address."""
        ...

    def tcp_failed(self, tunnel: Tunnel, reason: str, now_ns: int) -> None:
        """It failed."""
        ...


class Opener:
    """Brings sockets and tunnels together; the caller bounds the wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: Listener) -> None:
        self._loop, self._listener = loop, listener
        self._connecting: dict[int, socket.socket] = {}
        """Sockets whose connection did not stand at once, by tunnel index."""
        self._attaching: set[asyncio.Task[None]] = set()
        """Holds the tasks that give sockets their transports, as the loop itself does not."""

    def attach(self, tunnel: Tunnel, sock: socket.socket) -> None:
        """Give the tunnel its transport, now or once the socket is connected."""
        if self._attach_if_connected(tunnel, sock):
            return
        self._connecting[tunnel.index] = sock
        self._loop.add_writer(sock, lambda: self._writable(tunnel, sock))

    def forget(self, tunnel: Tunnel) -> None:
        """Close its socket, if it is not connected yet."""
        sock = self._connecting.pop(tunnel.index, None)
        if sock is not None:
            self._loop.remove_writer(sock)
            sock.close()

    def _writable(self, tunnel: Tunnel, sock: socket.socket) -> None:
        """The connection stands or has failed."""
        self._loop.remove_writer(sock)
        del self._connecting[tunnel.index]
        status = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not status and self._attach_if_connected(tunnel, sock):
            return
        sock.close()
        reason = failure_reason(OSError(status, os.strerror(status))) if status else "reset"
        self._listener.tcp_failed(tunnel, reason, monotonic_ns())

    def _attach_if_connected(self, tunnel: Tunnel, sock: socket.socket) -> bool:
        address = local_address(sock)
        if address is None:
            return False
        self._listener.tcp_connected(tunnel, address, monotonic_ns())
        task = self._loop.create_task(self._attach(tunnel, sock))
        self._attaching.add(task)
        task.add_done_callback(self._attaching.discard)
        return True

    async def _attach(self, tunnel: Tunnel, sock: socket.socket) -> None:
        """This one step is the only task in a tunnel's life."""
        try:
            await self._loop.create_connection(lambda: tunnel, sock=sock)
        except OSError as error:
            sock.close()
            self._listener.tcp_failed(tunnel, failure_reason(error), monotonic_ns())
