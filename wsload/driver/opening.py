"""Connecting a tunnel's socket: its own source address, late port choice, no task while it waits."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import Final

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


def when_connected(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, done: Callable[[OSError | None], None]
) -> None:
    """Call ``done`` once the connection stands or has failed; the caller bounds the wait."""

    def writable() -> None:
        loop.remove_writer(sock)
        status = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        done(OSError(status, os.strerror(status)) if status else None)

    loop.add_writer(sock, writable)
