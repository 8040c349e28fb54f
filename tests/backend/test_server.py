"""The protocols of a backend process without a socket: HTTP first, push, idle close."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from tests.backend.transport import RecordingTransport
from wsload.backend.connection import HttpConnection
from wsload.backend.messages import Serve
from wsload.backend.server import Server
from wsload.backend.tunnel import Tunnel
from wsload.profile.model import Backend, Reply
from wsload.units import NS_PER_S

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HELLO = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
"""RFC 6455 section 5.7: a masked "Hello"."""


def serve(**backend: Any) -> Serve:
    return Serve(listeners=[], backend=Backend(**backend))


@contextmanager
def serving(settings: Serve) -> Iterator[Server]:
    async def make_server() -> Server:
        return Server(settings)

    with asyncio.Runner() as runner:
        yield runner.run(make_server())


@pytest.fixture
def client() -> Iterator[RecordingTransport]:
    """A connection that an echoing server has just accepted."""
    with serving(serve()) as server:
        transport = RecordingTransport()
        connection = HttpConnection(server)
        connection.connection_made(transport)
        transport.protocol = connection
        yield transport


def opened(server: Server) -> tuple[RecordingTransport, Tunnel]:
    transport = RecordingTransport()
    server.open_tunnel(transport, b"", b"")
    return transport, cast(Tunnel, transport.protocol)


def test_a_message_right_behind_the_upgrade_request_is_echoed(client: RecordingTransport) -> None:
    client.receive(UPGRADE + HELLO)
    assert client.written.endswith(b"\r\n\r\n\x81\x05Hello")


def test_an_upgrade_one_byte_at_a_time_opens_a_tunnel(client: RecordingTransport) -> None:
    for byte in UPGRADE + HELLO:
        client.receive(bytes((byte,)))
    assert client.written.endswith(b"\r\n\r\n\x81\x05Hello")


def test_requests_in_one_read_are_all_answered_and_an_upgrade_may_follow(client: RecordingTransport) -> None:
    client.receive(b"GET / HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\n" + UPGRADE)
    assert re.findall(rb"HTTP/1\.1 (\d+)", client.written) == [b"200", b"200", b"101"]


def test_nothing_behind_a_refused_request_is_answered(client: RecordingTransport) -> None:
    client.receive(b"nonsense\r\n\r\n" + UPGRADE)
    client.receive(UPGRADE)
    assert client.written.count(b"HTTP/1.1") == 1
    assert client.written.startswith(b"HTTP/1.1 400 ")
    assert client.ended


@pytest.mark.parametrize(("periods_late", "messages"), [(0, 1), (0.5, 1), (1, 2), (2.5, 3), (10_000, 1000)])
def test_a_late_push_makes_up_for_what_fell_due_meanwhile(periods_late: float, messages: int) -> None:
    with serving(serve(reply=Reply.PUSH, push_rate_per_s=10)) as server:
        transport, tunnel = opened(server)
        due_ns = tunnel.push_due_ns
        tunnel.push(now_ns := due_ns + int(periods_late * NS_PER_S / 10))
        assert transport.written == (b"\x82\x40" + bytes(64)) * messages
        assert now_ns < tunnel.push_due_ns <= now_ns + NS_PER_S // 10
        assert server.push_skipped == int(periods_late) + 1 - messages


def test_pushes_to_a_client_that_does_not_read_are_skipped_and_counted() -> None:
    with serving(serve(reply=Reply.PUSH)) as server:
        transport, tunnel = opened(server)
        transport.unsent_bytes = 1_000_000
        tunnel.push(tunnel.push_due_ns)
        assert transport.written == b""
        assert server.push_skipped == 1


@pytest.mark.parametrize("reply", list(Reply))
def test_a_tunnel_is_closed_only_when_silent_for_the_whole_idle_time(reply: Reply) -> None:
    with serving(serve(reply=reply, idle_close_ns=NS_PER_S)) as server:
        transport, tunnel = opened(server)
        opened_ns = tunnel.heard_ns
        transport.receive(HELLO)
        assert tunnel.heard_ns > opened_ns
        written = transport.written
        tunnel.close_if_idle(opened_ns + NS_PER_S)
        assert (transport.written, transport.ended) == (written, False)
        tunnel.close_if_idle(tunnel.heard_ns + NS_PER_S)
        assert transport.written == written + b"\x88\x0e\x03\xe9idle timeout"
        assert transport.ended
        assert (server.idle_closed, server.tunnels) == (1, 0)


def test_an_ended_tunnel_is_counted_out_once_and_kept_by_no_timer() -> None:
    settings = serve(
        reply=Reply.PUSH, push_rate_per_s=0.001, idle_close_ns=NS_PER_S, ends_after_ns=60 * NS_PER_S
    )
    with serving(settings) as server:
        transport, tunnel = opened(server)
        server.connections = 1
        transport.receive(b"\x88\x80\0\0\0\0")
        assert isinstance(transport.protocol, asyncio.Protocol)
        transport.protocol.connection_lost(None)
        assert (server.tunnels, server.connections) == (0, 0)
        assert server.pushing.take_due(tunnel.push_due_ns + NS_PER_S) == []
