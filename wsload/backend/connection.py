"""Connections that are no tunnel: before the upgrade, waiting for its answer, and after our FIN.

None has a task or a timer of its own. A connection is an :class:`HttpConnection` until it asks for an
upgrade; a :class:`Waiting` while a misbehaving backend withholds the answer; then a
:class:`~wsload.backend.tunnel.Tunnel`; and, once this side has ended it, a :class:`Lingering`.
"""

import asyncio
import time
from typing import TYPE_CHECKING, cast

from wsload.backend import handshake
from wsload.backend.behaviour import PEER_FIN, peer_gone
from wsload.backend.handshake import MAX_HEAD_BYTES, After

if TYPE_CHECKING:
    from wsload.backend.server import Server


class Connection(asyncio.Protocol):
    """What all have: the server that counts them, the transport, and backpressure."""

    __slots__ = ("server", "transport")

    def __init__(self, server: "Server", transport: asyncio.Transport | None = None) -> None:
        self.server = server
        if transport is not None:
            self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it out."""
        self.server.connections -= 1

    def eof_received(self) -> bool | None:
        """Close as the client did."""
        self.server.close(self.transport)
        return None

    def pause_writing(self) -> None:
        """A client that does not read its answers is not read either."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self.transport.resume_reading()


class HttpConnection(Connection):
    """A connection that speaks HTTP/1.1 so far."""

    __slots__ = ("_buffer",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it and wait for a request."""
        # uvloop's transport has that interface without being a subclass.
        self.transport = cast(asyncio.Transport, transport)
        self._buffer = b""
        self.server.connections += 1
        self.server.accepted += 1

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._buffer += data
        while self._buffer:
            try:
                request = handshake.parse_request(self._buffer)
            except handshake.BadRequestError as error:
                answer = handshake.refusal(400, str(error))
            else:
                if request is None:
                    return
                self._buffer = self._buffer[request.size :]
                answer = handshake.answer(request)
            if answer.after is After.TUNNEL:
                self.server.upgrade(self.transport, answer.response, self._buffer)
                return
            if answer.after is After.REFUSED:
                self.server.refuse(self.transport, answer)
                return
            self.server.http_requests += 1
            self.transport.write(answer.response)
            if answer.after is After.CLOSE:
                self.server.linger(self.transport)
                return


class Waiting(Connection):
    """An upgrade request whose 101 comes late, or never."""

    __slots__ = ("_early", "_response", "asked_ns", "peer")

    def __init__(
        self,
        server: "Server",
        transport: asyncio.Transport,
        peer: tuple[str, int],
        response: bytes,
        first_bytes: bytes,
    ) -> None:
        super().__init__(server, transport)
        self.peer = peer
        self._response, self._early = response, first_bytes
        self.asked_ns = time.monotonic_ns()

    def data_received(self, data: bytes) -> None:
        """Keep what a client sends ahead, within bounds."""
        self._early += data
        if len(self._early) > MAX_HEAD_BYTES:
            self.transport.pause_reading()

    def answer(self, _now_ns: int) -> None:
        """The delay is over."""
        self.transport.resume_reading()
        self.server.open_tunnel(self.transport, self._response, self._early)

    def eof_received(self) -> None:
        """The client, or HAProxy for it, waits no longer."""
        self.server.unanswered(self, PEER_FIN)
        self.server.close(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """It waits no longer, and reset the connection."""
        super().connection_lost(exc)
        self.server.unanswered(self, peer_gone(exc))


class Lingering(Connection):
    """Ended by us and half-closed: what comes is dropped, the client's FIN closes it."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Drop it: closing with unread data would send RST and could cost the client our last frame."""
