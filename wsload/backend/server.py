"""The protocols of one backend process and the server that they belong to.

A connection is an :class:`HttpConnection` until it asks for an upgrade, then a :class:`Tunnel`, and, when
this side ended it first, a :class:`Lingering` until the client's FIN. It has no task and no timer of its own.
"""

import asyncio
import math
import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from wsload.backend import handshake
from wsload.backend.behaviour import ECHO_HEADS, IDLE_CLOSE_FRAME, Ending, push_frame, respond
from wsload.backend.frames import FrameReader, apply_mask
from wsload.backend.handshake import After
from wsload.backend.messages import Report, Serve
from wsload.backend.wheel import Wheel
from wsload.profile.model import Reply
from wsload.units import NS_PER_MS, NS_PER_S

LINGER_NS = 5 * NS_PER_S
"""How long a connection that we ended waits for the client's FIN (nginx's lingering_timeout)."""

_BACKLOG = 65535  # the kernel cuts it to net.core.somaxconn
_IDLE_GRAIN_NS = 10 * NS_PER_MS
_PUSH_GRAIN_NS = 2 * NS_PER_MS
_LINGER_GRAIN_NS = 100 * NS_PER_MS
_MAX_PUSHES_AT_ONCE = 1000
_PUSH_BACKLOG_BYTES = 64 * 1024
_NEVER_NS = 1 << 62


class _Connection(asyncio.Protocol):
    """What all three have: the server that counts them, the transport, and backpressure."""

    __slots__ = ("_server", "_transport")

    def __init__(self, server: "Server", transport: asyncio.Transport | None = None) -> None:
        self._server = server
        if transport is not None:
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections -= 1

    def eof_received(self) -> None:
        self._server.close(self._transport)

    def pause_writing(self) -> None:
        # A client that does not read its answers is not read either.
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()


