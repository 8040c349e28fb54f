"""The protocols of a backend process without a socket: HTTP first, push, idle close."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from tests.backend.transport import RecordingTransport
from wsload.backend.behaviour import Ending
from wsload.backend.connection import HttpConnection, Waiting
from wsload.backend.messages import Serve
from wsload.backend.server import Server
from wsload.backend.tunnel import Tunnel
from wsload.profile.model import Backend, EndsWith, Reply
from wsload.record.backend_log import BackendEnd, BackendWire, EndedBy, Kind
from wsload.units import NS_PER_S

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
HELLO = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
"""RFC 6455 section 5.7: a masked "Hello"."""


def serve(log_path: Path | None = None, **backend: Any) -> Serve:
    path = None if log_path is None else str(log_path)
    return Serve(listeners=[], backend=Backend(**backend), log_path=path)


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


def asked(server: Server, request: bytes = UPGRADE) -> RecordingTransport:
    """A connection that has sent a request."""
    transport = RecordingTransport()
    connection = HttpConnection(server)
    connection.connection_made(transport)
    transport.protocol = connection
    transport.receive(request)
    return transport


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


@pytest.mark.parametrize("idle_close_share", [0.0, 1.0])
def test_an_ended_tunnel_is_counted_out_once_and_kept_by_no_timer(idle_close_share: float) -> None:
    settings = serve(
        reply=Reply.PUSH,
        push_rate_per_s=0.001,
        idle_close_ns=NS_PER_S,
        idle_close_share=idle_close_share,
        ends_after_ns=60 * NS_PER_S,
    )
    with serving(settings) as server:
        transport, tunnel = opened(server)
        server.connections = 1
        transport.receive(b"\x88\x80\0\0\0\0")
        assert isinstance(transport.protocol, asyncio.Protocol)
        transport.protocol.connection_lost(None)
        assert (server.tunnels, server.connections) == (0, 0)
        assert server.pushing.take_due(tunnel.push_due_ns + NS_PER_S) == []


def test_a_tunnel_is_ended_at_its_age_with_the_code_of_the_profile() -> None:
    with serving(serve(ends_after_ns=NS_PER_S, close_code=4001)) as server:
        transport, tunnel = opened(server)
        tunnel.end_for_age(0)
        assert transport.written == b"\x88\x02\x0f\xa1"
        assert transport.ended
        assert (server.timed_ends, server.tunnels) == (1, 0)


def test_a_half_open_end_is_never_finished_by_this_side(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(serve(ends_after_ns=NS_PER_S, ends_with=EndsWith.HALF_OPEN)) as server:
        cut: list[asyncio.Transport] = []
        monkeypatch.setattr(server, "abort_later", cut.append)
        transport, tunnel = opened(server)
        tunnel.end_for_age(0)
        assert (transport.written, transport.ended, transport.reading) == (b"", True, True)
        assert cut == []
        server.end_connection(transport, Ending.STARTED)
        assert cut == [transport]


def test_the_share_that_ends_is_drawn_by_the_seed() -> None:
    def ended(settings: Serve) -> list[bool]:
        with serving(settings) as server:
            tunnels = [opened(server)[1] for _ in range(200)]
            due = server.ageing.take_due(time.monotonic_ns() + 2 * NS_PER_S)
            return [tunnel in due for tunnel in tunnels]

    half = serve(ends_after_ns=NS_PER_S, ends_share=0.5)
    assert ended(half) == ended(half) != ended(msgspec.structs.replace(half, seed=2))
    assert ended(half) != ended(msgspec.structs.replace(half, process=1))
    assert 95 <= sum(ended(half)) <= 105
    assert all(ended(serve(ends_after_ns=NS_PER_S)))


@pytest.mark.parametrize(
    ("backend", "statuses"),
    [
        ({"refuse_share": 1.0, "refuse_status": 404}, {b"404 Not Found"}),
        ({"refuse_share": 1.0, "refuse_status": 599}, {b"599 Refused"}),
        ({"refuse_share": 0.5, "upgrade_missing_share": 0.5}, {b"503 Service Unavailable", b""}),
        ({"upgrade_missing_share": 0.5}, {b"101 Switching Protocols", b""}),
    ],
)
def test_upgrades_are_refused_or_left_unanswered_and_pages_are_not(
    backend: dict[str, Any], statuses: set[bytes]
) -> None:
    with serving(serve(**backend)) as server:
        answers = [asked(server).written for _ in range(40)]
        assert {answer.partition(b"\r\n")[0][9:] for answer in answers} == statuses
        assert asked(server, b"GET / HTTP/1.1\r\n\r\n").written.startswith(b"HTTP/1.1 200 ")


def test_what_comes_ahead_of_a_late_101_is_answered_after_it_and_bounded() -> None:
    with serving(serve(upgrade_delay_ns=NS_PER_S)) as server:
        transport = asked(server)
        transport.receive(HELLO)
        assert (transport.written, server.tunnels) == (b"", 0)
        assert isinstance(transport.protocol, Waiting)
        transport.protocol.answer(0)
        assert transport.written.startswith(b"HTTP/1.1 101 ")
        assert transport.written.endswith(b"\r\n\r\n\x81\x05Hello")
        assert server.tunnels == 1
        flooding = asked(server)
        for _ in range(20):
            flooding.receive(bytes(1000))
        assert not flooding.reading


def test_a_client_that_gives_up_before_its_101_is_no_longer_waited_for() -> None:
    with serving(serve(upgrade_delay_ns=NS_PER_S)) as server:
        for number, error in enumerate((None, ConnectionResetError()), 1):
            transport = asked(server)
            assert isinstance(transport.protocol, Waiting)
            if error is None:
                transport.protocol.eof_received()
                assert transport.ended
            else:
                transport.protocol.connection_lost(error)
            assert server.unanswered_requests == number
        assert server.waiting.take_due(time.monotonic_ns() + 2 * NS_PER_S) == []


CLOSE_4001 = b"\x88\x82\0\0\0\0\x0f\xa1"
UNMASKED = b"\x82\x01x"


Act = Callable[[RecordingTransport, Tunnel], object]
WAYS_TO_END: dict[str, tuple[Act, tuple[EndedBy, BackendWire, int | None]]] = {
    "close frame": (
        lambda transport, _tunnel: transport.receive(CLOSE_4001),
        (EndedBy.PEER, BackendWire.CLOSE, 4001),
    ),
    "close frame without a code": (
        lambda transport, _tunnel: transport.receive(b"\x88\x80\0\0\0\0"),
        (EndedBy.PEER, BackendWire.CLOSE, None),
    ),
    "protocol error": (
        lambda transport, _tunnel: transport.receive(UNMASKED),
        (EndedBy.BACKEND, BackendWire.CLOSE, 1002),
    ),
    "fin": (lambda _transport, tunnel: tunnel.eof_received(), (EndedBy.PEER, BackendWire.FIN, None)),
    "rst when reading": (
        lambda transport, _tunnel: transport.lose(ConnectionResetError()),
        (EndedBy.PEER, BackendWire.RST, None),
    ),
    "rst when writing": (
        lambda transport, _tunnel: transport.lose(BrokenPipeError()),
        (EndedBy.PEER, BackendWire.RST, None),
    ),
    "silence that the kernel gave up on": (
        lambda transport, _tunnel: transport.lose(TimeoutError()),
        (EndedBy.PEER, BackendWire.LOST, None),
    ),
    "idle close": (
        lambda _transport, tunnel: tunnel.close_if_idle(1 << 62),
        (EndedBy.BACKEND, BackendWire.IDLE_CLOSE, 1001),
    ),
    "age": (lambda _transport, tunnel: tunnel.end_for_age(0), (EndedBy.BACKEND, BackendWire.FIN, None)),
    "stop": (lambda _transport, _tunnel: None, (EndedBy.BACKEND, BackendWire.STOP, None)),
}


@pytest.mark.parametrize("way", WAYS_TO_END)
def test_each_way_to_end_is_one_line_of_the_record(way: str, tmp_path: Path) -> None:
    act, expected = WAYS_TO_END[way]
    path = tmp_path / "ends.jsonl"
    settings = serve(
        path, idle_close_ns=NS_PER_S, ends_after_ns=NS_PER_S, ends_with=EndsWith.FIN, reply=Reply.SINK
    )
    with serving(settings) as server:
        transport, tunnel = opened(server)
        heard_ns = tunnel.heard_ns
        transport.receive(HELLO)
        act(transport, tunnel)
        assert server.stop().log_lines == 1
    end = msgspec.json.decode(path.read_bytes(), type=BackendEnd)
    assert (end.ended_by, end.wire, end.close_code) == expected
    assert (end.kind, end.ip, end.port) == (Kind.TUNNEL, "127.0.0.1", 54321)
    assert end.idle_rx_ns < end.idle_tx_ns <= end.ended_ns - heard_ns
    assert 0 <= heard_ns - end.opened_ns < 1000


def test_improper_upgrades_and_what_was_never_answered_are_recorded_too(tmp_path: Path) -> None:
    path = tmp_path / "ends.jsonl"
    with serving(serve(path, upgrade_missing_share=1.0)) as server:
        asked(server, UPGRADE.replace(b"13", b"8"))
        waiting = asked(server)
        server.stop()
        assert waiting.written == b""
    ends = [msgspec.json.decode(line, type=BackendEnd) for line in path.read_bytes().splitlines()]
    assert [(end.kind, end.ended_by, end.wire, end.status) for end in ends] == [
        (Kind.REFUSED, EndedBy.BACKEND, BackendWire.FIN, 426),
        (Kind.UNANSWERED, EndedBy.BACKEND, BackendWire.STOP, None),
    ]
