"""One connection at a time, watched closely: when bytes came and went, and how it ended on the wire.

Not the driver's hot path: a connection here may cost what it likes, speaks TLS, and always takes the
reference lane, so that what is odd about a server is shown and not worked around.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from wsload.clock import Clock
from wsload.probe.answer import (
    SWITCHING,
    NotHttpError,
    Response,
    parse_response,
    upgrade_problem,
)
from wsload.probe.target import Target
from wsload.record.outcome import Wire
from wsload.units import NS_PER_S
from wsload.wire.closing import NORMAL, parse_close
from wsload.wire.frames import CLOSE, CONTINUATION, PING, PONG, TEXT, build_frame
from wsload.wire.handshake import Upgrade, build_upgrade
from wsload.wire.reference import ReferenceLane

_KEPT_MESSAGES = 4096
_NONCE_BYTES, _MASK_BYTES = 16, 4
_LONGEST_HEAD = 65_536
_LONGEST_BODY = 4096


@dataclass(frozen=True)
class Address:
    """One address that the host's name stands for, as the socket module wants it."""

    family: socket.AddressFamily
    sockaddr: tuple[str | int, ...]

    def __str__(self) -> str:
        ip, port = self.sockaddr[:2]
        return f"[{ip}]:{port}" if self.family is socket.AF_INET6 else f"{ip}:{port}"

    @property
    def ip(self) -> str:
        """Without its port."""
        return str(self.sockaddr[0])


@dataclass(frozen=True)
class Ended:
    """What ended the TCP connection from the other side, and when."""

    wire: Wire
    at_ns: int


class Stream(asyncio.Protocol):
    """Bytes of one connection. ``ended`` is set by what the other side does, never by our own close."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ended: Ended | None = None
        self.received = bytearray()
        """What nobody has taken yet. Empty once :attr:`take` is set."""
        self.take: Callable[[bytes], None] | None = None
        """Where bytes go as they come, instead of into ``received``."""
        self._changed = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._closed_by_us = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        if self.take is None:
            self.received += data
        else:
            self.take(data)
        self.wake()

    def eof_received(self) -> bool:
        """The other side's FIN. See :class:`asyncio.Protocol`; our own follows at once."""
        self._end(Wire.FIN)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        wire = Wire.TIMEOUT if isinstance(exc, TimeoutError) else Wire.RST
        self._end(wire if isinstance(exc, OSError) and not isinstance(exc, ssl.SSLError) else Wire.FIN)

    def write(self, data: bytes) -> None:
        """Send; nothing happens on a connection that has ended."""
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """End it from our side with a FIN. May be called again."""
        self._closed_by_us = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it at once, whatever is still to be sent."""
        self._closed_by_us = True
        if self._transport is not None:
            self._transport.abort()

    def tls(self) -> ssl.SSLObject | None:
        """The TLS side of it, None in clear text."""
        found = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        assert found is None or isinstance(found, ssl.SSLObject)
        return found

    def wake(self) -> None:
        """Let whoever waits in :meth:`changed` look again."""
        self._changed.set()

    async def changed(self, deadline_ns: int) -> bool:
        """Wait until something came, ended or woke us; False once the deadline has passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(deadline_ns - self.clock.now_ns(), 0) / NS_PER_S):
                await self._changed.wait()
        happened = self._changed.is_set()
        self._changed.clear()
        return happened

    def _end(self, wire: Wire) -> None:
        if self.ended is None and not self._closed_by_us:
            self.ended = Ended(wire, self.clock.now_ns())
        self.wake()


@dataclass(frozen=True)
class Exchange:
    """A request and what came back within the time: an answer, an end, or nothing."""

    response: Response | None
    """Its head is complete; the body is what came with it."""
    head: bytes
    not_http: str
    """Why what came is no HTTP answer; empty if it is one, or nothing came."""
    ended: Wire | None
    took_ns: int


async def resolve(target: Target) -> list[Address]:
    """All addresses of the host, in the system's order of preference. Raises OSError (socket.gaierror)."""
    found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(Address(family, tuple(sockaddr)) for family, _, _, _, sockaddr in found))


