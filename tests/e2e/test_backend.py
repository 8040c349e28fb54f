"""Real backend processes, and the client of `websockets` against them."""

import asyncio
import http.client
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.e2e.ports import ports_in_a_row
from wsload.backend.messages import Report
from wsload.backend.process import EmbeddedBackend
from wsload.errors import BackendError
from wsload.profile.model import Backend, Reply

pytestmark = pytest.mark.e2e

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MS = 1_000_000


class Handle:
    """A backend and the loop that its channels belong to."""

    def __init__(self, runner: asyncio.Runner, backend: EmbeddedBackend) -> None:
        self._runner, self.backend = runner, backend

    def connect(self, index: int = 0, subprotocols: tuple[str, ...] = ()) -> ClientConnection:
        offered = [Subprotocol(name) for name in subprotocols] or None
        return connect(f"ws://{self.backend.addresses[index]}/ws", subprotocols=offered, max_size=None)

    def plain(self) -> socket.socket:
        ip, _, port = self.backend.addresses[0].rpartition(":")
        return socket.create_connection((ip, int(port)), timeout=20)

    def tunnel(self) -> socket.socket:
        """A raw tunnel, its 101 read."""
        sock = self.plain()
        sock.sendall(UPGRADE)
        assert sock.recv(4096).startswith(b"HTTP/1.1 101 ")
        return sock

    def reports(self) -> list[Report]:
        return self._runner.run(self.backend.reports())

    def wait_for(self, condition: Callable[[Report], bool]) -> Report:
        deadline = time.monotonic() + 20
        while not condition(report := self.reports()[0]):
            assert time.monotonic() < deadline, report
            time.sleep(0.02)
        return report

    def stop(self) -> None:
        self._runner.run(self.backend.stop())


Start = Callable[..., Handle]


@pytest.fixture(scope="module")
def start() -> Iterator[Start]:
    """Starts backends that are stopped at the module's end at the latest."""
    handles: list[Handle] = []
    with asyncio.Runner() as runner:

        def start_backend(settings: Backend, listeners: int = 1) -> Handle:
            handle = Handle(runner, runner.run(EmbeddedBackend.start(settings, listeners)))
            handles.append(handle)
            return handle

        yield start_backend
        for handle in handles:
            handle.stop()


@pytest.fixture(scope="module")
def echo(start: Start) -> Handle:
    return start(Backend(processes=2), 2)


def until_eof(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def close_received(tunnel: ClientConnection) -> Close | None:
    """The close frame that came within a moment, if one did."""
    try:
        tunnel.recv(timeout=0.1)
    except TimeoutError:
        return None
    except ConnectionClosed as closed:
        return closed.rcvd
    raise AssertionError("a message came")


@pytest.mark.parametrize("index", range(4))
def test_every_address_of_every_process_echoes(echo: Handle, index: int) -> None:
    assert len(set(echo.backend.addresses)) == 4
    with echo.connect(index) as tunnel:
        tunnel.send("Grüße")
        assert tunnel.recv() == "Grüße"


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 16 * 1024 * 1024])
def test_binary_messages_of_any_size_come_back_whole(echo: Handle, size: int) -> None:
    payload = (bytes(range(256)) * (size // 256 + 1))[:size]
    with echo.connect() as tunnel:
        tunnel.send(payload)
        assert tunnel.recv() == payload


def test_fragments_come_back_as_fragments_of_one_message(echo: Handle) -> None:
    with echo.connect() as tunnel:
        tunnel.send(["one ", "two ", "three"])
        assert list(tunnel.recv_streaming()) == ["one ", "two ", "three", ""]
        tunnel.send("after")
        assert tunnel.recv() == "after"


def test_pings_are_answered(echo: Handle) -> None:
    with echo.connect() as tunnel:
        assert tunnel.ping(b"are you there").wait(20)


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "leaving"), (4321, "mine")])
def test_a_close_is_answered_with_its_own_code_and_then_fin(echo: Handle, code: int, reason: str) -> None:
    with echo.connect() as tunnel:
        tunnel.close(code, reason)
    assert tunnel.protocol.close_rcvd is not None
    assert (tunnel.protocol.close_rcvd.code, tunnel.protocol.close_rcvd.reason) == (code, reason)


