"""Upgraded connections, the hot path: no task, no timer of its own, and no more memory than its stamps."""

import asyncio
from time import monotonic_ns
from typing import TYPE_CHECKING

from wsload.backend.behaviour import (
    ECHO_HEADS,
    IDLE_CLOSE,
    IDLE_CLOSE_FRAME,
    PEER_FIN,
    End,
    peer_gone,
    respond,
)
from wsload.backend.connection import Connection
from wsload.backend.frames import FrameReader, apply_mask
from wsload.units import NS_PER_US

if TYPE_CHECKING:
    from wsload.backend.server import Server

_PORT_BITS = 16
_PORT_MASK = (1 << _PORT_BITS) - 1
_MAX_PUSHES_AT_ONCE = 1000
_PUSH_BACKLOG_BYTES = 64 * 1024


class Tunnel(Connection):
    """An upgraded connection. It keeps a FrameReader only while a frame or message is incomplete."""

    __slots__ = ("_opened_us_and_port", "_reader", "heard_ns", "look_ns", "peer_ip", "push_due_ns", "sent_ns")

    look_ns: int
    """When the server will see whether the client was silent for too long; 0: never. Set where the idle close
    is on."""
    push_due_ns: int
    """When the next push falls due. Set where the backend pushes."""

    def __init__(self, server: "Server", transport: asyncio.Transport, ip: str, port: int) -> None:
        super().__init__(server, transport)
        self._reader: FrameReader | None = None
        # Last byte from and to the client, the closing handshake's aside.
        self.heard_ns = self.sent_ns = monotonic_ns()
        self.peer_ip = ip
        # An int takes 32 bytes, and so do two that fit into 60 bits together.
        self._opened_us_and_port = self.heard_ns // NS_PER_US << _PORT_BITS | port

    @property
    def opened_ns(self) -> int:
        """When the 101 was sent, in whole microseconds."""
        return (self._opened_us_and_port >> _PORT_BITS) * NS_PER_US

    @property
    def peer_port(self) -> int:
        """The client's, or HAProxy's."""
        return self._opened_us_and_port & _PORT_MASK

    def data_received(self, data: bytes) -> None:
        """Answer each frame that is whole."""
        reader = self._reader or FrameReader()
        answers, end = respond(reader, data, self.server.backend.reply)
        if answers:
            self.transport.write(answers)
        if end is not None:
            self.end(end)
            return
        self._reader = None if reader.clean else reader
        self.heard_ns = monotonic_ns()
        if answers:
            self.sent_ns = self.heard_ns

    def eof_received(self) -> bool | None:
        """The client sent FIN without a close frame."""
        if self.server.keeps_half_closed(self):
            return True
        self.end(PEER_FIN)
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """The client reset it."""
        super().connection_lost(exc)
        self.server.forget(self, peer_gone(exc))

    def end(self, end: End) -> None:
        """End the connection in that way; the last frame has been written."""
        self.server.forget(self, end)
        self.server.end_connection(self.transport, end.ending)

    def end_for_age(self, _now_ns: int) -> None:
        """``ends_after`` is over."""
        frame, end = self.server.timed_end
        self.server.timed_ends += 1
        self.transport.write(frame)
        self.end(end)

    def close_if_idle(self, now_ns: int) -> None:
        """Send 1001 and FIN if the client was silent for the idle time, else look again when it might be."""
        due_ns = self.heard_ns + self.server.backend.idle_close_ns
        if due_ns > now_ns:
            self.server.watch(self, due_ns)
            return
        self.server.idle_closed += 1
        self.transport.write(IDLE_CLOSE_FRAME)
        self.end(IDLE_CLOSE)

    def push(self, now_ns: int) -> None:
        """Send the messages that are due, or skip them if the client does not read."""
        server = self.server
        count = (now_ns - self.push_due_ns) // server.push_period_ns + 1
        self.push_due_ns += count * server.push_period_ns
        server.pushing.add(self.push_due_ns, self)
        sent = min(count, _MAX_PUSHES_AT_ONCE)
        if self.transport.get_write_buffer_size() > _PUSH_BACKLOG_BYTES:
            sent = 0
        server.push_skipped += count - sent
        if sent:
            self.transport.write(server.push_frame * sent)
            self.sent_ns = now_ns


class EchoTunnel(Tunnel):
    """With a fast path for one small whole message in one read."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Echo at once what is one small whole message, or else as :class:`Tunnel`."""
        if self._reader is None:
            # Header 2 bytes, mask 4. The second byte of a small masked frame is 128 + its length.
            size = len(data) - 6
            if 0 <= size < 126 and data[1] == size + 128:
                heads = ECHO_HEADS.get(data[0])
                if heads is not None:
                    self.transport.write(heads[size] + apply_mask(data[6:], data[2:6]))
                    self.heard_ns = self.sent_ns = monotonic_ns()
                    return
        super().data_received(data)