async def connect_tcp(address: Address, timeout_ns: int) -> socket.socket:
    """A connected socket. Raises OSError, and TimeoutError where nothing answers in time."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(timeout_ns / NS_PER_S):
            await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


async def connect(target: Target, address: Address, clock: Clock) -> Stream:
    """TCP, and TLS for wss. Raises OSError, which ssl.SSLError and TimeoutError are too."""
    sock = await connect_tcp(address, target.timeout_ns)
    try:
        _, stream = await asyncio.get_running_loop().create_connection(
            lambda: Stream(clock),
            sock=sock,
            ssl=_tls_context(verify=target.verify) if target.secure else None,
            server_hostname=target.host if target.secure else None,
            ssl_handshake_timeout=target.timeout_ns / NS_PER_S if target.secure else None,
        )
    except BaseException:
        sock.close()
        raise
    return stream


async def exchange(stream: Stream, request: bytes, timeout_ns: int) -> Exchange:
    """Send a request and wait for the head of its answer."""
    started_ns = stream.clock.now_ns()
    stream.write(request)
    not_http, response = "", None
    while True:
        try:
            response = parse_response(bytes(stream.received)) if stream.received else None
        except NotHttpError as error:
            not_http = str(error)
        took_ns = stream.clock.now_ns() - started_ns
        if not response and not not_http and len(stream.received) > _LONGEST_HEAD:
            not_http = f"a head of more than {_LONGEST_HEAD} bytes"
        if response or not_http or stream.ended or took_ns >= timeout_ns:
            break
        await stream.changed(started_ns + timeout_ns)
    head = bytes(stream.received[: response.head_bytes]) if response else b""
    return Exchange(response, head, not_http, stream.ended.wire if stream.ended else None, took_ns)


async def with_body(stream: Stream, response: Response, patience_ns: int) -> Response:
    """The same answer with the first part of its body, if that comes within the time."""
    deadline_ns = stream.clock.now_ns() + patience_ns
    lengths = response.values("content-length")
    wanted = int(lengths[0]) if lengths and lengths[0].isdecimal() else _LONGEST_BODY
    wanted = response.head_bytes + min(wanted, _LONGEST_BODY)
    while len(stream.received) < wanted and not stream.ended and await stream.changed(deadline_ns):
        pass
    body = bytes(stream.received[response.head_bytes : wanted])
    return Response(response.status, response.reason, response.headers, response.head_bytes, body)


@dataclass(frozen=True)
class Message:
    """A whole message or control frame that arrived."""

    opcode: int
    payload: bytes
    at_ns: int


class Tunnel:
    """An open tunnel. Pings are answered as every client has to; all else is left to the caller."""

    def __init__(self, stream: Stream, early: bytes) -> None:
        """``early`` are bytes that came right behind the 101."""
        self.stream, self._clock = stream, stream.clock
        self.opened_ns = self.last_byte_ns = self._clock.now_ns()
        self.longest_silence_ns = 0
        """Between bytes in either direction, as far as the other side was heard after it."""
        self.closed: tuple[int, str] | None = None
        """Code and reason of the close frame that came."""
        self.ended_ns: int | None = None
        """When it ended from the other side: close frame, FIN or RST, whichever was first."""
        self.idle_at_end_ns = 0
        """Silence in both directions just before that."""
        self.unasked = 0
        """Messages and pings that the server sent by itself."""
        self.messages: deque[Message] = deque(maxlen=_KEPT_MESSAGES)
        self._lane, self._partial = ReferenceLane(), bytearray()
        self._partial_opcode, self._pending_silence_ns = TEXT, 0
        self._pings_out = 0
        stream.take = self._take
        if early:
            self._take(early)

    def end(self) -> Wire | None:
        """How the other side ended it; None while it lives."""
        self._note_tcp_end()
        if self.ended_ns is None:
            return None
        if self.closed is not None or self.stream.ended is None:
            return Wire.CLOSE
        return self.stream.ended.wire

    def send(self, opcode: int, payload: bytes) -> None:
        """Send one frame."""
        self._write(build_frame(opcode, payload, os.urandom(_MASK_BYTES)))
        self._pings_out += opcode == PING

    async def receive(self, wanted: Callable[[Message], bool], deadline_ns: int) -> Message | None:
        """The next message that is wanted, others dropped; None at the tunnel's end or the deadline."""
        while True:
            while self.messages:
                message = self.messages.popleft()
                if wanted(message):
                    return message
            if self.end() is not None or self._clock.now_ns() >= deadline_ns:
                return None
            await self.stream.changed(deadline_ns)

    async def ping(self, timeout_ns: int) -> int | None:
        """Round trip of one ping in ns; None if no pong came in time."""
        payload, sent_ns = os.urandom(8), self._clock.now_ns()
        self.send(PING, payload)
        pong = await self.receive(
            lambda message: message.opcode == PONG and message.payload == payload, sent_ns + timeout_ns
        )
        return None if pong is None else pong.at_ns - sent_ns

    def send_close(self) -> None:
        """Begin the closing handshake, unless it has begun."""
        self._write(self._lane.close(NORMAL))

    def close(self) -> None:
        """Say goodbye and end it, without waiting for an answer."""
        self.send_close()
        self.stream.close()

    def _write(self, data: bytes) -> None:
        if data:
            now_ns = self._clock.now_ns()
            self._pending_silence_ns = max(self._pending_silence_ns, now_ns - self.last_byte_ns)
            self.last_byte_ns = now_ns
            self.stream.write(data)

    def _take(self, data: bytes) -> None:
        now_ns = self._clock.now_ns()
        silence_ns, self.last_byte_ns = now_ns - self.last_byte_ns, now_ns
        self.longest_silence_ns = max(self.longest_silence_ns, self._pending_silence_ns, silence_ns)
        self._pending_silence_ns = 0
        frames, answer = self._lane.receive(data)
        for opcode, final, payload in frames:
            self._take_frame(opcode, final, payload, now_ns, silence_ns)
        if self._lane.failure is not None and self.closed is None and self.ended_ns is None:
            # It broke the protocol: our side of the tunnel is over, whatever it sends next.
            self.closed = (self._lane.failure.code, f"by us: {self._lane.failure.reason}")
            self.ended_ns, self.idle_at_end_ns = now_ns, silence_ns
        self._write(answer)

    def _take_frame(self, opcode: int, final: bool, payload: bytes, now_ns: int, silence_ns: int) -> None:
        if opcode == CLOSE:
            self.closed = parse_close(payload)
            if self.ended_ns is None:
                self.ended_ns, self.idle_at_end_ns = now_ns, silence_ns
            return
        if opcode == PONG and self._pings_out:
            self._pings_out -= 1
        else:
            self.unasked += 1
        if opcode in (PING, PONG):
            self.messages.append(Message(opcode, payload, now_ns))
            return
        if opcode != CONTINUATION:
            self._partial_opcode = opcode
        self._partial += payload
        if final:
            self.messages.append(Message(self._partial_opcode, bytes(self._partial), now_ns))
            self._partial.clear()

    def _note_tcp_end(self) -> None:
        if self.ended_ns is None and self.stream.ended is not None:
            self.ended_ns = self.stream.ended.at_ns
            self.idle_at_end_ns = self.ended_ns - self.last_byte_ns