def test_the_server_closes_first_after_a_closing_handshake(echo: Handle) -> None:
    with echo.tunnel() as sock:
        sock.sendall(b"\x88\x82\0\0\0\0\x03\xe8")
        assert until_eof(sock) == b"\x88\x02\x03\xe8"


def test_a_protocol_error_gets_1002_and_fin_though_more_is_being_sent(echo: Handle) -> None:
    with echo.tunnel() as sock:
        sock.sendall(b"\x82\x01x")
        sock.sendall(bytes(100_000))
        assert until_eof(sock)[:4] == b"\x88\x12\x03\xea"


def test_a_message_over_the_cap_gets_1009(echo: Handle) -> None:
    with echo.tunnel() as sock:
        # The header alone, and the client goes on sending.
        sock.sendall(b"\x82\xff" + (16 * 1024 * 1024 + 1).to_bytes(8, "big") + bytes(1_000_000))
        assert until_eof(sock)[2:4] == (1009).to_bytes(2, "big")


def test_the_first_subprotocol_is_taken_and_compression_is_not(echo: Handle) -> None:
    with echo.connect(subprotocols=("first", "second")) as tunnel:
        assert tunnel.subprotocol == "first"
        assert tunnel.request is not None
        assert "permessage-deflate" in tunnel.request.headers["Sec-WebSocket-Extensions"]
        assert tunnel.protocol.extensions == []


def test_plain_http_gets_200_on_a_connection_that_is_kept(echo: Handle) -> None:
    client = http.client.HTTPConnection(echo.backend.addresses[0], timeout=20)
    sockets = set()
    for method in ("GET", "HEAD", "OPTIONS", "GET"):
        client.request(method, "/any/where")
        response = client.getresponse()
        sockets.add(client.sock)
        assert response.status == 200
        assert bool(response.read()) == (method != "HEAD")
    assert len(sockets) == 1
    client.request("POST", "/", body=b"x" * 100_000)
    assert client.getresponse().status == 200
    client.close()


def test_what_is_no_http_gets_400_and_fin(echo: Handle) -> None:
    with echo.plain() as sock:
        sock.sendall(b"\x16\x03\x01 no TLS here\r\n\r\n")
        assert until_eof(sock).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_sends_but_does_not_read_is_not_read_either(start: Start) -> None:
    handle = start(Backend())
    before = handle.reports()[0]
    message = b"\x82\xfe\xff\xff\0\0\0\0" + bytes(65535)
    with handle.tunnel() as sock:
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sock.sendall(message * 2000)
        # The kernel's buffers of both ends take a few MB each way; the backend itself keeps next to nothing.
        assert handle.reports()[0].rss_bytes - before.rss_bytes < 8_000_000
        sock.settimeout(20)
        assert sock.recv(4) == b"\x82\x7e\xff\xff"


def test_counters_follow_tunnels_however_they_end(start: Start) -> None:
    handle = start(Backend())
    endings: list[Callable[[socket.socket], None]] = [
        lambda sock: sock.sendall(b"\x88\x80\0\0\0\0"),
        lambda sock: sock.shutdown(socket.SHUT_WR),
        lambda sock: sock.close(),
        lambda sock: sock.sendall(b"no frame"),
        lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"),  # RST
    ]
    socks = [handle.tunnel() for _ in endings]
    report = handle.wait_for(lambda report: report.tunnels == len(endings))
    assert (report.connections, report.accepted, report.upgraded) == (5, 5, 5)
    for sock, end in zip(socks, endings, strict=True):
        end(sock)
        sock.close()
    report = handle.wait_for(lambda report: report.connections == 0)
    assert (report.tunnels, report.upgraded, report.http_requests) == (0, 5, 0)
    assert report.cpu_s > 0


def test_a_sink_answers_pings_but_not_messages(start: Start) -> None:
    with start(Backend(reply=Reply.SINK)).connect() as tunnel:
        tunnel.send("swallowed")
        assert tunnel.ping().wait(20)
        with pytest.raises(TimeoutError):
            tunnel.recv(timeout=0)


