"""One TCP or TLS connection, watched closely: when bytes came, and how it ended on the wire.

Not the driver's hot path: a connection here may cost what it likes.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace

from wsload.clock import Clock
from wsload.probe.answer import NotHttpError, Response, parse_response
from wsload.probe.target import Target
from wsload.record.outcome import Wire
from wsload.units import NS_PER_S

_LONGEST_HEAD = 65_536
_LONGEST_BODY = 4096


@dataclass(frozen=True)
class Address:
    """One address that the host's name stands for, as the socket module wants it."""

    family: socket.AddressFamily
    sockaddr: tuple[str | int | bytes, ...]

    def __str__(self) -> str:
        ip = f"[{self.ip}]" if self.family is socket.AF_INET6 else self.ip
        return f"{ip}:{self.sockaddr[1]!s}"

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
    return replace(response, body=body)


def _tls_context(*, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    # Without it a server may choose HTTP/2, where an upgrade is another thing (RFC 8441).
    context.set_alpn_protocols(["http/1.1"])
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