@dataclass(frozen=True)
class Opening:
    """An attempt to open a tunnel: the tunnel, or why there is none."""

    tunnel: Tunnel | None
    exchange: Exchange
    problem: str
    """What is wrong with a 101; empty if the tunnel is open, or no 101 came."""


def new_upgrade(target: Target) -> Upgrade:
    """A request of its own key."""
    return build_upgrade(
        target.authority, target.path, os.urandom(_NONCE_BYTES), target.headers, target.subprotocols
    )


async def open_tunnel(target: Target, address: Address, clock: Clock) -> Opening:
    """Connect and upgrade. Raises OSError where no connection is made; a refusal is an Opening."""
    stream = await connect(target, address, clock)
    try:
        upgrade = new_upgrade(target)
        answer = await exchange(stream, upgrade.request, target.timeout_ns)
        response = answer.response
        if response is None or response.status != SWITCHING:
            if response is not None:
                whole = await with_body(stream, response, target.timeout_ns // 10)
                answer = Exchange(whole, answer.head, answer.not_http, answer.ended, answer.took_ns)
            stream.abort()
            return Opening(None, answer, "")
        problem = upgrade_problem(response, answer.head, upgrade, target.subprotocols)
        if problem:
            stream.abort()
            return Opening(None, answer, problem)
        return Opening(Tunnel(stream, response.body), answer, "")
    except BaseException:
        stream.abort()
        raise


def _tls_context(*, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    # Without it a server may choose HTTP/2, where an upgrade is another thing (RFC 8441).
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