def test_a_pushing_backend_sends_to_each_tunnel_and_echoes_nothing(start: Start) -> None:
    handle = start(Backend(reply=Reply.PUSH, push_rate_per_s=200))
    with handle.connect() as one, handle.connect() as other:
        one.send("not echoed")
        for tunnel in (one, other):
            assert [tunnel.recv(timeout=20) for _ in range(60)] == [bytes(64)] * 60
    assert handle.reports()[0].push_skipped == 0


def test_a_silent_tunnel_gets_1001_and_fin_and_one_that_talks_does_not(start: Start) -> None:
    handle = start(Backend(idle_close_ns=1000 * MS))
    with handle.connect() as silent, handle.connect() as talking, handle.connect() as pinging:
        while (close := close_received(silent)) is None:
            talking.send("x")
            assert talking.recv(timeout=20) == "x"
            assert pinging.ping().wait(20)
        assert (close.code, close.reason) == (1001, "idle timeout")
        talking.send("still here")
        assert talking.recv(timeout=20) == "still here"
        assert pinging.ping().wait(20)
    assert handle.reports()[0].idle_closed == 1


def test_a_client_that_never_closes_after_an_idle_close_is_let_go(start: Start) -> None:
    handle = start(Backend(idle_close_ns=50 * MS))
    with handle.tunnel() as sock:
        assert until_eof(sock) == b"\x88\x0e\x03\xe9idle timeout"
        report = handle.reports()[0]
        assert (report.tunnels, report.connections) == (0, 1)
        handle.wait_for(lambda report: report.connections == 0)


def test_an_explicit_port_is_used_by_the_first_process_and_the_next_by_the_second(start: Start) -> None:
    port = ports_in_a_row(2)
    addresses = start(Backend(port=port, processes=2), 2).backend.addresses
    assert addresses == [f"127.0.0.{host}:{port + index}" for index in (0, 1) for host in (1, 2)]


def test_a_port_that_is_taken_is_named_with_the_fix_and_nothing_stays(start: Start) -> None:
    children = set(psutil.Process().children())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BackendError) as error:
            start(Backend(port=port, processes=2))
    assert f"127.0.0.1:{port}" in str(error.value)
    assert "--set backend.port=auto" in str(error.value)
    assert set(psutil.Process().children()) == children


def test_a_port_beyond_the_last_is_refused(start: Start) -> None:
    with pytest.raises(BackendError, match=r"65536.*use a lower port"):
        start(Backend(port=65535, processes=2))


@pytest.mark.parametrize(
    ("first_ip", "words"),
    [("localhost", "no IP address; write one"), ("192.0.2.1", "192.0.2.1:0: .*; use an address of this")],
)
def test_an_address_that_is_not_ours_is_refused_with_what_to_type(first_ip: str, words: str) -> None:
    with pytest.raises(BackendError, match=words):
        asyncio.run(EmbeddedBackend.start(Backend(), first_ip=first_ip))


def test_an_ipv6_address_is_written_with_brackets() -> None:
    async def address() -> str:
        backend = await EmbeddedBackend.start(Backend(), first_ip="::1")
        await backend.stop()
        return backend.addresses[0]

    assert asyncio.run(address()).startswith("[::1]:")


def test_a_killed_process_is_noticed_and_the_others_go_on(start: Start) -> None:
    handle = start(Backend(processes=2))
    assert handle.backend.dead() == []
    victim = handle.backend.pids[0]
    os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while not handle.backend.dead():
        assert time.monotonic() < deadline
    assert handle.backend.dead() == [(0, victim, -signal.SIGKILL)]
    assert len(handle.reports()) == 1
    with handle.connect(1) as tunnel:
        tunnel.send("x")
        assert tunnel.recv() == "x"
    handle.stop()


def test_stop_leaves_no_process_and_no_listener_whatever_is_open(start: Start) -> None:
    handle = start(Backend(processes=2))
    socks = [handle.tunnel() for _ in range(50)]
    pids = handle.backend.pids
    handle.stop()
    handle.stop()
    assert handle.backend.dead() == []
    assert not any(psutil.pid_exists(pid) for pid in pids)
    with pytest.raises(ConnectionRefusedError):
        handle.plain()
    for sock in socks:
        assert sock.recv(1) == b""
        sock.close()