class HttpConnection(_Connection):
    """A connection that speaks HTTP/1.1 so far."""

    __slots__ = ("_buffer",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it and wait for a request."""
        # uvloop's transport has that interface without being a subclass.
        self._transport = cast(asyncio.Transport, transport)
        self._buffer = b""
        self._server.connections += 1
        self._server.accepted += 1

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._buffer += data
        while self._buffer:
            try:
                request = handshake.parse_request(self._buffer)
            except handshake.BadRequestError as error:
                answer = handshake.refusal("400 Bad Request", str(error))
            else:
                if request is None:
                    return
                self._buffer = self._buffer[request.size :]
                answer = handshake.answer(request)
            self._transport.write(answer.response)
            if answer.after is After.TUNNEL:
                self._server.open_tunnel(self._transport, self._buffer)
                return
            self._server.http_requests += 1
            if answer.after is After.CLOSE:
                self._server.linger(self._transport)
                return


class Tunnel(_Connection):
    """An upgraded connection. It keeps a FrameReader only while a frame or message is incomplete."""

    __slots__ = ("_reader", "heard_ns", "look_ns", "push_due_ns")

    heard_ns: int
    """When the client was last heard. This and :attr:`look_ns` are set where the idle close is on."""
    look_ns: int
    """When the server will see whether the client was silent for too long."""
    push_due_ns: int
    """When the next push falls due. Set where the backend pushes."""

    def __init__(self, server: "Server", transport: asyncio.Transport) -> None:
        super().__init__(server, transport)
        self._reader: FrameReader | None = None

    def data_received(self, data: bytes) -> None:
        """Answer each frame that is whole."""
        reader = self._reader or FrameReader()
        answers, ending = respond(reader, data, self._server.settings.reply)
        if answers:
            self._transport.write(answers)
        if ending is not None:
            self.end(ending)
        else:
            self._reader = None if reader.clean else reader

    def eof_received(self) -> None:
        """The client sent FIN without a close frame."""
        self.end(Ending.ANSWERED)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client reset it."""
        super().connection_lost(exc)
        self._server.forget(self)

    def end(self, ending: Ending) -> None:
        """End the connection in that way; the last frame has been written."""
        self._server.forget(self)
        _END[ending](self._server, self._transport)

    def close_if_idle(self, now_ns: int) -> None:
        """Send 1001 and FIN if the client was silent for the idle time, else look again when it might be."""
        due_ns = self.heard_ns + self._server.settings.idle_close_ns
        if due_ns > now_ns:
            self._server.watch(self, due_ns)
            return
        self._server.idle_closed += 1
        self._transport.write(IDLE_CLOSE_FRAME)
        self.end(Ending.STARTED)

    def push(self, now_ns: int) -> None:
        """Send the messages that are due, or skip them if the client does not read."""
        server = self._server
        count = (now_ns - self.push_due_ns) // server.push_period_ns + 1
        self.push_due_ns += count * server.push_period_ns
        server.pushing.add(self.push_due_ns, self)
        sent = min(count, _MAX_PUSHES_AT_ONCE)
        if self._transport.get_write_buffer_size() > _PUSH_BACKLOG_BYTES:
            sent = 0
        server.push_skipped += count - sent
        self._transport.write(server.push_frame * sent)


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
                    self._transport.write(heads[size] + apply_mask(data[6:], data[2:6]))
                    return
        super().data_received(data)


class WatchedTunnel(Tunnel):
    """Remembers when the client was last heard, for the idle close."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Note the time and pass on."""
        self.heard_ns = time.monotonic_ns()
        super().data_received(data)


class WatchedEchoTunnel(WatchedTunnel, EchoTunnel):
    """Both."""

    __slots__ = ()


class Lingering(_Connection):
    """Ended by us and half-closed: what comes is dropped, the client's FIN closes it."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Drop it: closing with unread data would send RST and could cost the client our last frame."""


_TUNNELS: dict[tuple[bool, bool], type[Tunnel]] = {
    # (echoes, watched for the idle close)
    (False, False): Tunnel,
    (False, True): WatchedTunnel,
    (True, False): EchoTunnel,
    (True, True): WatchedEchoTunnel,
}


class Server:
    """One process's listeners, counters and timers. Use it from within its running loop."""

    def __init__(self, settings: Serve) -> None:
        self.settings = settings
        self.connections = self.tunnels = self.accepted = self.upgraded = 0
        self.http_requests = self.idle_closed = self.push_skipped = 0
        self.push_frame = push_frame(settings.push_payload_bytes)
        self.push_period_ns = max(1, round(NS_PER_S / settings.push_rate_per_s))
        self.pushing: Wheel[Tunnel] = Wheel(_PUSH_GRAIN_NS)
        self._watched: Wheel[Tunnel] = Wheel(_IDLE_GRAIN_NS)
        self._lingering: Wheel[asyncio.Transport] = Wheel(_LINGER_GRAIN_NS)
        self._tunnel_class = _TUNNELS[settings.reply is Reply.ECHO, settings.idle_close_ns > 0]
        self._loop = asyncio.get_running_loop()
        self._wake_ns = _NEVER_NS
        self._timer: asyncio.TimerHandle | None = None

    async def listen(self, ip: str, port: int) -> tuple[str, int]:
        """Listen on an address; returns it with its real port. Raises OSError."""
        sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
        try:
            # The server closes first, so its ports are left in TIME_WAIT.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((ip, port))
            await self._loop.create_server(lambda: HttpConnection(self), sock=sock, backlog=_BACKLOG)
        except OSError:
            sock.close()
            raise
        return ip, sock.getsockname()[1]

    def report(self) -> Report:
        """The counters so far."""
        return Report(
            cpu_s=time.process_time(),
            rss_bytes=_rss_bytes(),
            connections=self.connections,
            tunnels=self.tunnels,
            accepted=self.accepted,
            upgraded=self.upgraded,
            http_requests=self.http_requests,
            idle_closed=self.idle_closed,
            push_skipped=self.push_skipped,
        )

    def open_tunnel(self, transport: asyncio.Transport, first_bytes: bytes) -> None:
        """The connection is upgraded; ``first_bytes`` came behind the request."""
        tunnel = self._tunnel_class(self, transport)
        self.tunnels += 1
        self.upgraded += 1
        settings = self.settings
        if settings.idle_close_ns:
            tunnel.heard_ns = time.monotonic_ns()
            self.watch(tunnel, tunnel.heard_ns + settings.idle_close_ns)
        if settings.reply is Reply.PUSH:
            tunnel.push_due_ns = time.monotonic_ns() + self.push_period_ns
            self.pushing.add(tunnel.push_due_ns, tunnel)
            self._wake_by(self.pushing)
        transport.set_protocol(tunnel)
        if first_bytes:
            tunnel.data_received(first_bytes)

    def watch(self, tunnel: Tunnel, look_ns: int) -> None:
        """See then whether the tunnel is idle."""
        tunnel.look_ns = look_ns
        self._watched.add(look_ns, tunnel)
        self._wake_by(self._watched)

    def forget(self, tunnel: Tunnel) -> None:
        """The tunnel has ended. Timers that run for hours must not keep what closed long ago."""
        self.tunnels -= 1
        if self.settings.idle_close_ns:
            self._watched.remove(tunnel.look_ns, tunnel)
        if self.settings.reply is Reply.PUSH:
            self.pushing.remove(tunnel.push_due_ns, tunnel)

    def close(self, transport: asyncio.Transport) -> None:
        """Close behind what is written, which a client that does not read may hold up for a while only."""
        transport.set_protocol(Lingering(self, transport))
        transport.close()
        if transport.get_write_buffer_size():
            self.abort_later(transport)

    def linger(self, transport: asyncio.Transport) -> None:
        """Send FIN behind what is written, and wait a while for the client's."""
        transport.set_protocol(Lingering(self, transport))
        transport.write_eof()
        transport.resume_reading()
        self.abort_later(transport)

    def abort_later(self, transport: asyncio.Transport) -> None:
        """Cut the connection if it is still there after :data:`LINGER_NS`."""
        self._lingering.add(time.monotonic_ns() + LINGER_NS, transport)
        self._wake_by(self._lingering)

    def _wake_by(self, wheel: Wheel[Tunnel] | Wheel[asyncio.Transport]) -> None:
        """Have the one timer run when that wheel needs it, if it would run later."""
        next_ns = wheel.next_ns()
        if next_ns is None or next_ns >= self._wake_ns:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._wake_ns = next_ns
        delay_ms = math.ceil(max(0, next_ns - time.monotonic_ns()) / NS_PER_MS)
        self._timer = self._loop.call_later(delay_ms / 1000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._wake_ns = None, _NEVER_NS
        now_ns = time.monotonic_ns()
        for tunnel in self.pushing.take_due(now_ns):
            tunnel.push(now_ns)
        for tunnel in self._watched.take_due(now_ns):
            tunnel.close_if_idle(now_ns)
        for transport in self._lingering.take_due(now_ns):
            transport.abort()
        for wheel in (self.pushing, self._watched, self._lingering):
            self._wake_by(wheel)


def _rss_bytes() -> int:
    """Resident memory now, which getrusage(2) does not tell (proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


_END: dict[Ending, Callable[[Server, asyncio.Transport], None]] = {
    Ending.ANSWERED: Server.close,
    Ending.STARTED: Server.linger,
}
